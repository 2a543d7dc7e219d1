package binlog

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func TestCharset_DecodesWhatItsNameSays(t *testing.T) {
	for _, c := range []struct{ charset, bytes, want string }{
		{"ascii", "plain", "plain"},
		{"latin1", "na\xefve \x80 \x81\x8d\x8f\x90\x9d \xff", "naïve € \u0081\u008d\u008f\u0090\u009d ÿ"},
		{"latin2", "\xa3\xf3d\xbc", "Łódź"},
		{"cp1251", "\xcf\xf0\xe8\xe2\xe5\xf2", "Привет"},
		{"koi8r", "\xf0\xd2\xc9\xd7\xc5\xd4", "Привет"},
		{"greek", "\xe1\xe2", "αβ"},
		{"swe7", "[\\]", "ÄÖÅ"},
		{"gbk", "\xd6\xd0\xce\xc4 \x81\x5c", "中文 乗"},
		{"gb18030", "\xd6\xd0\x81\x30\x81\x30\x94\x39\xfc\x36\x90\x30\x81\x30\xe3\x32\x9a\x35", "中\u0080😀\U00010000\U0010ffff"},
		{"big5", "\xa4\xa4\xa4\xe5\xa5\x5c", "中文功"},
		{"sjis", "\x93\xfa\x96\x7b \x95\x5c \xb6\xc5 \x5c \x81\x5f \x81\x60", "日本 表 ｶﾅ \\ \\ 〜"},
		{"cp932", "\x93\xfa\x87\x40\x81\x60\xf0\x40", "日①～\ue000"},
		{"ujis", "\xc6\xfc\xcb\xdc\x8e\xb6\x8f\xb0\xa1", "日本ｶ丂"},
		{"eucjpms", "\xc6\xfc\xad\xa1", "日①"},
		{"euckr", "\xc7\xd1\xb1\xb9", "한국"},
		{"utf16", "\x00a\xd8\x3d\xde\x00\x65\xe5", "a😀日"},
		{"utf16le", "a\x00\x3d\xd8\x00\xde", "a😀"},
		{"ucs2", "\x00\"\x65\xe5", "\"日"},
		{"utf32", "\x00\x01\xf6\x00\x00\x00\x00\x0a", "😀\n"},
	} {
		decode, known := charsetDecoder(c.charset)
		if !known {
			t.Errorf("%s is unknown", c.charset)
			continue
		}
		if got, ok := decodeString(decode, []byte(c.bytes)); got != c.want || !ok {
			t.Errorf("%s %x: got %q, %v, want %q", c.charset, c.bytes, got, ok, c.want)
		}
	}
}

func TestCharset_BytesThatMeanNothingAreRefused(t *testing.T) {
	for _, c := range []struct{ charset, bytes string }{
		{"ascii", "a\x80"},
		{"cp1251", "\x98"},
		{"swe7", "\x80"},
		{"gbk", "\xd6"},
		{"gbk", "\x81\x20"},
		{"gbk", "\xff\xff"},
		{"sjis", "\x93"},
		{"ujis", "\x8f\xb0"},
		{"ujis", "\x8f\x20\x20"},
		{"gb18030", "\x81\x30\x81"},
		{"gb18030", "\x84\x31\xa5\x30"},
		{"gb18030", "\xe3\x32\x9a\x36"},
		{"gb18030", "\x81\x20\x81\x30"},
		{"utf16", "a"},
		{"utf16", "\xd8\x3d"},
		{"utf16", "\xde\x00\xd8\x3d"},
		{"utf16", "\xd8\x3d\x00a"},
		{"ucs2", "\xd8\x3d"},
		{"ucs2", "\x00"},
		{"utf32", "\x00\x11\x00\x00"},
		{"utf32", "\x00\x00\xd8\x00"},
		{"utf32", "\x00\x00\x00"},
	} {
		decode, _ := charsetDecoder(c.charset)
		if got, ok := decode(nil, []byte(c.bytes)); ok {
			t.Errorf("%s %x decodes to %q, want an error", c.charset, c.bytes, got)
		}
	}
}

func TestCharset_UTF8NeedsNoDecoderAndOthersAreUnknown(t *testing.T) {
	for _, charset := range []string{"utf8mb4", "utf8mb3"} {
		if decode, known := charsetDecoder(charset); decode != nil || !known {
			t.Errorf("%s has a decoder or is unknown", charset)
		}
	}
	for _, charset := range []string{"binary", "", "ebcdic"} {
		if _, known := charsetDecoder(charset); known {
			t.Errorf("%q is known", charset)
		}
	}
}

func TestCharset_CollationsOfBothFlavours(t *testing.T) {
	for id, want := range map[uint64]string{
		8: "latin1", 33: "utf8mb3", 45: "utf8mb4", 63: "binary", 255: "utf8mb4", 309: "utf8mb4", 28: "gbk", 248: "gb18030",
		608: "utf8mb4", 1032: "latin1", 1069: "utf8mb4", 2048: "utf8mb3", 2304: "utf8mb4", 3271: "utf32",
		0: "", 17: "", 999: "", 4000: "", 1 << 40: "",
	} {
		if got := collationCharset(id); got != want {
			t.Errorf("collation %d belongs to %q, want %q", id, got, want)
		}
	}
}

// FuzzCharset holds that text of any character set is refused or becomes the
// inside of a JSON string.
func FuzzCharset(f *testing.F) {
	charsets := sortedKeys(charsetCollations)
	for i := range charsets {
		f.Add(byte(i), []byte("a\"\\\x00\x81\x30\x81\x30\xd6\xd0\x8f\xb0\xa1\xff"))
	}
	for _, src := range []string{"\xd8\x3d\xde\x00", "\xd8\x3d", "\xd8\x3d\x00a", "\x3d\xd8\x00\xde", "\x00\x01\xf6\x00", "\x00\x11\x00\x00", "\x00\x00\xd8\x00", "\xde\x00", "\x00", ""} {
		for i := range charsets {
			f.Add(byte(i), []byte(src))
		}
	}
	f.Fuzz(func(t *testing.T, which byte, src []byte) {
		charset := charsets[int(which)%len(charsets)]
		decode, known := charsetDecoder(charset)
		if decode == nil {
			if !known && charset != "binary" {
				t.Fatalf("%s is unknown", charset)
			}
			decode = appendEscaped
		}
		if plain, ok := decodeString(decode, src); ok && !utf8.ValidString(plain) {
			t.Errorf("%s %x is %q", charset, src, plain)
		}
		out, ok := decode([]byte{'"'}, src)
		if out = append(out, '"'); ok && (!json.Valid(out) || !utf8.Valid(out)) {
			t.Errorf("%s %x decodes to %q", charset, src, out)
		}
	})
}

func BenchmarkCharset_Latin1(b *testing.B) {
	decode, _ := charsetDecoder("latin1")
	src := []byte("na\xefve caf\xe9 with some plain text behind it")
	var dst []byte
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = decode(dst[:0], src)
	}
}
