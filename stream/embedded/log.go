package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"tailwater/stream"
)

// Options are the options of Open.
type Options struct {
	// Dir is the directory of the log; it is made when absent, with mode 0700.
	// It must not be shared with anything else.
	Dir string
	// Name is the pipeline's name. A directory of another name is refused.
	Name string
	// Listen is the address on which Kafka clients are served; empty is
	// 127.0.0.1:0, a port chosen by the system. There is no authentication:
	// whoever can connect can read, and nobody but this process can write.
	Listen string
	// MemoryBytes bounds the buffers of all sessions and consumers together,
	// but for one record that is larger by itself; 0 is 64 MiB.
	MemoryBytes int64
	// TailBytes bounds the records of the last seconds that are kept unpacked
	// for consumers that follow closely, besides MemoryBytes; 0 is half of
	// MemoryBytes, below 0 is none.
	TailBytes int64
	// Retention says what Trim may remove.
	Retention Retention
	// SegmentBytes is the size at which a partition begins a new file; 0 is
	// 8 MiB. Trim removes whole files and never a partition's newest, so all
	// partitions times this much must lie well below what the disk may hold.
	SegmentBytes int64
	// Timeout bounds how long a publish may take until the broker has answered;
	// 0 is 30 s. Syncing to disk has no bound.
	Timeout time.Duration
	// AcceptLoss lets Open go on where it would return a *LossError.
	AcceptLoss bool
	// Logger receives a line per change of state; nil is slog.Default().
	Logger *slog.Logger
}

// ErrClosed says that the log was closed.
var ErrClosed = errors.New("the stream is closed")

// Log is a stream.Log in a directory. It is safe for concurrent use.
type Log struct {
	o       Options
	dir     string
	logDir  string
	logger  *slog.Logger
	lock    *os.File
	cluster *kfake.Cluster
	addr    string
	// port is the listener of cluster, nil for an Attached.
	port *port

	topics    topicSet
	ends      *endsFile
	positions *positionStore
	syncer    *syncer
	tail      *tail
	batches   batchPool
	memory    *semaphore.Weighted
	// builders is how many writers make batches at once. More than there are
	// processors would make none sooner, and each has its own memory.
	builders *semaphore.Weighted
	schemaMu sync.Mutex
	trimMu   sync.Mutex

	closed  atomic.Bool
	stop    context.CancelFunc
	running sync.WaitGroup
}

var _ stream.Log = (*Log)(nil)

const (
	defaultListen = "127.0.0.1:0"
	defaultMemory = 64 << 20
	// segmentSize is the default of Options.SegmentBytes: small, because
	// retention removes whole files, and at start the broker holds one file of
	// each partition in memory.
	segmentSize = 8 << 20
	// scanPeriod is how often the log looks for records that nobody waits for,
	// such as those of a publish that was given up.
	scanPeriod = 500 * time.Millisecond
)

func (o *Options) fill() error {
	if o.Dir == "" {
		return errors.New("open embedded stream: no directory given")
	}
	if o.Listen == "" {
		o.Listen = defaultListen
	}
	if o.MemoryBytes == 0 {
		o.MemoryBytes = defaultMemory
	}
	if o.TailBytes == 0 {
		o.TailBytes = o.MemoryBytes / 2
	}
	o.TailBytes = max(o.TailBytes, 0)
	if o.SegmentBytes == 0 {
		o.SegmentBytes = segmentSize
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Retention.fill()
	if o.MemoryBytes < 0 || o.SegmentBytes < 0 || o.Timeout < 0 || o.Retention.MaxAge < 0 || o.Retention.MaxBytes < 0 {
		return errors.New("open embedded stream: memory, segments, time-out and retention must not be negative")
	}
	return nil
}

// Open opens or creates the log in a directory, recovers it, and serves it. It
// refuses a directory that another process has open (ErrLocked), one that a
// newer version wrote, and one that has lost acknowledged records (*LossError).
func Open(o Options) (*Log, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open embedded stream: %w", err)
	}
	l := &Log{o: o, dir: dir, logDir: filepath.Join(dir, "log"), logger: o.Logger, memory: semaphore.NewWeighted(o.MemoryBytes),
		builders: semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0)))}
	l.syncer, l.tail = newSyncer(l), newTail(o.TailBytes)
	if err := l.open(); err != nil {
		l.release()
		return nil, fmt.Errorf("open embedded stream: %w", err)
	}
	return l, nil
}

func (l *Log) open() error {
	for _, d := range []string{l.dir, l.logDir, filepath.Join(l.dir, "positions"), filepath.Join(l.dir, "schemas")} {
		if err := makeDir(d); err != nil {
			return err
		}
	}
	var err error
	if l.lock, err = lockDir(l.dir); err != nil {
		return err
	}
	if err := checkVersion(l.dir); err != nil {
		return err
	}
	if err := l.recover(); err != nil {
		return err
	}
	if err := l.serve(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	l.running.Go(func() { l.syncer.run(ctx) })
	l.running.Go(func() { l.sweep(ctx) })
	return nil
}

// versionText is the content of the file VERSION.
const versionText = "tailwater embedded stream 1\n"

func checkVersion(dir string) error {
	path := filepath.Join(dir, "VERSION")
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return writeFile(path, []byte(versionText))
	case err != nil:
		return fmt.Errorf("read version: %w", err)
	case string(b) == versionText:
		return nil
	case strings.HasPrefix(string(b), "tailwater embedded stream "):
		return fmt.Errorf("read %s: %q: %w", path, strings.TrimSpace(string(b)), errNewer)
	}
	return fmt.Errorf("read %s: not a directory of an embedded stream, or a disk lost its content: restore the file from a copy, or set state.dir to another directory", path)
}

