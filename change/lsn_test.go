package change

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// edges are the values at which an encoding breaks first; an LSN made of them
// differs from another one in one part only more often than a random one does.
var edges = []uint64{0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, MaxTxn - 1, MaxTxn}

func randomLSN(r *rand.Rand) LSN {
	pick := func() uint64 {
		if r.IntN(4) == 0 {
			return r.Uint64()
		}
		return edges[r.IntN(len(edges))]
	}
	return LSN{Epoch: uint32(pick()), Txn: pick() & MaxTxn, Row: uint32(pick()), Part: uint16(pick())}
}

func TestLSN_OrderIsByteOrderIsTextOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		a, b := randomLSN(r), randomLSN(r)
		want := cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Txn, b.Txn), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Part, b.Part))
		ab, bb := a.Bytes(), b.Bytes()
		if got := bytes.Compare(ab[:], bb[:]); got != want {
			t.Fatalf("byte order of %+v and %+v: got %d, want %d", a, b, got, want)
		}
		if got := strings.Compare(a.String(), b.String()); got != want {
			t.Fatalf("text order of %+v and %+v: got %d, want %d", a, b, got, want)
		}
		if got := a.Compare(b); got != want {
			t.Fatalf("Compare of %+v and %+v: got %d, want %d", a, b, got, want)
		}
		if got := a.Less(b); got != (want < 0) {
			t.Fatalf("Less of %+v and %+v: got %t, want %t", a, b, got, want < 0)
		}
	}
}

func TestLSN_SortsByEpochThenTxnThenRowThenPart(t *testing.T) {
	want := []LSN{
		{},
		{Epoch: 1},
		{Epoch: 1, Txn: 1, Row: 1, Part: 1},
		{Epoch: 1, Txn: 1, Row: 2},
		{Epoch: 1, Txn: 2, Row: 1, Part: 9},
		{Epoch: 1, Txn: MaxTxn, Row: 0xffffffff, Part: 0xffff},
		{Epoch: 2, Txn: 0},
		{Epoch: 0x10000, Txn: 0}, // the half of the epoch that shares no word with txn
		{Epoch: 0xffffffff},
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, LSN.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestLSN_BytesAndTextComeBackWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		want := randomLSN(r)
		b := want.Bytes()
		if got := LSNFromBytes(b[:]); got != want {
			t.Fatalf("from bytes %x: got %+v, want %+v", b, got, want)
		}
		got, err := ParseLSN(want.String())
		if err != nil || got != want {
			t.Fatalf("from text %s: got %+v and %v, want %+v", want, got, err, want)
		}
	}
}

func TestLSN_TextIsThePublicForm(t *testing.T) {
	l := LSN{Epoch: 1, Txn: 0x2d093, Row: 0xabc, Part: 0xf}
	want := "00000001" + "00000002d093" + "00000abc" + "000f"
	if got := l.String(); got != want {
		t.Errorf("String: got %s, want %s", got, want)
	}
	if got, err := l.AppendText([]byte("x")); err != nil || string(got) != "x"+want {
		t.Errorf("AppendText: got %s and %v, want x%s", got, err, want)
	}
	if got, err := json.Marshal(l); err != nil || string(got) != `"`+want+`"` {
		t.Errorf("JSON: got %s and %v, want %q", got, err, want)
	}
	var back LSN
	if err := json.Unmarshal([]byte(`"`+want+`"`), &back); err != nil || back != l {
		t.Errorf("from JSON: got %+v and %v, want %+v", back, err, l)
	}
}

func TestLSN_OnlyTheZeroValueIsBeforeEveryEvent(t *testing.T) {
	for _, c := range []struct {
		lsn  LSN
		want bool
	}{{LSN{}, true}, {LSN{Epoch: 1}, false}, {LSN{Txn: 1}, false}, {LSN{Row: 1}, false}, {LSN{Part: 1}, false}} {
		if got := c.lsn.IsZero(); got != c.want {
			t.Errorf("%+v: got %t, want %t", c.lsn, got, c.want)
		}
	}
}

func TestLSN_TransactionBeyond48BitsKeepsOutOfTheEpoch(t *testing.T) {
	got := LSNFromBytes(bytesOf(LSN{Epoch: 1, Txn: MaxTxn + 3}))
	if want := (LSN{Epoch: 1, Txn: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func bytesOf(l LSN) []byte { b := l.Bytes(); return b[:] }

func TestParseLSN_RefusesWhatItDidNotWrite(t *testing.T) {
	const good = "00000001000000000002000000030004" + "0"
	for _, c := range []struct{ in, why string }{
		{"", "want 32 hex digits, got 0 characters"},
		{good[:31], "want 32 hex digits, got 31 characters"},
		{good, "want 32 hex digits, got 33 characters"},
		{"g" + good[:31], "digits 1 to 8 are not hex"},
		{good[:8] + "-00000000002" + good[20:32], "digits 9 to 20 are not hex"},
		{good[:20] + "+0000003" + good[28:32], "digits 21 to 28 are not hex"},
		{good[:28] + "0x04", "digits 29 to 32 are not hex"},
		{good[:28] + "0_04", "digits 29 to 32 are not hex"},
		{strings.Repeat("é", 16), "digits 1 to 8 are not hex"},
	} {
		want := fmt.Sprintf("parse lsn %q: %s", c.in, c.why)
		got, err := ParseLSN(c.in)
		if err == nil || err.Error() != want || !got.IsZero() {
			t.Errorf("%q: got %+v and %v\nwant %s", c.in, got, err, want)
		}
	}
	l := LSN{Epoch: 7}
	if err := l.UnmarshalText([]byte("no")); err == nil || l != (LSN{Epoch: 7}) {
		t.Errorf("a failed UnmarshalText: got %+v and %v, want an error and the old value", l, err)
	}
}

func TestLSN_AppendAllocatesNothing(t *testing.T) {
	l, buf := LSN{Epoch: 1, Txn: 2, Row: 3, Part: 4}, make([]byte, 0, 64)
	if got := testing.AllocsPerRun(100, func() { buf = l.Append(buf[:0]) }); got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

func FuzzParseLSN(f *testing.F) {
	for _, seed := range []string{"", "00000001000000020000000030000004", "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", "0000000100000002000000003000000g", "+0000001000000020000000030000004"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		l, err := ParseLSN(in)
		if err != nil {
			if !l.IsZero() {
				t.Errorf("%q: got %+v beside the error %v, want nothing", in, l, err)
			}
			return
		}
		if got, want := l.String(), strings.ToLower(in); got != want {
			t.Errorf("%q: got %s back", in, got)
		}
		if got := LSNFromBytes(bytesOf(l)); got != l {
			t.Errorf("%q: got %+v from its bytes, want %+v", in, got, l)
		}
	})
}

func BenchmarkLSN_Append(b *testing.B) {
	l, buf := LSN{Epoch: 1, Txn: 2, Row: 3, Part: 4}, make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		buf = l.Append(buf[:0])
	}
}
