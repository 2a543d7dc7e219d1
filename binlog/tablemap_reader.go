package binlog

import "encoding/binary"

// fieldReader takes fields off the front of b. Its methods report false, and take
// nothing, when b is too short.
type fieldReader struct{ b []byte }

// bytes takes n bytes. They alias b.
func (r *fieldReader) bytes(n uint64) ([]byte, bool) {
	if n > uint64(len(r.b)) {
		return nil, false
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out, true
}

// lenenc takes one length-encoded integer: below 251 the byte itself, else 2,
// 3 or 8 bytes behind 252, 253 or 254.
func (r *fieldReader) lenenc() (uint64, bool) {
	if len(r.b) == 0 {
		return 0, false
	}
	size := 0
	switch first := r.b[0]; first {
	default:
		r.b = r.b[1:]
		return uint64(first), true
	case 252:
		size = 2
	case 253:
		size = 3
	case 254:
		size = 8
	case 251, 255:
		return 0, false
	}
	if len(r.b) < 1+size {
		return 0, false
	}
	var v [8]byte
	copy(v[:], r.b[1:1+size])
	r.b = r.b[1+size:]
	return binary.LittleEndian.Uint64(v[:]), true
}

// lenencBytes takes a length and as many bytes.
func (r *fieldReader) lenencBytes() ([]byte, bool) {
	n, ok := r.lenenc()
	if !ok {
		return nil, false
	}
	return r.bytes(n)
}
