// Package objstoretest is the conformance suite of objstore.Store. Every
// implementation runs it.
package objstoretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tailwater/internal/objstore"
)

// Run runs the suite; open gives a store that is empty.
func Run(t *testing.T, open func(t *testing.T) objstore.Store) {
	cases := map[string]func(t *testing.T, s objstore.Store){
		"PutNewThenGet":              putNewThenGet,
		"PutNewRefusesSecond":        putNewRefusesSecond,
		"PutNewOneOfManyWins":        putNewOneOfManyWins,
		"PutReplaces":                putReplaces,
		"GetOfNothingIsNotFound":     getOfNothing,
		"ListIsInKeyOrderByPrefix":   listInOrder,
		"DeleteTwice":                deleteTwice,
		"BrokenBodyLeavesNothing":    brokenBody,
		"ShortBodyLeavesNothing":     shortBody,
		"CanceledContextLeavesNone":  canceled,
		"EmptyObject":                emptyObject,
		"KeysThatLeaveTheStore":      foreignKeys,
		"PutNewAfterDeleteIsAllowed": putNewAfterDelete,
		"KeysKeepTheirCharacters":    strangeKeys,
	}
	for name, f := range cases {
		t.Run(name, func(t *testing.T) { f(t, open(t)) })
	}
}

func putNew(ctx context.Context, s objstore.Store, key, body string) error {
	return s.PutNew(ctx, key, strings.NewReader(body), int64(len(body)))
}

func mustPut(t *testing.T, s objstore.Store, key, body string) {
	t.Helper()
	if err := putNew(t.Context(), s, key, body); err != nil {
		t.Fatalf("PutNew(%s): %v", key, err)
	}
}

func want(t *testing.T, s objstore.Store, key, body string) {
	t.Helper()
	r, info, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get(%s): %v", key, err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || string(got) != body {
		t.Errorf("Get(%s) = %q, %v, want %q", key, got, err, body)
	}
	if info.Size != int64(len(body)) || info.Key != key {
		t.Errorf("Get(%s) info = %+v, want size %d and the key", key, info, len(body))
	}
}

func wantNone(t *testing.T, s objstore.Store, key string) {
	t.Helper()
	wantGone(t, s, key)
	for info, err := range s.List(t.Context(), "") {
		t.Errorf("List after a failed put: %+v, %v, want nothing", info, err)
	}
}

func putNewThenGet(t *testing.T, s objstore.Store) {
	big := strings.Repeat("0123456789abcdef", 1<<16)
	mustPut(t, s, "a/b/c.json", "hello")
	mustPut(t, s, "a/big", big)
	want(t, s, "a/b/c.json", "hello")
	want(t, s, "a/big", big)
}

func putNewRefusesSecond(t *testing.T, s objstore.Store) {
	mustPut(t, s, "m/1.json", "first")
	if err := putNew(t.Context(), s, "m/1.json", "second"); !errors.Is(err, objstore.ErrExists) {
		t.Errorf("second PutNew error = %v, want ErrExists", err)
	}
	want(t, s, "m/1.json", "first")
}

func putNewOneOfManyWins(t *testing.T, s objstore.Store) {
	var wins atomic.Int32
	var winner atomic.Value
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			body := fmt.Sprintf("writer %02d", i)
			err := putNew(t.Context(), s, "m/race", body)
			for errors.Is(err, objstore.ErrConflict) {
				err = putNew(t.Context(), s, "m/race", body)
			}
			switch {
			case err == nil:
				wins.Add(1)
				winner.Store(body)
			case !errors.Is(err, objstore.ErrExists):
				t.Errorf("PutNew: %v, want nil or ErrExists", err)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Fatalf("%d writers were told that they won, want 1", wins.Load())
	}
	want(t, s, "m/race", winner.Load().(string))
}

func putReplaces(t *testing.T, s objstore.Store) {
	for _, body := range []string{"one", "two, longer", "3"} {
		if err := s.Put(t.Context(), "hint", strings.NewReader(body), int64(len(body))); err != nil {
			t.Fatal(err)
		}
		want(t, s, "hint", body)
	}
}

func getOfNothing(t *testing.T, s objstore.Store) {
	mustPut(t, s, "dir/file", "x")
	for _, key := range []string{"nothing", "dir", "dir/other"} {
		if _, _, err := s.Get(t.Context(), key); !errors.Is(err, objstore.ErrNotFound) {
			t.Errorf("Get(%s) error = %v, want ErrNotFound", key, err)
		}
	}
}

