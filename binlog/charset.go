package binlog

import (
	"encoding/binary"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// decodeFunc appends text of a character set to dst as the inside of a JSON
// string. It reports false when the bytes mean nothing in the character set.
type decodeFunc func(dst, src []byte) ([]byte, bool)

// charsetDecoder returns what turns a character set into UTF-8, nil when it is
// UTF-8, and whether the character set is known.
//
// The mappings are MySQL's own, which differ from the standards of the same
// names: its latin1 is cp1252 with C1 control characters in the holes, its sjis
// has a backslash where others have a yen sign. What the server shows to a
// SELECT is what an event shows.
func charsetDecoder(charset string) (decode decodeFunc, known bool) {
	switch charset {
	case "utf8mb4", "utf8mb3":
		return nil, true
	case "utf16":
		return func(dst, src []byte) ([]byte, bool) { return decodeUTF16(dst, src, binary.BigEndian) }, true
	case "utf16le":
		return func(dst, src []byte) ([]byte, bool) { return decodeUTF16(dst, src, binary.LittleEndian) }, true
	case "ucs2":
		return decodeUCS2, true
	case "utf32":
		return decodeUTF32, true
	}
	t := loadCharset(charset)
	if t == nil {
		return nil, false
	}
	return t.decode, true
}

// decodeString is decode for the few texts that are wanted plain.
func decodeString(decode decodeFunc, src []byte) (string, bool) {
	quoted, ok := decode([]byte{'"'}, src)
	if !ok {
		return "", false
	}
	var plain string
	err := json.Unmarshal(append(quoted, '"'), &plain)
	return plain, err == nil
}

func decodeUTF16(dst, src []byte, order binary.ByteOrder) ([]byte, bool) {
	for len(src) >= 2 {
		r := rune(order.Uint16(src))
		src = src[2:]
		if utf16.IsSurrogate(r) {
			if len(src) < 2 {
				return dst, false
			}
			if r = utf16.DecodeRune(r, rune(order.Uint16(src))); r == utf8.RuneError {
				return dst, false
			}
			src = src[2:]
		}
		dst = appendEscapedRune(dst, r)
	}
	return dst, len(src) == 0
}

func decodeUCS2(dst, src []byte) ([]byte, bool) {
	for len(src) >= 2 {
		r := rune(binary.BigEndian.Uint16(src))
		if src = src[2:]; utf16.IsSurrogate(r) {
			return dst, false
		}
		dst = appendEscapedRune(dst, r)
	}
	return dst, len(src) == 0
}

func decodeUTF32(dst, src []byte) ([]byte, bool) {
	for len(src) >= 4 {
		r := rune(binary.BigEndian.Uint32(src))
		if src = src[4:]; !utf8.ValidRune(r) {
			return dst, false
		}
		dst = appendEscapedRune(dst, r)
	}
	return dst, len(src) == 0
}
