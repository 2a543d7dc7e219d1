package primary

import "github.com/go-mysql-org/go-mysql/mysql"

// packets gathers protocol packets, so that many go out in one write.
type packets struct {
	out      []byte
	sequence byte
}

// flushBytes is how much is gathered before it is written.
const flushBytes = 64 << 10

// maxPacket is the longest payload of one packet; longer ones go on in the next.
const maxPacket = 1<<24 - 1

// event queues a replication event: an OK byte and the event.
func (p *packets) event(event []byte) {
	if 1+len(event) < maxPacket {
		p.header(1 + len(event))
		p.out = append(append(p.out, mysql.OK_HEADER), event...)
		return
	}
	p.payload(append([]byte{mysql.OK_HEADER}, event...))
}

// payload queues a payload of any length.
func (p *packets) payload(payload []byte) {
	for {
		n := min(len(payload), maxPacket)
		p.header(n)
		p.out = append(p.out, payload[:n]...)
		if payload = payload[n:]; n < maxPacket {
			return
		}
	}
}

func (p *packets) header(n int) {
	p.out = append(p.out, byte(n), byte(n>>8), byte(n>>16), p.sequence)
	p.sequence++
}

// reset empties the buffer, and lets go of one that a large event made large.
func (p *packets) reset() {
	p.out = p.out[:0]
	if cap(p.out) > 4*flushBytes {
		p.out = nil
	}
}
