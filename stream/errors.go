package stream

import (
	"errors"
	"fmt"
)

// Errors that a caller tells apart. Each comes wrapped with the shard, topic
// or partition that it is about.
var (
	// ErrSessionEnded says that a Publish, Save or PublishAt failed, now or
	// before, or that the session was closed. What was sent may or may not stand in the
	// log: the shard must start again at OpenShard.
	ErrSessionEnded = errors.New("the session has ended")
	// ErrFenced says that another session claimed the shard. It comes together
	// with ErrSessionEnded where a session was open. The loser must stop, for
	// two readers of one shard is a mistake of whoever started them.
	ErrFenced = errors.New("another session has claimed the shard")
	// ErrUnavailable says that the log cannot answer at the moment, such as while
	// a partition has no leader. It is over by itself: ask again.
	ErrUnavailable = errors.New("the log is not available")
	// ErrOffsetOutOfRange says that a consumer was assigned an offset that the
	// partition does not have: its records were removed, or the log was lost.
	ErrOffsetOutOfRange = errors.New("the offset is out of range")
	// ErrUnknownTopic says that the log has no such topic, or the topic no
	// such partition.
	ErrUnknownTopic = errors.New("no such topic or partition")
	// ErrTopicRefused says that the log will never make a topic of that name:
	// another that is there differs in . and _ only, or a policy forbids it.
	ErrTopicRefused = errors.New("the topic is refused")
)

// RecordTooLargeError says that one record exceeds the topic's bound. Nothing
// of its publish was sent.
type RecordTooLargeError struct {
	Topic string
	// KeyLen and Size are in bytes; Size counts key and value.
	KeyLen, Size, Limit int
}

// Error names the topic, the sizes and the setting.
func (e *RecordTooLargeError) Error() string {
	return fmt.Sprintf("topic %s: a record of %d bytes (key of %d bytes) exceeds the limit of %d: raise stream.max_record, or select fewer columns",
		e.Topic, e.Size, e.KeyLen, e.Limit)
}

// ForeignRecordError says that a record was not written by Tailwater, or was
// damaged. Nobody but Tailwater may write to its topics.
type ForeignRecordError struct {
	Topic     string
	Partition int32
	Offset    int64
	Reason    string
}

// Error names the place and what is wrong there.
func (e *ForeignRecordError) Error() string {
	return fmt.Sprintf("topic %s, partition %d, offset %d: not a record of Tailwater: %s", e.Topic, e.Partition, e.Offset, e.Reason)
}

// TopicName returns the name of a view's topic: tw.<pipeline>.<view>.
func TopicName(pipeline, view string) string { return "tw." + pipeline + "." + view }
