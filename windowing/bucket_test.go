package windowing

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// buckets returns the folds of a metric's buckets, at the log's beginning.
func buckets(m *Metric) []*Fold {
	out := make([]*Fold, m.Buckets)
	for b := range out {
		out[b] = NewBucketFold(m, b)
		for p := range int32(m.Partitions) {
			out[b].Start(p, Position{}, Position{Incarnation: "log"})
		}
	}
	return out
}

func TestBucketOf_IsTheHashOfTheGroupsBytes(t *testing.T) {
	// What xxhsum -H64 prints, seed 0.
	pinned := map[string]uint64{`["Pune"]`: 0x5b8398e12313660b, `[null]`: 0x9ac42857bf66e4e7, `["Pune",7]`: 0xc7a9bc978d1d0d7e, `["Delhi"]`: 0xc2eb44cd76450b91}
	for group, hash := range pinned {
		for _, n := range []int{2, 3, 64} {
			if got, want := BucketOf(group, n), int(hash%uint64(n)); got != want {
				t.Errorf("%s of %d: got %d, want %d", group, n, got, want)
			}
		}
		if got := BucketOf(group, 1) + BucketOf(group, 0); got != 0 {
			t.Errorf("%s of one: got %d, want 0", group, got)
		}
	}
}

// TestBucketFold_TogetherTheyAreTheWhole folds random rows of every kind once in
// one piece and once in buckets, with a router and without.
func TestBucketFold_TogetherTheyAreTheWhole(t *testing.T) {
	for name, edit := range map[string]func(d *Definition){
		"changes": func(d *Definition) {},
		"inserts": func(d *Definition) { d.Rows, d.Aggregate = Inserts, "count()" },
		"dropped": func(d *Definition) { d.OnLate = Drop },
		"latest":  func(d *Definition) { d.Rows, d.Time = Latest, "at" },
		"dated":   func(d *Definition) { d.Time = "at" },
		"pairs":   func(d *Definition) { d.GroupBy = []string{"city", "id"} },
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 5))
			whole := compile(t, edit)
			split := compile(t, func(d *Definition) { edit(d); d.Buckets = 7 })
			one, every, routed := started(whole), buckets(split), buckets(split)
			router := NewRouter(split)
			offsets := [2]int64{}
			passed := 0
			for i := range 2000 {
				p := int32(rng.IntN(2))
				w := &writer{shard: fmt.Sprintf("%02d", p), partition: p, offset: &offsets[p], txn: uint64(i), n: uint64(offsets[p])}
				city := func() string { return []string{`"x"`, `"y"`, `null`, `"a,b"`, `"zz"`}[rng.IntN(5)] }
				at := []string{`null`, `"0000-00-00 00:00:00"`, `"1970-01-01 00:01:40"`, `"1970-01-01 00:02:00"`}[rng.IntN(4)]
				old := []string{"", `,"_old":{}`, `,"_old":{"city":` + city() + `}`, `,"_old":{"amount":7}`, `,"_old":{"at":"1970-01-01 00:01:41"}`}[rng.IntN(5)]
				r := w.event([]string{"c", "u", "d", "r"}[rng.IntN(4)], 100+float64(rng.IntN(40)), fmt.Sprintf(`"city":%s,"id":%d,"amount":%d,"at":%s%s`, city(), rng.IntN(3), i, at, old))
				bits := router.Route(r)
				add(t, one, r)
				for b := range split.Buckets {
					add(t, every[b], r)
					if bits>>b&1 == 1 {
						add(t, routed[b], r)
						continue
					}
					passed++
					if err := routed[b].Pass(r); err != nil {
						t.Fatalf("pass offset %d: %v", r.Offset, err)
					}
				}
			}
			want := signed(one.Cut())
			for how, folds := range map[string][]*Fold{"every": every, "routed": routed} {
				got, counts, used := map[string]string{}, Counts{}, 0
				for b, f := range folds {
					d := f.Cut()
					for at, v := range signed(d) {
						if _, twice := got[at]; twice {
							t.Errorf("%s: %s is in two buckets", how, at)
						}
						if group := at[strings.IndexByte(at, ' ')+1:]; BucketOf(group, split.Buckets) != b {
							t.Errorf("%s: %s is in bucket %d", how, group, b)
						}
						got[at] = v
					}
					counts = Counts{counts.Events + d.Counts.Events, counts.Late + d.Counts.Late, counts.Dropped + d.Counts.Dropped, counts.Skipped + d.Counts.Skipped}
					if len(d.Windows) > 0 {
						used++
					}
					for i, s := range d.Steps {
						if w := one.Cut().Steps[i]; s.To.Offset != w.To.Offset || !maps.Equal(s.To.Marks, w.To.Marks) {
							t.Errorf("%s: bucket %d ends at %+v, want %+v", how, b, s.To, w.To)
						}
					}
				}
				if !maps.Equal(got, want) || counts != one.Cut().Counts {
					t.Errorf("%s: got %v %+v, want %v %+v", how, got, counts, want, one.Cut().Counts)
				}
				if used < 2 {
					t.Errorf("%s: %d buckets have groups, want several", how, used)
				}
			}
			if passed == 0 {
				t.Error("the router spared no bucket anything")
			}
		})
	}
}

func TestRouter_LeavesWhatItCannotReadToEveryBucket(t *testing.T) {
	m := compile(t, func(d *Definition) { d.Rows, d.Time, d.Buckets = Latest, "at", 3 })
	var at int64
	w := &writer{shard: "00", offset: &at}
	r := NewRouter(m)
	for name, value := range map[string]string{
		"no JSON": `{`, "no op": `{"city":"x"}`, "a bad _old": `{"_op":"u","city":"x","_old":7}`,
	} {
		rec := w.event("c", 101, `"city":"x"`)
		rec.Value = []byte(value)
		if got := r.Route(rec) & 7; got != 7 {
			t.Errorf("%s: got buckets %b, want all", name, got)
		}
	}
	if got := r.Route(w.heartbeat(101)); got != 0 {
		t.Errorf("a heartbeat: got buckets %b, want none", got)
	}
}

func TestDefinition_BucketsAreBoundedAndPartOfTheGeneration(t *testing.T) {
	for n, want := range map[int]string{-1: "buckets -1: want 1 to 64", 65: "buckets 65: want 1 to 64"} {
		d := compile(t, nil).Definition
		d.Buckets = n
		if _, err := Compile(d, columns, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: got %v, want an error with %q", n, err, want)
		}
	}
	generation := func(n int) string { return compile(t, func(d *Definition) { d.Buckets = n }).Generation() }
	seen := map[string]int{}
	for _, n := range []int{1, 2, 3, 64} {
		g := generation(n)
		if m, ok := seen[g]; ok {
			t.Errorf("%d and %d buckets are one generation", n, m)
		}
		seen[g] = n
	}
	if generation(0) != generation(1) {
		t.Error("one bucket is not the default")
	}
	if got, want := compile(t, func(d *Definition) { d.Retain = time.Hour }).Generation(), "5cb6d74f3d37"; got != want {
		t.Errorf("generation without buckets: got %s, want %s as it always was", got, want)
	}
	for _, c := range []struct{ groups, buckets, want int }{{100, 1, 100}, {100, 3, 34}, {2, 3, 1}, {99, 3, 33}} {
		d := Definition{MaxGroups: c.groups, Buckets: c.buckets}
		if got := d.BucketMaxGroups(); got != c.want {
			t.Errorf("max_groups %d in %d buckets: got %d, want %d", c.groups, c.buckets, got, c.want)
		}
	}
}
