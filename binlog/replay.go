package binlog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// Replay reads one binary log file, its magic number first, and hands it to h
// as a Reader hands over what a server sends: the same checks of every event,
// the same rows, the same calls, but no Idle, for a file does not wait. name
// is the file's own, such as binlog.000042. Of the options those about the
// server and its connection do not apply.
//
// It returns nil at the end of the file, ctx's cause once ctx has ended, and
// else what Reader.Run would return; a file that ends inside an event or a
// transaction is an error. r is read through a buffer and not closed.
func Replay(ctx context.Context, r io.Reader, name string, o Options, h Handler) error {
	o.fill()
	if !validFileName(name) {
		return fmt.Errorf("replay %q: that is not the name of a binary log, as binlog.000042 is one", name)
	}
	// Where a reader by GTID waits to be told its file, a replay knows it.
	o.Position = ByFile
	p := &tapeReader{r: bufio.NewReaderSize(r, 64<<10), buffer: packetBuffer{limit: o.MaxEvent}}
	if err := p.magic(); err != nil {
		return fmt.Errorf("replay %s: %w", name, err)
	}
	m := newMachine(o, false, &Position{Flavor: o.Flavor, File: name, Pos: firstEvent}, h)
	m.over = func() bool { return ctx.Err() != nil }
	defer m.payload.close()
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		ev, err := p.next()
		if errors.Is(err, io.EOF) {
			return m.need(between)
		}
		if err != nil {
			return fmt.Errorf("replay %s behind %d: %w", name, m.end, err)
		}
		if err := m.event(ev, o.Now()); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
	}
}

// fileMagic is what a binary log begins with.
const fileMagic = "\xfebin"

// tapeReader cuts a file into events.
type tapeReader struct {
	r      *bufio.Reader
	framer framer
	buffer packetBuffer
}

// magic reads the first bytes of the file.
func (p *tapeReader) magic() error {
	var magic [len(fileMagic)]byte
	if _, err := io.ReadFull(p.r, magic[:]); err != nil || string(magic[:]) != fileMagic {
		return errors.New("it does not begin with a binary log's magic number")
	}
	return nil
}

// next reads one event, which is valid until the next call. At the end of the
// file it returns io.EOF.
func (p *tapeReader) next() (event, error) {
	head, err := p.r.Peek(headerSize)
	if len(head) == 0 && errors.Is(err, io.EOF) {
		return event{}, io.EOF
	}
	if err != nil {
		return event{}, cutOff(err)
	}
	size := announced(head)
	if size < headerSize {
		return event{}, fmt.Errorf("an event says that it has %d bytes", size)
	}
	if size > p.buffer.limit {
		return event{}, &errEventTooLarge{kind: eventType(head[4]), size: size, limit: p.buffer.limit}
	}
	p.buffer.reset()
	if p.buffer.b, err = readFull(p.r, p.buffer.b, size); err != nil {
		return event{}, cutOff(err)
	}
	return p.framer.next(p.buffer.b)
}

// cutOff tells the end inside an event from the end of the file.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the file ends inside an event: %w", io.ErrUnexpectedEOF)
	}
	return err
}
