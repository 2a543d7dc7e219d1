package binlog

import (
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// showSQL is what a server is asked for, by sqlColumn.show; %s is the column.
// docs/format/types.md has the same table.
var showSQL = map[string]string{
	"number":    "CAST(%s AS CHAR)",
	"double":    "JSON_ARRAY(%s)",
	"float":     "CAST(CAST(%s AS DOUBLE) AS CHAR)",
	"year":      "CAST(%s AS CHAR)",
	"bit":       "CAST(CAST(%s AS UNSIGNED) AS CHAR)",
	"zerofill":  "CAST(CAST(%s AS UNSIGNED) AS CHAR)",
	"quoted":    "CAST(%s AS CHAR)",
	"timestamp": "CAST(%s AS CHAR)",
	"text":      "HEX(CONVERT(%s USING utf8mb4))",
	"bytes":     "HEX(%s)",
	"binary4":   "HEX(CAST(%s AS BINARY(4)))",
	"binary16":  "HEX(CAST(%s AS BINARY(16)))",
	"json":      "CAST(%s AS CHAR)",
	"geometry":  "HEX(%s)",
	"vector":    "HEX(%s)",
}

// teller turns what a server shows into the JSON text of an event. It uses
// nothing of the decoder, and the decoder's text is never touched: the two are
// compared byte for byte.
type teller struct {
	testing.TB
	conn   *sql.Conn
	floats map[float32]string
}

// want is the event's text for what the server showed as got.
func (l *teller) want(show, got string) string {
	l.Helper()
	switch show {
	case "number", "bit", "zerofill", "json":
		return got
	case "year":
		if got == "0000" {
			return "0"
		}
		return got
	case "double":
		return plainDouble(got)
	case "float":
		f, err := strconv.ParseFloat(got, 64)
		if err != nil {
			l.Fatalf("the server shows %q, want a number", got)
		}
		return l.float(float32(f))
	case "quoted":
		return `"` + got + `"`
	case "timestamp":
		if strings.HasPrefix(got, "0000") {
			return `"` + got + `"`
		}
		return `"` + strings.Replace(got, " ", "T", 1) + `Z"`
	case "text":
		return quotedText(string(l.unhex(got)))
	case "bytes", "binary4", "binary16":
		return `"` + base64.StdEncoding.EncodeToString(l.unhex(got)) + `"`
	case "geometry":
		b := l.unhex(got)
		return fmt.Sprintf(`{"srid":%d,"wkb":"%s"}`, binary.LittleEndian.Uint32(b), base64.StdEncoding.EncodeToString(b[4:]))
	case "vector":
		b := l.unhex(got)
		floats := make([]string, len(b)/4)
		for i := range floats {
			floats[i] = l.float(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		}
		return "[" + strings.Join(floats, ",") + "]"
	}
	l.Fatalf("no form %q", show)
	return ""
}

func (l *teller) unhex(s string) []byte {
	l.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		l.Fatalf("the server shows %.100q, want hex", s)
	}
	return b
}

// float is the shortest decimal number that reads back as f, as the server
// lays out that number as a DOUBLE.
func (l *teller) float(f float32) string {
	l.Helper()
	if text, ok := l.floats[f]; ok && f != 0 {
		return text
	}
	if f == 0 && math.Signbit(float64(f)) {
		return "-0"
	}
	var text string
	query := fmt.Sprintf("SELECT JSON_ARRAY(CAST('%s' AS DOUBLE))", strconv.FormatFloat(float64(f), 'e', -1, 32))
	if err := l.conn.QueryRowContext(l.Context(), query).Scan(&text); err != nil {
		l.Fatal(err)
	}
	text = plainDouble(text)
	l.floats[f] = text
	return text
}

// plainDouble takes a number out of its brackets and cuts the zeros behind its
// point, with which JSON marks a double and DOUBLE(M,D) fills up to D digits:
// D is not in the binlog.
func plainDouble(array string) string {
	text := strings.Trim(array, "[]")
	if strings.Contains(text, ".") && !strings.Contains(text, "e") {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// quotedText is s as docs/format/event.md says that text is escaped.
func quotedText(s string) string {
	short := map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch text, ok := short[r]; {
		case ok:
			b.WriteString(text)
		case r < 0x20:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// The page states what each form asks the server for.
func TestDocuments_StateWhatTheServerIsAskedFor(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "format", "types.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z0-9]+)` \\| `([^`]+)` \\|").FindAllStringSubmatch(string(page), -1)
	if len(rows) != len(showSQL) {
		t.Errorf("the page has %d forms, want %d", len(rows), len(showSQL))
	}
	for _, r := range rows {
		if got, want := r[2], strings.ReplaceAll(showSQL[r[1]], "%s", "c"); got != want {
			t.Errorf("the page asks for %q as %s, the tests for %q", got, r[1], want)
		}
	}
}
