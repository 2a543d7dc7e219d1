package binlog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
)

const (
	uuidA = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	uuidB = "4e11fa47-71ca-11e1-9e33-c80aa9429562"
)

func mustSet(t testing.TB, s string) *GTIDSet {
	t.Helper()
	set, err := ParseGTIDSet(s)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestParseGTIDSet_NormalisesMySQLsText(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{" ,\n", ""},
		{uuidA + ":1", uuidA + ":1"},
		{uuidA + ":1-5:7", uuidA + ":1-5:7"},
		{uuidA + ":7:1-5", uuidA + ":1-5:7"},
		{uuidA + ":1-5:6", uuidA + ":1-6"},
		{uuidA + ":1-5:3-9", uuidA + ":1-9"},
		{uuidA + ":1-3:5-7:4", uuidA + ":1-7"},
		{strings.ToUpper(uuidA) + " : 1 - 3 ", uuidA + ":1-3"},
		{strings.ReplaceAll(uuidA, "-", "") + ":2", uuidA + ":2"},
		{uuidB + ":1,\n" + uuidA + ":2", uuidA + ":2," + uuidB + ":1"},
		{uuidA + ":1," + uuidA + ":2", uuidA + ":1-2"},
		{uuidA + ":1-3:blue:4-5:7:red:1", uuidA + ":1-3:blue:4-5:7:red:1"},
		{uuidA + ":Blue:4", uuidA + ":blue:4"},
		{uuidA + ":9223372036854775806", uuidA + ":9223372036854775806"},
	} {
		set, err := ParseGTIDSet(c.in)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		if got := set.String(); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
		if back := mustSet(t, set.String()); !back.Equal(set) {
			t.Errorf("%q: its text reads back as %v", c.in, back)
		}
	}
}

func TestParseGTIDSet_RefusesWhatIsNone(t *testing.T) {
	for _, in := range []string{
		"x", uuidA, uuidA + ":", uuidA + ":0", uuidA + ":5-4", uuidA + ":-1", uuidA + ":1-", uuidA + ":1:blue", uuidA + ":blue",
		uuidA + ":blue:red:1", uuidA + ":9223372036854775807", uuidA + ":99999999999999999999", uuidA[:35] + ":1", uuidA + "0:1",
		"zz11fa47-71ca-11e1-9e33-c80aa9429562:1", uuidA + ":" + strings.Repeat("a", 33) + ":1", uuidA + ":1;" + uuidB + ":2",
	} {
		if set, err := ParseGTIDSet(in); err == nil {
			t.Errorf("%q is taken for %v", in, set)
		}
	}
}

// naive is a set of GTIDs that nobody needs to trust twice.
type naive map[GTID]bool

func randomSet(r *rand.Rand) (*GTIDSet, naive) {
	set, want := &GTIDSet{}, naive{}
	uuids := []UUID{{1}, {2}, {0xff}}
	tags := []string{"", "", "a", "b_1"}
	for range r.IntN(60) {
		g := GTID{UUID: uuids[r.IntN(3)], Tag: tags[r.IntN(4)], GNO: 1 + r.Int64N(20)}
		if r.IntN(3) == 0 {
			last := g.GNO + r.Int64N(6)
			set.addInterval(g.UUID, g.Tag, interval{g.GNO, last})
			for n := g.GNO; n <= last; n++ {
				want[GTID{g.UUID, g.Tag, n}] = true
			}
			continue
		}
		set.Add(g)
		want[g] = true
	}
	return set, want
}

