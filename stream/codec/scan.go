package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// maxDepth bounds the nesting of arrays and objects, so that hostile input
// cannot exhaust the stack. It is the limit of encoding/json.
const maxDepth = 10000

// ErrSyntax is wrapped by every error about input that is not JSON. The input
// must not be used.
var ErrSyntax = errors.New("not valid JSON")

func syntaxError(pos int, what string) error {
	return fmt.Errorf("%w at byte %d: %s", ErrSyntax, pos, what)
}

// skipSpace returns the position of the first byte at or after pos that is not
// JSON white space.
func skipSpace(b []byte, pos int) int {
	for pos < len(b) && (b[pos] == ' ' || b[pos] == '\n' || b[pos] == '\t' || b[pos] == '\r') {
		pos++
	}
	return pos
}

// skipValue returns the position behind the value that starts at pos.
func skipValue(b []byte, pos, depth int) (int, error) {
	if pos >= len(b) {
		return pos, syntaxError(pos, "the value is missing")
	}
	switch c := b[pos]; {
	case c == '"':
		return skipString(b, pos)
	case c == '-' || '0' <= c && c <= '9':
		return skipNumber(b, pos)
	case c == 'n':
		return skipWord(b, pos, "null")
	case c == 't':
		return skipWord(b, pos, "true")
	case c == 'f':
		return skipWord(b, pos, "false")
	case c == '{':
		return skipObject(b, pos, depth)
	case c == '[':
		return skipArray(b, pos, depth)
	}
	return pos, syntaxError(pos, "no value starts with this byte")
}

func skipWord(b []byte, pos int, word string) (int, error) {
	if end := pos + len(word); end <= len(b) && string(b[pos:end]) == word {
		return end, nil
	}
	return pos, syntaxError(pos, "expected "+word)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special returns a word whose high bits mark the bytes of w that end a clean
// run of a JSON string: quote, backslash and controls. The lowest mark is
// exact; marks above it may be false.
func special(w uint64) uint64 {
	quote := w ^ ones*'"'
	slash := w ^ ones*'\\'
	return ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*0x20)&^w) & highs
}

// cleanRun returns the position of the first byte at or after pos that is a
// quote, a backslash or a control, or len(b).
func cleanRun(b []byte, pos int) int {
	for pos+8 <= len(b) {
		if m := special(binary.LittleEndian.Uint64(b[pos:])); m != 0 {
			return pos + bits.TrailingZeros64(m)>>3
		}
		pos += 8
	}
	for pos < len(b) && b[pos] != '"' && b[pos] != '\\' && b[pos] >= 0x20 {
		pos++
	}
	return pos
}

// skipString returns the position behind the string whose opening quote is at pos.
func skipString(b []byte, pos int) (int, error) {
	for pos++; ; {
		pos = cleanRun(b, pos)
		switch {
		case pos >= len(b):
			return pos, syntaxError(pos, "the string has no end")
		case b[pos] == '"':
			return pos + 1, nil
		case b[pos] != '\\':
			return pos, syntaxError(pos, "control character in a string")
		}
		n := escapeLen(b, pos)
		if n == 0 {
			return pos, syntaxError(pos, "unknown escape in a string")
		}
		pos += n
	}
}

