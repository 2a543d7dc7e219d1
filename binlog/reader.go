package binlog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"tailwater/internal/failpoint"
)

// Reader follows the binlog of one server. One Run at a time; Preflight and
// Status may be called at any time, from any goroutine.
type Reader struct {
	o Options
	// uuid names this reader to the server. It stays the same from connection
	// to connection, so that the server ends a dump that we left behind, and
	// only ours.
	uuid UUID

	mu     sync.Mutex
	status Status
	// position is the one last handed over.
	position []byte
	known    Known
}

// New returns a reader, or every mistake in the options.
func New(o Options) (*Reader, error) {
	o.fill()
	if err := o.validate(); err != nil {
		return nil, err
	}
	r := &Reader{o: o}
	if _, err := rand.Read(r.uuid[:]); err != nil {
		return nil, fmt.Errorf("draw a replica uuid: %w", err)
	}
	return r, nil
}

// Run follows the binlog over one connection, from a saved position or, when
// that is nil, from Options.Start. It returns when ctx ends, with its cause,
// or when the connection, the server, the handler or something not understood
// ends it; Classify says what then. It never returns nil. The handler is
// called on the goroutine of Run. The position that Commit and Idle hand over
// is valid until they return.
//
// A panic of the library, the parser or the handler becomes a *PanicError.
func (r *Reader) Run(ctx context.Context, position []byte, h Handler) (err error) {
	defer r.set(func(s *Status) { s.Connected = false })
	defer r.caught(&err)
	err = r.follow(ctx, position, h)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var stop *StopError
	if errors.As(err, &stop) {
		stop.Shard = r.o.Shard
		return err
	}
	return fmt.Errorf("shard %s: %w", r.o.Shard, err)
}

// caught makes a panic of the deferring call an error in err.
func (r *Reader) caught(err *error) {
	if v := recover(); v != nil {
		stack := debug.Stack()
		r.o.Logger.Error("reader panicked", "shard", r.o.Shard, "panic", fmt.Sprint(v), "stack", string(stack))
		*err = fmt.Errorf("shard %s: %w", r.o.Shard, &PanicError{Value: v, Stack: stack})
	}
}

// follow is Run without the care for its errors.
func (r *Reader) follow(ctx context.Context, position []byte, h Handler) error {
	s := &session{r: r, ctx: ctx, h: h, idle: idle{margin: idleMargin}}
	if r.o.Flavor == MariaDB {
		s.idle.margin = mariadbIdleMargin
	}
	defer s.close()
	srv, err := s.inspect()
	if err != nil {
		return err
	}
	failpoint.At(failpoint.BinlogInspected)
	from, err := srv.resume(&r.o, position)
	if err == nil {
		err = srv.agrees(&r.o, from, r.beside())
	}
	if err != nil {
		return err
	}
	held, err := s.fetchPrepared(srv, from)
	if err != nil {
		return err
	}
	d, err := r.startDump(ctx, from)
	if err != nil {
		return err
	}
	defer d.close()
	defer context.AfterFunc(ctx, d.c.close)()
	r.o.Logger.Info("following", "shard", r.o.Shard, "server_uuid", from.ServerUUID, "version", srv.vars["version"],
		"gtid", from.GTIDText(), "file", from.File, "pos", from.Pos)
	r.set(func(st *Status) {
		st.ServerVersion, st.ServerUUID, st.ServerID = srv.vars["version"], from.ServerUUID, uint32(srv.vars.number("server_id"))
	})
	beginning := from.Append(nil)
	r.handOver(beginning)
	if r.o.Began != nil {
		r.o.Began(beginning, srv.vars["version"])
	}
	s.machine = newMachine(r.o, srv.vars.number("lower_case_table_names") != 0, from, h)
	s.machine.over = func() bool { return ctx.Err() != nil }
	s.machine.xa = held
	defer s.machine.payload.close()
	err = s.pump(d)
	if position == nil && s.machine.transactions == 0 {
		err = r.o.startFault(err)
	}
	return err
}

// beside is what Resume was told.
func (r *Reader) beside() Known {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known
}

// session is one Run: the connection for questions, and what becomes of the
// events of the other one.
type session struct {
	r *Reader
	// ctx is Run's: a session lives inside one call.
	ctx     context.Context
	h       Handler
	ask     *conn
	machine *machine
	idle    idle
	// measured is when the server's clock was last asked for.
	measured time.Time
}

