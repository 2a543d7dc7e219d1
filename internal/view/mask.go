package view

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"unicode/utf8"

	"tailwater/change"
	"tailwater/internal/expr"
	"tailwater/internal/jsontext"
)

// The kinds of masks.
const (
	maskHash     = "hash"
	maskDrop     = "drop"
	maskTruncate = "truncate"
)

// check reports what is wrong with a mask whatever column it is for.
func (m *Mask) check() error {
	switch m.Kind {
	case maskHash:
		if len(m.Salt) == 0 {
			return errors.New("hash needs a salt: without a secret the values can be guessed")
		}
	case maskTruncate:
		if m.Keep < 0 {
			return errors.New("truncate keeps a number of characters from 0")
		}
	case maskDrop:
	default:
		return fmt.Errorf("unknown mask %q: it is hash, drop or truncate", m.Kind)
	}
	return nil
}

// masker makes the text of one column unreadable.
type masker struct {
	kind string
	keep int
	hmac hash.Hash
	// cell holds the column's own text, plain what it says, sum the hash.
	cell, plain []byte
	sum         [sha256.Size]byte
}

// newMasker prepares a mask for a column and returns the column as it is seen
// behind the mask.
func newMasker(m *Mask, c change.Column) (*masker, change.Column, error) {
	if err := m.check(); err != nil {
		return nil, c, err
	}
	out := change.Column{Name: c.Name, Type: change.Text, Nullable: c.Nullable}
	switch m.Kind {
	case maskHash:
		out.Length = hex.EncodedLen(sha256.Size)
		return &masker{kind: m.Kind, hmac: hmac.New(sha256.New, m.Salt)}, out, nil
	case maskTruncate:
		if c.Type != change.Text && c.Type != change.Enum && c.Type != change.Set {
			return nil, c, fmt.Errorf("truncate is for text, the column is %s: use hash or drop", c.Type)
		}
		out.Length, out.Charset = c.Length, c.Charset
		return &masker{kind: m.Kind, keep: m.Keep}, out, nil
	}
	return &masker{kind: m.Kind}, out, nil
}

// append appends the JSON text of the masked cell. The hash of a text is that
// of its characters, the hash of anything else that of its JSON text, so 42
// and "42" hash alike. Bytes that are no text in their character set have a hash
// too, which is no text's; cut short they are still no text, and refused.
func (m *masker) append(dst []byte, row change.Row, col int) ([]byte, error) {
	cell, err := row.AppendJSON(m.cell[:0], col)
	if m.kind == maskHash && errors.Is(err, change.ErrInvalidText) {
		raw, err := m.raw(row, col)
		if err != nil {
			return dst, err
		}
		return m.appendHash(dst, notUTF8, raw), nil
	}
	if err != nil {
		return dst, err
	}
	m.cell = kept(cell)
	text := cell
	if len(cell) > 0 && cell[0] == '"' {
		if text, err = expr.AppendUnquoted(m.plain[:0], cell); err != nil {
			return dst, err
		}
		m.plain = kept(text)
	}
	if m.kind == maskTruncate {
		return jsontext.AppendQuoted(dst, text[:prefix(text, m.keep)]), nil
	}
	return m.appendHash(dst, nil, text), nil
}

// notUTF8 stands before bytes that are no text where they are hashed: no text
// begins with it, so that none has their hash.
var notUTF8 = []byte{0xff}

func (m *masker) appendHash(dst, before, text []byte) []byte {
	m.hmac.Reset()
	m.hmac.Write(before)
	m.hmac.Write(text)
	dst = hex.AppendEncode(append(dst, '"'), m.hmac.Sum(m.sum[:0]))
	return append(dst, '"')
}

// raw returns the bytes of a cell that is no text in its character set.
func (m *masker) raw(row change.Row, col int) ([]byte, error) {
	cell, err := appendRaw(m.cell[:0], row, col)
	if err != nil {
		return nil, err
	}
	m.cell = kept(cell)
	raw, err := base64.StdEncoding.AppendDecode(m.plain[:0], cell[1:len(cell)-1])
	m.plain = kept(raw)
	return raw, err
}

// appendRaw appends what truncate leaves of such bytes: as many as it leaves of
// the characters of a text.
func (m *masker) appendRaw(dst []byte, row change.Row, col int) ([]byte, error) {
	raw, err := m.raw(row, col)
	if err != nil {
		return dst, err
	}
	dst = base64.StdEncoding.AppendEncode(append(dst, '"'), raw[:min(m.keep, len(raw))])
	return append(dst, '"'), nil
}

// prefix returns the length in bytes of the first n characters of text.
func prefix(text []byte, n int) int {
	at := 0
	for ; n > 0 && at < len(text); n-- {
		_, size := utf8.DecodeRune(text[at:])
		at += size
	}
	return at
}

// maxKept is how much memory one buffer of a plan holds between rows.
const maxKept = 1 << 20

// kept returns buf to be used again, or nil when a huge row made it huge.
func kept(buf []byte) []byte {
	if cap(buf) > maxKept {
		return nil
	}
	return buf[:0]
}
