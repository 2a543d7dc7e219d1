package binlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
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
// in memory at a time. It is reused from payload to payload.
type payloadReader struct {
	limit int
	src   bytes.Reader
	zstd  *zstd.Decoder
	head  [headerSize]byte
	body  []byte
}

// newPayloadReader returns a reader that gives up beyond limit bytes of one
// payload.
func newPayloadReader(limit int) *payloadReader { return &payloadReader{limit: limit} }

// errPayloadTooLarge says that a payload is above the bound.
var errPayloadTooLarge = errors.New("it is larger than the bound")

// keepBuffer is the largest buffer that is kept from event to event.
const keepBuffer = 1 << 20

// each calls fn with every event of p. The event is valid until fn returns.
func (r *payloadReader) each(p payload, fn func(event) error) error {
	if p.uncompressed > uint64(r.limit) {
		return errPayloadTooLarge
	}
	r.src.Reset(p.data)
	var src io.Reader = &r.src
	if p.zstd {
		if r.zstd == nil {
			d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
			if err != nil {
				return fmt.Errorf("start zstd: %w", err)
			}
			r.zstd = d
		}
		if err := r.zstd.Reset(&r.src); err != nil {
			return fmt.Errorf("decompress: %w", err)
		}
		src = r.zstd
	}
	for left := r.limit; ; {
		ev, err := r.one(src, left)
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

// one reads the next event, of at most left bytes; io.EOF is a clean end.
func (r *payloadReader) one(src io.Reader, left int) (event, error) {
	if _, err := io.ReadFull(src, r.head[:]); err == io.EOF {
		return event{}, io.EOF
	} else if err != nil {
		return event{}, fmt.Errorf("decompress: %w", err)
	}
	h, err := parseHeader(r.head[:])
	if err != nil {
		return event{}, err
	}
	if h.size < headerSize {
		return event{}, fmt.Errorf("parse %v: a size of %d bytes is less than its header", h.kind, h.size)
	}
	if uint64(h.size) > uint64(left) {
		return event{}, errPayloadTooLarge
	}
	n := int(h.size) - headerSize
	if cap(r.body) < n || cap(r.body) > keepBuffer && n <= keepBuffer {
		r.body = make([]byte, n)
	}
	r.body = r.body[:n]
	if _, err := io.ReadFull(src, r.body); err != nil {
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
		m.kind = ev.kind
		return m.inner(ev, time.Time{})
	})
	ended := m.ended
	m.inPayload, m.ended = false, false
	if errors.Is(err, errPayloadTooLarge) {
		return m.stop("split the transaction, or SET GLOBAL binlog_transaction_compression=OFF, and start behind it",
			"a compressed transaction of %d bytes is larger than the bound of %d bytes decompressed", max(p.uncompressed, uint64(m.o.MaxPayload)), m.o.MaxPayload)
	}
	m.kind = evPayload
	if err != nil {
		return m.stopWith(err, hintReport)
	}
	if !ended {
		return m.stop(hintReport, "TRANSACTION_PAYLOAD does not hold a whole transaction")
	}
	return m.commit()
}
