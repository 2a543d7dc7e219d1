// Package stream holds the log that stands between the readers of the shards
// and everything that consumes their changes: its words (Record, Position),
// its interfaces (Log, Session, Consumer) and the acceptance rule (Marks) by
// which every consumer decides alike which records count.
//
// What it promises, whichever implementation serves it:
//
//   - A Session is one shard's right to write. Opening one claims a new epoch;
//     the session before it can save no position any more, and what it still
//     writes is dropped by every consumer.
//   - Publish returns after its records are durable. Records of one Publish to
//     one partition stand in the order given.
//   - A consumer that starts from saved offsets and marks accepts exactly the
//     records that any other consumer accepts.
//
// The legal sequence of a session:
//
//	OpenShard -> (Publish | Save | PublishAt)* -> Close
//
// PublishAt is there where the log has transactions. The first error of any of
// them ends the session: nothing behind a failed
// batch is ever sent, and the shard starts again at OpenShard.
package stream

import (
	"context"
	"time"

	"tailwater/change"
)

// Log is a partitioned, durable, ordered log. It is safe for concurrent use.
type Log interface {
	// EnsureTopic creates the topic when it is absent, and returns what it is.
	// A topic whose partition count differs from the wanted one is an error
	// that names both: another count would move keys.
	EnsureTopic(ctx context.Context, spec TopicSpec) (Topic, error)
	// PutSchema stores a schema under its view and fingerprint; it is durable
	// when the call returns. Storing the same one again does nothing.
	PutSchema(ctx context.Context, s change.Schema) error
	// Schemas returns every stored schema of a view by fingerprint.
	Schemas(ctx context.Context, view string) (map[string]change.Schema, error)
	// OpenShard claims the next epoch for a shard, fences the session before
	// it, and folds the tail of the log. It blocks for a few round trips.
	OpenShard(ctx context.Context, o ShardOptions) (Session, error)
	// NewConsumer returns a consumer of its own; see Consumer.
	NewConsumer(ctx context.Context, o ConsumerOptions) (Consumer, error)
	// Bounds returns the first and the next offset of each partition of a
	// topic, by partition number. Next counts durable records only.
	Bounds(ctx context.Context, topic string) ([]Bounds, error)
	// Close releases what the log holds. Sessions and consumers must be closed
	// before it.
	Close() error
}

// Balancer is a Log whose readers may be several processes, which share the
// partitions of a topic.
type Balancer interface {
	// Share joins a group and calls work with the partitions of the topic that
	// are this process's, ascending and maybe none, and again after each change,
	// once the call before has returned. The context of work ends when the partitions change.
	// Share blocks until ctx ends, and returns nil then, or until work returns
	// an error or returns before its context ended.
	//
	// The group is about who does the work, never about what is done: two
	// processes may have one partition for a while.
	Share(ctx context.Context, group, topic string, work func(ctx context.Context, partitions []int32) error) error
}

// Session is one shard's exclusive right to write, under one epoch. One
// goroutine uses it.
type Session interface {
	// Epoch is the epoch that this session claimed.
	Epoch() uint32
	// Recovered is what the session before left; the same value at each call.
	Recovered() Recovered
	// Publish writes the records and returns when they are durable. It sets N
	// of each event and keeps the order within each partition. Data records
	// must come in LSN order within a partition. At most one batch per
	// partition is in flight.
	Publish(ctx context.Context, records []Record) error
	// Save stores source as the position behind everything published so far,
	// together with lsn, the offsets and marks of each partition, and skip:
	// what a later session must still not publish again. It is durable when
	// the call returns.
	Save(ctx context.Context, p SourcePosition) error
	// Close gives up the session without saving. It is idempotent.
	Close() error
}

// TransactionalSession is a Session of a log with transactions. On any other
// log a position can be stored only once what it is behind is durable, by Save.
type TransactionalSession interface {
	Session
	// PublishAt is Publish and Save in one transaction: when it returns without
	// error the records are durable and p is the position behind them. After an
	// error, or a crash, both are there or neither, and the next session
	// recovers what is. A session that was fenced leaves neither.
	PublishAt(ctx context.Context, records []Record, p SourcePosition) error
}

// SourcePosition is where a reader resumes, as the reader wrote it.
type SourcePosition struct {
	// Source is opaque to the stream: GTID set or file and offset, server_uuid.
	Source []byte
	// LSN is the last one given to an event at or before Source.
	LSN change.LSN
	// Skip lists the events of source transactions not yet complete at Source
	// that already stand in the log.
	Skip []Published
}

// Published names one event that stands in the log although its source
// transaction lies behind the saved position.
type Published struct {
	Topic string
	// TxID is the GTID of the transaction, or file:pos of its start.
	TxID string
	Row  uint32
	Part uint16
	// KeyHash is KeyHash of the record's key.
	KeyHash uint64
}

// Recovered is what OpenShard found.
type Recovered struct {
	// Found is false when the shard never saved a position.
	Found    bool
	Position SourcePosition
	// Skip lists every event that stands in the log behind Position: from the
	// position itself and from the fold of the tail.
	Skip []Published
}

// ShardOptions says which shard to open.
type ShardOptions struct {
	// Source and Shard name the shard; Shard alone is unique in a pipeline.
	Source, Shard string
	// Topics are all topics the shard may write to. Each is fenced. A session
	// without any stores positions only.
	Topics []string
	// Takeover says that another process may have had the shard since this one
	// did, and is to be replaced. Without it such a claim is ErrFenced once.
	Takeover bool
}

// TopicSpec describes a wanted topic.
type TopicSpec struct {
	Name string
	// Partitions is the wanted count; 0 takes what is there, or 12.
	Partitions int
	// MaxRecord bounds one record in bytes; 0 takes what is there, or 16 MiB.
	MaxRecord int
}

// Topic is what a topic is.
type Topic struct {
	Name       string
	Partitions int
	// Incarnation changes when the topic's offsets begin to mean other
	// records: re-created, or recovered below an acknowledged offset.
	Incarnation string
}

// Bounds are the offsets of one partition.
type Bounds struct {
	// First is the offset of the oldest record kept.
	First int64
	// Next is the offset that the next durable record will have.
	Next int64
}

// TopicPartition names one partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Consumer reads assigned partitions. One goroutine uses it.
type Consumer interface {
	// Assign replaces the assignment: each partition is read from its offset.
	// An offset below First or above Next is an error of the next Poll.
	Assign(offsets map[TopicPartition]int64) error
	// Poll blocks until at least one durable record is there or ctx ends, and
	// returns records grouped by partition, each group in offset order. At
	// most ConsumerOptions.MaxBytes of keys and values are returned, but
	// always at least one record. The slice is valid until the next Poll; the
	// records' strings, keys and values are the caller's to keep, and must not
	// be changed, for others may read the same bytes.
	Poll(ctx context.Context) ([]Record, error)
	// Close is idempotent.
	Close() error
}

// ConsumerOptions are the options of NewConsumer.
type ConsumerOptions struct {
	// MaxBytes bounds what one Poll returns and what is buffered ahead; 0 is 1 MiB.
	MaxBytes int
	// Wait bounds how long the log waits to fill a fetch; 0 is 100 ms.
	Wait time.Duration
}
