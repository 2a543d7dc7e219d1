package binlog

import (
	"encoding/binary"
	"fmt"
	"io"
)

// packetBuffer collects one packet and refuses one above its limit. It is
// reused, and given up when a large packet had blown it up.
type packetBuffer struct {
	b []byte
	// limit is that of an event, lead how many bytes stand before one.
	limit, lead int
	// size is what the event's header announces, 0 while it is not there.
	size int
	// take is asked before room for a large event is made, nil is never; give
	// is told when it is over.
	take  func(bytes int) error
	give  func(bytes int)
	taken int
	// refused is set once an event was too large, or had no room.
	refused error
}

const (
	// keepBuffer is the largest buffer that is kept from event to event.
	keepBuffer = 1 << 20
	// leastBuffer is the smallest one, so that events of rising sizes do not
	// allocate each time.
	leastBuffer = 64 << 10
	// growBuffer is how many times what is there a buffer may become, until it is
	// as large as what is announced. What a damaged header announces is so not
	// allocated, and what a large event leaves behind is an eighth of it.
	growBuffer = 8
)

// errEventTooLarge says that an event is above Options.MaxEvent.
type errEventTooLarge struct {
	kind eventType
	// size is 0 where the event does not announce it.
	size, limit int
}

// Error says how large the event is and how large it may be.
func (e *errEventTooLarge) Error() string {
	if e.size == 0 {
		return fmt.Sprintf("an event is larger than the bound of %d bytes", e.limit)
	}
	return fmt.Sprintf("%v of %d bytes is larger than the bound of %d bytes", e.kind, e.size, e.limit)
}

// Write appends to the packet. It refuses an event that is too large as soon as
// its header is there.
func (p *packetBuffer) Write(b []byte) (int, error) {
	if p.refused != nil {
		return 0, p.refused
	}
	if need := len(p.b) + len(b); need > cap(p.b) {
		p.b = grow(p.b, need, max(need, p.size+p.lead))
	}
	p.b = append(p.b, b...)
	if p.size == 0 && len(p.b) >= p.lead+headerSize && (p.lead == 0 || p.b[0] == packetEvent) {
		p.size = announced(p.b[p.lead:])
	}
	if p.size > p.limit || len(p.b)-p.lead > p.limit {
		large := &errEventTooLarge{size: p.size, limit: p.limit}
		if p.size > 0 {
			large.kind = eventType(p.b[p.lead+4])
		}
		p.refused = large
		return 0, p.refused
	}
	if p.size > keepBuffer && p.taken == 0 && p.take != nil {
		if p.refused = p.take(p.size); p.refused != nil {
			return 0, p.refused
		}
		p.taken = p.size
	}
	return len(b), nil
}

// announced is the size of an event by its header.
func announced(header []byte) int { return int(binary.LittleEndian.Uint32(header[9:])) }

// reset empties the buffer. A large one is given up, when it belongs to all.
func (p *packetBuffer) reset() {
	if cap(p.b) > keepBuffer && (len(p.b) <= keepBuffer || p.taken > 0) {
		p.b = nil
	}
	if p.taken > 0 {
		p.give(p.taken)
	}
	p.b, p.size, p.taken, p.refused = p.b[:0], 0, 0, nil
}

// grow returns b in a buffer with room for need bytes at the least, on the way to
// total: it takes total by growBuffer, once or more, as long as that suffices.
func grow(b []byte, need, total int) []byte {
	n := max(total, need, leastBuffer)
	for n/growBuffer >= max(need, keepBuffer) {
		n /= growBuffer
	}
	return append(make([]byte, 0, n), b...)
}

// readFull appends to b what r holds until b has size bytes. It returns
// io.ErrUnexpectedEOF when r ends before.
func readFull(r io.Reader, b []byte, size int) ([]byte, error) {
	for len(b) < size {
		if len(b) == cap(b) {
			b = grow(b, len(b)+1, size)
		}
		n, err := io.ReadFull(r, b[len(b):min(size, cap(b))])
		b = b[:len(b)+n]
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return b, err
		}
	}
	return b, nil
}
