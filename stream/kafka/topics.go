package kafka

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"tailwater/internal/failpoint"
	"tailwater/stream"
	"tailwater/stream/internal/wire"
)

const (
	defaultPartitions = 12
	defaultMaxRecord  = 16 << 20
	maxMaxRecord      = 1 << 30
	// batchSlack is what a batch of one record may be larger than its key and
	// value: the headers of the batch and of the record.
	batchSlack = 64 << 10
)

// topic is what is known of a topic.
type topic struct {
	stream.Topic
	// maxRecord bounds key and value together.
	maxRecord int
	// cleanup is the topic's cleanup.policy.
	cleanup string
}

// The cleanup policies of views' topics and of the pipeline's own.
const (
	byAge  = "delete"
	latest = "compact"
)

// keeps returns an error unless the topic keeps what it must: compaction drops
// events of a key, age drops positions and schemas.
func (t *topic) keeps(want string) error {
	if t.cleanup == want || t.cleanup == "" {
		return nil
	}
	return fmt.Errorf("topic %s has cleanup.policy=%s, which loses records that are needed: set it to %s, or remove the topic and let it be made", t.Name, t.cleanup, want)
}

// wanted describes a topic to make.
type wanted struct {
	replication int
	configs     map[string]*string
}

func text(s string) *string { return &s }

func compacted(replication int) wanted {
	return wanted{replication, map[string]*string{"cleanup.policy": text(latest), "max.message.bytes": text(strconv.Itoa(maxPosition))}}
}

// makeTopic makes a topic that is absent.
func (l *Log) makeTopic(ctx context.Context, name string, partitions int, w wanted) error {
	replication := int16(w.replication)
	if replication == 0 {
		replication = -1
	}
	r, err := l.admin.CreateTopic(ctx, int32(partitions), replication, w.configs, name)
	if err == nil {
		err = r.Err
	}
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	if errors.Is(err, kerr.InvalidTopicException) || errors.Is(err, kerr.PolicyViolation) {
		return fmt.Errorf("make topic %s: %w: %w: %s", name, stream.ErrTopicRefused, err, r.ErrMessage)
	}
	if err != nil {
		return fmt.Errorf("make topic %s: %w", name, err)
	}
	failpoint.At(failpoint.KafkaTopicMade)
	return nil
}

// look asks the cluster for a topic. It is nil when there is none.
func (l *Log) look(ctx context.Context, name string) (*topic, error) {
	found, err := l.admin.ListTopics(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("look at topic %s: %w", name, err)
	}
	d, ok := found[name]
	if !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition) || errors.Is(d.Err, kerr.InvalidTopicException) {
		return nil, nil
	}
	if d.Err != nil {
		return nil, fmt.Errorf("look at topic %s: %w", name, d.Err)
	}
	for i, p := range d.Partitions.Sorted() {
		if p.Partition != int32(i) {
			return nil, fmt.Errorf("look at topic %s: the cluster does not know partition %d", name, i)
		}
	}
	t := &topic{Topic: stream.Topic{Name: name, Partitions: len(d.Partitions), Incarnation: hex.EncodeToString(d.ID[:])}}
	return t, l.configure(ctx, t)
}

// configure reads a topic's settings.
func (l *Log) configure(ctx context.Context, t *topic) error {
	all, err := l.admin.DescribeTopicConfigs(ctx, t.Name)
	if err != nil {
		return fmt.Errorf("read the configuration of topic %s: %w", t.Name, err)
	}
	r, err := all.On(t.Name, nil)
	if err = cmp.Or(err, r.Err); err != nil {
		return fmt.Errorf("read the configuration of topic %s: %w", t.Name, err)
	}
	t.maxRecord = defaultMaxRecord
	for _, c := range r.Configs {
		switch {
		case c.Value == nil:
		case c.Key == "cleanup.policy":
			t.cleanup = *c.Value
		case c.Key == "max.message.bytes":
			n, err := strconv.Atoi(*c.Value)
			if err != nil {
				return fmt.Errorf("read the configuration of topic %s: max.message.bytes is %q", t.Name, *c.Value)
			}
			t.maxRecord = n - batchSlack
		}
	}
	return nil
}

