package binlog

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"tailwater/internal/testenv"
)

// tableCharsets are the character sets that charset_tables.bin holds, with the
// parts that their tables have besides the single bytes.
var tableCharsets = map[string]byte{
	"armscii8": 0, "ascii": 0, "cp1250": 0, "cp1251": 0, "cp1256": 0, "cp1257": 0, "cp850": 0, "cp852": 0, "cp866": 0, "dec8": 0,
	"geostd8": 0, "greek": 0, "hebrew": 0, "hp8": 0, "keybcs2": 0, "koi8r": 0, "koi8u": 0, "latin1": 0, "latin2": 0, "latin5": 0,
	"latin7": 0, "macce": 0, "macroman": 0, "swe7": 0, "tis620": 0,
	"big5": partDouble, "cp932": partDouble, "euckr": partDouble, "gb2312": partDouble, "gbk": partDouble, "sjis": partDouble,
	"eucjpms": partDouble | partTriple, "ujis": partDouble | partTriple, "gb18030": partDouble | partFour,
}

// charsetsOfServer compares every code of every table with what the server
// converts it to; with -update-rows MySQL makes the tables.
func charsetsOfServer(t *testing.T, s *logSession) {
	// Strict, or bytes that are cut off convert to what is left.
	s.exec(t, "SET SESSION sql_mode=DEFAULT")
	if s.server.Kind == "mariadb" {
		s.exec(t, "SET SESSION max_recursive_iterations=100000")
	} else {
		s.exec(t, "SET SESSION cte_max_recursion_depth=100000")
	}
	var blob bytes.Buffer
	for _, charset := range sortedKeys(tableCharsets) {
		if charset == "gb18030" && s.server.Kind == "mariadb" {
			continue
		}
		kind := tableCharsets[charset]
		units := serverTable(t, s.conn, charset, kind)
		blob.Write(packCharset(t, charset, kind, units))
		if *updateRows {
			continue
		}
		compareCharset(t, charset, units)
	}
	if *updateRows && s.server.Kind == "mysql" {
		if err := os.WriteFile("charset_tables.bin", blob.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// compareCharset holds our table of a character set against a server's.
func compareCharset(t *testing.T, charset string, units []uint16) {
	t.Helper()
	table := loadCharset(charset)
	if table == nil {
		t.Errorf("no table of %s", charset)
		return
	}
	have := slices.Concat(table.single, table.double, table.triple, table.four)
	if len(have) != len(units) {
		t.Errorf("%s has %d codes, want %d", charset, len(have), len(units))
		return
	}
	wrong := 0
	for i := range units {
		if have[i] != units[i] {
			if wrong++; wrong < 10 {
				t.Errorf("%s, code %d is U+%04X, the server says U+%04X", charset, i, have[i], units[i])
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%s: %d codes differ", charset, wrong)
	}
}

// knowCollations compares the character set of every collation id, and wants a
// decoder for each.
func knowCollations(t *testing.T, server *testenv.Server, query string, least int) {
	rows := server.Query(t, query)
	if len(rows) < least {
		t.Errorf("%s has %d collations, want at least %d", server.Kind, len(rows), least)
	}
	for _, r := range rows {
		id, err := strconv.ParseUint(r[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := collationCharset(id); got != r[1] {
			t.Errorf("%s: collation %d belongs to %q, want %q", server.Kind, id, got, r[1])
		}
		if _, known := charsetDecoder(r[1]); !known && r[1] != "binary" {
			t.Errorf("%s: character set %s has no decoder", server.Kind, r[1])
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// serverTable asks the server for the code points of all codes of a character
// set, in the order of charsetTable's fields.
func serverTable(t *testing.T, conn *sql.Conn, charset string, kind byte) []uint16 {
	t.Helper()
	units := serverCodes(t, conn, charset, 0, singleSize-1, "UNHEX(LPAD(HEX(i),2,'0'))")
	if kind&partDouble != 0 {
		units = append(units, serverCodes(t, conn, charset, 0x8000, 0xffff, "UNHEX(HEX(i))")...)
	}
	if kind&partTriple != 0 {
		units = append(units, serverCodes(t, conn, charset, 0x8000, 0xffff, "UNHEX(CONCAT('8F',HEX(i)))")...)
	}
	if kind&partFour != 0 {
		four := serverCodes(t, conn, charset, 0, fourSize-1,
			"UNHEX(CONCAT(HEX(129+i DIV 12600),HEX(48+i DIV 1260 MOD 10),HEX(129+i DIV 10 MOD 126),HEX(48+i MOD 10)))")
		units = append(units, four...)
	}
	return units
}

func serverCodes(t *testing.T, conn *sql.Conn, charset string, first, last int, code string) []uint16 {
	t.Helper()
	query := fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT %d UNION ALL SELECT i+1 FROM n WHERE i < %d)
		SELECT i, HEX(CONVERT(CONVERT(%s USING %s) USING utf32)) FROM n`, first, last, code, charset)
	rows, err := conn.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatalf("%s: %v", charset, err)
	}
	defer func() { _ = rows.Close() }()
	units := make([]uint16, last-first+1)
	for rows.Next() {
		var i int
		var text sql.NullString
		if err := rows.Scan(&i, &text); err != nil {
			t.Fatal(err)
		}
		units[i-first] = serverRune(t, i, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return units
}

// serverRune reads one conversion. Codes that are not one character, or that
// the server shows as a question mark or as U+0000 in their stead, have none.
func serverRune(t *testing.T, i int, text sql.NullString) uint16 {
	t.Helper()
	b, err := hex.DecodeString(text.String)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) != 4 {
		return noRune
	}
	r := binary.BigEndian.Uint32(b)
	if r >= noRune || r == '?' && i != '?' || r == 0 && i != 0 {
		return noRune
	}
	return uint16(r)
}

// packCharset writes one entry of charset_tables.bin.
func packCharset(t *testing.T, charset string, kind byte, units []uint16) []byte {
	t.Helper()
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	raw := []byte{kind}
	last := uint16(0)
	for _, u := range units {
		raw = binary.LittleEndian.AppendUint16(raw, u-last)
		last = u
	}
	if _, err := z.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	out := append([]byte{byte(len(charset))}, charset...)
	out = binary.LittleEndian.AppendUint32(out, uint32(packed.Len()))
	return append(out, packed.Bytes()...)
}
