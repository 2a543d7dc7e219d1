package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/semaphore"

	"tailwater/change"
	"tailwater/stream"
)

// refreshPeriod is how often an Attached looks whether the log has grown.
const refreshPeriod = 50 * time.Millisecond

// Attached is a log that another process has open, for those who only look at
// it. Records are fetched from that process by the Kafka protocol; what is
// durable, the schemas and the positions are read from the directory, which is
// neither locked nor changed. It is safe for concurrent use.
type Attached struct {
	log     *Log
	stop    context.CancelFunc
	running sync.WaitGroup
	once    sync.Once
}

// Attach looks at the log in dir, which a process serves at addr (Log.Addr). It
// fails when nobody answers there, and when it is the stream of another
// pipeline than the directory's.
func Attach(ctx context.Context, dir, addr string) (*Attached, error) {
	a, err := attach(ctx, dir, addr)
	if err != nil {
		return nil, fmt.Errorf("attach to the embedded stream in %s: %w", dir, err)
	}
	return a, nil
}

func attach(ctx context.Context, dir, addr string) (*Attached, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	l := &Log{o: Options{MemoryBytes: defaultMemory}, dir: path, logDir: filepath.Join(path, "log"), addr: addr}
	l.memory = semaphore.NewWeighted(l.o.MemoryBytes)
	l.syncer, l.tail = newSyncer(l), newTail(0)
	l.topics = topicSet{byName: make(map[string]*topic)}
	if err := l.refresh(); err != nil {
		return nil, err
	}
	if err := l.sameBroker(ctx); err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a := &Attached{log: l, stop: cancel}
	a.running.Go(func() { l.follow(run) })
	return a, nil
}

// sameBroker asks the process for its cluster's name.
func (l *Log) sameBroker(ctx context.Context) error {
	nc, err := l.dial(ctx)
	if err != nil {
		return err
	}
	defer nc.close()
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(4)
	req.Topics = []kmsg.MetadataRequestTopic{}
	resp := kmsg.NewPtrMetadataResponse()
	if err := nc.do(ctx, req, resp); err != nil {
		return err
	}
	if want := "tailwater-" + l.topics.name; resp.ClusterID == nil || *resp.ClusterID != want {
		return fmt.Errorf("%s does not serve %s", l.addr, want)
	}
	return nil
}

// follow keeps the ends up to date until ctx ends.
func (l *Log) follow(ctx context.Context) {
	t := time.NewTicker(refreshPeriod)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		err := l.refresh()
		s := l.syncer
		s.mu.Lock()
		s.failed = err
		close(s.advanced)
		s.advanced = make(chan struct{})
		s.mu.Unlock()
	}
}

// refresh reads the topics and how far each partition is durable. Ends come
// before first offsets, so that a partition is never seen to end before it
// begins.
func (l *Log) refresh() error {
	ends, err := readEnds(filepath.Join(l.dir, "ends"))
	if err != nil {
		return err
	}
	set := topicSet{file: slots{kind: kindTopics, path: filepath.Join(l.dir, "topics")}}
	f, err := set.load()
	if err != nil {
		return err
	}
	l.topics.mu.Lock()
	defer l.topics.mu.Unlock()
	l.topics.name = f.Pipeline
	for _, r := range f.Topics {
		t, ok := l.topics.byName[r.Name]
		if !ok {
			t = l.newTopic(r)
			l.topics.byName[r.Name] = t
		}
		if t.incarnation != r.Incarnation || len(t.partitions) != r.Partitions {
			return fmt.Errorf("topic %s was made anew while somebody looked at it: look again", r.Name)
		}
		for i, p := range t.partitions {
			end := ends[partitionID{t.id, int32(i)}]
			p.first.Store(max(p.first.Load(), min(r.First[i], end)))
			p.synced.Store(max(p.synced.Load(), end))
		}
	}
	return nil
}

// readEnds reads what the file of ends says without opening it for writing.
// The newest region is never the one that is being written.
func readEnds(path string) (map[partitionID]int64, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read ends: %w", err)
	}
	var newest uint64
	var payload []byte
	found := false
	var damage error
	half := len(b) / 2
	for _, region := range [][]byte{b[:half], b[half:]} {
		generation, p, err := decodeFile(kindEnds, region)
		if err != nil {
			damage = errors.Join(damage, err)
			continue
		}
		if !found || generation > newest {
			found, newest, payload = true, generation, p
		}
	}
	if !found {
		return nil, fmt.Errorf("read ends of %s: %w", path, damage)
	}
	ends := make(map[partitionID]int64)
	for ; len(payload) >= 16; payload = payload[16:] {
		id := partitionID{binary.BigEndian.Uint32(payload), int32(binary.BigEndian.Uint32(payload[4:]))}
		ends[id] = int64(binary.BigEndian.Uint64(payload[8:]))
	}
	return ends, nil
}

// Topic returns what a topic is; one that is not there is stream.ErrUnknownTopic.
func (a *Attached) Topic(ctx context.Context, name string) (stream.Topic, error) {
	return a.log.Topic(ctx, name)
}

// Bounds returns the first and the next durable offset of each partition, as
// they are now.
func (a *Attached) Bounds(ctx context.Context, topic string) ([]stream.Bounds, error) {
	if err := a.log.refresh(); err != nil {
		return nil, fmt.Errorf("bounds of topic %s: %w", topic, err)
	}
	return a.log.Bounds(ctx, topic)
}

// NewConsumer returns a consumer; see stream.Log.
func (a *Attached) NewConsumer(ctx context.Context, o stream.ConsumerOptions) (stream.Consumer, error) {
	return a.log.NewConsumer(ctx, o)
}

// Schemas returns the stored schemas of a view by fingerprint.
func (a *Attached) Schemas(ctx context.Context, view string) (map[string]change.Schema, error) {
	return a.log.Schemas(ctx, view)
}

// SavedPosition returns the position that a shard has saved, as it is now, and
// whether it has saved one.
func (a *Attached) SavedPosition(_ context.Context, shard string) (stream.SourcePosition, bool, error) {
	s := positionStore{dir: filepath.Join(a.log.dir, "positions")}
	sh := s.newShard(shard)
	if _, err := sh.load(); err != nil {
		return stream.SourcePosition{}, false, fmt.Errorf("read position of shard %s: %w", shard, err)
	}
	p, ok := sh.saved()
	return p, ok, nil
}

// Close stops looking. It is idempotent.
func (a *Attached) Close() error {
	a.once.Do(func() {
		a.stop()
		a.running.Wait()
		a.log.closed.Store(true)
	})
	return nil
}

// Topic returns what a topic is; one that is not there is stream.ErrUnknownTopic.
func (l *Log) Topic(_ context.Context, name string) (stream.Topic, error) {
	t, err := l.topics.get(name)
	if err != nil {
		return stream.Topic{}, err
	}
	return t.info(), nil
}

// SavedPosition returns the position that a shard has saved, and whether it has
// saved one. It claims nothing.
func (l *Log) SavedPosition(_ context.Context, shard string) (stream.SourcePosition, bool, error) {
	l.positions.mu.Lock()
	sh := l.positions.all[shard]
	l.positions.mu.Unlock()
	if sh == nil {
		return stream.SourcePosition{}, false, nil
	}
	p, ok := sh.saved()
	return p, ok, nil
}

// saved returns what a reader stored.
func (sh *shard) saved() (stream.SourcePosition, bool) {
	p := sh.get()
	if p == nil || !p.Saved {
		return stream.SourcePosition{}, false
	}
	return stream.SourcePosition{Source: p.Source, LSN: p.LSN, Skip: p.Skip}, true
}
