package binlog

import (
	"encoding/base64"
	"encoding/hex"
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

func TestRaw_MembersOfUTF16HaveACommaOfTwoBytes(t *testing.T) {
	for charset, id := range map[string]uint64{"utf16": 54, "utf16le": 56, "utf32": 60, "ucs2": 35, "utf8mb4": 45} {
		bad := map[string]string{"utf16": "d800", "utf16le": "00d8", "utf32": "00110000", "ucs2": "d800", "utf8mb4": "ff"}[charset]
		good := map[string]string{"utf16": "0061", "utf16le": "6100", "utf32": "00000061", "ucs2": "0061", "utf8mb4": "61"}[charset]
		comma := map[string]string{"utf16": "002c", "utf16le": "2c00", "utf32": "0000002c", "ucs2": "002c", "utf8mb4": "2c"}[charset]
		c := column{wire: wireSet, size: 1, collation: id}
		members := [][]byte{unhexed(t, good), unhexed(t, bad)}
		c.setMembers(members)
		c.compile()
		clear(members[1]) // the event's memory is used again
		if text, err := c.append(&c, nil, []byte{1}); string(text) != `"a"` || err != nil {
			t.Errorf("%s: the valid member is %s, %v", charset, text, err)
		}
		if _, err := c.append(&c, nil, []byte{3}); !errors.Is(err, change.ErrInvalidText) {
			t.Errorf("%s: both members: %v", charset, err)
		}
		want := base64.StdEncoding.EncodeToString(unhexed(t, good+comma+bad))
		if got := string(c.appendRaw(nil, []byte{3})); got != `"`+want+`"` {
			t.Errorf("%s: got %s, want %s", charset, got, want)
		}
		raw, err := hex.DecodeString(bad)
		if err != nil || !slices.Equal(c.Members, []string{"a", base64.StdEncoding.EncodeToString(raw)}) || !slices.Equal(c.RawMembers, []int{2}) {
			t.Errorf("%s: the schema has %q, of which %v are bytes", charset, c.Members, c.RawMembers)
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
