package change

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"strconv"
)

// LSN orders the events of one shard. It sorts by Epoch, Txn, Row, Part, in
// that order, and its text form sorts the same way.
//
// Equality of two LSNs means "the same event" within one epoch only: whatever
// changes which events exist, where they go or how they are counted takes
// effect at a new epoch.
type LSN struct {
	// Epoch rises by at least one at every start of the shard. The first is 1.
	Epoch uint32
	// Txn counts the source transactions of the shard, before filtering. Only
	// its low 48 bits are kept.
	Txn uint64
	// Row counts the row changes inside the transaction from 1, before
	// filtering; the two images of an update are one change.
	Row uint32
	// Part numbers the events that one change becomes in one view, from 0.
	Part uint16
}

// LSNSize is the length of the binary form, and half that of the text form.
const LSNSize = 16

// MaxTxn is the largest transaction number that an LSN can hold.
const MaxTxn = 1<<48 - 1

// Compare returns -1, 0 or +1 as l sorts before, equals or follows m.
func (l LSN) Compare(m LSN) int {
	return cmp.Or(
		cmp.Compare(l.Epoch, m.Epoch),
		cmp.Compare(l.Txn, m.Txn),
		cmp.Compare(l.Row, m.Row),
		cmp.Compare(l.Part, m.Part),
	)
}

// Less reports whether l sorts before m.
func (l LSN) Less(m LSN) bool { return l.Compare(m) < 0 }

// IsZero reports whether l is the LSN before every event.
func (l LSN) IsZero() bool { return l == LSN{} }

// Bytes returns the 16 bytes of l, big endian: epoch 4, txn 6, row 4, part 2.
// Byte order is LSN order.
func (l LSN) Bytes() [LSNSize]byte {
	var b [LSNSize]byte
	binary.BigEndian.PutUint32(b[0:], l.Epoch)
	binary.BigEndian.PutUint64(b[2:], l.Txn&MaxTxn|uint64(l.Epoch&0xffff)<<48)
	binary.BigEndian.PutUint32(b[10:], l.Row)
	binary.BigEndian.PutUint16(b[14:], l.Part)
	return b
}

// LSNFromBytes reads the binary form that Bytes writes. It panics when b is
// shorter than LSNSize.
func LSNFromBytes(b []byte) LSN {
	return LSN{
		Epoch: binary.BigEndian.Uint32(b[0:]),
		Txn:   binary.BigEndian.Uint64(b[2:]) & MaxTxn,
		Row:   binary.BigEndian.Uint32(b[10:]),
		Part:  binary.BigEndian.Uint16(b[14:]),
	}
}

// AppendText appends the 32 lower-case hex digits of l to dst.
func (l LSN) AppendText(dst []byte) ([]byte, error) { return l.Append(dst), nil }

// Append is AppendText without the error that never happens.
func (l LSN) Append(dst []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range l.Bytes() {
		dst = append(dst, digits[c>>4], digits[c&15])
	}
	return dst
}

// MarshalText returns the 32 hex digits of l.
func (l LSN) MarshalText() ([]byte, error) { return l.Append(nil), nil }

// UnmarshalText reads the 32 hex digits that MarshalText writes.
func (l *LSN) UnmarshalText(text []byte) error {
	v, err := ParseLSN(string(text))
	if err != nil {
		return err
	}
	*l = v
	return nil
}

// String returns the 32 hex digits of l.
func (l LSN) String() string { return string(l.Append(nil)) }

// ParseLSN reads 32 hex digits: epoch 8, txn 12, row 8, part 4.
func ParseLSN(s string) (LSN, error) {
	if len(s) != 2*LSNSize {
		return LSN{}, fmt.Errorf("parse lsn %q: want %d hex digits, got %d characters", s, 2*LSNSize, len(s))
	}
	var f [4]uint64
	at := 0
	for i, width := range [4]int{8, 12, 8, 4} {
		v, err := strconv.ParseUint(s[at:at+width], 16, 64)
		if err != nil {
			return LSN{}, fmt.Errorf("parse lsn %q: digits %d to %d are not hex", s, at+1, at+width)
		}
		f[i], at = v, at+width
	}
	return LSN{Epoch: uint32(f[0]), Txn: f[1], Row: uint32(f[2]), Part: uint16(f[3])}, nil
}