// check compares a set with the naive one, element by element and in shape.
func check(t *testing.T, what string, set *GTIDSet, want naive) {
	t.Helper()
	count := 0
	for i, l := range set.lanes {
		if i > 0 && (bytes.Compare(set.lanes[i-1].uuid[:], l.uuid[:]) > 0 || set.lanes[i-1].uuid == l.uuid && set.lanes[i-1].tag >= l.tag) {
			t.Fatalf("%s: lanes out of order in %v", what, set)
		}
		for k, iv := range l.ivs {
			if iv.last < iv.first || k > 0 && l.ivs[k-1].last+1 >= iv.first {
				t.Fatalf("%s: intervals touch in %v", what, set)
			}
			for n := iv.first; n <= iv.last; n++ {
				count++
				if !want[GTID{l.uuid, l.tag, n}] {
					t.Fatalf("%s: %v holds %d too much", what, set, n)
				}
			}
		}
	}
	if count != len(want) {
		t.Fatalf("%s: %v holds %d, want %d", what, set, count, len(want))
	}
	for g := range want {
		if !set.Contains(g) {
			t.Fatalf("%s: %v does not contain %v", what, set, g)
		}
		g.GNO += 100
		if set.Contains(g) {
			t.Fatalf("%s: %v contains %v", what, set, g)
		}
	}
	if back := mustSet(t, set.String()); !back.Equal(set) {
		t.Fatalf("%s: text %v reads back as %v", what, set, back)
	}
	coded, err := decodeGTIDSet(set.encode())
	if err != nil || !coded.Equal(set) {
		t.Fatalf("%s: bytes of %v read back as %v, %v", what, set, coded, err)
	}
}

func TestGTIDSet_AgreesWithANaiveSet(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		a, na := randomSet(r)
		b, nb := randomSet(r)
		what := fmt.Sprintf("seed %d", seed)
		check(t, what, a, na)
		diff, union, subset := naive{}, naive{}, true
		for g := range na {
			union[g] = true
			if !nb[g] {
				diff[g] = true
				subset = false
			}
		}
		for g := range nb {
			union[g] = true
		}
		check(t, what+" minus", a.Minus(b), diff)
		if got := b.ContainsSet(a); got != subset {
			t.Fatalf("%s: ContainsSet is %v, want %v", what, got, subset)
		}
		c := a.Clone()
		c.Union(b)
		check(t, what+" union", c, union)
		check(t, what+" after a clone changed", a, na)
		if got, want := c.Equal(a), len(union) == len(na); got != want {
			t.Fatalf("%s: Equal is %v, want %v", what, got, want)
		}
		if a.IsEmpty() != (len(na) == 0) {
			t.Fatalf("%s: IsEmpty is %v", what, a.IsEmpty())
		}
	}
}

func TestHazard_A9_GapIsNeverFlattened(t *testing.T) {
	set := mustSet(t, uuidA+":1-7")
	id, _ := ParseUUID(uuidA)
	set.Add(GTID{UUID: id, GNO: 9})
	if got, want := set.String(), uuidA+":1-7:9"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	set.Add(GTID{UUID: id, GNO: 10})
	set.Add(GTID{UUID: id, GNO: 8})
	if got, want := set.String(), uuidA+":1-10"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestHazard_A18_BinaryFormIsWhatServersSpeak(t *testing.T) {
	for _, text := range []string{"", uuidA + ":1-5:7", uuidA + ":1," + uuidB + ":2-9", uuidA + ":1-5:blue:7," + uuidB + ":red:1"} {
		set := mustSet(t, text)
		theirs, err := mysql.ParseMysqlGTIDSet(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := set.encode(), theirs.Encode(); !bytes.Equal(got, want) {
			t.Errorf("%s: bytes\n got %x\nwant %x", text, got, want)
		}
	}
}

func TestDecodeGTIDSet_RefusesGarbage(t *testing.T) {
	good := mustSet(t, uuidA+":1-5:blue:7").encode()
	for n := range good {
		if set, err := decodeGTIDSet(good[:n]); err == nil {
			t.Errorf("%d of %d bytes are taken for %v", n, len(good), set)
		}
	}
	if _, err := decodeGTIDSet(append(good, 0)); err == nil {
		t.Error("a byte too many is taken")
	}
}

func BenchmarkGTIDSet_AddAndAppend(b *testing.B) {
	set := mustSet(b, uuidA+":1-1000000,"+uuidB+":1-5:7-9")
	id, _ := ParseUUID(uuidA)
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	n := int64(1000000)
	for b.Loop() {
		n++
		set.Add(GTID{UUID: id, GNO: n})
		buf = set.Append(buf[:0])
	}
}
