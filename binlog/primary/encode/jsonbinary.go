package encode

import (
	"errors"
	"fmt"
	"math"
)

// The type bytes of MySQL's binary JSON.
const (
	binSmallObject = 0x00
	binLargeObject = 0x01
	binSmallArray  = 0x02
	binLargeArray  = 0x03
	binLiteral     = 0x04
	binInt16       = 0x05
	binInt32       = 0x07
	binInt64       = 0x09
	binUint16      = 0x06
	binUint32      = 0x08
	binUint64      = 0x0a
	binDouble      = 0x0b
	binString      = 0x0c
)

var errJSONTooLarge = errors.New("value is too large for the small format")

// appendJSONDocument appends a type byte and the value.
func appendJSONDocument(dst []byte, n *jsonNode) ([]byte, error) {
	at := len(dst)
	typ, dst, err := appendJSONValue(append(dst, 0), n)
	if err != nil {
		return nil, err
	}
	dst[at] = typ
	return dst, nil
}

// appendJSONValue appends the value and returns its type byte. Objects and
// arrays are written with 2-byte offsets, and again with 4-byte ones when they
// come out longer than those reach.
func appendJSONValue(dst []byte, n *jsonNode) (byte, []byte, error) {
	at := len(dst)
	switch n.kind {
	case jsonArray, jsonObject:
		typ := byte(binSmallArray)
		if n.kind == jsonObject {
			typ = binSmallObject
		}
		out, err := appendJSONContainer(dst, n, 2)
		if errors.Is(err, errJSONTooLarge) {
			out, err = appendJSONContainer(dst[:at], n, 4)
			typ++
		}
		return typ, out, err
	case jsonString:
		return binString, append(appendVarLen(dst, len(n.str)), n.str...), nil
	case jsonDouble:
		return binDouble, appendUint(dst, n.num, 8), nil
	}
	typ, width := n.scalar()
	return typ, appendUint(dst, n.inlineBits(), width), nil
}

// scalar returns the smallest type of a literal or an integer and its width.
func (n *jsonNode) scalar() (typ byte, width int) {
	switch n.kind {
	case jsonInt:
		switch i := int64(n.num); {
		case i >= math.MinInt16 && i <= math.MaxInt16:
			return binInt16, 2
		case i >= math.MinInt32 && i <= math.MaxInt32:
			return binInt32, 4
		}
		return binInt64, 8
	case jsonUint:
		switch {
		case n.num <= math.MaxUint16:
			return binUint16, 2
		case n.num <= math.MaxUint32:
			return binUint32, 4
		}
		return binUint64, 8
	}
	return binLiteral, 1
}

func (n *jsonNode) inlineBits() uint64 {
	switch n.kind {
	case jsonNull:
		return 0
	case jsonTrue:
		return 1
	case jsonFalse:
		return 2
	}
	return n.num
}

// appendJSONContainer appends, with offsets of width bytes that count from its
// own first byte: element count, size, key entries (offset, 2-byte length),
// value entries (type, offset or the value itself), keys, values.
func appendJSONContainer(dst []byte, n *jsonNode, width int) ([]byte, error) {
	start := len(dst)
	limit := 1<<(8*width) - 1
	if len(n.kids) > limit {
		return nil, errJSONTooLarge
	}
	dst = appendUint(dst, uint64(len(n.kids)), width)
	sizeAt := len(dst)
	dst = appendUint(dst, 0, width)
	keyEntry := 2 + width
	keyOffset := len(dst) - start + len(n.keys)*keyEntry + len(n.kids)*(1+width)
	for _, k := range n.keys {
		if len(k) > math.MaxUint16 {
			return nil, fmt.Errorf("a JSON key has %d bytes, at most %d are possible", len(k), math.MaxUint16)
		}
		if keyOffset > limit {
			return nil, errJSONTooLarge
		}
		dst = appendUint(appendUint(dst, uint64(keyOffset), width), uint64(len(k)), 2)
		keyOffset += len(k)
	}
	entries := len(dst)
	for range len(n.kids) * (1 + width) {
		dst = append(dst, 0)
	}
	for _, k := range n.keys {
		dst = append(dst, k...)
	}
	for i := range n.kids {
		var err error
		if dst, err = appendJSONEntry(dst, &n.kids[i], start, entries+i*(1+width), width); err != nil {
			return nil, err
		}
	}
	size := len(dst) - start
	if size > limit {
		return nil, errJSONTooLarge
	}
	putUint(dst[sizeAt:], uint64(size), width)
	return dst, nil
}

// appendJSONEntry fills the value entry at entry and appends the value unless
// it fits into the entry itself.
func appendJSONEntry(dst []byte, kid *jsonNode, start, entry, width int) ([]byte, error) {
	if kid.kind < jsonDouble {
		if typ, n := kid.scalar(); n <= width {
			dst[entry] = typ
			putUint(dst[entry+1:], kid.inlineBits(), width)
			return dst, nil
		}
	}
	offset := len(dst) - start
	if offset > 1<<(8*width)-1 {
		return nil, errJSONTooLarge
	}
	typ, dst, err := appendJSONValue(dst, kid)
	if err != nil {
		return nil, err
	}
	dst[entry] = typ
	putUint(dst[entry+1:], uint64(offset), width)
	return dst, nil
}

func putUint(b []byte, v uint64, n int) {
	for i := range n {
		b[i] = byte(v >> (8 * i))
	}
}

// appendVarLen appends a length in groups of seven bits, the lowest first.
func appendVarLen(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}
