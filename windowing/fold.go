package windowing

import (
	"errors"
	"fmt"
	"strconv"

	"tailwater/change"
	"tailwater/stream"
)

// Bounds of one batch of deltas. They keep the store's script short: the input
// is cut, never the output, and the batch carries the offset that it reached.
const (
	MaxCells = 1_000
	MaxBytes = 256 << 10
	// MaxGroupBytes bounds the text of one group.
	MaxGroupBytes = 1 << 20
)

// cellBytes is what a cell costs in a batch beside its group's text.
const cellBytes = 64

// maxInterned bounds the texts of groups that a Fold remembers between batches.
const maxInterned = 1 << 17

// RecordError says that a record cannot be folded. Its partition is not
// applied any further, and its position stays before the record. No value of
// the row is part of the text.
type RecordError struct {
	Metric, Topic string
	Partition     int32
	Offset        int64
	Err           error
}

// Error names the metric and the record.
func (e *RecordError) Error() string {
	return fmt.Sprintf("fold metric %s: record %s/%d at offset %d: %v", e.Metric, e.Topic, e.Partition, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *RecordError) Unwrap() error { return e.Err }

// Errors of a RecordError.
var (
	errBigTime = errors.New("watermark lies beyond the year 2255")
	errNoText  = fmt.Errorf("%w, and have no place in the order of texts; take another column, or a condition that leaves the row out", change.ErrInvalidText)
	errGroup   = fmt.Errorf("group is longer than %d bytes; group by a shorter column", MaxGroupBytes)
)

// partition is the state of a fold in one partition.
type partition struct {
	started bool
	stopped error
	// from is what the store holds, without marks; next is relative to incarnation.
	from        Position
	incarnation string
	next        int64
	marks       stream.Marks
	wms         Watermarks
	low         int64
}

// cell is a Cell with its place, and its newest value for min and max.
type cell struct {
	start int64
	group uint32
	last  int32
	Cell
}

// place is the key of a cell.
type place struct {
	start int64
	group uint32
}

// Fold turns the records of one metric's topic into deltas. It allocates
// nothing per event once it has seen the groups. One goroutine uses it.
type Fold struct {
	m *Metric
	// bucket is the one whose groups are folded, of so many.
	bucket, buckets uint64

	size    int64
	late    int64 // lateness in microseconds
	shards  map[string]int
	members members
	parts   []partition

	groups   map[string]uint32
	names    []string
	text     []byte
	index    map[place]int32
	cells    []cell
	out, in  image
	extreme  *extreme
	values   values
	bytes    int
	counts   Counts
	observed bool
	commits  []int64
	stale    Stale
	ahead    int64
	deltas   Deltas
}

// NewFold returns a fold of the metric that has no position yet. Of a metric
// with buckets it is that of the first.
func NewFold(m *Metric) *Fold { return NewBucketFold(m, 0) }

// NewBucketFold returns a fold of one bucket of the metric, counted from 0. It
// leaves the groups of the others out, and follows marks and watermarks as they
// do.
func NewBucketFold(m *Metric, bucket int) *Fold {
	f := &Fold{
		m: m, bucket: uint64(bucket), buckets: uint64(m.Buckets), size: m.sizeSeconds(), late: m.Lateness.Microseconds(),
		shards:  make(map[string]int, len(m.Shards)),
		members: newMembers(m),
		parts:   make([]partition, m.Partitions),
		groups:  map[string]uint32{},
		index:   map[place]int32{},
	}
	for i, s := range m.Shards {
		f.shards[s] = i
	}
	if e, ok := m.aggregate.(extreme); ok {
		f.extreme, f.values = &e, newValues()
	}
	return f
}

// ObserveCommits makes the fold collect the commit times of the events of a
// batch, for Commits.
func (f *Fold) ObserveCommits() { f.observed = true }

// Commits returns the commit times, in microseconds, of the events of the
// batch. It is valid until the next call of Commit or Drop.
func (f *Fold) Commits() []int64 { return f.commits }

// Start sets the position of a partition. No deltas of it may be pending.
// at is what the store holds; to is where reading starts: the same, or offset
// 0 of an incarnation when the store holds nothing. to's marks are copied.
func (f *Fold) Start(p int32, at, to Position) {
	part := &f.parts[p]
	*part = partition{started: true, incarnation: to.Incarnation, next: to.Offset, marks: to.Marks.Clone()}
	if at.Incarnation != "" {
		part.from = Position{Incarnation: at.Incarnation, Offset: at.Offset}
	}
	part.wms = WatermarksOf(f.m.Shards, part.marks)
	part.low = part.wms.Low()
}

// Next returns the offset of the next record of a partition, and whether the
// partition was started.
func (f *Fold) Next(p int32) (int64, bool) { return f.parts[p].next, f.parts[p].started }

// Stopped returns why a partition is not applied any further, or nil.
func (f *Fold) Stopped(p int32) error { return f.parts[p].stopped }

// Watermark returns the watermark of a partition, in microseconds.
func (f *Fold) Watermark(p int32) int64 { return f.parts[p].low }

// Full reports whether the batch has reached its bound and must be cut.
func (f *Fold) Full() bool {
	return len(f.cells)+len(f.values.all) >= MaxCells || f.bytes+len(f.values.text) >= MaxBytes
}

// Add folds one record. Records of a partition must come in offset order and
// without holes from its position on; those below it are left out. After an
// error, a *RecordError or a *stream.GapError, the partition is stopped: later
// records of it are left out, and what came before stays in the batch.
func (f *Fold) Add(r *stream.Record) error { return f.add(r, true) }

// Pass is Add for a record whose event touches no group of the fold's bucket,
// as a Router says: it is accepted or not, moves position, mark and watermark,
// and its value is not looked at.
func (f *Fold) Pass(r *stream.Record) error { return f.add(r, false) }

func (f *Fold) add(r *stream.Record, fold bool) error {
	if r.Partition < 0 || int(r.Partition) >= len(f.parts) {
		return f.refuse(r, fmt.Errorf("partition is beyond the %d of the topic", len(f.parts)))
	}
	p := &f.parts[r.Partition]
	if !p.started || p.stopped != nil || r.Offset < p.next {
		return nil
	}
	before, known := p.marks[r.Shard]
	ok, err := p.marks.Accept(r)
	if err != nil {
		p.stopped = err
		return err
	}
	if ok {
		if err := f.accept(p, r, fold); err != nil {
			if delete(p.marks, r.Shard); known {
				p.marks[r.Shard] = before
			}
			p.stopped = f.refuse(r, err)
			return p.stopped
		}
	}
	p.next = r.Offset + 1
	return nil
}

func (f *Fold) refuse(r *stream.Record, err error) error {
	return &RecordError{f.m.Name, r.Topic, r.Partition, r.Offset, err}
}

// accept folds an accepted record, then raises the watermark: the record's own
// watermark speaks of the records behind it.
func (f *Fold) accept(p *partition, r *stream.Record, fold bool) error {
	if r.Watermark > MaxMicros {
		return errBigTime
	}
	if fold && r.Kind == stream.Event {
		if err := f.event(p, r); err != nil {
			return err
		}
	}
	i, expected := f.shards[r.Shard]
	if !expected || r.Watermark <= p.wms[i] {
		return nil
	}
	lowest := p.wms[i] == p.low
	p.wms[i] = r.Watermark
	if lowest {
		p.low = p.wms.Low()
	}
	return nil
}

// image is one row image, read and not yet applied.
type image struct {
	taken, late bool
	start       int64
	// ahead is how long after its event's commit the window begins, in
	// microseconds.
	ahead int64
	group uint32
	Cell
	// order and public are the texts of its value, for min and max.
	order, public []byte
}

// event folds one event. Everything is read before anything is applied: a
// value that cannot be read leaves nothing of its event behind.
func (f *Fold) event(p *partition, r *stream.Record) error {
	e := &f.members
	if err := e.pick(r.Value); err != nil {
		return err
	}
	op, err := e.op()
	if err != nil {
		return err
	}
	micros, err := e.micros()
	if err != nil {
		return err
	}
	if op == change.OnTable {
		return f.ofTable(p, r, micros)
	}
	f.out.taken, f.in.taken = false, false
	counts := f.counts
	switch {
	case op == change.Read || f.m.Rows == Inserts && op != change.Create:
		return nil
	case f.m.Rows == Latest && op == change.Delete:
		err = f.read(p, &f.out, micros, -1)
	case f.m.Rows == Latest && op == change.Update:
		err = f.update(p, micros)
	default:
		err = f.read(p, &f.in, micros, 1)
	}
	if err != nil {
		f.counts = counts
		return err
	}
	f.apply(&f.out, -1)
	f.apply(&f.in, 1)
	if f.observed && (f.out.taken || f.in.taken) {
		f.commits = append(f.commits, micros)
	}
	return nil
}

// update reads both images of an update that changes what the metric reads.
func (f *Fold) update(p *partition, micros int64) error {
	e := &f.members
	differs, err := e.replace()
	if err != nil || !differs {
		return err
	}
	e.swap()
	err = f.read(p, &f.out, micros, -1)
	e.swap()
	if err != nil {
		return err
	}
	return f.read(p, &f.in, micros, 1)
}

// read reads the image that the members hold, and whether the metric takes it.
func (f *Fold) read(p *partition, m *image, committed, sign int64) error {
	e := &f.members
	micros := committed
	if f.m.where != nil {
		if ok, err := f.m.where.Eval(e); err != nil || !ok {
			return err
		}
	}
	if f.buckets > 1 && !f.mine() {
		return nil
	}
	if f.m.Time != CommitTime {
		seconds, ok, err := e.moment()
		if err != nil {
			return fmt.Errorf("column %s: %w", f.m.Time, err)
		}
		if !ok {
			f.counts.Skipped++
			return nil
		}
		micros = seconds * 1e6
	}
	m.start = WindowStart(micros, f.size)
	m.ahead = m.start*1e6 - committed
	m.late = Ended(m.start, f.size, p.low-f.late)
	if m.late && f.m.OnLate == Drop {
		f.counts.Dropped++
		return nil
	}
	var err error
	if m.group, err = f.group(); err != nil {
		return err
	}
	if e.agg >= 0 && e.isRaw(e.agg) {
		return fmt.Errorf("column %s: %w", f.m.aggregate.Column(), errNoText)
	}
	m.Cell = Cell{Images: 1}
	if err := f.m.aggregate.Fold(&m.Cell, e.value(), int(sign)); err != nil {
		return err
	}
	if f.extreme != nil && m.Values != 0 {
		m.public = f.extreme.public(e.value())
		if m.order, err = f.extreme.appendOrder(m.order[:0], e.value()); err != nil {
			return err
		}
	}
	m.taken = true
	return nil
}

// mine reports whether the group of the picked event is one of the bucket's.
func (f *Fold) mine() bool {
	f.text = f.members.appendGroup(f.text[:0])
	return stream.KeyHash(f.text)%f.buckets == f.bucket
}

// group interns the group of the picked event.
func (f *Fold) group() (uint32, error) {
	f.text = f.members.appendGroup(f.text[:0])
	if g, ok := f.groups[string(f.text)]; ok {
		return g, nil
	}
	if len(f.text) > MaxGroupBytes {
		return 0, errGroup
	}
	g := uint32(len(f.names))
	name := string(f.text)
	f.names = append(f.names, name)
	f.groups[name] = g
	return g, nil
}

// apply adds an image to its cell, or takes it back.
func (f *Fold) apply(m *image, sign int64) {
	if !m.taken {
		return
	}
	f.counts.Events++
	if f.m.Rows == Latest {
		f.ahead = max(f.ahead, m.ahead)
	}
	if m.late {
		f.counts.Late++
	}
	i := f.cell(m.start, m.group)
	c := &f.cells[i]
	c.Add(&m.Cell)
	switch {
	case f.extreme == nil || m.Values == 0:
	case f.m.Rows == Latest:
		c.last = f.values.add(i, c.last, m.order, m.public, sign)
	default:
		c.last = f.values.best(*f.extreme, i, c.last, m.order, m.public)
	}
}

// cell returns the place of the cell of a window and group.
func (f *Fold) cell(start int64, group uint32) int32 {
	at := place{start, group}
	i, ok := f.index[at]
	if !ok {
		i = int32(len(f.cells))
		f.index[at] = i
		f.cells = append(f.cells, cell{start: start, group: group})
		f.bytes += cellBytes + len(f.names[group])
	}
	return i
}

// Dirty reports whether a partition has moved since the last Commit.
func (f *Fold) Dirty() bool {
	for i := range f.parts {
		p := &f.parts[i]
		if p.started && (p.from.Incarnation == "" && p.next > 0 || p.from.Incarnation != "" && p.from.Offset != p.next) {
			return true
		}
	}
	return false
}

// Commit says that the store holds what Cut returned: the batch is empty, and
// the next one starts where it ended.
func (f *Fold) Commit() {
	for i := range f.parts {
		if p := &f.parts[i]; p.started {
			p.from = Position{Incarnation: p.incarnation, Offset: p.next}
		}
	}
	f.clear()
}

// Drop forgets the deltas and the positions: each partition must be started
// again.
func (f *Fold) Drop() {
	for i := range f.parts {
		f.parts[i] = partition{}
	}
	f.clear()
}

func (f *Fold) clear() {
	clear(f.index)
	f.cells = f.cells[:0]
	f.values.clear()
	f.commits = f.commits[:0]
	f.bytes, f.counts, f.stale, f.ahead = 0, Counts{}, Stale{}, 0
	if len(f.names) > maxInterned {
		clear(f.groups)
		f.names = nil
	}
}

// String names the metric and its positions, for logs.
func (f *Fold) String() string {
	s := f.m.Name
	for i := range f.parts {
		s += " " + strconv.Itoa(i) + ":" + strconv.FormatInt(f.parts[i].next, 10)
	}
	return s
}
