package binlog

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"tailwater/internal/jsontext"
)

// Types of values in MySQL's binary JSON.
const (
	jsonbSmallObject = 0x00
	jsonbLargeObject = 0x01
	jsonbSmallArray  = 0x02
	jsonbLargeArray  = 0x03
	jsonbLiteral     = 0x04
	jsonbInt16       = 0x05
	jsonbUint16      = 0x06
	jsonbInt32       = 0x07
	jsonbUint32      = 0x08
	jsonbInt64       = 0x09
	jsonbUint64      = 0x0a
	jsonbDouble      = 0x0b
	jsonbString      = 0x0c
	jsonbOpaque      = 0x0f
)

// jsonbMaxDepth is above what the server allows, which is 100.
const jsonbMaxDepth = 128

// base64Line is where the server breaks the lines of base64.
const base64Line = 76

var (
	errJSONEmpty     = errors.New("the JSON document has no bytes, as INSERT IGNORE of NULL leaves it: UPDATE the row with a document")
	errJSONTruncated = errors.New("the JSON document points behind its end")
	errJSONDepth     = errors.New("the JSON document is nested too deeply")
	errJSONOverlap   = errors.New("the JSON document uses the same bytes twice")
)

// jsonbText renders one document of MySQL's binary JSON as the text that the
// server shows: keys in stored order, ", " between elements, ": " behind keys,
// doubles always with a point or an exponent.
//
// A document is a type byte and a value. Objects and arrays are
//
//	element count, size in bytes (2 bytes each, 4 when large),
//	objects only: for each key its offset (2 or 4) and its length (2),
//	for each value its type (1) and its offset (2 or 4), or the value itself
//	where it fits there,
//	keys, values
//
// with offsets from the start of the element count. A string is a length, seven
// bits a byte, lowest first, and UTF-8.
type jsonbText struct {
	dst []byte
	// budget falls with every element and every byte of a string: a document
	// whose parts overlap could be exponentially larger than its bytes.
	budget int
	// quoted says that the text becomes the inside of a JSON string.
	quoted bool
}

func appendJSONCell(_ *column, dst, cell []byte) ([]byte, error) {
	if len(cell) == 0 {
		return dst, errJSONEmpty
	}
	t := jsonbText{dst: dst, budget: len(cell)}
	err := t.value(cell[0], cell[1:], 0)
	return t.dst, err
}

// appendJSONString appends the text of a document as a JSON string.
func appendJSONString(dst, cell []byte) ([]byte, error) {
	if len(cell) == 0 {
		return dst, errJSONEmpty
	}
	t := jsonbText{dst: append(dst, '"'), budget: len(cell), quoted: true}
	err := t.value(cell[0], cell[1:], 0)
	return append(t.dst, '"'), err
}

// quote appends the quote at either end of a string in the document.
func (t *jsonbText) quote() {
	if t.quoted {
		t.dst = append(t.dst, '\\')
	}
	t.dst = append(t.dst, '"')
}

func (t *jsonbText) spend(n int) bool {
	t.budget -= n
	return t.budget >= 0
}

// value renders a value of the given type that starts at data.
func (t *jsonbText) value(kind byte, data []byte, depth int) error {
	if !t.spend(1) {
		return errJSONOverlap
	}
	switch kind {
	case jsonbSmallObject, jsonbLargeObject, jsonbSmallArray, jsonbLargeArray:
		return t.container(kind, data, depth)
	case jsonbString:
		s, err := jsonbBytes(data)
		if err != nil {
			return err
		}
		return t.text(s)
	case jsonbOpaque:
		return t.opaque(data)
	}
	return t.scalar(kind, data)
}

// jsonbScalarSize is the size of the types that scalar renders.
func jsonbScalarSize(kind byte) int {
	switch kind {
	case jsonbLiteral:
		return 1
	case jsonbInt16, jsonbUint16:
		return 2
	case jsonbInt32, jsonbUint32:
		return 4
	case jsonbInt64, jsonbUint64, jsonbDouble:
		return 8
	}
	return 0
}