// close ends the connection for questions.
func (s *session) close() {
	if s.ask != nil {
		s.ask.close()
		s.ask = nil
	}
}

// inspect asks the server about itself.
func (s *session) inspect() (*server, error) {
	o := &s.r.o
	c, err := o.dial(s.ctx, o.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	s.ask = c
	return c.inspect(s.ctx, o.Flavor)
}

// inspect asks a server about itself and its binlog.
func (c *conn) inspect(ctx context.Context, flavor Flavor) (*server, error) {
	srv := &server{sets: gtidSets{executed: &GTIDSet{}, purged: &GTIDSet{}}}
	var err error
	if srv.vars, err = c.readVariables(ctx, flavor); err != nil {
		return nil, err
	}
	if flavor == MariaDB {
		return srv, c.inspectMariaDB(ctx, srv)
	}
	// The end before the sets: what is executed in between is read again from
	// a file, and counted by no one twice from a set.
	if srv.end, err = c.readEnd(ctx); err != nil {
		return nil, err
	}
	if _, ok := srv.vars["gtid_mode"]; ok {
		if srv.sets, err = c.readGTIDs(ctx); err != nil {
			return nil, err
		}
	}
	srv.files, err = c.readBinlogs(ctx)
	return srv, err
}

// pump reads events until something ends it.
func (s *session) pump(d *dump) error {
	now := s.r.o.Now
	s.idle.event(now())
	for {
		ev, err := d.next()
		at := now()
		if err != nil {
			return s.unreadable(ev, err)
		}
		before := s.machine.transactions
		if err := s.machine.event(ev, at); err != nil {
			return err
		}
		heartbeat := ev.kind == evHeartbeat || ev.kind == evHeartbeatV2
		s.account(ev, at, heartbeat, before)
		if !heartbeat {
			s.idle.event(at)
			if at.Sub(s.measured) >= measureEvery {
				s.measure(at)
			}
			continue
		}
		if err := s.beat(at); err != nil {
			return err
		}
	}
}

// unreadable tells what a person must look at from what passes.
func (s *session) unreadable(ev event, err error) error {
	if Classify(err) == Retry || serverCode(err) != 0 {
		return err
	}
	s.machine.start, s.machine.kind = s.machine.end, ev.kind
	stop := s.machine.stop(s.machine.hintSize(err), "the next event cannot be read").(*StopError)
	stop.Err = err
	return stop
}

// account keeps the status.
func (s *session) account(ev event, at time.Time, heartbeat bool, before uint64) {
	m := s.machine
	r := s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	st := &r.status
	st.Connected = true
	st.Events++
	st.Bytes += uint64(ev.size)
	st.File, st.Pos = m.file, m.end
	st.Transactions += m.transactions - before
	if heartbeat {
		st.LastHeartbeat = at
	} else {
		st.LastEvent = at
	}
	if m.phase == between && len(m.text) > 0 {
		st.LastCommitMicros = m.lastCommitMicros
		r.position = append(r.position[:0], m.text...)
		m.text = m.text[:0]
	}
}

// beat is called at a heartbeat: it moves the watermark of a server where
// nothing happens.
func (s *session) beat(now time.Time) error {
	m := s.machine
	if m.phase != between || m.file == "" {
		return nil
	}
	if s.idle.due(now) {
		clock, end, err := s.question()
		if err != nil {
			if s.ctx.Err() != nil {
				return context.Cause(s.ctx)
			}
			// The dump is alive, so the shard goes on; its watermark waits.
			s.r.o.Logger.Warn("asking an idle server failed", "shard", s.r.o.Shard, "error", err)
			s.close()
			clock = 0
		}
		s.idle.answer(now, clock, end)
	}
	watermark, ok := s.idle.watermark(place{m.file, m.end})
	if !ok {
		return nil
	}
	m.moved()
	text := m.bytes()
	s.r.handOver(text)
	failpoint.At(failpoint.BinlogIdle)
	return handed(s.h.Idle(watermark, text))
}

// questionTimeout bounds a question: the dump is not read meanwhile.
const questionTimeout = 2 * time.Second

// question asks for the server's clock and then, never before, for the end of
// its binlog.
func (s *session) question() (int64, place, error) {
	ctx, cancel := context.WithTimeout(s.ctx, questionTimeout)
	defer cancel()
	clock, err := s.askClock(ctx)
	if err != nil {
		return 0, place{}, err
	}
	end, err := s.ask.readEnd(ctx)
	return clock, end, err
}
