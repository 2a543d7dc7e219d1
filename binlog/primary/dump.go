package primary

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"tailwater/binlog/primary/encode"
)

// flagNonBlock in a dump command asks for an end at the log's end.
const flagNonBlock = 1

// dump is one replication stream.
type dump struct {
	s         *Server
	se        *session
	w         encode.Writer
	heartbeat time.Duration // 0 for none
	nonBlock  bool
	byGTID    bool
	have      gtidSet // transactions to leave out
	name      string  // where to start, when it is not by GTID
	pos       int64

	packets
	file     *logFile
	skipping bool
}

// errorCode of everything that is wrong with a dump request.
const errorCode = mysql.ER_MASTER_FATAL_ERROR_READING_BINLOG

// fatal makes an error packet of err, unless it is one.
func fatal(err error) error {
	if my, ok := err.(*mysql.MyError); ok {
		return my
	}
	return mysql.NewError(errorCode, err.Error())
}

// run sends the log until the connection ends, and returns what to tell the
// follower.
func (d *dump) run() error {
	if d.name == "" && !d.byGTID {
		d.file = d.s.log.first()
	} else {
		name := d.name
		if d.byGTID {
			name = ""
		}
		var err error
		if d.file, err = d.s.log.acquire(name, d.have); err != nil {
			return fatal(err)
		}
	}
	defer func() { d.s.log.release(d.file) }()
	if d.byGTID || d.pos < 4 {
		d.pos = 4
	}
	d.sequence = 1

	// The follower sends nothing more: its next byte, or end, ends the stream.
	ctx, cancel := context.WithCancel(context.Background())
	watch := make(chan struct{})
	go func() {
		defer close(watch)
		var b [1]byte
		_, _ = d.se.net.Read(b[:])
		cancel()
	}()
	err := d.stream(ctx)
	if ctx.Err() == nil {
		var my *mysql.MyError
		if errors.As(err, &my) {
			d.se.conn.Sequence = d.sequence
			_ = d.se.conn.WriteValue(my)
		}
	}
	_ = d.se.net.Close()
	<-watch
	return errors.New("the stream has ended")
}

// stream sends file after file. It ends with an error, always.
func (d *dump) stream(ctx context.Context) error {
	for {
		if err := d.sendFileStart(ctx); err != nil {
			return err
		}
		if err := d.sendFile(ctx); err != nil {
			return err
		}
		d.file = d.s.log.following(d.file)
		d.pos = 4
	}
}

// sendFileStart sends the artificial rotate that names the file and the file's
// format description, which decides about checksums from then on. Where the
// stream starts in mid-file the description has no position and no creation
// time, so that the follower does not take it for a restart of the server.
func (d *dump) sendFileStart(ctx context.Context) error {
	body := encode.Rotate(d.file.name, uint64(d.pos))
	d.event(d.w.Append(nil, encode.Header{Type: encode.TypeRotate, Flags: encode.FlagArtificial}, body))
	b, _, err := d.s.log.read(d.file, 4, encode.FormatDescriptionSize)
	if err != nil {
		return fatal(err)
	}
	if len(b) < encode.HeaderSize || len(b) < eventSize(b) || eventSize(b) <= encode.HeaderSize {
		return fatal(errors.New("the file does not begin with a format description"))
	}
	first := append([]byte(nil), b[:eventSize(b)]...)
	if d.pos > 4 {
		clear(first[13:17])
		clear(first[encode.HeaderSize+52 : encode.HeaderSize+56])
		encode.Writer{Checksum: true}.Reseal(first)
	}
	d.event(first)
	d.w.Checksum = d.file.checksum
	d.pos = max(d.pos, 4+int64(len(first)))
	return d.flush(ctx)
}

// eventSize reads the size that an event's header states.
func eventSize(b []byte) int { return int(binary.LittleEndian.Uint32(b[9:])) }