func (t *jsonbText) scalar(kind byte, data []byte) error {
	size := jsonbScalarSize(kind)
	if size == 0 {
		return fmt.Errorf("the JSON document has a value of unknown type %d", kind)
	}
	if size > len(data) {
		return errJSONTruncated
	}
	v := littleEndian(data[:size])
	switch kind {
	case jsonbLiteral:
		const literals = "null true false"
		switch v {
		case 0:
			t.dst = append(t.dst, literals[:4]...)
		case 1:
			t.dst = append(t.dst, literals[5:9]...)
		case 2:
			t.dst = append(t.dst, literals[10:]...)
		default:
			return fmt.Errorf("the JSON document has an unknown literal %d", v)
		}
	case jsonbInt16:
		t.dst = strconv.AppendInt(t.dst, int64(int16(v)), 10)
	case jsonbInt32:
		t.dst = strconv.AppendInt(t.dst, int64(int32(v)), 10)
	case jsonbInt64:
		t.dst = strconv.AppendInt(t.dst, int64(v), 10)
	case jsonbUint16, jsonbUint32, jsonbUint64:
		t.dst = strconv.AppendUint(t.dst, v, 10)
	case jsonbDouble:
		return t.double(math.Float64frombits(v))
	}
	return nil
}

// double renders a number that stays recognisable as a double: 1.0, not 1.
func (t *jsonbText) double(f float64) error {
	start := len(t.dst)
	var err error
	if t.dst, err = appendFloatText(t.dst, f, 64); err != nil {
		return err
	}
	for _, c := range t.dst[start:] {
		if c == '.' || c == 'e' {
			return nil
		}
	}
	t.dst = append(t.dst, '.', '0')
	return nil
}

// text renders a string or a key.
func (t *jsonbText) text(s []byte) error {
	if !t.spend(len(s)) {
		return errJSONOverlap
	}
	t.quote()
	var rest []byte
	if t.dst, rest = jsontext.AppendValid(t.dst, s, t.quoted); len(rest) > 0 {
		return errDocument
	}
	t.quote()
	return nil
}

// jsonbBytes reads a length and as many bytes.
func jsonbBytes(data []byte) ([]byte, error) {
	n := uint64(0)
	for i := range data {
		if i == 5 {
			break
		}
		n |= uint64(data[i]&0x7f) << (7 * i)
		if data[i] < 0x80 {
			if n > uint64(len(data)-i-1) {
				break
			}
			return data[i+1 : i+1+int(n)], nil
		}
	}
	return nil, errJSONTruncated
}

// jsonbEntries is the head of an object or array.
type jsonbEntries struct {
	data []byte
	// width is the size of a count or offset; count the number of elements.
	width, count int
	// keys and values are where the two lists of entries start.
	keys, values int
}

func (e *jsonbEntries) uint(at int) int {
	if e.width == 2 {
		return int(binary.LittleEndian.Uint16(e.data[at:]))
	}
	return int(binary.LittleEndian.Uint32(e.data[at:]))
}

// parseJSONBEntries checks that both lists of entries are there.
func parseJSONBEntries(kind byte, data []byte) (jsonbEntries, error) {
	e := jsonbEntries{data: data, width: 2}
	if kind == jsonbLargeObject || kind == jsonbLargeArray {
		e.width = 4
	}
	if len(data) < 2*e.width {
		return e, errJSONTruncated
	}
	count, size := e.uint(0), e.uint(e.width)
	if size > len(data) || size < 2*e.width {
		return e, errJSONTruncated
	}
	e.data, e.count, e.keys = data[:size], count, 2*e.width
	e.values = e.keys
	if kind == jsonbSmallObject || kind == jsonbLargeObject {
		e.values += count * (e.width + 2)
	}
	if e.values+count*(e.width+1) > size {
		return e, errJSONTruncated
	}
	return e, nil
}

// key returns key i.
func (e *jsonbEntries) key(i int) ([]byte, error) {
	at := e.keys + i*(e.width+2)
	offset, length := e.uint(at), int(binary.LittleEndian.Uint16(e.data[at+e.width:]))
	if offset+length > len(e.data) {
		return nil, errJSONTruncated
	}
	return e.data[offset : offset+length], nil
}