func listInOrder(t *testing.T, s objstore.Store) {
	for _, k := range []string{"v/p0/00020.json", "v/p0/00000.json", "v/p0/00003.json", "v/p1/00001.json", "v/p01/7", "w/x", "v.json"} {
		mustPut(t, s, k, k)
	}
	for prefix, keys := range map[string][]string{
		"v/p0/":    {"v/p0/00000.json", "v/p0/00003.json", "v/p0/00020.json"},
		"v/p0":     {"v/p0/00000.json", "v/p0/00003.json", "v/p0/00020.json", "v/p01/7"},
		"v/p0/000": {"v/p0/00000.json", "v/p0/00003.json", "v/p0/00020.json"},
		"none/":    nil,
		"w":        {"w/x"},
	} {
		var got []string
		for info, err := range s.List(t.Context(), prefix) {
			if err != nil {
				t.Fatalf("List(%s): %v", prefix, err)
			}
			if info.Size != int64(len(info.Key)) {
				t.Errorf("List(%s): size of %s = %d, want %d", prefix, info.Key, info.Size, len(info.Key))
			}
			got = append(got, info.Key)
		}
		if fmt.Sprint(got) != fmt.Sprint(keys) {
			t.Errorf("List(%s) = %v, want %v", prefix, got, keys)
		}
	}
}

func deleteTwice(t *testing.T, s objstore.Store) {
	mustPut(t, s, "a/b", "x")
	for range 2 {
		if err := s.Delete(t.Context(), "a/b"); err != nil {
			t.Fatalf("Delete: %v", err)
		}
	}
	wantNone(t, s, "a/b")
}

type brokenReader struct{ r io.Reader }

func (b brokenReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == io.EOF {
		err = errors.New("the source broke off")
	}
	return n, err
}

func brokenBody(t *testing.T, s objstore.Store) {
	body := brokenReader{bytes.NewReader(make([]byte, 4096))}
	if err := s.PutNew(t.Context(), "torn", body, 8192); err == nil {
		t.Error("PutNew of a broken body = nil, want an error")
	}
	wantNone(t, s, "torn")
}

func shortBody(t *testing.T, s objstore.Store) {
	if err := s.PutNew(t.Context(), "short", strings.NewReader("abc"), 5); err == nil {
		t.Error("PutNew of 3 bytes announced as 5 = nil, want an error")
	}
	wantNone(t, s, "short")
}

func canceled(t *testing.T, s objstore.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := putNew(ctx, s, "late", "x"); err == nil {
		t.Error("PutNew with an ended context = nil, want an error")
	}
	wantNone(t, s, "late")
}

func emptyObject(t *testing.T, s objstore.Store) {
	mustPut(t, s, "empty.done", "")
	want(t, s, "empty.done", "")
}

func foreignKeys(t *testing.T, s objstore.Store) {
	for _, key := range []string{"", "/etc/x", "../x", "a/../../x", "a//b", "a/./b", "a\x00b"} {
		if err := putNew(t.Context(), s, key, "x"); err == nil {
			t.Errorf("PutNew(%q) = nil, want an error", key)
		}
	}
}

func putNewAfterDelete(t *testing.T, s objstore.Store) {
	mustPut(t, s, "k", "1")
	if err := s.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "k", "2")
	want(t, s, "k", "2")
}

// strangeKeys holds what hive partitions have in their values, escaped by the
// lake and not.
func strangeKeys(t *testing.T, s objstore.Store) {
	var keys []string
	for _, value := range []string{
		"S\u00e3o Paulo", "a+b", "a b", "100%25", "%2F", "%", "a&b=c;d,e$f@g!h~", "\u65e5\u672c", "\U0001f600", "(1)", "'q'\"", "a<b>",
		"\u2028", "a:b?c#d", "[x]{y}^`|", "~", " ", "+", "__HIVE_DEFAULT_PARTITION__", strings.Repeat("x", 180),
	} {
		keys = append(keys, "city="+value+"/a.parquet")
	}
	slices.Sort(keys)
	for _, k := range keys {
		mustPut(t, s, k, "body of "+k)
		want(t, s, k, "body of "+k)
	}
	var got []string
	for info, err := range s.List(t.Context(), "city=") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info.Key)
	}
	if !slices.Equal(got, keys) {
		t.Errorf("List = %q, want %q", got, keys)
	}
	for _, k := range keys {
		if err := s.Delete(t.Context(), k); err != nil {
			t.Errorf("Delete(%q): %v", k, err)
		}
		wantGone(t, s, k)
	}
}

func wantGone(t *testing.T, s objstore.Store, key string) {
	t.Helper()
	if _, _, err := s.Get(t.Context(), key); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("Get(%q) error = %v, want ErrNotFound", key, err)
	}
}
