// Package position holds what a session leaves behind: its Position, the bytes of it, and the Fold of the log's tail
// that the next session begins with.
//
// The bytes, in order: epoch 4 | flags 1 | lsn 16 | source | topics | skip.
// Texts are an unsigned varint length and that many bytes, counts and offsets
// are unsigned varints, watermarks zig-zag varints. A checksum and a format
// version are the business of whoever stores them.
package position

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"tailwater/change"
	"tailwater/stream"
)

// Position is where a shard stands.
type Position struct {
	// Epoch is the highest that was claimed.
	Epoch uint32
	// Clean says that the last session was closed with everything saved, so
	// that nothing of the shard stands behind the offsets.
	Clean bool
	// Saved says that a reader saved a position: Source and LSN mean something.
	Saved  bool
	Source []byte
	LSN    change.LSN
	Topics map[string]Topic
	Skip   []stream.Published
}

// Topic is what a position knows of one topic.
type Topic struct {
	Incarnation string
	// Epoch is that of the last session that had the topic.
	Epoch      uint32
	Partitions []Partition
}

// Partition is where a position stands in one partition.
type Partition struct {
	// Next is where a fold goes on with the mark. What the mark covers lies
	// below Next, or is dropped because of the mark.
	Next int64
	// Known says that a record of the shard was seen, so Mark means something.
	Known bool
	Mark  stream.Mark
}

// Clone returns a copy that shares no map and no slice of partitions with p.
func (p *Position) Clone() *Position {
	c := *p
	c.Topics = make(map[string]Topic, len(p.Topics))
	for name, t := range p.Topics {
		t.Partitions = slices.Clone(t.Partitions)
		c.Topics[name] = t
	}
	return &c
}

const (
	flagClean = 1 << iota
	flagSaved
)

// Append appends the bytes of p.
func (p *Position) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, p.Epoch)
	var flags byte
	if p.Clean {
		flags |= flagClean
	}
	if p.Saved {
		flags |= flagSaved
	}
	dst = append(dst, flags)
	dst = appendLSN(dst, p.LSN)
	dst = appendText(dst, p.Source)
	dst = binary.AppendUvarint(dst, uint64(len(p.Topics)))
	for _, name := range slices.Sorted(maps.Keys(p.Topics)) {
		t := p.Topics[name]
		dst = appendText(dst, name)
		dst = appendText(dst, t.Incarnation)
		dst = binary.AppendUvarint(dst, uint64(t.Epoch))
		dst = binary.AppendUvarint(dst, uint64(len(t.Partitions)))
		for _, q := range t.Partitions {
			dst = binary.AppendUvarint(dst, uint64(q.Next))
			if !q.Known {
				dst = append(dst, 0)
				continue
			}
			dst = append(dst, 1)
			dst = appendLSN(dst, q.Mark.LSN)
			dst = binary.AppendUvarint(dst, q.Mark.N)
			dst = binary.AppendVarint(dst, q.Mark.Watermark)
		}
	}
	return appendSkip(dst, p.Skip)
}

// appendSkip writes each topic and transaction id once: the list holds a
// quarter of a million rows of one transaction without strain.
func appendSkip(dst []byte, skip []stream.Published) []byte {
	var table []string
	index := make(map[string]uint64)
	intern := func(s string) {
		if _, ok := index[s]; !ok {
			index[s] = uint64(len(table))
			table = append(table, s)
		}
	}
	for i := range skip {
		intern(skip[i].Topic)
		intern(skip[i].TxID)
	}
	dst = binary.AppendUvarint(dst, uint64(len(table)))
	for _, s := range table {
		dst = appendText(dst, s)
	}
	dst = binary.AppendUvarint(dst, uint64(len(skip)))
	for i := range skip {
		s := &skip[i]
		dst = binary.AppendUvarint(dst, index[s.Topic])
		dst = binary.AppendUvarint(dst, index[s.TxID])
		dst = binary.AppendUvarint(dst, uint64(s.Row))
		dst = binary.AppendUvarint(dst, uint64(s.Part))
		dst = binary.BigEndian.AppendUint64(dst, s.KeyHash)
	}
	return dst
}

func appendLSN(dst []byte, l change.LSN) []byte {
	b := l.Bytes()
	return append(dst, b[:]...)
}

func appendText[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// errDamaged says that the bytes are not those of a position.
var errDamaged = errors.New("decode position: damaged")

// Decode reads what Append wrote. It never panics and allocates no more than
// the bytes can fill.
func Decode(b []byte) (*Position, error) {
	r := reader{b: b}
	p := &Position{Epoch: r.uint32()}
	flags := r.byte()
	p.Clean, p.Saved = flags&flagClean != 0, flags&flagSaved != 0
	if flags >= 1<<2 {
		return nil, fmt.Errorf("%w: flags %#x", errDamaged, flags)
	}
	p.LSN = r.lsn()
	p.Source = slices.Clone(r.text())
	p.Topics = make(map[string]Topic)
	for range r.count(4) {
		name := string(r.text())
		t := Topic{Incarnation: string(r.text()), Epoch: uint32(r.uvarint())}
		for range r.count(2) {
			q := Partition{Next: int64(r.uvarint())}
			if q.Known = r.byte() == 1; q.Known {
				q.Mark = stream.Mark{LSN: r.lsn(), N: r.uvarint(), Watermark: r.varint()}
			}
			t.Partitions = append(t.Partitions, q)
		}
		p.Topics[name] = t
	}
	p.Skip = r.skip()
	if r.bad || len(r.b) > 0 {
		return nil, errDamaged
	}
	return p, nil
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() {
	r.bad, r.b = true, nil
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return make([]byte, max(0, min(n, 16)))
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s
}

func (r *reader) byte() byte      { return r.take(1)[0] }
func (r *reader) uint32() uint32  { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) uint64() uint64  { return binary.BigEndian.Uint64(r.take(8)) }
func (r *reader) lsn() change.LSN { return change.LSNFromBytes(r.take(change.LSNSize)) }
func (r *reader) text() []byte    { return r.take(r.count(1)) }
func (r *reader) string(i uint64, table []string) string {
	if i >= uint64(len(table)) {
		r.fail()
		return ""
	}
	return table[i]
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads how many things of at least size bytes follow.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) skip() []stream.Published {
	table := make([]string, r.count(1))
	for i := range table {
		table[i] = string(r.text())
	}
	skip := make([]stream.Published, r.count(12))
	for i := range skip {
		skip[i] = stream.Published{
			Topic:   r.string(r.uvarint(), table),
			TxID:    r.string(r.uvarint(), table),
			Row:     uint32(r.uvarint()),
			Part:    uint16(r.uvarint()),
			KeyHash: r.uint64(),
		}
	}
	if len(skip) == 0 {
		return nil
	}
	return skip
}