// EnsureTopic makes the topic when it is absent. See stream.Log.
func (l *Log) EnsureTopic(ctx context.Context, spec stream.TopicSpec) (stream.Topic, error) {
	if spec.MaxRecord < 0 || spec.MaxRecord > maxMaxRecord || spec.Partitions < 0 {
		return stream.Topic{}, fmt.Errorf("ensure topic %s: %d partitions, stream.max_record %d: want at least 0, and 1 to %d", spec.Name, spec.Partitions, spec.MaxRecord, maxMaxRecord)
	}
	t, err := l.ensure(ctx, spec)
	if err != nil {
		return stream.Topic{}, l.explain("ensure topic "+spec.Name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.topics[spec.Name] = t
	return t.Topic, nil
}

func (l *Log) ensure(ctx context.Context, spec stream.TopicSpec) (*topic, error) {
	if spec.Name == l.schemaTopic() {
		return nil, errors.New("the name is taken by the topic of the schemas: give the view another name")
	}
	t, err := l.look(ctx, spec.Name)
	if err != nil {
		return nil, err
	}
	if t == nil {
		if err := l.makeTopic(ctx, spec.Name, cmp.Or(spec.Partitions, defaultPartitions), l.wantedFor(spec)); err != nil {
			return nil, err
		}
		if t, err = l.awaitTopic(ctx, spec.Name); err != nil {
			return nil, err
		}
	}
	if spec.Partitions != 0 && spec.Partitions != t.Partitions {
		return nil, l.otherCount(ctx, t, spec.Partitions)
	}
	if err := t.keeps(byAge); err != nil {
		return nil, err
	}
	if spec.MaxRecord != 0 && t.maxRecord != spec.MaxRecord {
		if err := l.alterMaxRecord(ctx, t, spec.MaxRecord); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// wantedFor are the settings of a view's topic. Records are kept by age alone:
// bytes would drop what a sink has not read.
func (l *Log) wantedFor(spec stream.TopicSpec) wanted {
	record := cmp.Or(spec.MaxRecord, defaultMaxRecord)
	return wanted{l.o.Replication, map[string]*string{
		"cleanup.policy":         text(byAge),
		"retention.ms":           text(strconv.FormatInt(l.o.Retention.Milliseconds(), 10)),
		"retention.bytes":        text("-1"),
		"max.message.bytes":      text(strconv.Itoa(record + batchSlack)),
		"message.timestamp.type": text("LogAppendTime"),
	}}
}

// awaitTopic waits until a topic that was made is known everywhere.
func (l *Log) awaitTopic(ctx context.Context, name string) (*topic, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, l.o.Timeout, errNoAnswer)
	defer cancel()
	for {
		t, err := l.look(ctx, name)
		if err != nil || t != nil {
			return t, err
		}
		if !pause(ctx, pollEvery) {
			return nil, fmt.Errorf("topic %s was made and is not there: %w", name, context.Cause(ctx))
		}
	}
}

// alterMaxRecord sets the bound of a topic that is there.
func (l *Log) alterMaxRecord(ctx context.Context, t *topic, record int) error {
	set := kadm.AlterConfig{Op: kadm.SetConfig, Name: "max.message.bytes", Value: text(strconv.Itoa(record + batchSlack))}
	all, err := l.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{set}, t.Name)
	if err == nil && len(all) == 1 {
		err = all[0].Err
	}
	if err != nil {
		return fmt.Errorf("set max.message.bytes of topic %s from %d to %d: %w", t.Name, t.maxRecord+batchSlack, record+batchSlack, err)
	}
	t.maxRecord = record
	return nil
}

// Topic returns a topic that the cluster has. One that it has not is
// stream.ErrUnknownTopic; brokers that do not answer are another error, which
// comes within twice Options.Timeout.
func (l *Log) Topic(ctx context.Context, name string) (stream.Topic, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*l.o.Timeout, errNoAnswer)
	defer cancel()
	t, err := l.get(ctx, name)
	switch {
	case errors.Is(err, stream.ErrUnknownTopic):
		return stream.Topic{}, err
	case err != nil && errors.Is(err, context.DeadlineExceeded):
		return stream.Topic{}, l.explain("look at topic "+name, fmt.Errorf("%w: %w", context.Cause(ctx), err))
	case err != nil:
		return stream.Topic{}, l.explain("ask for topic "+name, err)
	}
	return t.Topic, nil
}

// get returns a topic from memory or from the cluster.
func (l *Log) get(ctx context.Context, name string) (*topic, error) {
	l.mu.Lock()
	t := l.topics[name]
	l.mu.Unlock()
	if t != nil {
		return t, nil
	}
	return l.fetch(ctx, name)
}

// fetch returns a topic from the cluster, and remembers it.
func (l *Log) fetch(ctx context.Context, name string) (*topic, error) {
	t, err := l.look(ctx, name)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, fmt.Errorf("topic %s: %w", name, stream.ErrUnknownTopic)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.topics[name] = t
	return t, nil
}

// checkPartition returns the error of a partition that its topic does not have.
func (l *Log) checkPartition(ctx context.Context, tp stream.TopicPartition) error {
	t, err := l.get(ctx, tp.Topic)
	if err != nil {
		return err
	}
	if tp.Partition < 0 || int(tp.Partition) >= t.Partitions {
		return fmt.Errorf("topic %s, partition %d: %w", tp.Topic, tp.Partition, stream.ErrUnknownTopic)
	}
	return nil
}

// checkRecord refuses what must not be written, before anything is sent.
func (l *Log) checkRecord(r *stream.Record) error {
	l.mu.Lock()
	t := l.topics[r.Topic]
	l.mu.Unlock()
	if t == nil || int(r.Partition) >= t.Partitions || r.Partition < 0 {
		return fmt.Errorf("topic %s, partition %d: %w", r.Topic, r.Partition, stream.ErrUnknownTopic)
	}
	if err := wire.Check(r); err != nil {
		return fmt.Errorf("topic %s, partition %d: %w", r.Topic, r.Partition, err)
	}
	if size := len(r.Key) + len(r.Value); size > t.maxRecord {
		return &stream.RecordTooLargeError{Topic: r.Topic, KeyLen: len(r.Key), Size: size, Limit: t.maxRecord}
	}
	return nil
}

// Bounds returns the offsets of the topic's partitions; Next is the last stable
// offset, below which every record is committed. See stream.Log.
func (l *Log) Bounds(ctx context.Context, name string) ([]stream.Bounds, error) {
	t, err := l.get(ctx, name)
	if err != nil {
		return nil, l.explain("read the bounds of topic "+name, err)
	}
	first, err := l.offsets(ctx, name, l.admin.ListStartOffsets)
	if err != nil {
		return nil, err
	}
	next, err := l.offsets(ctx, name, l.admin.ListCommittedOffsets)
	if err != nil {
		return nil, err
	}
	out := make([]stream.Bounds, t.Partitions)
	for p := range out {
		if p >= len(first) || p >= len(next) {
			return nil, fmt.Errorf("read the bounds of topic %s: partition %d is missing in the answer", name, p)
		}
		out[p] = stream.Bounds{First: first[p], Next: next[p]}
	}
	return out, nil
}

// offsets asks for one offset of each partition of a topic.
func (l *Log) offsets(ctx context.Context, name string, list func(context.Context, ...string) (kadm.ListedOffsets, error)) ([]int64, error) {
	listed, err := list(ctx, name)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, l.explain("read the offsets of topic "+name, err)
	}
	parts := listed[name]
	out := make([]int64, 0, len(parts))
	for _, p := range slices.Sorted(maps.Keys(parts)) {
		out = append(out, parts[p].Offset)
	}
	return out, nil
}
