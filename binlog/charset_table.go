package binlog

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/binary"
	"io"
	"sync"

	"tailwater/internal/jsontext"
)

// charsetBlob holds the table of every character set that is not Unicode, as
// MySQL 9.7 converts it to utf32. TestRealMySQL makes it. For each
// character set:
//
//	length 1, name, length of the rest 4, a gzip stream of
//	kind 1, code units 2 each, all little endian, each the difference to the
//	one before
//
// where the code units are charsetTable's fields one after the other, as far
// as the kind's bits say that they exist.
//
//go:embed charset_tables.bin
var charsetBlob []byte

// noRune marks bytes that the server cannot convert.
const noRune = 0xffff

// The parts of a table, as bits of its kind, and their sizes.
const (
	partDouble = 1 << iota
	partTriple
	partFour

	singleSize = 1 << 8
	doubleSize = 1 << 15
	// fourSize counts the four byte codes of gb18030 for characters below
	// U+10000; those above follow by counting.
	fourSize = 39420
)

// charsetTable maps the bytes of one character set to code points.
type charsetTable struct {
	// ascii says that the bytes below 0x80 are ASCII at the start of a
	// character.
	ascii bool
	// single maps one byte, double two bytes less 0x8000, triple the two bytes
	// that follow 0x8f, four the number of a four byte code of gb18030.
	single, double, triple, four []uint16
}

// charsetTables holds the tables loaded so far.
var charsetTables struct {
	sync.Mutex
	loaded map[string]*charsetTable
}

// loadCharset returns the table of a character set, or nil.
func loadCharset(charset string) *charsetTable {
	charsetTables.Lock()
	defer charsetTables.Unlock()
	if t := charsetTables.loaded[charset]; t != nil {
		return t
	}
	for rest := charsetBlob; len(rest) > 0; {
		name := string(rest[1 : 1+rest[0]])
		rest = rest[1+rest[0]:]
		size := binary.LittleEndian.Uint32(rest)
		packed := rest[4 : 4+size]
		rest = rest[4+size:]
		if name != charset {
			continue
		}
		t := unpackCharset(packed)
		if charsetTables.loaded == nil {
			charsetTables.loaded = map[string]*charsetTable{}
		}
		charsetTables.loaded[charset] = t
		return t
	}
	return nil
}

// unpackCharset reads one table of the blob, which is part of the program: an
// error in it is a broken build.
func unpackCharset(packed []byte) *charsetTable {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic("binlog: character set table: " + err.Error())
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		panic("binlog: character set table: " + err.Error())
	}
	kind, raw := raw[0], raw[1:]
	last := uint16(0)
	take := func(n int) []uint16 {
		out := make([]uint16, n)
		for i := range out {
			last += binary.LittleEndian.Uint16(raw[2*i:])
			out[i] = last
		}
		raw = raw[2*n:]
		return out
	}
	t := &charsetTable{single: take(singleSize), ascii: true}
	if kind&partDouble != 0 {
		t.double = take(doubleSize)
	}
	if kind&partTriple != 0 {
		t.triple = take(doubleSize)
	}
	if kind&partFour != 0 {
		t.four = take(fourSize)
	}
	for c := range uint16(0x80) {
		t.ascii = t.ascii && t.single[c] == c
	}
	return t
}

// decode is the table's decodeFunc.
func (t *charsetTable) decode(dst, src []byte) ([]byte, bool) {
	for len(src) > 0 {
		if t.ascii {
			n := jsontext.Clean(src)
			dst = append(dst, src[:n]...)
			if src = src[n:]; len(src) == 0 {
				break
			}
		}
		r, n := t.next(src)
		if n == 0 {
			return dst, false
		}
		dst = appendEscapedRune(dst, r)
		src = src[n:]
	}
	return dst, true
}

// next returns the character at the start of src and the number of its bytes,
// 0 when there is none.
func (t *charsetTable) next(src []byte) (rune, int) {
	if r := t.single[src[0]]; r != noRune {
		return rune(r), 1
	}
	if src[0] < 0x80 || len(src) < 2 || t.double == nil {
		return 0, 0
	}
	if r := t.double[binary.BigEndian.Uint16(src)-0x8000]; r != noRune {
		return rune(r), 2
	}
	if t.triple != nil && src[0] == 0x8f && len(src) >= 3 && src[1] >= 0x80 {
		if r := t.triple[binary.BigEndian.Uint16(src[1:])-0x8000]; r != noRune {
			return rune(r), 3
		}
	}
	if t.four != nil && len(src) >= 4 {
		return t.nextFour(src)
	}
	return 0, 0
}

// nextFour is next for a four byte code of gb18030: bytes 81-fe, 30-39, 81-fe,
// 30-39 are the digits of a number.
func (t *charsetTable) nextFour(src []byte) (rune, int) {
	a, b, c, d := int(src[0])-0x81, int(src[1])-0x30, int(src[2])-0x81, int(src[3])-0x30
	if a < 0 || a > 125 || b < 0 || b > 9 || c < 0 || c > 125 || d < 0 || d > 9 {
		return 0, 0
	}
	const firstAstral = ((0x90-0x81)*10*126 + 0) * 10 // code 90308130 is U+10000
	n := ((a*10+b)*126+c)*10 + d
	switch {
	case n < fourSize && t.four[n] != noRune:
		return rune(t.four[n]), 4
	case n >= firstAstral && n-firstAstral <= 0xfffff:
		return rune(n - firstAstral + 0x10000), 4
	}
	return 0, 0
}
