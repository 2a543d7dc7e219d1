package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"tailwater/change"
	"tailwater/stream/internal/position"
)

func newSlots(t *testing.T) *slots {
	t.Helper()
	return &slots{kind: kindPosition, path: filepath.Join(t.TempDir(), "value")}
}

func save(t *testing.T, s *slots, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := s.save([]byte(v)); err != nil {
			t.Fatal(err)
		}
	}
}

// spoil changes one file by f.
func spoil(t *testing.T, path string, f func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSlots_KeepTheNewestOfTwo(t *testing.T) {
	s := newSlots(t)
	if _, found, damage, err := s.load(); found || damage != nil || err != nil {
		t.Fatalf("nothing stored: got found %v, %v, %v", found, damage, err)
	}
	for _, v := range []string{"one", "two", "three"} {
		save(t, s, v)
		again := &slots{kind: s.kind, path: s.path}
		got, found, damage, err := again.load()
		if !found || damage != nil || err != nil || string(got) != v || again.generation != s.generation {
			t.Errorf("got %q, %v, %v, %v, want %q", got, found, damage, err, v)
		}
	}
	if _, err := os.Stat(s.file(1) + tempSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a temporary file is left: %v", err)
	}
}

func TestSlots_DamageFallsBackByOneGeneration(t *testing.T) {
	tests := map[string]func(b []byte) []byte{
		"flipped bit": func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
		"cut off":     func(b []byte) []byte { return b[:len(b)-1] },
		"empty":       func([]byte) []byte { return nil },
		"zeros":       func(b []byte) []byte { clear(b); return b },
		"foreign":     func([]byte) []byte { return []byte("something else, and long enough to hold a header") },
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSlots(t)
			save(t, s, "one", "two", "three")
			spoil(t, s.file(s.generation), f)
			again := &slots{kind: s.kind, path: s.path}
			got, found, damage, err := again.load()
			if err != nil || !found || string(got) != "two" || damage == nil {
				t.Fatalf("got %q, %v, damage %v, %v, want the generation before", got, found, damage, err)
			}
			// What is saved next replaces the damaged file, not the good one.
			save(t, again, "four")
			if got, _, damage, err := again.load(); err != nil || damage != nil || string(got) != "four" {
				t.Errorf("got %q, damage %v, %v, want four", got, damage, err)
			}
			spoil(t, s.file(1), f)
			spoil(t, s.file(0), f)
			if _, _, _, err := again.load(); err == nil || !strings.Contains(err.Error(), s.file(0)) || !strings.Contains(err.Error(), s.file(1)) {
				t.Errorf("both damaged: got %v, want an error that names both files", err)
			}
		})
	}
}

func TestSlots_RefuseANewerVersionByName(t *testing.T) {
	s := newSlots(t)
	save(t, s, "one", "two")
	spoil(t, s.file(2), func(b []byte) []byte {
		binary.BigEndian.PutUint16(b[4:], fileVersion+1)
		return b
	})
	if _, _, _, err := s.load(); !errors.Is(err, errNewer) || !strings.Contains(err.Error(), s.file(2)) {
		t.Errorf("got %v, want a refusal that names %s", err, s.file(2))
	}
}

func TestDecodeFile_RefusesTheWrongKind(t *testing.T) {
	if _, _, err := decodeFile(kindSchema, encodeFile(kindTopics, 1, []byte("x"))); err == nil {
		t.Error("got no error")
	}
}

func FuzzDecodeFile(f *testing.F) {
	f.Add(encodeFile(kindTopics, 3, []byte("payload")))
	f.Add([]byte("TWST"))
	f.Fuzz(func(t *testing.T, b []byte) {
		generation, payload, err := decodeFile(kindTopics, b)
		if err == nil && !bytes.HasPrefix(b, encodeFile(kindTopics, generation, payload)) {
			t.Errorf("%x is read as generation %d of %x", b, generation, payload)
		}
	})
}