// value returns the type of value i and the bytes from its start on.
func (e *jsonbEntries) value(i int) (byte, []byte, error) {
	at := e.values + i*(e.width+1)
	kind := e.data[at]
	if size := jsonbScalarSize(kind); size > 0 && size <= e.width {
		return kind, e.data[at+1 : at+1+e.width], nil
	}
	offset := e.uint(at + 1)
	if offset > len(e.data) || offset < 2*e.width {
		return kind, nil, errJSONTruncated
	}
	return kind, e.data[offset:], nil
}

func (t *jsonbText) container(kind byte, data []byte, depth int) error {
	if depth >= jsonbMaxDepth {
		return errJSONDepth
	}
	e, err := parseJSONBEntries(kind, data)
	if err != nil {
		return err
	}
	object := kind == jsonbSmallObject || kind == jsonbLargeObject
	opening, closing := byte('['), byte(']')
	if object {
		opening, closing = '{', '}'
	}
	t.dst = append(t.dst, opening)
	for i := range e.count {
		if i > 0 {
			t.dst = append(t.dst, ',', ' ')
		}
		if object {
			key, err := e.key(i)
			if err != nil {
				return err
			}
			if err := t.text(key); err != nil {
				return err
			}
			t.dst = append(t.dst, ':', ' ')
		}
		kind, value, err := e.value(i)
		if err != nil {
			return err
		}
		if err := t.value(kind, value, depth+1); err != nil {
			return err
		}
	}
	t.dst = append(t.dst, closing)
	return nil
}

// opaque renders a value of an SQL type that JSON has not: a column type and
// its bytes.
func (t *jsonbText) opaque(data []byte) error {
	if len(data) == 0 {
		return errJSONTruncated
	}
	wire := data[0]
	b, err := jsonbBytes(data[1:])
	if err != nil {
		return err
	}
	if !t.spend(len(b)) {
		return errJSONOverlap
	}
	switch wire {
	case wireNewDecimal:
		return t.decimal(b)
	case wireDate, wireDateTime, wireTimestamp, wireTime:
		if len(b) != 8 {
			return errJSONTruncated
		}
		return t.temporal(wire, int64(littleEndian(b)))
	}
	t.quote()
	t.dst = append(t.dst, `base64:type`...)
	t.dst = strconv.AppendUint(t.dst, uint64(wire), 10)
	t.dst = append(t.dst, ':')
	const lineBytes = base64Line / 4 * 3
	for len(b) > lineBytes {
		t.dst = base64.StdEncoding.AppendEncode(t.dst, b[:lineBytes])
		if t.quoted {
			t.dst = append(t.dst, '\\')
		}
		t.dst = append(t.dst, '\\', 'n')
		b = b[lineBytes:]
	}
	t.dst = base64.StdEncoding.AppendEncode(t.dst, b)
	t.quote()
	return nil
}

// decimal renders precision, scale and the bytes of a DECIMAL.
func (t *jsonbText) decimal(b []byte) error {
	if len(b) < 2 || b[0] < 1 || b[0] > 81 || b[1] > b[0] {
		return errDecimal
	}
	shape := shapeDecimal(int(b[0]), int(b[1]))
	var err error
	t.dst, err = appendDecimal(t.dst, &shape, b[2:])
	return err
}

// temporal renders a date or time packed into 64 bits: the lower 24 are
// microseconds, those above as in a DATETIME or TIME column.
func (t *jsonbText) temporal(wire byte, v int64) (err error) {
	t.quote()
	if v < 0 {
		if wire != wireTime {
			return errDate
		}
		t.dst, v = append(t.dst, '-'), -v
	}
	whole, micros := uint64(v)>>24, uint64(v)&(1<<24-1)
	switch {
	case v < 0 || micros >= 1e6 || whole >= 1<<39:
		return errTimeOf
	case wire == wireTime:
		t.dst, err = appendTimeText(t.dst, whole, micros, 6)
	case wire == wireDate:
		start := len(t.dst)
		if t.dst, err = appendPacked(t.dst, whole); err == nil {
			t.dst = t.dst[:start+len("yyyy-mm-dd")]
		}
	default:
		t.dst, err = appendPacked(t.dst, whole)
		t.dst = appendFraction(t.dst, uint32(micros), 6)
	}
	t.quote()
	return err
}
