package stream

import (
	"time"

	"github.com/cespare/xxhash/v2"

	"tailwater/change"
)

// Kind says what a record is.
type Kind byte

// The kinds of record.
const (
	// Event is a change of a row, with a key and a value, or of a table as a
	// whole, with a value only.
	Event Kind = 'e'
	// Heartbeat moves the watermark where no event did: null key.
	Heartbeat Kind = 'h'
	// Fence opens an epoch in a partition: null key, null value.
	Fence Kind = 'f'
	// Control is a record of the log itself, such as the end of a transaction.
	// It says nothing and has nothing but its place: whoever reads it goes on
	// behind it. Consumers hand it out so that offsets reach the log's end.
	Control Kind = 'c'
)

// Record is one record of a stream. docs/format/stream.md describes its bytes.
type Record struct {
	Topic     string
	Partition int32
	// Offset is set on records that were read.
	Offset int64
	Kind   Kind
	Shard  string
	LSN    change.LSN
	// N numbers the events of (epoch, shard, partition) from 1. A heartbeat
	// repeats the number of the last event, a fence has 0.
	N uint64
	// Watermark is the shard's watermark in microseconds since the Unix epoch:
	// no event of the shard that follows in this partition is older, unless
	// the source's clock steps back. 0 is unknown.
	Watermark int64
	// TxID and Row name the source's row change: GTID (or file:pos) and number.
	TxID string
	Row  uint32
	// Key is nil on heartbeats and fences, and on the event of a change of a
	// table as a whole, of which there is one in every partition.
	Key []byte
	// Value is the event's JSON, one object; on a heartbeat that was read, what
	// it says as JSON, or nil.
	Value []byte
	// Bare keeps the JSON out of a heartbeat that is written: its headers say
	// the same, and consumers of another envelope would take it for an event.
	Bare bool
	// Time is the publish time, set by the log.
	Time time.Time
}

// TablePrefix begins the value of an event of a whole table, and of no other.
const TablePrefix = `{"_op":"t",`

// OfTable reports whether the record is the event of a change of a table as a
// whole.
func (r *Record) OfTable() bool { return r.Kind == Event && r.Key == nil }

// KeyHash is the hash by which a re-read row is checked against what stands in
// the log: XXH64 of the key bytes.
func KeyHash(key []byte) uint64 { return xxhash.Sum64(key) }

// Partition returns the partition of a key among n, by the murmur2 hash that
// Kafka's own clients use, so that others compute the same one.
func Partition(key []byte, n int) int32 {
	return int32((murmur2(key) & 0x7fffffff) % uint32(n))
}

// murmur2 is the 32-bit MurmurHash2 with the seed of Kafka's DefaultPartitioner
// (org.apache.kafka.common.utils.Utils.murmur2).
func murmur2(b []byte) uint32 {
	const (
		seed uint32 = 0x9747b28c
		m    uint32 = 0x5bd1e995
		r           = 24
	)
	h := seed ^ uint32(len(b))
	for len(b) >= 4 {
		k := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h = h*m ^ k
		b = b[4:]
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(b[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
