// Package pipeline puts the parts together: it opens the state directory, the
// stream, the window store and the lake that a configuration names, runs a
// supervised reader for each shard and a worker for each sink, and drains them
// in order when it is told to stop.
//
//	shards -> stream -> windows
//	                 -> lake
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"tailwater/binlog"
	"tailwater/internal/config"
	"tailwater/internal/failpoint"
	"tailwater/internal/status"
	"tailwater/sinks/redis"
	redisembedded "tailwater/sinks/redis/embedded"
	"tailwater/stream"
	"tailwater/stream/embedded"
)

// Options are the options of Open.
type Options struct {
	Config  *config.Resolved
	Version string
	Logger  *slog.Logger
	// Roles are what this process does; nil is everything.
	Roles []Role
	// PortFallback takes a free port where a configured one is busy.
	PortFallback bool
	// AcceptStreamLoss goes on with an embedded stream that has lost records it
	// had promised.
	AcceptStreamLoss bool
	// LagSince is when events begin to count in the lag figures; zero is the
	// time of Open. Older ones are history.
	LagSince time.Time
	// Load reads the configuration again; nil refuses to. Its errors name the
	// mistakes.
	Load func() (*config.Resolved, error)
}

// Pipeline is everything that runs. Open opens it, Run runs it, Close gives up
// what is left.
type Pipeline struct {
	o       Options
	cfg     *config.Resolved
	logger  *slog.Logger
	started time.Time
	budget  budget
	// room is what the shards' large events share.
	room *binlog.Room

	state *stateDir
	token string
	// member tells this process, and those that had its directory before it,
	// from all others that read the shards.
	member string
	log    streamLog
	// embedded is log when the stream lives in this process.
	embedded *embedded.Log
	mini     *redisembedded.Server
	store    *redis.Store
	listener net.Listener
	gate     gate
	// diskLimit is limits.disk in bytes, 0 for none.
	diskLimit atomic.Int64
	// held are the partitions of the stream that an open transaction holds up.
	held atomic.Pointer[[]status.Held]

	targets []*target
	topics  map[string]stream.Topic
	// mu guards sources, which are those of cfg until they are reloaded, and
	// shards.
	mu       sync.Mutex
	sources  []config.ResolvedSource
	shards   []*shard
	viewSets map[string]*viewSet
	// added hands new shards to Run; ownChanged is signalled when what this
	// process can follow, or follows, is another.
	added      chan []*shard
	ownChanged chan struct{}
	reloading  sync.Mutex
	// captures are those of the sources that capture their tables.
	captures []*captureSet
	windows  []*viewWindows
	lakes    []*lakeTable

	streamLag, deliveryLag status.Latency
	closing                sync.Once
}

var _ status.Source = (*Pipeline)(nil)

