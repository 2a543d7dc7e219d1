package embedded

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tailwater/internal/door"
)

// What a client from outside may take. The broker believes whatever a request
// says of its own size, ends the process over a request that it does not know,
// and lets everybody write and delete; so nothing reaches it unseen.
const (
	// maxClients is how many connections from outside are open at once.
	maxClients = 100
	// maxClientRequest bounds a request; those that read are small.
	maxClientRequest = 256 << 10
	// maxClientFetch bounds an answer to a fetch, but for a batch that is
	// larger by itself.
	maxClientFetch = 1 << 20
	// clientIdle is how long a connection may be silent, requestTime how long a
	// request may take to arrive, answerTime how long an answer may take to be
	// taken.
	clientIdle  = 10 * time.Minute
	requestTime = 10 * time.Second
	answerTime  = time.Minute
)

// clientMay are the requests of those who read, with consumer groups or
// without.
var clientMay = map[kmsg.Key]bool{
	kmsg.Fetch: true, kmsg.ListOffsets: true, kmsg.Metadata: true, kmsg.ApiVersions: true,
	kmsg.OffsetCommit: true, kmsg.OffsetFetch: true, kmsg.OffsetDelete: true, kmsg.OffsetForLeaderEpoch: true,
	kmsg.FindCoordinator: true, kmsg.JoinGroup: true, kmsg.SyncGroup: true, kmsg.Heartbeat: true, kmsg.LeaveGroup: true,
	kmsg.DescribeGroups: true, kmsg.ListGroups: true, kmsg.DeleteGroups: true,
	kmsg.DescribeConfigs: true, kmsg.DescribeCluster: true, kmsg.DescribeTopicPartitions: true,
}

// port is the broker's listener. Clients from outside come through TCP and may
// read; the process itself comes through dial and may do everything, also when
// there is no room or no descriptor for one more from outside.
type port struct {
	outside *door.Listener
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
	logger  *slog.Logger
	running sync.WaitGroup

	mu sync.Mutex
	// told is when a refusal of each kind was last logged.
	told map[string]time.Time
}

var _ net.Listener = (*port)(nil)

func newPort(l net.Listener, logger *slog.Logger) *port {
	p := &port{
		outside: door.Limit(l, maxClients), conns: make(chan net.Conn), closed: make(chan struct{}), logger: logger,
		told: make(map[string]time.Time),
	}
	p.running.Go(p.admit)
	return p
}

// admit hands connections from outside to the broker until the port is closed.
func (p *port) admit() {
	for {
		c, err := p.outside.Accept()
		if err != nil {
			return
		}
		select {
		case p.conns <- &client{Conn: c, port: p}:
		case <-p.closed:
			_ = c.Close()
			return
		}
	}
}

// Accept implements net.Listener.
func (p *port) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// dial connects the process itself to the broker.
func (p *port) dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, ErrClosed
	}
}

// Addr implements net.Listener.
func (p *port) Addr() net.Addr { return p.outside.Addr() }

// Close implements net.Listener.
func (p *port) Close() (err error) {
	p.once.Do(func() {
		close(p.closed)
		err = p.outside.Close()
		p.running.Wait()
	})
	return err
}

// tellEvery is how often a refusal of one kind is logged.
const tellEvery = time.Minute

// tell logs why a client was sent away.
func (p *port) tell(from net.Addr, why *refusedError) {
	p.mu.Lock()
	now := time.Now()
	told := now.Sub(p.told[why.kind]) < tellEvery
	if !told {
		p.told[why.kind] = now
	}
	p.mu.Unlock()
	if !told {
		p.logger.Warn("a Kafka client was sent away from the embedded stream", "client", from.String(), "error", why)
	}
}

// refusedError says what a client asked for and may not.
type refusedError struct {
	// kind is the same for refusals of one kind, and one of few.
	kind, text string
}

// Error says what was refused, and what is not.
func (e *refusedError) Error() string { return e.text }

// client is a connection from outside. Read yields requests that were looked at
// whole. The broker reads it from one goroutine.
type client struct {
	net.Conn
	port *port
	buf  bytes.Buffer
	// rest is what the broker has not read of the last request.
	rest []byte
}

// Read implements io.Reader.
func (c *client) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		if err := c.next(); err != nil {
			if why, ok := err.(*refusedError); ok {
				c.port.tell(c.RemoteAddr(), why)
			}
			return 0, err
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Write implements io.Writer.
func (c *client) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(answerTime)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// next reads a request and looks at it. Memory is taken as the bytes arrive,
// not as the request announces them.
func (c *client) next() error {
	if c.buf.Cap() > maxClientRequest/4 {
		c.buf = bytes.Buffer{}
	}
	c.buf.Reset()
	var size [4]byte
	if err := c.SetReadDeadline(time.Now().Add(clientIdle)); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.Conn, size[:1]); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(requestTime)); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.Conn, size[1:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxClientRequest {
		return &refusedError{"size", fmt.Sprintf("a request of %d bytes, and %d is the most: it is no Kafka client, or one that writes; the embedded stream can be read only", n, maxClientRequest)}
	}
	if _, err := io.CopyN(&c.buf, c.Conn, int64(n)); err != nil {
		return err
	}
	body, err := inspect(c.buf.Bytes())
	if err != nil {
		return err
	}
	c.rest = append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	return nil
}

// inspect returns a request as the broker may have it.
func inspect(b []byte) ([]byte, error) {
	r := kbin.Reader{Src: b}
	key, version, _ := r.Int16(), r.Int16(), r.Int32()
	r.NullableString()
	req := kmsg.RequestForKey(key)
	// A client that is newer asks for the versions in its own, and is told.
	if newer := kmsg.Key(key) == kmsg.ApiVersions && version >= 0; !r.Ok() || req == nil || version < 0 || version > req.MaxVersion() && !newer {
		return nil, &refusedError{"garbage", "what it sent is no request that Kafka knows"}
	}
	if !clientMay[kmsg.Key(key)] {
		return nil, &refusedError{kmsg.NameForKey(key), fmt.Sprintf("%s is refused: the embedded stream can be read only; use stream.type kafka to share it with programs that write", kmsg.NameForKey(key))}
	}
	req.SetVersion(version)
	if req.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	head := len(b) - len(r.Src)
	if err := req.ReadFrom(r.Src); err != nil {
		return nil, &refusedError{"garbage", fmt.Sprintf("its %s cannot be read: %v", kmsg.NameForKey(key), err)}
	}
	fetch, ok := req.(*kmsg.FetchRequest)
	if !ok {
		return b, nil
	}
	fetch.MaxBytes = min(fetch.MaxBytes, maxClientFetch)
	for i := range fetch.Topics {
		for j := range fetch.Topics[i].Partitions {
			p := &fetch.Topics[i].Partitions[j]
			p.PartitionMaxBytes = min(p.PartitionMaxBytes, maxClientFetch)
		}
	}
	return fetch.AppendTo(b[:head:head]), nil
}