// The format is stored on disks: what this version wrote must stay readable.
func TestEncodeFile_BytesAreTheDocumentedOnes(t *testing.T) {
	want := []byte("TWST\x00\x01p\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x02hi")
	want = binary.BigEndian.AppendUint64(want, xxhash.Sum64(want))
	if got := encodeFile(kindPosition, 7, []byte("hi")); !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func endsTopics(n int, end int64) []*topic {
	t := &topic{name: "t", id: 7}
	for range n {
		p := &partition{topic: t}
		p.synced.Store(end)
		t.partitions = append(t.partitions, p)
	}
	return []*topic{t}
}

func TestEnds_RememberTheLastThatWasSynced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ends")
	e, got, err := openEnds(path)
	if err != nil || len(got) != 0 {
		t.Fatalf("got %v, %v, want none", got, err)
	}
	// 2,000 partitions do not fit the first region: the file grows.
	for i, n := range []int{3, 3, 2000, 2000, 5000} {
		topics := endsTopics(n, int64(i))
		if err := e.save(topics, map[*partition]int64{topics[0].partitions[1]: 99}); err != nil {
			t.Fatal(err)
		}
		again, got, err := openEnds(path)
		if err != nil || len(got) != n || got[partitionID{7, 0}] != int64(i) || got[partitionID{7, 1}] != 99 {
			t.Fatalf("save %d: got %d ends, %d and %d, %v", i, len(got), got[partitionID{7, 0}], got[partitionID{7, 1}], err)
		}
		_ = again.close()
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}
}

func TestEnds_DamageFallsBackOrIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ends")
	e, _, err := openEnds(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(5) {
		if err := e.save(endsTopics(1, i), nil); err != nil {
			t.Fatal(err)
		}
	}
	_ = e.close()
	spoil(t, path, func(b []byte) []byte { b[int64(e.generation%2)*e.region+20] ^= 1; return b })
	if _, got, err := openEnds(path); err != nil || got[partitionID{7, 0}] != 3 {
		t.Errorf("one region damaged: got %v, %v, want the end before", got, err)
	}
	spoil(t, path, func(b []byte) []byte { clear(b); return b })
	if _, _, err := openEnds(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("both damaged: got %v, want a refusal that names %s", err, path)
	}
	spoil(t, path, func([]byte) []byte { return []byte{1, 2, 3} })
	if _, _, err := openEnds(path); err == nil {
		t.Error("three bytes: got no error")
	}
}

// The generation before a damaged one may say that the shard ended in order;
// the damaged one may have been a claim.
func TestPositions_FallingBackIsNeverAnOrderlyEnd(t *testing.T) {
	dir := t.TempDir()
	s, err := openPositions(dir, func(string, ...any) {})
	if err != nil {
		t.Fatal(err)
	}
	sh := s.shard("a/b")
	for epoch := range uint32(2) {
		err := sh.swap(epoch, func(p *position.Position) *position.Position {
			p.Epoch, p.Saved, p.Clean = epoch+1, true, epoch == 0
			return p
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	spoil(t, sh.file.file(2), func(b []byte) []byte { return b[:10] })
	again, err := openPositions(dir, func(string, ...any) {})
	if err != nil {
		t.Fatal(err)
	}
	if got := again.shard("a/b").get(); got == nil || got.Epoch != 1 || !got.Saved || got.Clean {
		t.Errorf("got %+v, want epoch 1, saved, not in order", got)
	}
}

func TestSchemas_DamageIsNamedAndMendedByPutting(t *testing.T) {
	one := newLog1(t)
	s := change.Schema{View: "orders", Key: []string{"id"}}
	put := func() {
		t.Helper()
		if err := one.PutSchema(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	put()
	path := filepath.Join(one.schemaDir("orders"), s.Fingerprint())
	spoil(t, path, func(b []byte) []byte { b[30] ^= 1; return b })
	if _, err := one.Schemas(t.Context(), "orders"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that names %s", err, path)
	}
	put()
	if got, err := one.Schemas(t.Context(), "orders"); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v, want the schema", got, err)
	}
}
