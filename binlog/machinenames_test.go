package binlog

import (
	"encoding/binary"
	"strings"
	"testing"
)

// queryOf is the body of a QUERY event of a session with a default database and
// the collation of its character_set_client, 0 for a server that tells none.
func queryOf(database string, client uint16, text string) []byte {
	var status []byte
	if client != 0 {
		status = binary.LittleEndian.AppendUint16([]byte{statusCharset}, client)
		status = append(status, 0, 0, 0, 0)
	}
	b := append(make([]byte, 8), byte(len(database)), 0, 0, byte(len(status)), 0)
	b = append(append(b, status...), database...)
	return append(append(b, 0), text...)
}

// playQuery feeds a transaction that is one statement.
func playQuery(t *testing.T, body []byte) (*journal, error) {
	t.Helper()
	p, j := newTape(t)
	if err := p.play(t, "gtid"); err != nil {
		t.Fatal(err)
	}
	return j, p.feed(evQuery, body)
}

// What cannot be placed may be about any table that it names, whatever the
// session's database: a server does not say of each statement which it changes.
func TestHazard_A53_TextOfAnotherDatabaseStopsWhereItNamesAFollowedOne(t *testing.T) {
	const gbk = 28
	for _, c := range []struct {
		database string
		client   uint16
		text     string
		stops    bool
	}{
		{"x", 0, "FROBNICATE y.t", false},
		{"x", 0, "FROBNICATE y.dd, d_.`td`", false},
		{"x", 0, "FROBNICATE d.t", true},
		{"x", 0, "/*!80000 truncate */ table d.t", true},
		{"x", 0, "/*M!100000 truncate table d/**/ . t */", true},
		{"x", 0, "FROBNICATE `d`.`t`", true},
		{"x", 0, "FROBNICATE \"y\".\"t\" TO \"d\".\"t\"", true},
		{"x", 0, "FROBNICATE /* ` */ `d`.t", true},
		{"x", 0, "SET STATEMENT sql_mode='' FOR TRUNCATE d.t", true},
		{"x", gbk, "FROBNICATE y.\x81\xff", true},
		{"d", 0, "FROBNICATE", true},
		{"", 0, "FROBNICATE", true},
	} {
		_, err := playQuery(t, queryOf(c.database, c.client, c.text))
		if got := err != nil; got != c.stops || c.stops && !strings.Contains(err.Error(), "cannot be classified") {
			t.Errorf("%q in database %q: %v, want a stop: %v", c.text, c.database, err, c.stops)
		}
	}
}

func TestHazard_A59_TablesAreNamedInTheCharsetOfTheirSession(t *testing.T) {
	const latin1, sjis, gbk, binaryBytes, utf8mb3, utf8mb4 = 8, 13, 28, 63, 33, 255
	for _, c := range []struct {
		client uint16
		text   string
		want   string
	}{
		{utf8mb4, "TRUNCATE t\u00e9", "t\u00e9"},
		{utf8mb3, "TRUNCATE t\u00e9", "t\u00e9"},
		{binaryBytes, "TRUNCATE t\u00e9", "t\u00e9"},
		{0, "TRUNCATE t\u00e9", "t\u00e9"},
		{latin1, "TRUNCATE t\xe9", "t\u00e9"},
		{latin1, "TRUNCATE plain", "plain"},
		{gbk, "TRUNCATE t\xa8\xa6", "t\u00e9"},
		{gbk, "TRUNCATE `\x81\x60`", "\u4e63"}, // its second byte is a backtick
		{sjis, "TRUNCATE `\x95\x5c`", "\u8868"},
		{sjis, "TRUNCATE `\xfc\xfc`", ""},
		{60000, "TRUNCATE t\xe9", ""},
	} {
		j, err := playQuery(t, queryOf("d", c.client, c.text))
		if c.want == "" {
			if err == nil || !strings.Contains(err.Error(), "cannot be classified") {
				t.Errorf("collation %d, %q: %v, want a stop", c.client, c.text, err)
			}
			continue
		}
		if err != nil || !strings.Contains(strings.Join(j.all, "|"), "d."+c.want) {
			t.Errorf("collation %d, %q: %q and %v, want the table %s", c.client, c.text, j.all, err, c.want)
		}
	}
}
