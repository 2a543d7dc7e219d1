package primary

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/server"
	"github.com/klauspost/compress/zstd"

	"tailwater/binlog/primary/encode"
)

// Server is one primary. All methods may be called at any time from any
// goroutine; writes wait for each other.
type Server struct {
	opts   Options
	uuid   [16]byte
	log    *binlog
	state  atomic.Pointer[state]
	faults faults

	// writing is held by whoever writes; it guards the fields up to the blank line.
	writing  sync.Mutex
	body     []byte // scratch: the events behind the GTID event
	out      []byte // scratch: the whole transaction
	maps     map[uint64]*described
	packer   *zstd.Encoder
	sequence int64 // transactions in the current file
	xid      uint64
	tableID  uint64

	mu       sync.Mutex
	listener net.Listener
	addr     string
	sessions map[uint32]*session
	pending  map[net.Conn]struct{} // connections that have not finished their handshake
	down     bool
	closed   bool
	wg       sync.WaitGroup
}

// Start starts a primary.
func Start(opts Options) (*Server, error) {
	opts, err := opts.settle()
	if err != nil {
		return nil, err
	}
	purged, err := parseGTIDs(opts.Purged)
	if err != nil {
		return nil, fmt.Errorf("start primary: purged: %w", err)
	}
	s := &Server{
		opts: opts, maps: map[uint64]*described{}, tableID: 90,
		sessions: map[uint32]*session{}, pending: map[net.Conn]struct{}{},
	}
	s.uuid, _ = parseUUID(opts.UUID) // settle has checked both
	version, _ := versionNumber(opts.Version)
	s.log = &binlog{
		w: encode.Writer{ServerID: opts.ServerID, Checksum: !opts.NoChecksum}, opts: &s.opts,
		version: version, next: opts.FirstFile, grown: make(chan struct{}), purged: purged,
	}
	executed := purged
	if len(opts.Recorded) > 0 {
		if executed, err = s.log.record(opts.Recorded, purged); err != nil {
			_ = s.log.close()
			return nil, fmt.Errorf("start primary: %w", err)
		}
	}
	s.log.open(opts.Now(), executed, true)
	s.state.Store(&state{executed: executed, names: map[tableName]int{}})
	if err := s.listen(opts.Addr); err != nil {
		_ = s.log.close()
		return nil, fmt.Errorf("start primary: %w", err)
	}
	return s, nil
}

// listen opens addr and serves it.
func (s *Server) listen(addr string) error {
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	s.listener, s.addr, s.down = ln, ln.Addr().String(), false
	s.wg.Go(func() { s.accept(ln) })
	return nil
}

// Addr returns host:port. It stays the same over Down and Up.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// UUID returns the server_uuid.
func (s *Server) UUID() string { return formatUUID(s.uuid) }

// Executed returns gtid_executed.
func (s *Server) Executed() string { return s.state.Load().executed.String() }

// Position returns the end of the log.
func (s *Server) Position() (file string, pos uint64) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	f := s.log.current()
	return f.name, uint64(f.size)
}

// Rotate starts a new file, as FLUSH BINARY LOGS does.
func (s *Server) Rotate() { s.rotate(false) }

func (s *Server) rotate(started bool) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if s.log.closed {
		return
	}
	s.sequence = 0
	s.log.rotate(s.opts.Now(), s.state.Load().executed, started)
}

// PurgeTo drops the files before the one called file, as PURGE BINARY LOGS TO does.
func (s *Server) PurgeTo(file string) error { return s.log.purgeTo(file) }

// protocol is the server configuration that all primaries share. A native
// password needs no key: making one costs more than the rest of Start, and a
// client offered caching_sha2_password without one panics.
var protocol = sync.OnceValue(func() *protocols { return &protocols{byVersion: map[string]*server.Server{}} })

// protocols holds one configuration per server version, which it carries.
type protocols struct {
	mu        sync.Mutex
	byVersion map[string]*server.Server
}

func (p *protocols) get(version string) *server.Server {
	p.mu.Lock()
	defer p.mu.Unlock()
	conf := p.byVersion[version]
	if conf == nil {
		conf = server.NewServer(version, encode.CollationUTF8, mysql.AUTH_NATIVE_PASSWORD, nil, nil)
		p.byVersion[version] = conf
	}
	return conf
}

func (s *Server) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return // closed: the only way a loopback listener fails for good
		}
		s.mu.Lock()
		if s.down || s.closed {
			s.mu.Unlock()
			_ = conn.Close()
			continue
		}
		s.pending[conn] = struct{}{}
		s.wg.Go(func() { s.serve(conn) })
		s.mu.Unlock()
	}
}

// serve runs one connection to its end.
func (s *Server) serve(conn net.Conn) {
	defer func() {
		// The protocol library trusts what clients send; garbage from one of
		// them must end its connection only.
		_ = recover()
		_ = conn.Close()
		s.mu.Lock()
		delete(s.pending, conn)
		s.mu.Unlock()
	}()
	auth := server.NewInMemoryAuthenticationHandler(mysql.AUTH_NATIVE_PASSWORD)
	if err := auth.AddUser(s.opts.User, s.opts.Password); err != nil {
		return
	}
	se := &session{s: s, net: conn, vars: map[string]string{}, system: map[string]any{}}
	c, err := protocol().get(s.opts.Version).NewCustomizedConn(conn, auth, se)
	if err != nil {
		return
	}
	se.conn = c
	c.SetStatus(mysql.SERVER_STATUS_AUTOCOMMIT)
	s.mu.Lock()
	delete(s.pending, conn)
	refused := s.down || s.closed
	if !refused {
		s.sessions[c.ConnectionID()] = se
	}
	s.mu.Unlock()
	if refused {
		return
	}
	defer func() {
		s.mu.Lock()
		delete(s.sessions, c.ConnectionID())
		s.mu.Unlock()
	}()
	for c.Conn != nil && c.HandleCommand() == nil {
	}
}

// Followers returns how many replication connections there are.
func (s *Server) Followers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, se := range s.sessions {
		if se.dumping.Load() {
			n++
		}
	}
	return n
}

// kill ends the connection with the id.
func (s *Server) kill(id uint32) error {
	s.mu.Lock()
	se := s.sessions[id]
	s.mu.Unlock()
	if se == nil {
		return mysql.NewDefaultError(mysql.ER_NO_SUCH_THREAD, id)
	}
	_ = se.net.Close()
	return nil
}

// Down makes the server refuse connections and ends those it has, as a crashed
// or stopped server does. The log and the tables stay.
func (s *Server) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangUp()
}

// hangUp closes the listener and every connection. The caller holds mu.
func (s *Server) hangUp() {
	s.down = true
	if s.listener != nil {
		_ = s.listener.Close()
		s.listener = nil
	}
	for conn := range s.pending {
		_ = conn.Close()
	}
	for _, se := range s.sessions {
		_ = se.net.Close()
	}
}

// Up ends Down: the same address again, with a new log file, as after a restart.
func (s *Server) Up() error {
	s.rotate(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("bring primary up: it is closed")
	}
	if !s.down {
		return nil
	}
	if err := s.listen(s.addr); err != nil {
		return fmt.Errorf("bring primary up: %w", err)
	}
	return nil
}

// Close ends the server and every connection, and waits for them. It is
// idempotent. It must not be called with a transaction open.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.hangUp()
	s.mu.Unlock()
	err := s.log.close()
	s.wg.Wait()
	return err
}
