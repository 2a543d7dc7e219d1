package embedded

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"tailwater/internal/failpoint"
	"tailwater/stream"
)

const (
	defaultPartitions = 12
	defaultMaxRecord  = 16 << 20
	// maxMaxRecord keeps a request with one record below what Kafka's lengths
	// can say.
	maxMaxRecord = 1 << 30
	// batchSlack is what a batch of one record may be larger than its key and
	// value: the headers of the batch and of the record.
	batchSlack = 64 << 10
)

// topicRecord is a topic as the topics file remembers it.
type topicRecord struct {
	Name string `json:"name"`
	// ID numbers the topics of a directory; it is never used twice.
	ID          uint32 `json:"id"`
	Incarnation string `json:"incarnation"`
	Partitions  int    `json:"partitions"`
	MaxRecord   int    `json:"max_record"`
	// First are the first offsets that retention has left. They are stored
	// before records are removed.
	First []int64 `json:"first"`
}

// topicsFile is the payload of the topics file.
type topicsFile struct {
	Pipeline string        `json:"pipeline"`
	NextID   uint32        `json:"next_id"`
	Topics   []topicRecord `json:"topics"`
	// damage is why the generation behind this one could not be read.
	damage error
}

// topic is a topic of the running log. Its partition count never changes.
type topic struct {
	name        string
	id          uint32
	incarnation string
	maxRecord   atomic.Int64
	partitions  []*partition
}

// partition is one partition of the running log.
type partition struct {
	tp    stream.TopicPartition
	topic *topic
	dir   string
	// first is the first offset kept, synced the end of what is durable.
	first, synced atomic.Int64
	// readers is how many consumers of this process are assigned to it.
	readers atomic.Int32
	files   segmentFiles
	// sizes are those that the files had before the broker read them, by first
	// offset.
	sizes map[int64]int64
}

func (t *topic) info() stream.Topic {
	return stream.Topic{Name: t.name, Partitions: len(t.partitions), Incarnation: t.incarnation}
}

// topicSet is the topics of a log and their file.
type topicSet struct {
	mu     sync.RWMutex
	byName map[string]*topic
	// change serializes changes of the file.
	change sync.Mutex
	file   slots
	nextID uint32
	name   string
}

func (s *topicSet) get(name string) (*topic, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t, ok := s.byName[name]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("topic %s: %w", name, stream.ErrUnknownTopic)
}

func (s *topicSet) partition(tp stream.TopicPartition) (*partition, error) {
	t, err := s.get(tp.Topic)
	if err != nil {
		return nil, err
	}
	if tp.Partition < 0 || int(tp.Partition) >= len(t.partitions) {
		return nil, fmt.Errorf("topic %s, partition %d: %w", tp.Topic, tp.Partition, stream.ErrUnknownTopic)
	}
	return t.partitions[tp.Partition], nil
}

func (s *topicSet) all() []*topic {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*topic, 0, len(s.byName))
	for _, t := range s.byName {
		all = append(all, t)
	}
	return all
}

// save stores the topics, with one more when extra is not nil. The caller
// holds change.
func (s *topicSet) save(extra *topic) error {
	f := topicsFile{Pipeline: s.name, NextID: s.nextID}
	topics := s.all()
	if extra != nil {
		topics = append(topics, extra)
	}
	for _, t := range topics {
		r := topicRecord{Name: t.name, ID: t.id, Incarnation: t.incarnation, Partitions: len(t.partitions), MaxRecord: int(t.maxRecord.Load())}
		for _, p := range t.partitions {
			r.First = append(r.First, p.first.Load())
		}
		f.Topics = append(f.Topics, r)
	}
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode topics: %w", err)
	}
	return s.file.save(b)
}

// load reads the topics file.
func (s *topicSet) load() (topicsFile, error) {
	b, found, damage, err := s.file.load()
	if err != nil || !found {
		return topicsFile{}, err
	}
	f, err := parseTopics(b)
	if err != nil {
		return topicsFile{}, fmt.Errorf("read %s: %w", s.file.file(s.file.generation), err)
	}
	f.damage = damage
	return f, nil
}

// parseTopics reads the payload of a topics file.
func parseTopics(b []byte) (topicsFile, error) {
	var f topicsFile
	if err := json.Unmarshal(b, &f); err != nil {
		return topicsFile{}, err
	}
	for _, t := range f.Topics {
		if t.Partitions <= 0 || len(t.First) != t.Partitions || t.Name == "" {
			return topicsFile{}, fmt.Errorf("topic %q has %d partitions and %d first offsets", t.Name, t.Partitions, len(t.First))
		}
	}
	return f, nil
}

func newIncarnation() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
}

func partitionDir(logDir, topic string, number int) string {
	return filepath.Join(logDir, "partitions", url.PathEscape(topic)+"-"+strconv.Itoa(number))
}

func (l *Log) newTopic(r topicRecord) *topic {
	t := &topic{name: r.Name, id: r.ID, incarnation: r.Incarnation}
	t.maxRecord.Store(int64(r.MaxRecord))
	for i := range r.Partitions {
		p := &partition{tp: stream.TopicPartition{Topic: r.Name, Partition: int32(i)}, topic: t, dir: partitionDir(l.logDir, r.Name, i)}
		p.files.reset(-1, 0)
		if i < len(r.First) {
			p.first.Store(r.First[i])
		}
		t.partitions = append(t.partitions, p)
	}
	return t
}

