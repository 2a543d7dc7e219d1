package envelope

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"strconv"

	"tailwater/internal/jsontext"
)

var errGeometry = errors.New("the text is no geometry")

// splitGeometry reads {"srid":4326,"wkb":"…"}.
func splitGeometry(cell []byte) (srid uint32, wkb []byte, err error) {
	rest, ok1 := bytes.CutPrefix(cell, []byte(`{"srid":`))
	number, rest, ok2 := bytes.Cut(rest, []byte(`,"wkb":"`))
	text, ok3 := bytes.CutSuffix(rest, []byte(`"}`))
	n, ok4 := digits(number)
	if !ok1 || !ok2 || !ok3 || !ok4 || n > math.MaxUint32 {
		return 0, nil, errGeometry
	}
	wkb, err = base64.StdEncoding.AppendDecode(nil, text)
	return uint32(n), wkb, err
}

// latin1Geometry writes the bytes in which MySQL stores a geometry, SRID and
// WKB, as latin1 does.
func latin1Geometry() writer {
	return func(dst, cell []byte) ([]byte, error) {
		srid, wkb, err := splitGeometry(cell)
		if err != nil {
			return dst, err
		}
		raw := append(binary.LittleEndian.AppendUint32(nil, srid), wkb...)
		return jsontext.AppendQuoted(dst, appendLatin1(nil, raw)), nil
	}
}

// appendWKT writes a geometry as well-known text.
func appendWKT(dst, cell []byte) ([]byte, error) {
	_, wkb, err := splitGeometry(cell)
	if err != nil {
		return dst, err
	}
	r := wkbReader{b: wkb}
	dst = r.geometry(append(dst, '"'), 0)
	if r.failed || len(r.b) > 0 {
		return dst, errGeometry
	}
	return append(dst, '"'), nil
}

// wkbReader reads well-known binary. The first error makes it failed, and all
// it reads from then on is 0.
type wkbReader struct {
	b      []byte
	order  binary.ByteOrder
	failed bool
}

// maxGeometryDepth bounds collections in collections.
const maxGeometryDepth = 64

// The kinds of WKB, and their names in WKT.
const (
	wkbPoint = iota + 1
	wkbLine
	wkbPolygon
	wkbMultiPoint
	wkbMultiLine
	wkbMultiPolygon
	wkbCollection
)

var wktNames = []string{"", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION"}

func (r *wkbReader) take(n int) []byte {
	if r.failed || len(r.b) < n {
		r.failed = true
		return make([]byte, n)
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// kind reads the head of a geometry: byte order and kind.
func (r *wkbReader) kind() uint32 {
	switch r.take(1)[0] {
	case 0:
		r.order = binary.BigEndian
	case 1:
		r.order = binary.LittleEndian
	default:
		r.failed = true
		r.order = binary.LittleEndian
	}
	kind := r.order.Uint32(r.take(4))
	if kind < wkbPoint || kind > wkbCollection {
		r.failed = true
		return wkbPoint
	}
	return kind
}

// geometry appends one geometry with its name.
func (r *wkbReader) geometry(dst []byte, depth int) []byte {
	kind := r.kind()
	dst = append(append(dst, wktNames[kind]...), ' ')
	return r.body(dst, kind, depth)
}

// body appends what stands behind the name.
func (r *wkbReader) body(dst []byte, kind uint32, depth int) []byte {
	switch kind {
	case wkbPoint:
		return append(r.point(append(dst, '(')), ')')
	case wkbLine:
		return r.list(dst, r.point)
	case wkbPolygon:
		return r.list(dst, func(dst []byte) []byte { return r.list(dst, r.point) })
	case wkbCollection:
		if depth >= maxGeometryDepth {
			r.failed = true
			return dst
		}
		return r.list(dst, func(dst []byte) []byte { return r.geometry(dst, depth+1) })
	}
	// A multi geometry is a list of whole geometries of one kind, whose names
	// are not repeated.
	return r.list(dst, func(dst []byte) []byte {
		if r.kind() != kind-wkbMultiPoint+wkbPoint {
			r.failed = true
		}
		return r.body(dst, kind-wkbMultiPoint+wkbPoint, depth)
	})
}

// list appends (a, b, …), or EMPTY.
func (r *wkbReader) list(dst []byte, one func([]byte) []byte) []byte {
	n := r.order.Uint32(r.take(4))
	if n == 0 {
		return append(dst, "EMPTY"...)
	}
	dst = append(dst, '(')
	for i := uint32(0); i < n && !r.failed; i++ {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = one(dst)
	}
	return append(dst, ')')
}

func (r *wkbReader) point(dst []byte) []byte {
	x := math.Float64frombits(r.order.Uint64(r.take(8)))
	y := math.Float64frombits(r.order.Uint64(r.take(8)))
	dst = strconv.AppendFloat(dst, x, 'f', -1, 64)
	return strconv.AppendFloat(append(dst, ' '), y, 'f', -1, 64)
}
