package verify

import (
	"fmt"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/windowing"
)

// inBuckets divides the metrics of the shop that have groups.
func inBuckets(views string) string {
	for name, n := range map[string]int{"changes": 3, "gmv": 4, "current": 2, "largest": 64, "entered": 2} {
		head := "    " + name + ": {"
		views = strings.Replace(views, head, fmt.Sprintf("%s buckets: %d,", head, n), 1)
	}
	return views
}

// groupIn returns a window's start and group that a bucket other than the first
// of three has, and the key of the window's values.
func groupIn(t *testing.T, c *goredis.Client) (bucket int, start, group, key string) {
	t.Helper()
	for bucket := 2; bucket > 0; bucket-- {
		tag := fmt.Sprintf("tw:{changes.%d}:", bucket)
		starts, err := c.ZRange(t.Context(), tag+"windows", 0, -1).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, start := range starts {
			key := tag + "w:" + start
			groups, err := c.HKeys(t.Context(), key).Result()
			if err != nil {
				t.Fatal(err)
			}
			if len(groups) > 0 {
				return bucket, start, groups[0], key
			}
		}
	}
	t.Fatal("all groups are in the first bucket")
	return 0, "", "", ""
}

func TestVerify_FindsAFaultInABucketThatIsNotTheFirst(t *testing.T) {
	views, c := ownRedis(t)
	f := newFixture(t, 2, inBuckets(views))
	f.start()
	clean(t, f.verify())
	f.halt()
	r := f.verify("windows")
	clean(t, r)
	if n := len(c.Keys(t.Context(), "tw:{changes}:w:*").Val()); n != 0 || r.WindowsCompared == 0 {
		t.Fatalf("%d windows without a bucket, %d compared", n, r.WindowsCompared)
	}

	bucket, start, group, key := groupIn(t, c)
	was := c.HGet(t.Context(), key, group).Val()
	in := fmt.Sprintf("in bucket %d", bucket)
	put := func(key, value string) {
		t.Helper()
		if err := c.HSet(t.Context(), key, group, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	only := func(what string, f func(d *Difference) bool, r *Result) {
		t.Helper()
		if r.Found != 1 {
			t.Errorf("%s: got %v, want one difference", what, r.Differences)
		}
		one(t, r, what, func(d *Difference) bool { return d.Kind == Window && d.Metric == "changes" && f(d) })
	}

	put(key, "123456")
	only("a wrong value", func(d *Difference) bool {
		return d.Actual == "123456" && d.Expected == was && d.Group == group && strings.Contains(d.Text, in)
	}, f.verify("windows"))
	put(key, was)

	// The group stands in a bucket that is not its own, too.
	other := (windowing.BucketOf(group, 3) + 1) % 3
	tag := fmt.Sprintf("tw:{changes.%d}:", other)
	for k, fill := range map[string]func() error{
		"windows": func() error { return c.ZAdd(t.Context(), tag+"windows", goredis.Z{Member: start}).Err() },
		"meta": func() error {
			return c.HSet(t.Context(), tag+"meta:"+start, c.HGetAll(t.Context(), strings.Replace(key, ":w:", ":meta:", 1)).Val()).Err()
		},
	} {
		if err := fill(); err != nil {
			t.Fatalf("%s: %v", k, err)
		}
	}
	put(tag+"w:"+start, was)
	only("a group in two buckets", func(d *Difference) bool {
		return d.Actual == was && strings.Contains(d.Text, "no event of this group") && strings.Contains(d.Text, fmt.Sprintf("in bucket %d", other))
	}, f.verify("windows"))
	if err := c.HDel(t.Context(), tag+"w:"+start, group).Err(); err != nil {
		t.Fatal(err)
	}

	// A whole window of one bucket is gone.
	if err := c.ZRem(t.Context(), strings.SplitAfter(key, "}:")[0]+"windows", start).Err(); err != nil {
		t.Fatal(err)
	}
	only("a missing window", func(d *Difference) bool { return strings.Contains(d.Text, "missing, "+in) }, f.verify("windows"))
}

func TestVerify_ReadsBucketsThatAreNotPromotedYet(t *testing.T) {
	views, c := ownRedis(t)
	f := newFixture(t, 2, inBuckets(views))
	f.start()
	clean(t, f.verify())
	f.halt()
	// As a change from another number of buckets leaves it when it dies behind
	// the change of the metric's key.
	generation := c.HGet(t.Context(), "tw:{changes}:gen", "current").Val()
	moved := 0
	for bucket := range 3 {
		tag := fmt.Sprintf("tw:{changes.%d}:", bucket)
		starts := c.ZRange(t.Context(), tag+"windows", 0, -1).Val()
		names := []string{"windows"}
		for _, start := range starts {
			names = append(names, "w:"+start, "meta:"+start)
		}
		for _, name := range names {
			if c.Exists(t.Context(), tag+name).Val() == 0 {
				continue
			}
			if err := c.Rename(t.Context(), tag+name, tag+"c:"+generation+":"+name).Err(); err != nil {
				t.Fatal(err)
			}
			moved++
		}
		if len(starts) > 0 { // what the definition before has there
			c.ZAdd(t.Context(), tag+"windows", goredis.Z{Member: starts[0]})
			c.HSet(t.Context(), tag+"meta:"+starts[0], "state", "closed", "generation", "0123456789ab", "groups", "1")
			c.HSet(t.Context(), tag+"w:"+starts[0], `["other"]`, "1")
		}
	}
	if moved == 0 {
		t.Fatal("there are no windows")
	}
	clean(t, f.verify("windows"))
}

func TestWindows_SayWhenTheNumberOfBucketsChanges(t *testing.T) {
	_, c := ownRedis(t)
	w := &windows{client: c, prefix: "tw:"}
	set := func(values ...any) {
		t.Helper()
		if err := c.Del(t.Context(), "tw:{m}:gen").Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.HSet(t.Context(), "tw:{m}:gen", values...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	whole, wide := []any{"current", "aa"}, []any{"current", "bb", "buckets", "3"}
	for _, x := range []struct {
		before, after []any
		want          bool
	}{
		{whole, whole, true}, {whole, []any{"current", "cc"}, true}, {wide, wide, true},
		{whole, wide, false}, {wide, whole, false}, {wide, []any{"current", "cc", "buckets", "3"}, false},
	} {
		set(x.before...)
		m := &metric{}
		m.Name = "m"
		all, err := w.split(t.Context(), []*metric{m})
		if err != nil {
			t.Fatal(err)
		}
		set(x.after...)
		for _, part := range all {
			if got, err := w.unchanged(t.Context(), part); got != x.want || err != nil {
				t.Errorf("%v, then %v: got %v, %v, want %v", x.before, x.after, got, err, x.want)
			}
		}
	}
}