// EnsureTopic creates the topic when it is absent. See stream.Log.
func (l *Log) EnsureTopic(ctx context.Context, spec stream.TopicSpec) (stream.Topic, error) {
	if err := ctx.Err(); err != nil {
		return stream.Topic{}, fmt.Errorf("ensure topic %s: %w", spec.Name, err)
	}
	if err := l.usable(); err != nil {
		return stream.Topic{}, err
	}
	if spec.MaxRecord < 0 || spec.MaxRecord > maxMaxRecord || spec.Partitions < 0 {
		return stream.Topic{}, fmt.Errorf("ensure topic %s: %d partitions, stream.max_record %d: want at least 0, and 1 to %d", spec.Name, spec.Partitions, spec.MaxRecord, maxMaxRecord)
	}
	l.topics.change.Lock()
	defer l.topics.change.Unlock()
	t, err := l.topics.get(spec.Name)
	if err != nil {
		return l.createTopic(spec)
	}
	if n := len(t.partitions); spec.Partitions != 0 && spec.Partitions != n {
		return stream.Topic{}, fmt.Errorf("ensure topic %s: it has %d partitions, the configuration wants %d; another count would move keys: set stream.partitions back, or start with another name", spec.Name, n, spec.Partitions)
	}
	if spec.MaxRecord != 0 && t.maxRecord.Load() != int64(spec.MaxRecord) {
		if err := l.alterMaxRecord(ctx, t, spec.MaxRecord); err != nil {
			return stream.Topic{}, err
		}
	}
	return t.info(), nil
}

// createTopic makes the topic in the broker, makes that durable, and then
// remembers it: a topic that is remembered always exists. The caller holds
// topics.change.
func (l *Log) createTopic(spec stream.TopicSpec) (stream.Topic, error) {
	if spec.Partitions == 0 {
		spec.Partitions = defaultPartitions
	}
	if spec.MaxRecord == 0 {
		spec.MaxRecord = defaultMaxRecord
	}
	if have := l.cluster.PartitionInfos(spec.Name); have == nil {
		config := map[string]string{"max.message.bytes": strconv.Itoa(spec.MaxRecord + batchSlack)}
		if err := l.cluster.CreateTopic(spec.Name, int32(spec.Partitions), config); err != nil {
			return stream.Topic{}, fmt.Errorf("create topic %s: %w", spec.Name, err)
		}
	} else if len(have) != spec.Partitions {
		return stream.Topic{}, fmt.Errorf("create topic %s: the broker has it with %d partitions, want %d", spec.Name, len(have), spec.Partitions)
	}
	if err := syncDir(l.logDir); err != nil {
		return stream.Topic{}, fmt.Errorf("create topic %s: %w", spec.Name, err)
	}
	failpoint.At(failpoint.StreamTopicMade)
	l.topics.nextID++
	t := l.newTopic(topicRecord{Name: spec.Name, ID: l.topics.nextID, Incarnation: newIncarnation(), Partitions: spec.Partitions, MaxRecord: spec.MaxRecord})
	if err := l.topics.save(t); err != nil {
		return stream.Topic{}, fmt.Errorf("create topic %s: %w", spec.Name, err)
	}
	failpoint.At(failpoint.StreamTopicStored)
	l.topics.mu.Lock()
	l.topics.byName[t.name] = t
	l.topics.mu.Unlock()
	// Both generations have it then: damage of either costs no topic.
	if err := l.topics.save(nil); err != nil {
		return stream.Topic{}, fmt.Errorf("create topic %s: %w", spec.Name, err)
	}
	return t.info(), nil
}

func (l *Log) alterMaxRecord(ctx context.Context, t *topic, maxRecord int) error {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.SetVersion(0)
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType = kmsg.ConfigResourceTypeTopic
	res.ResourceName = t.name
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name = "max.message.bytes"
	c.Value = kmsg.StringPtr(strconv.Itoa(maxRecord + batchSlack))
	res.Configs = append(res.Configs, c)
	req.Resources = append(req.Resources, res)
	nc, err := l.dial(ctx)
	if err != nil {
		return fmt.Errorf("alter topic %s: %w", t.name, err)
	}
	defer nc.close()
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	if err := nc.do(ctx, req, resp); err != nil {
		return fmt.Errorf("alter topic %s: %w", t.name, err)
	}
	for _, r := range resp.Resources {
		if r.ErrorCode != 0 {
			return fmt.Errorf("alter topic %s: %w", t.name, brokerError(r.ErrorCode))
		}
	}
	t.maxRecord.Store(int64(maxRecord))
	return l.topics.save(nil)
}

// Bounds returns the first and the next durable offset of each partition.
func (l *Log) Bounds(_ context.Context, name string) ([]stream.Bounds, error) {
	t, err := l.topics.get(name)
	if err != nil {
		return nil, err
	}
	b := make([]stream.Bounds, len(t.partitions))
	for i, p := range t.partitions {
		b[i] = stream.Bounds{First: p.first.Load(), Next: p.synced.Load()}
	}
	return b, nil
}
