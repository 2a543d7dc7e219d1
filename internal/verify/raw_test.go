package verify

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/internal/testenv"
	"tailwater/internal/view"
)

// rawNotes is a table of texts that servers take and cannot show: 0xAE is no
// character in greek, 0x8740 none in sjis.
const rawNotes = `CREATE TABLE d.notes (
	k VARCHAR(9) CHARACTER SET greek COLLATE greek_bin NOT NULL PRIMARY KEY, n INT NOT NULL DEFAULT 0, due DATETIME NOT NULL,
	g VARCHAR(20) CHARACTER SET greek, s TEXT CHARACTER SET sjis, e ENUM('a', x'AE') CHARACTER SET greek, m SET('a', x'AE', 'c') CHARACTER SET greek,
	u VARCHAR(20) CHARACTER SET utf8mb4, j VARCHAR(90) CHARACTER SET cp932)`

const rawViews = `
tables:
  notes: { from: { source: shop, schema: d, table: notes }, key: [k] }
views:
  notes: { from: notes, select: { k: k, n: n, due: due, g: g, s: s, e: e, m: m, u: u, j: j } }
  byboth: { from: notes, key: [g, k], select: { k: k, g: g, s: s, due: due, e: e } }
  masked:
    from: notes
    masking: { g: hash, s: truncate(1), e: hash }
    masking_salt: "sixteen bytes or more"
    select: { k: k, g: g, s: s, e: e }
  chosen: { from: notes, where: "g != 'x' && !(e in ['b']) && k != null", select: { k: k, u: u, s: s } }
windows:
  metrics:
    bytext: { view: byboth, value: count(), where: "g != 'gone'", group_by: [g, e], size: 10m }
    current: { view: byboth, rows: latest, time: due, value: count(), group_by: [g], size: 10m }
    wide: { view: byboth, rows: latest, time: due, value: count(), group_by: [s], size: 10m, buckets: 4 }
lake: { url: "file://./lake", file: { roll_every: 1s } }
`

func TestHazard_A75_BytesThatAreNoTextReachStreamWindowsAndLake(t *testing.T) {
	rawThroughout(t, testenv.MySQL(t, 1)[0])
}

func TestHazard_A75_BytesThatAreNoTextReachStreamWindowsAndLakeFromMariaDB(t *testing.T) {
	rawThroughout(t, testenv.MariaDBs(t, "11.8", 1)[0])
}