// escapeLen returns the length of the escape sequence whose backslash is at
// pos, or 0 when it is not one.
func escapeLen(b []byte, pos int) int {
	if pos+1 >= len(b) {
		return 0
	}
	switch b[pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b, pos+2); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads four hex digits at pos.
func hex4(b []byte, pos int) (rune, bool) {
	if pos+4 > len(b) {
		return 0, false
	}
	var r rune
	for _, c := range b[pos : pos+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func skipDigits(b []byte, pos int) int {
	for pos < len(b) && '0' <= b[pos] && b[pos] <= '9' {
		pos++
	}
	return pos
}

func skipNumber(b []byte, pos int) (int, error) {
	if b[pos] == '-' {
		pos++
	}
	start := pos
	pos = skipDigits(b, pos)
	if pos == start {
		return pos, syntaxError(pos, "the number has no digits")
	}
	if b[start] == '0' && pos > start+1 {
		return pos, syntaxError(start, "the number starts with zero")
	}
	if pos < len(b) && b[pos] == '.' {
		start, pos = pos, skipDigits(b, pos+1)
		if pos == start+1 {
			return pos, syntaxError(pos, "the fraction has no digits")
		}
	}
	if pos < len(b) && b[pos]|0x20 == 'e' {
		pos++
		if pos < len(b) && (b[pos] == '+' || b[pos] == '-') {
			pos++
		}
		start, pos = pos, skipDigits(b, pos)
		if pos == start {
			return pos, syntaxError(pos, "the exponent has no digits")
		}
	}
	return pos, nil
}

func skipArray(b []byte, pos, depth int) (int, error) {
	if depth++; depth > maxDepth {
		return pos, syntaxError(pos, "nested too deeply")
	}
	pos = skipSpace(b, pos+1)
	if pos < len(b) && b[pos] == ']' {
		return pos + 1, nil
	}
	for {
		end, err := skipValue(b, pos, depth)
		if err != nil {
			return end, err
		}
		pos = skipSpace(b, end)
		switch {
		case pos >= len(b):
			return pos, syntaxError(pos, "the array has no end")
		case b[pos] == ']':
			return pos + 1, nil
		case b[pos] != ',':
			return pos, syntaxError(pos, "expected , or ] in an array")
		}
		pos = skipSpace(b, pos+1)
	}
}

func skipObject(b []byte, pos, depth int) (int, error) {
	if depth++; depth > maxDepth {
		return pos, syntaxError(pos, "nested too deeply")
	}
	w := walker{b: b, pos: pos, depth: depth}
	if err := w.open(); err != nil {
		return w.pos, err
	}
	for {
		if more, err := w.next(); err != nil || !more {
			return w.pos, err
		}
	}
}

// walker walks the members of one object:
//
//	open -> (next: true)* -> next: false
type walker struct {
	b     []byte
	pos   int
	depth int
	begun bool
	// key and value are the raw texts of the member that next found; key
	// includes its quotes.
	key, value []byte
}

// open passes the opening brace.
func (w *walker) open() error {
	if w.pos >= len(w.b) || w.b[w.pos] != '{' {
		return syntaxError(w.pos, "expected an object")
	}
	w.pos++
	return nil
}

// name moves to the next member's name and reports whether there is one; at
// the end of the object it passes the closing brace.
func (w *walker) name() (bool, error) {
	b := w.b
	pos := w.pos
	if pos < len(b) && b[pos] <= ' ' {
		pos = skipSpace(b, pos)
	}
	if pos < len(b) && b[pos] == '}' {
		w.pos = pos + 1
		return false, nil
	}
	if w.begun {
		if pos >= len(b) || b[pos] != ',' {
			w.pos = pos
			return false, syntaxError(pos, "expected , or } in an object")
		}
		if pos++; pos < len(b) && b[pos] <= ' ' {
			pos = skipSpace(b, pos)
		}
	}
	w.begun, w.pos = true, pos
	if pos >= len(b) || b[pos] != '"' {
		return false, syntaxError(pos, "expected the name of a member")
	}
	return true, nil
}

// rawKey reads the name at pos and the colon behind it.
func (w *walker) rawKey() error {
	end, err := skipString(w.b, w.pos)
	if err != nil {
		return err
	}
	w.key = w.b[w.pos:end]
	end = skipSpace(w.b, end)
	if end >= len(w.b) || w.b[end] != ':' {
		return syntaxError(end, "expected : behind the name of a member")
	}
	w.pos = end + 1
	return nil
}

// rawValue reads the value at pos.
func (w *walker) rawValue() error {
	if w.pos < len(w.b) && w.b[w.pos] <= ' ' {
		w.pos = skipSpace(w.b, w.pos)
	}
	end, err := skipValue(w.b, w.pos, w.depth)
	if err != nil {
		return err
	}
	w.value, w.pos = w.b[w.pos:end], end
	return nil
}

// next reads a whole member.
func (w *walker) next() (bool, error) {
	more, err := w.name()
	if err != nil || !more {
		return false, err
	}
	if err := w.rawKey(); err != nil {
		return false, err
	}
	return true, w.rawValue()
}

// end checks that only white space follows the object.
func (w *walker) end() error {
	if w.pos = skipSpace(w.b, w.pos); w.pos < len(w.b) {
		return syntaxError(w.pos, "something follows the object")
	}
	return nil
}
