package binlog

import (
	"errors"
	"strconv"
)

// decimalShape is how the digits of a DECIMAL(precision,scale) lie in its
// bytes. Integer and fraction are cut into groups of nine digits from the
// point outwards; a group takes four bytes, big endian, the group that is left
// over at either end takes fewer. The highest bit of the first byte is set for
// positive numbers, and every bit of a negative number is inverted.
type decimalShape struct {
	size  int
	scale int
	// lead and tail are the digits of the incomplete groups at the ends, whole
	// and fraction the number of complete groups on the two sides.
	lead, whole, fraction, tail int
}

// groupDigits is the number of digits of a complete group.
const groupDigits = 9

var (
	// groupBytes is the size of a group by its number of digits.
	groupBytes = [groupDigits + 1]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}
	// groupLimit is what a group stays below.
	groupLimit = [groupDigits + 1]uint32{1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

	errDecimal = errors.New("the bytes are no decimal number")
)

func shapeDecimal(precision, scale int) decimalShape {
	integer := precision - scale
	s := decimalShape{
		scale: scale,
		lead:  integer % groupDigits, whole: integer / groupDigits,
		fraction: scale / groupDigits, tail: scale % groupDigits,
	}
	s.size = groupBytes[s.lead] + 4*(s.whole+s.fraction) + groupBytes[s.tail]
	return s
}

func appendDecimalCell(c *column, dst, cell []byte) ([]byte, error) {
	return appendDecimal(dst, &c.decimal, cell)
}

// appendDecimal appends the number in cell, which has s.size bytes, with every
// digit of its scale.
func appendDecimal(dst []byte, s *decimalShape, cell []byte) ([]byte, error) {
	if len(cell) != s.size || s.size == 0 {
		return dst, errDecimal
	}
	g := decimalGroups{cell: cell, flip: 0x80}
	start := len(dst)
	if cell[0]&0x80 == 0 {
		g.mask, g.flip = 0xff, 0x7f
		dst = append(dst, '-')
	}
	digits := len(dst)
	any := uint32(0)
	if s.lead > 0 {
		if any = g.next(s.lead); any != 0 {
			dst = strconv.AppendUint(dst, uint64(any), 10)
		}
	}
	for range s.whole {
		v := g.next(groupDigits)
		if len(dst) > digits {
			dst = appendPadded(dst, v, groupDigits)
		} else if v != 0 {
			dst = strconv.AppendUint(dst, uint64(v), 10)
		}
		any |= v
	}
	if len(dst) == digits {
		dst = append(dst, '0')
	}
	if s.scale > 0 {
		dst = append(dst, '.')
		for range s.fraction {
			v := g.next(groupDigits)
			dst = appendPadded(dst, v, groupDigits)
			any |= v
		}
		if s.tail > 0 {
			v := g.next(s.tail)
			dst = appendPadded(dst, v, s.tail)
			any |= v
		}
	}
	if g.bad {
		return dst[:start], errDecimal
	}
	if any == 0 && digits > start { // zero has no sign
		dst = append(dst[:start], dst[digits:]...)
	}
	return dst, nil
}

// decimalGroups takes groups of digits off the front of cell.
type decimalGroups struct {
	cell []byte
	// flip undoes the sign in the first byte, mask in the others.
	flip, mask byte
	bad        bool
}

func (g *decimalGroups) next(digits int) uint32 {
	n := groupBytes[digits]
	v := uint32(g.cell[0] ^ g.flip)
	for _, b := range g.cell[1:n] {
		v = v<<8 | uint32(b^g.mask)
	}
	g.cell, g.flip = g.cell[n:], g.mask
	if v >= groupLimit[digits] {
		g.bad = true
		return 0
	}
	return v
}

// appendPadded appends v with leading zeros to the width.
func appendPadded(dst []byte, v uint32, width int) []byte {
	const zeros = "000000000"
	at := len(dst)
	dst = append(dst, zeros[:width]...)
	for i := at + width - 1; v > 0 && i >= at; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
	return dst
}
