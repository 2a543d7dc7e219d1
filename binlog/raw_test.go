package binlog

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tailwater/change"
)

// rawStates renders an image as column=value, in which the bytes of what is no
// text are hexadecimal digits.
func rawStates(t *testing.T, m *tableMap, row change.Row) string {
	t.Helper()
	if row == nil {
		return "-"
	}
	var out []string
	for i, c := range m.Table().Columns {
		text, err := row.AppendJSON([]byte("x"), i)
		if errors.Is(err, change.ErrInvalidText) {
			if string(text) != "x" {
				t.Errorf("column %s: %s is appended", c.Name, text)
			}
			text, err = row.(change.RawRow).AppendRaw(nil, i)
			raw, decodeErr := base64.StdEncoding.DecodeString(strings.Trim(string(text), `"`))
			if err = errors.Join(err, decodeErr); err == nil {
				text = fmt.Appendf(nil, "x0x%X", raw)
			}
		}
		if err != nil {
			t.Errorf("column %s: %v", c.Name, err)
		}
		out = append(out, c.Name+"="+string(text[min(1, len(text)):]))
	}
	return strings.Join(out, " ")
}

func rawDecoded(t *testing.T, events []loggedEvent) (out []string) {
	t.Helper()
	for _, e := range events {
		m := e.parse(t)
		err := m.rows(e.kind, e.body, func(op change.Op, before, after change.Row) error {
			out = append(out, op.String()+" "+rawStates(t, m, before)+" -> "+rawStates(t, m, after))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// hazardA75Raw writes bytes that mean nothing in their character set, as servers
// take them, and such as they refuse: a table of another character set is put in
// the place of one of UTF-8.
func hazardA75Raw(t *testing.T, s *logSession) {
	s.exec(t, `CREATE TABLE t (id INT PRIMARY KEY, g VARCHAR(9) CHARACTER SET greek, f CHAR(9) CHARACTER SET greek, s TEXT CHARACTER SET sjis,
		e ENUM('a', x'AE') CHARACTER SET greek, m SET('a', x'AE', 'c') CHARACTER SET greek)`)
	wantRows(t, rawDecoded(t, s.logged(t, "INSERT INTO t VALUES (1,_greek 0x41AE3F,_greek 0xAE,_sjis 0x41874042,2,7),(2,'A?','?','?',1,5)",
		"UPDATE t SET g='α' WHERE id=1", "UPDATE t SET m=2, s=_sjis 0x8740 WHERE id=2", "DELETE FROM t")),
		`c - -> id=1 g=0x41AE3F f=0xAE s=0x41874042 e=0xAE m=0x612CAE2C63`,
		`c - -> id=2 g="A?" f="?" s="?" e="a" m="a,c"`,
		`u id=1 g=0x41AE3F f=0xAE s=0x41874042 e=0xAE m=0x612CAE2C63 -> id=1 g="α" f=0xAE s=0x41874042 e=0xAE m=0x612CAE2C63`,
		`u id=2 g="A?" f="?" s="?" e="a" m="a,c" -> id=2 g="A?" f="?" s=0x8740 e="a" m=0xAE`,
		`d id=1 g="α" f=0xAE s=0x41874042 e=0xAE m=0x612CAE2C63 -> -`,
		`d id=2 g="A?" f="?" s=0x8740 e="a" m=0xAE -> -`)
	s.exec(t, "DROP TABLE IF EXISTS l, u", "CREATE TABLE l (n INT, x VARCHAR(40) CHARACTER SET latin1) ENGINE=MyISAM", "CREATE TABLE u (n INT, x VARCHAR(10) CHARACTER SET utf8mb4) ENGINE=MyISAM",
		"INSERT INTO l VALUES (1,_latin1 0x41E9),(2,'text')", "FLUSH TABLES l, u")
	for _, part := range []string{"MYD", "MYI"} {
		copyFile(t, filepath.Join(s.server.DataDir, "d", "l."+part), filepath.Join(s.server.DataDir, "d", "u."+part))
	}
	wantRows(t, rawDecoded(t, s.logged(t, "FLUSH TABLES u", "UPDATE u SET n=n+2")),
		`u n=1 x=0x41E9 -> n=3 x=0x41E9`, `u n=2 x="text" -> n=4 x="text"`)
}

// copyFile writes over a file without making it another one.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
}

// rawCharset is a character set with bytes that mean nothing in it, in hexadecimal
// digits beside a letter and a comma.
type rawCharset struct {
	name             string
	collation        byte
	good, comma, bad string
}

var rawCharsets = []rawCharset{
	{"utf8mb4", 45, "61", "2c", "ff"}, {"ucs2", 35, "0061", "002c", "d800"}, {"utf16", 54, "0061", "002c", "d800"},
	{"utf16le", 56, "6100", "2c00", "00d8"}, {"utf32", 60, "00000061", "0000002c", "00110000"},
}

// rawMap is a table of UTF-8, greek, and an ENUM and a SET of a character set
// whose second member means nothing in it.
func rawMap(t testing.TB, of rawCharset) []byte {
	members := []byte{2}
	for _, m := range []string{of.good, of.bad} {
		raw := unhexed(t, m)
		members = append(append(members, byte(len(raw))), raw...)
	}
	return mapBody([]mapColumn{{wire: wireVarchar, meta: []byte{9, 0}}, {wire: wireVarchar, meta: []byte{9, 0}}, {wire: wireString, meta: []byte{wireEnum, 1}}, {wire: wireString, meta: []byte{wireSet, 1}}},
		tlv(metaDefaultCharset, 45, 1, 25), tlv(metaEnumSetDefault, of.collation), tlv(metaSetMembers, members...), tlv(metaEnumMembers, members...), names("u", "g", "e", "s"))
}

func TestRaw_MembersAreTheirBytesWithCommasBetween(t *testing.T) {
	for _, of := range rawCharsets {
		body := rawMap(t, of)
		m := mustParse(t, body)
		clear(body) // the event's memory is used again
		var got []string
		err := m.rows(rowsWriteV2, writeBody(4, []byte("\x00\x04ab\xff\xfe\x03A\xaeB\x02\x03"), []byte("\x00\x01a\x01A\x01\x01")), func(_ change.Op, _, after change.Row) error {
			got = append(got, rawStates(t, m, after))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		bad := strings.ToUpper(of.bad)
		wantRows(t, got, "u=0x6162FFFE g=0x41AE42 e=0x"+bad+" s=0x"+strings.ToUpper(of.good+of.comma)+bad, `u="a" g="A" e="a" s="a"`)
		want := base64.StdEncoding.EncodeToString(unhexed(t, of.bad))
		for _, c := range m.Table().Columns[2:] {
			if !slices.Equal(c.Members, []string{"a", want}) || !slices.Equal(c.RawMembers, []int{2}) {
				t.Errorf("%s: the schema has %q, of which %v are bytes", of.name, c.Members, c.RawMembers)
			}
		}
	}
}

func TestRaw_OfWhatIsNotThereIsAnError(t *testing.T) {
	m := mustParse(t, mapBody([]mapColumn{{wire: wireVarchar, meta: []byte{9, 0}}}, tlv(metaDefaultCharset, 45), names("s")))
	err := m.rows(rowsWriteV1, []byte("\x07\x00\x00\x00\x00\x00\x01\x00\x01\x01\x01"), func(_ change.Op, _, after change.Row) error {
		for _, col := range []int{-1, 0, 1} {
			if text, err := after.(change.RawRow).AppendRaw([]byte("x"), col); err == nil || string(text) != "x" {
				t.Errorf("column %d: %s, %v", col, text, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
