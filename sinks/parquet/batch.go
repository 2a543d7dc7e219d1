package parquet

import (
	"errors"
	"slices"
	"strconv"

	"tailwater/stream"
	"tailwater/stream/codec"
)

// keepRows is how many rows' room a partition keeps from one batch to the next,
// minRows how many it makes at first.
const (
	keepRows = 16 << 10
	minRows  = 256
)

// batch is the rows of one manifest, by directory.
type batch struct {
	rows  []row
	dirs  []string
	byDir map[string]int
	// prints are the schemas' fingerprints; each is its own value, so that all
	// rows share one string.
	prints map[string]string
	// tables says that there is an event of a table as a whole.
	tables bool
	bytes  int
	// hour and hourDir are the last row's, where only the commit time decides
	// the directory; hourDir is 0 before the first row.
	hour    int64
	hourDir int
}

func (b *batch) reset() {
	rows := b.rows[:0]
	clear(b.rows)
	if cap(rows) > keepRows {
		rows = nil
	}
	*b = batch{rows: rows, byDir: make(map[string]int), prints: make(map[string]string)}
}

// memory is what the batch holds, in bytes.
func (b *batch) memory() int { return b.bytes + len(b.rows)*rowOverhead }

// counts returns the rows of each directory.
func (b *batch) counts() []int64 {
	counts := make([]int64, len(b.dirs))
	for i := range b.rows {
		counts[b.rows[i].dir]++
	}
	return counts
}

// taker reads out of events what decides where they go.
type taker struct {
	layout  *Layout
	picker  *codec.Picker
	raw     [][]byte
	dir     []byte
	commits bool
	// head serves layouts by commit time, which need no column.
	head head
}

func newTaker(l *Layout) *taker {
	columns := l.columns()
	return &taker{
		layout: l, picker: codec.NewPicker(append([]string{"_ts_us", "_schema"}, columns...)),
		raw: make([][]byte, 2+len(columns)), commits: len(columns) == 0,
	}
}

// add puts an accepted event into the batch.
func (b *batch) add(r *stream.Record, t *taker) error {
	x := row{value: r.Value, lsn: r.LSN}
	micros, print, ok := int64(0), "", false
	if t.commits {
		micros, print, ok = t.head.read(r.Value)
	}
	if ok {
		x.schema = b.share(print)
	} else if err := b.pick(r, t, &x, &micros); err != nil {
		return err
	}
	var err error
	if x.dir, err = b.dirOf(micros, t); err != nil {
		return err
	}
	if len(b.rows) == cap(b.rows) {
		// By doubling: a long slice would be copied four times over otherwise.
		b.rows = slices.Grow(b.rows, max(minRows, len(b.rows)))
	}
	b.rows = append(b.rows, x)
	b.bytes += len(r.Value)
	return nil
}

// pick parses an event: its commit time, its schema, and what its layout needs.
func (b *batch) pick(r *stream.Record, t *taker, x *row, micros *int64) (err error) {
	if err := t.picker.Pick(r.Value, t.raw); err != nil {
		return err
	}
	if *micros, err = strconv.ParseInt(string(t.raw[0]), 10, 64); err != nil {
		return errors.New("_ts_us is not a number")
	}
	if r.OfTable() {
		b.tables = true // it has no columns, hence no schema
		return nil
	}
	x.schema = b.print(t.raw[1])
	t.head.learn(r.Value, t.raw[0], t.raw[1], x.schema)
	return nil
}

// share notes a fingerprint and returns the batch's own string of it.
func (b *batch) share(print string) string {
	if n := len(b.rows); n > 0 && b.rows[n-1].schema == print {
		return b.rows[n-1].schema // without a hash
	}
	if own, ok := b.prints[print]; ok {
		return own
	}
	b.prints[print] = print
	return print
}

// print returns the fingerprint in the raw text of _schema.
func (b *batch) print(raw []byte) string {
	var text []byte
	if len(raw) > 2 {
		text = raw[1 : len(raw)-1]
	}
	print, ok := b.prints[string(text)]
	if !ok {
		print = string(text)
		b.prints[print] = print
	}
	return print
}

// dirOf returns the index of an event's directory.
func (b *batch) dirOf(micros int64, t *taker) (int, error) {
	hour := micros / 3600e6
	if t.commits && b.hourDir > 0 && hour == b.hour && micros >= 0 {
		return b.hourDir - 1, nil
	}
	dir, err := t.layout.appendDir(t.dir[:0], micros, t.raw[2:])
	t.dir = dir
	if err != nil {
		return 0, err
	}
	n, ok := b.byDir[string(dir)]
	if !ok {
		n = len(b.dirs)
		b.dirs = append(b.dirs, string(dir))
		b.byDir[string(dir)] = n
	}
	if t.commits && micros >= 0 {
		b.hour, b.hourDir = hour, n+1
	}
	return n, nil
}