// Open opens whatever the configuration names, and starts nothing. What it
// opened is closed again when it fails.
func Open(ctx context.Context, o Options) (*Pipeline, error) {
	p, err := open(ctx, o, func(p *Pipeline) []func(context.Context) error {
		return []func(context.Context) error{
			p.openState, p.openStream, p.openTopics, p.openCaptures, p.openWindows, p.openLake, p.openShards, p.loadResets, p.openHTTP,
		}
	})
	if err != nil {
		return nil, err
	}
	if err := p.writeRunFile(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// open opens some parts of a pipeline, in their order.
func open(ctx context.Context, o Options, parts func(*Pipeline) []func(context.Context) error) (*Pipeline, error) {
	p := &Pipeline{o: o, cfg: o.Config, logger: o.Logger, started: time.Now(), topics: make(map[string]stream.Topic),
		sources: o.Config.Sources, viewSets: make(map[string]*viewSet), added: make(chan []*shard), ownChanged: make(chan struct{}, 1),
	}
	if p.o.LagSince.IsZero() {
		p.o.LagSince = p.started
	}
	if p.o.Roles == nil {
		p.o.Roles = AllRoles
	}
	if err := p.checkRoles(); err != nil {
		return nil, err
	}
	p.budget = newBudget(p.cfg)
	p.room = binlog.NewRoom(int64(p.budget.event))
	p.diskLimit.Store(int64(p.cfg.Limits.Disk))
	p.gate.look = p.lookForRoom
	debug.SetMemoryLimit(p.budget.total)
	debug.SetGCPercent(gcPercent)
	for _, part := range parts(p) {
		if err := part(ctx); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	return p, nil
}

func (p *Pipeline) openState(context.Context) (err error) {
	if p.state, err = openState(StateDirOf(p.cfg.StateDir, p.o.Roles)); err != nil {
		return err
	}
	if p.token, err = p.state.token(); err != nil {
		return err
	}
	p.member, err = p.state.member()
	return err
}

// openTopics makes a topic for each view.
func (p *Pipeline) openTopics(ctx context.Context) error {
	for i := range p.cfg.Views {
		v := &p.cfg.Views[i]
		topic, err := p.log.EnsureTopic(ctx, stream.TopicSpec{
			Name:       stream.TopicName(p.cfg.Name, v.Name),
			Partitions: p.cfg.Stream.Partitions, MaxRecord: int(p.cfg.Stream.MaxRecord),
		})
		if err != nil {
			return p.streamError(ctx, fmt.Errorf("topic of view %s: %w", v.Name, err))
		}
		p.topics[v.Name] = topic
		to := &target{view: v.Name, topic: topic.Name, partitions: topic.Partitions, foreign: !v.Envelope.IsFlat(), connector: v.Connector}
		if v.TableEvents {
			to.tables = v.Envelope
		}
		p.targets = append(p.targets, to)
	}
	return nil
}

// openHTTP listens; serving begins with Run.
func (p *Pipeline) openHTTP(context.Context) error {
	if p.cfg.HTTP.Listen == "" {
		return nil
	}
	addr, err := p.address("http.listen", p.cfg.HTTP.Listen)
	if err != nil {
		return err
	}
	p.listener, err = net.Listen("tcp", addr)
	if err != nil {
		return &PortError{Key: "http.listen", Addr: addr, Err: err}
	}
	return nil
}

// PortError says that an address cannot be listened on.
type PortError struct {
	// Key is the configuration key that names the address.
	Key, Addr string
	Err       error
}

// Error names the address, the key and the way out.
func (e *PortError) Error() string {
	return fmt.Sprintf("cannot listen on %s: %v; stop what has the port, or set %s to another address (port 0 takes a free one)", e.Addr, e.Err, e.Key)
}

// Unwrap returns the cause.
func (e *PortError) Unwrap() error { return e.Err }

// address checks that an address can be listened on. With PortFallback a busy
// port becomes a free one, and the log says so.
func (p *Pipeline) address(key, addr string) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		return addr, l.Close()
	}
	host, port, serr := net.SplitHostPort(addr)
	if !p.o.PortFallback || serr != nil || port == "0" {
		return "", &PortError{Key: key, Addr: addr, Err: err}
	}
	l, ferr := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if ferr != nil {
		return "", &PortError{Key: key, Addr: addr, Err: err}
	}
	free := l.Addr().String()
	p.logger.Warn("port is taken, another one is used", "key", key, "wanted", addr, "used", free)
	return free, l.Close()
}

// HTTPAddr is the address of the HTTP server, "" without one.
func (p *Pipeline) HTTPAddr() string {
	if p.listener == nil {
		return ""
	}
	return p.listener.Addr().String()
}

// RedisURL is where Redis clients reach the window values; empty without
// windows. It holds no password of a server of yours: then it is empty too.
func (p *Pipeline) RedisURL() string {
	if p.mini == nil {
		return ""
	}
	return p.mini.URL()
}

// DialRedis connects to the embedded window store from inside the process,
// where it may be written too. There must be one.
func (p *Pipeline) DialRedis(ctx context.Context) (net.Conn, error) { return p.mini.Dial(ctx) }

// Log is the stream, for those who check what it holds.
func (p *Pipeline) Log() stream.Log { return p.log }

// Store is the window store, nil without windows.
func (p *Pipeline) Store() *redis.Store { return p.store }

// Close gives up everything at once; what is not drained is read again at the
// next start. It is idempotent.
func (p *Pipeline) Close() error {
	var err error
	p.closing.Do(func() {
		if p.listener != nil {
			_ = p.listener.Close() // served and closed by the HTTP server in a run
		}
		if p.store != nil {
			err = errors.Join(err, p.store.Close())
		}
		if p.mini != nil {
			err = errors.Join(err, p.mini.Close())
		}
		if p.log != nil {
			err = errors.Join(err, p.log.Close())
			failpoint.At(failpoint.DrainStreamClosed)
		}
		if p.state != nil {
			_ = os.Remove(filepath.Join(p.state.path, runFileName)) // a stale one says which process it was
			err = errors.Join(err, p.state.Close())
		}
	})
	return err
}

// budget divides limits.memory.
type budget struct {
	total, stream int64
	// batch bounds one publish of one shard, lake the rows held by one worker,
	// event one event of a binlog and the large ones of all shards at a time.
	batch, lake, event int
}

// gcPercent is above Go's default: what bounds the heap is limits.memory. Below
// it, collecting half as often takes up to half as much memory again.
const gcPercent = 200

// newBudget divides the memory: an eighth each for the stream's buffers, for
// the batches of the shards (two each), and for the lake's workers, and a
// quarter for large events. The rest is for what the parts need besides, and for
// the collector's slack.
func newBudget(c *config.Resolved) budget {
	b := budget{total: int64(c.Limits.MemoryHere())}
	part := b.total / 8
	b.stream = part
	shards := 0
	for i := range c.Sources {
		shards += len(c.Sources[i].Shards)
	}
	layouts := 1
	if c.Lake != nil {
		layouts = max(1, len(c.Lake.Layouts))
	}
	// Together they are as much as keeps the processors busy: what is above
	// that is memory touched for nothing.
	n := int64(max(1, shards))
	b.batch = int(max(64<<10, min(4<<20, 24<<20/n, part/(2*n))))
	b.lake = int(max(4<<20, part/int64(layouts)))
	// No server writes an event above 1 GiB.
	b.event = int(min(1<<30, 2*part))
	return b
}
