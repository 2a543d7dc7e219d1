package stream

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// maxTopic is the longest name that Kafka gives a topic, in bytes.
const maxTopic = 249

// hashedName begins the name of a captured view that would be too long when
// escaped. No escaped name has it: a hyphen there begins two hex digits.
const hashedName = "--"

// CapturedView returns the name of the view that captures a physical table of a
// pipeline: <schema>.<table>, and so its topic is tw.<pipeline>.<schema>.<table>.
// Letters A to Z of either case, digits and _ stand for themselves, every other
// byte of the UTF-8 text is - and two hex digits; a schema called positions
// begins with -70, for the topics of positions are called so. Where the topic
// would have more than 249 bytes the name is -- and 32 hex digits of the SHA-256
// of schema, a zero byte, and table.
//
// Distinct tables have distinct names. ParseCapturedView is the inverse.
func CapturedView(pipeline, database, table string) string {
	name := escaped(database, database == "positions") + "." + escaped(table, false)
	if len(TopicName(pipeline, name)) <= maxTopic {
		return name
	}
	sum := sha256.Sum256([]byte(database + "\x00" + table))
	return hashedName + hex.EncodeToString(sum[:16])
}

// ParseCapturedView returns the table that a captured view is named for. It is
// false for a name that CapturedView does not give, and for one that is a hash:
// the table then stands in every event (_db, _table).
func ParseCapturedView(name string) (database, table string, ok bool) {
	d, t, ok := strings.Cut(name, ".")
	if !ok {
		return "", "", false
	}
	if database, ok = unescaped(d, true); !ok {
		return "", "", false
	}
	table, ok = unescaped(t, false)
	return database, table, ok
}

// plainByte reports whether a byte of a name stands for itself.
func plainByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

const hexDigits = "0123456789abcdef"

// escaped writes a name with the bytes that a topic lets stand; first escapes
// the first byte whatever it is.
func escaped(name string, first bool) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if plainByte(c) && (i > 0 || !first) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('-')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
}

// unescaped reads what escaped has written, and nothing else: every name has
// one form only.
func unescaped(text string, schema bool) (string, bool) {
	var b []byte
	for i := 0; i < len(text); i++ {
		if text[i] != '-' {
			b = append(b, text[i])
			continue
		}
		if i+2 >= len(text) {
			return "", false
		}
		c, err := hex.DecodeString(text[i+1 : i+3])
		if err != nil {
			return "", false
		}
		b, i = append(b, c[0]), i+2
	}
	name := string(b)
	return name, name != "" && utf8.ValidString(name) && escaped(name, schema && name == "positions") == text
}

// SameInKafka returns what two names have in common that Kafka takes for one:
// its own metrics know no dot, and its brokers refuse the second of two topics
// that differ in . and _ only.
func SameInKafka(topic string) string { return strings.ReplaceAll(topic, ".", "_") }
