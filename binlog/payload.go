package binlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"tailwater/internal/failpoint"
)

// payload is a TRANSACTION_PAYLOAD: typed fields (1 size, 2 compression,
// 3 uncompressed size, 0 end), then a whole transaction's events without
// checksums.
type payload struct {
	zstd         bool
	uncompressed uint64
	data         []byte
}

// Compression types of a payload.
const (
	payloadZstd = 0
	payloadNone = 255
)

// parsePayload reads the fields.
func parsePayload(body []byte) (payload, error) {
	f := fields{b: body}
	var size, compression uint64
	compression = payloadNone
	var p payload
	for !f.short {
		kind := f.packed()
		if kind == 0 {
			break
		}
		value := fields{b: f.take(f.packed())}
		switch kind {
		case 1:
			size = value.packed()
		case 2:
			compression = value.packed()
		case 3:
			p.uncompressed = value.packed()
		}
		f.short = f.short || value.short
	}
	p.data = f.b
	switch {
	case f.short:
		return payload{}, fmt.Errorf("parse TRANSACTION_PAYLOAD: it ends inside a field")
	case size != uint64(len(p.data)):
		return payload{}, fmt.Errorf("parse TRANSACTION_PAYLOAD: it announces %d bytes and holds %d", size, len(p.data))
	case compression == payloadNone:
		return p, nil
	case compression == payloadZstd:
		p.zstd = true
		return p, nil
	}
	return payload{}, fmt.Errorf("parse TRANSACTION_PAYLOAD: compression type %d is not known", compression)
}

// payloadReader hands out the events of payloads one by one; only one event is
// in memory at a time, decompressed, beside the window of the decoder. It is
// reused from payload to payload.
type payloadReader struct {
	// limit bounds a payload, decompressed, and one one of its events.
	limit, one int
	src        bytes.Reader
	zstd       *zstd.Decoder
	head       [headerSize]byte
	body       []byte
}

// newPayloadReader returns a reader that gives up beyond limit bytes of one
// payload, and one bytes of one event.
func newPayloadReader(limit, one int) *payloadReader { return &payloadReader{limit: limit, one: one} }

// errPayloadTooLarge says that a payload is above the bound.
var errPayloadTooLarge = errors.New("it is larger than the bound")

// mostWindow is the largest window that MySQL's highest level of compression
// (22) uses; its default level (3) uses 2 MiB.
const mostWindow = 128 << 20

// each calls fn with every event of p. The event is valid until fn returns.
func (r *payloadReader) each(p payload, fn func(event) error) error {
	if p.uncompressed > uint64(r.limit) {
		return errPayloadTooLarge
	}
	src, err := r.open(p)
	if err != nil {
		return err
	}
	for left := r.limit; ; {
		ev, err := r.next(src, left)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		left -= int(ev.size)
		if err := fn(ev); err != nil {
			return err
		}
	}
}

// open returns what p decompresses to.
func (r *payloadReader) open(p payload) (io.Reader, error) {
	failpoint.At(failpoint.BinlogPayloadOpened)
	r.src.Reset(p.data)
	if !p.zstd {
		return &r.src, nil
	}
	if r.zstd == nil {
		// One goroutine, thus no block is decompressed ahead.
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(mostWindow))
		if err != nil {
			return nil, fmt.Errorf("start zstd: %w", err)
		}
		r.zstd = d
	}
	if err := r.zstd.Reset(&r.src); err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return r.zstd, nil
}

// done lets the payload go: its bytes, and what a large event has taken.
func (r *payloadReader) done() {
	r.src.Reset(nil)
	if cap(r.body) > keepBuffer {
		r.body = nil
	}
}

// next reads the next event, of at most left bytes; io.EOF is a clean end.
func (r *payloadReader) next(src io.Reader, left int) (event, error) {
	if _, err := io.ReadFull(src, r.head[:]); err == io.EOF {
		return event{}, io.EOF
	} else if err != nil {
		return event{}, fmt.Errorf("decompress: %w", err)
	}
	h, err := parseHeader(r.head[:])
	if err != nil {
		return event{}, err
	}
	size := int(h.size)
	switch {
	case size < headerSize:
		return event{}, fmt.Errorf("parse %v: a size of %d bytes is less than its header", h.kind, size)
	case size > r.one:
		return event{}, &errEventTooLarge{kind: h.kind, size: size, limit: r.one}
	case size > left:
		return event{}, errPayloadTooLarge
	}
	n := size - headerSize
	if cap(r.body) > keepBuffer && n <= keepBuffer {
		r.body = nil
	}
	if r.body, err = readFull(src, r.body[:0], n); err != nil {
		return event{}, fmt.Errorf("decompress: %w", err)
	}
	return event{header: h, body: r.body}, nil
}

// close gives up the decoder.
func (r *payloadReader) close() {
	if r.zstd != nil {
		r.zstd.Close()
	}
}

// unwrap takes a TRANSACTION_PAYLOAD: the one group that it holds, whole.
func (m *machine) unwrap(ev event) error {
	if err := m.need(named); err != nil {
		return err
	}
	p, err := parsePayload(ev.body)
	if err != nil {
		return m.stopWith(err, hintReport)
	}
	m.inPayload, m.ended = true, false
	err = m.payload.each(p, func(ev event) error {
		if m.over != nil && m.over() {
			return errOver
		}
		m.kind = ev.kind
		return m.inner(ev, time.Time{})
	})
	m.payload.done()
	ended := m.ended
	m.inPayload, m.ended = false, false
	if errors.Is(err, errPayloadTooLarge) {
		return m.stop("split the transaction, or SET GLOBAL binlog_transaction_compression=OFF, and start behind it",
			"a compressed transaction of %d bytes is larger than the bound of %d bytes decompressed", max(p.uncompressed, uint64(m.o.MaxPayload)), m.o.MaxPayload)
	}
	m.kind = evPayload
	if err != nil {
		return m.stopWith(err, m.hintSize(err))
	}
	if !ended {
		return m.stop(hintReport, "TRANSACTION_PAYLOAD does not hold a whole transaction")
	}
	return m.commit()
}

// errOver ends a payload whose reader was told to end.
var errOver = errors.New("the reader was told to end")

// hintSize is the way out of an error that may be about an event's size.
func (m *machine) hintSize(err error) string {
	var large *errEventTooLarge
	if !errors.As(err, &large) {
		return hintReport
	}
	hint := "raise " + m.o.MaxEventSetting
	if large.kind == evPayload {
		hint += ", or SET GLOBAL binlog_transaction_compression=OFF"
	}
	return hint + ", or split the change on the source and start behind it"
}