// serve starts the broker on the recovered directory.
func (l *Log) serve() error {
	// The listener is made here, so that a port that is taken is an error of
	// this call that names it.
	ln, err := net.Listen("tcp", l.o.Listen)
	if err != nil {
		return fmt.Errorf("listen for Kafka clients: %w", err)
	}
	if err := l.removeUnused(); err != nil {
		return errors.Join(err, ln.Close())
	}
	l.addr = ln.Addr().String()
	l.port = newPort(ln, l.logger)
	l.cluster, err = kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID("tailwater-"+l.o.Name),
		kfake.DataDir(l.logDir),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return l.port, nil }),
		kfake.WithLogger(brokerLogger{l.logger}),
		kfake.BrokerConfigs(map[string]string{
			"log.segment.bytes":   strconv.FormatInt(l.o.SegmentBytes, 10),
			"log.retention.ms":    "-1",
			"log.retention.bytes": "-1",
		}),
	)
	if err != nil {
		_ = l.port.Close() // the broker's error says more
		return fmt.Errorf("start broker on %s: %w; restore the directory from a copy", l.logDir, err)
	}
	for _, t := range l.topics.all() {
		infos := l.cluster.PartitionInfos(t.name)
		if len(infos) != len(t.partitions) {
			return &LossError{filepath.Join(l.logDir, "topics.json"), fmt.Sprintf("topic %s has %d partitions in the broker, %d were created", t.name, len(infos), len(t.partitions))}
		}
		for i, p := range t.partitions {
			if err := p.untouched(infos[i].HighWatermark); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweep syncs records that nobody waits for: those of a publish that was given
// up after the broker had them, and those of other clients.
func (l *Log) sweep(ctx context.Context) {
	t := time.NewTicker(scanPeriod)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			for _, topic := range l.topics.all() {
				if err := l.syncTopic(ctx, topic); err != nil && ctx.Err() == nil {
					l.logger.Error("syncing the embedded stream failed", "topic", topic.name, "error", err)
					return
				}
			}
		}
	}
}

// syncTopic makes durable everything that the broker has of a topic.
func (l *Log) syncTopic(ctx context.Context, t *topic) error {
	batches := make(map[*partition]span)
	for i, info := range l.cluster.PartitionInfos(t.name) {
		if p := t.partitions[i]; info.HighWatermark > p.synced.Load() {
			batches[p] = span{base: unseen, end: info.HighWatermark}
		}
	}
	if len(batches) == 0 {
		return l.syncer.err()
	}
	return l.syncer.sync(ctx, batches)
}

// Addr returns the host:port on which Kafka clients are served.
func (l *Log) Addr() string { return l.addr }

// usable returns why the log cannot be used, or nil.
func (l *Log) usable() error {
	if l.closed.Load() {
		return ErrClosed
	}
	return l.syncer.err()
}

// Usage is what the log takes of its disk.
type Usage struct {
	// Bytes is the size of the records kept.
	Bytes int64
	// Free and Total are of the file system, Free as this user may use it.
	Free, Total int64
}

// Usage returns what the log takes of its disk, for those who must pause
// writing before it is full.
func (l *Log) Usage() (Usage, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(l.dir, &st); err != nil {
		return Usage{}, fmt.Errorf("measure disk of %s: %w", l.dir, err)
	}
	u := Usage{Free: int64(st.Bavail) * st.Bsize, Total: int64(st.Blocks) * st.Bsize}
	if l.closed.Load() {
		return u, ErrClosed
	}
	for _, t := range l.topics.all() {
		for _, info := range l.cluster.PartitionInfos(t.name) {
			u.Bytes += info.NumBytes
		}
	}
	return u, nil
}

// Close closes the log in order, so that the next Open is quick. It is
// idempotent.
func (l *Log) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	return l.release()
}

// release gives up whatever Open had got.
func (l *Log) release() error {
	var err error
	if l.stop != nil {
		for _, t := range l.topics.all() {
			err = errors.Join(err, l.syncTopic(context.Background(), t))
		}
		l.stop()
		l.running.Wait()
	}
	if l.cluster != nil {
		l.cluster.Close()
		if err == nil {
			err = l.markClean()
		}
	}
	for _, t := range l.topics.all() {
		for _, p := range t.partitions {
			p.files.close()
		}
	}
	if l.ends != nil {
		err = errors.Join(err, l.ends.close())
	}
	if l.lock != nil {
		err = errors.Join(err, l.lock.Close())
	}
	if err != nil {
		return fmt.Errorf("close embedded stream: %w", err)
	}
	return nil
}

// brokerLogger passes the broker's warnings on.
type brokerLogger struct{ logger *slog.Logger }

// Logf implements kfake.Logger.
func (b brokerLogger) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		b.logger.Error("embedded broker: " + fmt.Sprintf(format, args...))
	case kfake.LogLevelWarn:
		b.logger.Warn("embedded broker: " + fmt.Sprintf(format, args...))
	}
}
