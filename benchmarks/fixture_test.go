package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// statements are what a recording of so many rows executes.
func statements(t *testing.T, name string, rows int) (texts []string, changes int64) {
	t.Helper()
	for _, f := range fixtures() {
		if f.name != name {
			continue
		}
		r := &recording{fixture: f, inserted: rows}
		if err := r.write(func(text string, affected int) error {
			texts, changes = append(texts, text), changes+int64(affected)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return texts, changes
}

func TestFixture_CountsWhatItExecutes(t *testing.T) {
	for _, f := range fixtures() {
		for _, rows := range []int{1, f.perInsert, f.perInsert*changesEvery + 1, f.perInsert*2*changesEvery - f.perInsert/2} {
			texts, changed := statements(t, f.name, rows)
			changes, transactions := f.size(rows)
			if changed != changes {
				t.Errorf("fixture %s of %d rows: %d changes, executed are %d", f.name, rows, changes, changed)
			}
			want := int64(len(texts))
			if f.whole {
				want = 1
				if texts[0] != "BEGIN" || texts[len(texts)-1] != "COMMIT" {
					t.Errorf("fixture %s begins with %.10s and ends with %.10s", f.name, texts[0], texts[len(texts)-1])
				}
			}
			if transactions != want {
				t.Errorf("fixture %s of %d rows: %d transactions, executed are %d", f.name, rows, transactions, want)
			}
		}
	}
}

func TestFixture_UpdatesAndDeletesAreInThoseThatSaySo(t *testing.T) {
	for _, name := range strings.Split("cdef", "") {
		texts, _ := statements(t, name, 5000)
		for _, word := range []string{"UPDATE", "DELETE"} {
			n := 0
			for _, text := range texts {
				if strings.HasPrefix(text, word) {
					n++
				}
			}
			if n == 0 {
				t.Errorf("fixture %s of 5000 rows has no %s", name, word)
			}
		}
	}
}

func TestFixture_ValuesFollowFromTheSeedAlone(t *testing.T) {
	for _, f := range fixtures() {
		var texts [2]string
		for i := range texts {
			texts[i] = string(f.values(nil, rand.New(rand.NewPCG(1, 2)), 7))
		}
		if texts[0] != texts[1] {
			t.Errorf("fixture %s: %s and %s, want one", f.name, texts[0], texts[1])
		}
	}
	if n := strings.Count(createWide(), "\n"); n != 70 {
		t.Errorf("fixture c has %d columns, want 70", n)
	}
}

func TestRecordings_AFixtureWithoutRoomIsLeftOutByName(t *testing.T) {
	s := &settings{cache: filepath.Join(t.TempDir(), "not", "there")}
	free, where, err := leastFree(s.cache)
	if err != nil || free == 0 || where != s.cache {
		t.Fatalf("%d bytes free in %q, %v", free, where, err)
	}
	var log bytes.Buffer
	s.log = &log
	f := fixtures()[0]
	f.disk = free * 2
	if ok, err := room(s, f); ok || err != nil || !strings.Contains(log.String(), "fixture a is left out: it needs") {
		t.Errorf("room %v, %v, %q", ok, err, log.String())
	}
	f.disk, s.log = 1, io.Discard
	if ok, err := room(s, f); !ok || err != nil {
		t.Errorf("room for a byte: %v, %v", ok, err)
	}
}

func TestLap_TransportCountsTransactions(t *testing.T) {
	path := filepath.Join(t.TempDir(), recordedName)
	if err := os.WriteFile(path, []byte("\xfebin"), 0o600); err != nil {
		t.Fatal(err)
	}
	arm := findArm("decode", "json/transport")
	_, err := arm.lap(t.Context(), &job{Path: path, Rows: 5, Count: 5, Transactions: 1})
	if err == nil || !strings.Contains(err.Error(), "0 transactions, want 1") {
		t.Errorf("got %v, want what is missing", err)
	}
}

func TestCanonicalEvent_ComparesWhatAnUpdateReplaced(t *testing.T) {
	ours := `{"_op":"u","id":1,"made_2":"2026-01-01 10:00:00.000","_old":{"seen_2":"2026-01-01T10:00:00.000Z","payload":"{\"b\": 1, \"a\": 2}","label":null}}`
	theirs := `{"id":1,"_old":{"label":null,"payload":"{\"a\":2,\"b\":1}","seen_2":"2026-01-01 10:00:00.000"},"made_2":"2026-01-01 10:00:00.000","_op":"u"}`
	a, err := canonicalEvent([]byte(ours))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := canonicalEvent([]byte(theirs)); err != nil || a != b {
		t.Errorf("got\n%s\nand\n%s, %v, want one", a, b, err)
	}
	for _, other := range []string{strings.Replace(theirs, `"label":null,`, "", 1), strings.Replace(theirs, "10:00:00.000\"}", "10:00:01.000\"}", 1)} {
		if b, err := canonicalEvent([]byte(other)); err != nil || a == b {
			t.Errorf("%s: %v, and taken for the same", other, err)
		}
	}
}