// sendFile sends the file from d.pos to its end, and waits there while it grows.
func (d *dump) sendFile(ctx context.Context) error {
	need := 0
	for {
		if err := d.pause(ctx); err != nil {
			return err
		}
		b, wait, err := d.s.log.read(d.file, d.pos, need)
		switch {
		case err != nil:
			return fatal(err)
		case len(b) == 0 && wait == nil:
			return d.flush(ctx)
		case len(b) == 0:
			if err := d.wait(ctx, wait); err != nil {
				return err
			}
			continue
		}
		if need, err = d.sendEvents(ctx, b); err != nil {
			return err
		}
	}
}

// sendEvents sends the whole events in b. It returns how many bytes the next
// one has when that is not in b.
func (d *dump) sendEvents(ctx context.Context, b []byte) (need int, err error) {
	for len(b) > 0 {
		if len(b) < encode.HeaderSize {
			need = encode.HeaderSize
			break
		}
		size := eventSize(b)
		if size < encode.HeaderSize {
			return 0, fatal(errors.New("bogus data in log event"))
		}
		if size > len(b) {
			need = size
			break
		}
		if !d.skip(b[:size]) {
			d.event(d.damaged(b[:size]))
		}
		d.pos += int64(size)
		b = b[size:]
		if len(d.out) >= flushBytes {
			if err := d.flush(ctx); err != nil {
				return 0, err
			}
		}
	}
	return need, d.flush(ctx)
}

// skip reports whether the event belongs to a transaction that the follower has.
func (d *dump) skip(event []byte) bool {
	if !d.byGTID {
		return false
	}
	switch event[4] {
	case encode.TypeGTID:
		if len(event) < encode.HeaderSize+25 {
			return false
		}
		body := event[encode.HeaderSize:]
		d.skipping = d.have.contains([16]byte(body[1:17]), int64(binary.LittleEndian.Uint64(body[17:])))
	case encode.TypeRotate, encode.TypePreviousGTIDs, encode.TypeFormatDescription:
		d.skipping = false
	}
	return d.skipping
}

// damaged returns the event, or a copy with one bit flipped when that is asked for.
func (d *dump) damaged(event []byte) []byte {
	if event[4] == encode.TypeRotate || event[4] == encode.TypePreviousGTIDs || !d.s.faults.takeFlip() {
		return event
	}
	bad := append([]byte(nil), event...)
	bad[encode.HeaderSize+(len(bad)-encode.HeaderSize)/3] ^= 0x10
	return bad
}

// wait sleeps at the log's end until it grows, and sends heartbeats meanwhile.
func (d *dump) wait(ctx context.Context, grown <-chan struct{}) error {
	if d.nonBlock {
		d.payload([]byte{mysql.EOF_HEADER, 0, 0, 2, 0})
		if err := d.flush(ctx); err != nil {
			return err
		}
		return errEndOfLog
	}
	var beat <-chan time.Time
	if d.heartbeat > 0 {
		timer := time.NewTimer(d.heartbeat)
		defer timer.Stop()
		beat = timer.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-grown:
	case <-d.s.faults.watch():
	case <-beat:
		if err := d.pause(ctx); err != nil {
			return err
		}
		h := encode.Header{Type: encode.TypeHeartbeat, EndPos: uint32(d.pos)}
		d.event(d.w.Append(nil, h, []byte(d.file.name)))
		return d.flush(ctx)
	}
	return nil
}

var errEndOfLog = errors.New("the end of the log is reached")

// pause waits while the streams are silent, and returns a pending error packet.
func (d *dump) pause(ctx context.Context) error {
	for {
		changed := d.s.faults.watch()
		if err := d.s.faults.takeError(); err != nil {
			return err
		}
		if !d.s.faults.isSilent() {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (f *faults) isSilent() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.silent
}

// flush writes what is queued, as the faults allow.
func (d *dump) flush(ctx context.Context) error {
	out := d.out
	for len(out) > 0 {
		n, cut, wait := d.s.faults.allow(len(out))
		if _, err := d.se.net.Write(out[:n]); err != nil {
			return err
		}
		if cut {
			_ = d.se.net.Close()
			return errors.New("the connection is cut")
		}
		out = out[n:]
		if wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			case <-timer.C:
			}
		}
	}
	d.reset()
	return nil
}
