package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/twmb/franz-go/pkg/kgo"

	"tailwater/stream"
	"tailwater/stream/internal/wire"
)

// The layout of a Kafka record batch, version 2
// (org.apache.kafka.common.record.DefaultRecordBatch): base offset 8, length
// of the rest 4, leader epoch 4, magic 1, CRC-32C of what follows 4,
// attributes 2, last offset delta 4, first and last timestamp 8 + 8, producer
// id 8, producer epoch 2, base sequence 4, count 4, records.
const (
	batchHeader    = 61
	batchLength    = 8
	batchMagic     = 16
	batchCRC       = 17
	batchAttrs     = 21
	batchLastDelta = 23
	batchFirstTime = 27
	batchCount     = 57
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// minCompress is the size below which compression costs more than it saves.
const minCompress = 1 << 10

// minRaw is what a batch begins with.
const minRaw = 16 << 10

// batch collects the records of one partition.
type batch struct {
	tp      stream.TopicPartition
	raw     []byte
	id      []byte
	encoded []byte
	n       int32
}

func (b *batch) reset(tp stream.TopicPartition) {
	b.tp, b.n = tp, 0
	b.raw, b.encoded = b.raw[:0], b.encoded[:0]
	if cap(b.raw) > maxKept || cap(b.encoded) > maxKept {
		b.raw, b.encoded = nil, nil
	}
}

// batchPool keeps the buffers of batches between requests.
type batchPool struct{ pool sync.Pool }

// take returns an empty batch for a partition.
func (p *batchPool) take(tp stream.TopicPartition) *batch {
	b, _ := p.pool.Get().(*batch)
	if b == nil {
		b = new(batch)
	}
	b.reset(tp)
	return b
}

// give takes back a batch of which nobody holds bytes.
func (p *batchPool) give(b *batch) { p.pool.Put(b) }

// varintLen is the length of the zig-zag varint of n.
func varintLen(n int) int {
	u := uint64(n)<<1 ^ uint64(n>>63)
	return (bits.Len64(u|1) + 6) / 7
}

// add appends a record that wire.Check has passed.
func (b *batch) add(r *stream.Record) {
	kind := wire.KindName(r.Kind)
	b.id = wire.AppendID(b.id[:0], r)
	keyLen, valueLen := len(r.Key), len(r.Value)
	if r.Key == nil {
		keyLen = -1
	}
	if r.Value == nil {
		valueLen = -1
	}
	// attributes, timestamp delta and header count are one byte each.
	size := 3 + varintLen(int(b.n)) + varintLen(keyLen) + len(r.Key) + varintLen(valueLen) + len(r.Value) +
		varintLen(len(wire.HeaderKind)) + len(wire.HeaderKind) + varintLen(len(kind)) + len(kind) +
		varintLen(len(wire.HeaderID)) + len(wire.HeaderID) + varintLen(len(b.id)) + len(b.id)
	d := b.raw
	if room := binary.MaxVarintLen64 + size; cap(d)-len(d) < room {
		// Twice as much each time leaves less behind than append would.
		d = slices.Grow(d, max(room, len(d), minRaw))
	}
	d = binary.AppendVarint(d, int64(size))
	d = append(d, 0, 0)
	d = binary.AppendVarint(d, int64(b.n))
	d = binary.AppendVarint(d, int64(keyLen))
	d = append(d, r.Key...)
	d = binary.AppendVarint(d, int64(valueLen))
	d = append(d, r.Value...)
	d = binary.AppendVarint(d, 2)
	d = binary.AppendVarint(d, int64(len(wire.HeaderKind)))
	d = append(d, wire.HeaderKind...)
	d = binary.AppendVarint(d, int64(len(kind)))
	d = append(d, kind...)
	d = binary.AppendVarint(d, int64(len(wire.HeaderID)))
	d = append(d, wire.HeaderID...)
	d = binary.AppendVarint(d, int64(len(b.id)))
	b.raw = append(d, b.id...)
	b.n++
}

// encode returns the bytes of the batch; they are valid until the next reset.
// The producer id is that of a plain producer: as nothing is ever sent twice,
// sequence numbers would have nothing to tell apart.
func (b *batch) encode(millis int64) ([]byte, error) {
	d := slices.Grow(b.encoded[:0], batchHeader+s2.MaxEncodedLen(len(b.raw)))[:batchHeader]
	payload, codec := b.raw, kgo.CodecNone
	if len(b.raw) >= minCompress {
		if packed := pack(d[batchHeader:], b.raw); len(packed) < len(b.raw) {
			payload, codec = packed, kgo.CodecSnappy
		}
	}
	if len(payload) > 1<<31-1-batchHeader {
		return nil, fmt.Errorf("encode batch: %d bytes", len(payload))
	}
	d = d[:0]
	be := binary.BigEndian
	d = be.AppendUint64(d, 0)
	d = be.AppendUint32(d, uint32(batchHeader-batchLength-4+len(payload)))
	d = append(d, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0)
	d = be.AppendUint16(d, uint16(codec))
	d = be.AppendUint32(d, uint32(b.n-1))
	d = be.AppendUint64(d, uint64(millis))
	d = be.AppendUint64(d, uint64(millis))
	d = append(d, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	d = be.AppendUint32(d, uint32(b.n))
	if codec == kgo.CodecNone {
		d = append(d, payload...)
	} else {
		d = d[:len(d)+len(payload)] // it was packed where it has to stand
	}
	be.PutUint32(d[batchCRC:], crc32.Checksum(d[batchAttrs:], castagnoli))
	b.encoded = d
	return d, nil
}

// header is what a reader needs of a batch's header.
type header struct {
	base  int64
	size  int
	codec kgo.CompressionCodecType
	count int32
	next  int64
	time  int64
}

var errBatch = errors.New("damaged record batch")

// parseHeader reads the header of the batch at the start of b, of which all
// or a part may be there.
func parseHeader(b []byte) (header, error) {
	if len(b) < batchHeader {
		return header{}, fmt.Errorf("%w: %d bytes of a header", errBatch, len(b))
	}
	be := binary.BigEndian
	attrs := be.Uint16(b[batchAttrs:])
	length := int32(be.Uint32(b[batchLength:]))
	h := header{
		base:  int64(be.Uint64(b)),
		size:  int(length) + batchLength + 4,
		codec: kgo.CompressionCodecType(attrs & 7),
		count: int32(be.Uint32(b[batchCount:])),
		time:  int64(be.Uint64(b[batchFirstTime:])),
	}
	delta := int32(be.Uint32(b[batchLastDelta:]))
	h.next = h.base + int64(delta) + 1
	if b[batchMagic] != 2 || length < batchHeader-batchLength-4 || h.base < 0 || h.count <= 0 || delta != h.count-1 || attrs&0x30 != 0 {
		return header{}, fmt.Errorf("%w: impossible header", errBatch)
	}
	return h, nil
}

// cursor walks bytes with Kafka's varints; bad is set by the first impossible one.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

// bytes reads a length and that many bytes; length -1 is nil.
func (c *cursor) bytes() []byte {
	n := c.varint()
	if n == -1 {
		return nil
	}
	if n < 0 || n > int64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	s := c.b[:n:n]
	c.b = c.b[n:]
	return s
}

// rawRecord is one record of a batch, in slices of the batch.
type rawRecord struct {
	delta      int64
	time       int64
	key, value []byte
	kind, id   []byte
}

// record reads the next record.
func (c *cursor) record() (rawRecord, error) {
	body := cursor{b: c.bytes()}
	if c.bad || len(body.b) == 0 {
		return rawRecord{}, fmt.Errorf("%w: cut off", errBatch)
	}
	body.b = body.b[1:]
	var r rawRecord
	r.time = body.varint()
	r.delta = body.varint()
	r.key = body.bytes()
	r.value = body.bytes()
	for n := body.varint(); n > 0 && !body.bad; n-- {
		name := body.bytes()
		value := body.bytes()
		switch string(name) {
		case wire.HeaderKind:
			r.kind = value
		case wire.HeaderID:
			r.id = value
		}
	}
	if body.bad {
		return rawRecord{}, fmt.Errorf("%w: damaged record", errBatch)
	}
	return r, nil
}