// rawThroughout follows bytes that are no text from a server to every sink, and
// wants a text that the server shows in their stead to be a difference.
func rawThroughout(t *testing.T, s *testenv.Server) {
	s.Exec(t, "CREATE DATABASE d", rawNotes)
	f := &fixture{t: t, dir: t.TempDir(), flavor: s.Kind}
	f.configure(fmt.Sprintf("        - { name: a, host: %s, port: %d, user: %q, password: %q }\n", s.Host, s.Port, s.ReplUser, s.ReplPassword), rawViews)
	f.start()
	due := time.Now().UTC().Add(time.Hour).Format(time.DateTime)
	var rows []string
	for i, key := range []string{"_greek 0xAE", "_greek 0x3F", "_greek 0x41AE", "_greek 0x413F", "'a'", "_greek 0xAEAE", "_greek 0xAE41", "_greek 0xAEFF", "'z'"} {
		rows = append(rows, fmt.Sprintf("(%s, '%s', %s, %s, %d, %d, 'ü', _cp932 0xED40)", key, due,
			[]string{"_greek 0xAE", "'rg=='", "_greek 0x3FAE"}[i%3], []string{"_sjis 0x8740", "'h0A='", "'?'"}[i%3], i%2+1, i%8))
	}
	s.Exec(t, "INSERT INTO d.notes (k, due, g, s, e, m, u, j) VALUES "+strings.Join(rows, ","),
		"UPDATE d.notes SET n = n + 1", "UPDATE d.notes SET g = 'rg==' WHERE g = _greek 0xAE", "UPDATE d.notes SET g = _greek 0xAE, s = _sjis 0x418740 WHERE k = 'z'",
		"UPDATE d.notes SET k = _greek 0xAEAEAE WHERE k = 'a'", "DELETE FROM d.notes WHERE k = _greek 0xAEFF")
	compare := func() *Result {
		r, err := Run(t.Context(), Options{Config: f.cfg, PageRows: 2, Timeout: 60 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	clean(t, compare())
	if n := f.pipeline.Snapshot().Shards[0].InvalidText; n < 20 {
		t.Errorf("%d values of bytes are counted, want 20 at least", n)
	}
	// What the server shows for the bytes is not what they are.
	s.Exec(t, "SET sql_log_bin = 0", "UPDATE d.notes SET k = k, g = '?' WHERE k = 'z'", "UPDATE d.notes SET e = 'a' WHERE k = _greek 0xAEAE", "SET sql_log_bin = 1")
	var got []string
	for _, d := range compare().Differences {
		if d.View == "notes" {
			got = append(got, fmt.Sprintf("%s %s %s: %s, %s", d.Kind, d.Key, d.Column, d.Expected, d.Actual))
		}
	}
	slices.Sort(got)
	want := []string{
		`altered ["z"] g: ?, bytes that are no text, base64 rg==`,
		`altered [{"_raw":"rq4="}] e: a, bytes that are no text, base64 rg==`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTextOf_TellsWhatAServerCannotShow(t *testing.T) {
	for _, tt := range []struct {
		charset, text string
		digits        any
		want          cell
	}{
		{"greek", "a?", nil, cell{text: "a?"}},
		{"greek", "A?", []byte("41AE"), rawCell([]byte("A\xae"))},
		{"greek", "A?", "413F", cell{text: "A?"}},
		{"cp932", "纊?", []byte("ED403F"), cell{text: "纊?"}}, // a code that does not come back
		{"utf16", "?x", []byte("D8000078"), rawCell([]byte("\xd8\x00\x00x"))},
		{"utf16le", "?㼀", []byte("3F00003F"), cell{text: "?㼀"}},
		{"utf32", "?", []byte("00110000"), rawCell([]byte("\x00\x11\x00\x00"))},
		{"hebrew", "\x00", []byte("FF"), rawCell([]byte{0xff})},
		{"utf8mb4", "a\xff", nil, rawCell([]byte("a\xff"))},
		{"utf8mb4", "é?", nil, cell{text: "é?"}},
	} {
		c := change.Column{Name: "c", Type: change.Text, Charset: tt.charset}
		if got, err := textOf(&c, cell{text: tt.text}, tt.digits); got != tt.want || err != nil {
			t.Errorf("%s %q %s: got %+v, %v, want %+v", tt.charset, tt.text, tt.digits, got, err, tt.want)
		}
	}
	for _, bad := range []any{[]byte("4"), 7} {
		if _, err := textOf(&change.Column{Type: change.Text, Charset: "greek"}, cell{text: "?"}, bad); err == nil {
			t.Errorf("%v is taken for digits", bad)
		}
	}
}

func TestParseKey_TellsBytesFromTexts(t *testing.T) {
	got, err := parseKey([]byte(`["rg==",{"_raw":"rg=="},null]`), nil)
	if want := []cell{{text: "rg=="}, {text: "rg==", raw: true}, null}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	var h hasher
	if h.identity(nil, "a", got[:1]) == h.identity(nil, "a", got[1:2]) {
		t.Error("bytes and the text of their base64 are one key")
	}
	for _, bad := range []string{`[{}]`, `[{"_raw":1}]`, `[1]`, `[true]`, `{"_raw":"x"}`, `["a]`} {
		if _, err := parseKey([]byte(bad), nil); err == nil {
			t.Errorf("%s is taken for a key", bad)
		}
	}
}

func TestMasked_BytesStayMasked(t *testing.T) {
	c, raw := change.Column{Type: change.Text}, rawCell([]byte("ab\xff"))
	if got := masked(view.Mask{Kind: "truncate", Keep: 2}, &c, raw); got != rawCell([]byte("ab")) {
		t.Errorf("cut to two: %+v", got)
	}
	if got := masked(view.Mask{Kind: "drop"}, &c, raw); got != null {
		t.Errorf("dropped: %+v", got)
	}
	hash := masked(view.Mask{Kind: "hash", Salt: []byte("salt")}, &c, raw)
	if text := masked(view.Mask{Kind: "hash", Salt: []byte("salt")}, &c, cell{text: raw.text}); hash.raw || len(hash.text) != 64 || hash == text {
		t.Errorf("hashes of bytes and text: %+v, %+v", hash, text)
	}
}
