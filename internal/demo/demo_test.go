package demo

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// short are the options of a demo that takes two seconds.
func short() Options {
	return Options{
		Shards: 3, Rate: 600, Seed: 7, For: 1500 * time.Millisecond, Servers: "builtin", Quiet: true,
		Out: io.Discard, Logger: slog.New(slog.DiscardHandler), Began: time.Now(), Version: "test",
	}
}

func runShort(t *testing.T, o Options) *Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := Run(ctx, ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRun_EverySumMatches(t *testing.T) {
	r := runShort(t, short())
	if r.Mismatches != 0 || r.DuplicatesApplied != 0 {
		t.Errorf("%d mismatches, %d duplicates: %v", r.Mismatches, r.DuplicatesApplied, r.Differences)
	}
	if r.RowsChanged == 0 || r.Events < r.RowsChanged || r.LakeRows != r.Events || r.WindowValues == 0 {
		t.Errorf("result = %+v, want rows, as many lake rows as events, and window values", r)
	}
	if r.FirstWindowMS <= 0 || r.Lag.Count == 0 || r.StreamLag.Count == 0 || r.RSSPeakMB <= 0 {
		t.Errorf("result = %+v, want its figures filled", r)
	}
}

// anyFile returns the first file below dir with a suffix.
func anyFile(t *testing.T, dir, suffix string) string {
	t.Helper()
	var found string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && found == "" && strings.HasSuffix(path, suffix) {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no file *%s below %s: %v", suffix, dir, err)
	}
	return found
}

func TestRun_NamesEachPlantedFault(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(t *testing.T, dir string, redis RedisDialer) error
		want  string
	}{
		"window altered": {func(t *testing.T, _ string, redis RedisDialer) error {
			return onRedis(t, redis, func(ctx context.Context, c *goredis.Client, key string) error {
				return c.HSet(ctx, key, `["paid"]`, "99999999").Err()
			})
		}, `group ["paid"]: Redis has "99999999"`},
		"group lost": {func(t *testing.T, _ string, redis RedisDialer) error {
			return onRedis(t, redis, func(ctx context.Context, c *goredis.Client, key string) error {
				return c.HDel(ctx, key, `["paid"]`).Err()
			})
		}, `group ["paid"]: Redis has ""`},
		"file deleted": {func(t *testing.T, dir string, _ RedisDialer) error {
			return os.Remove(anyFile(t, dir+"/lake/orders", ".parquet"))
		}, "is missing"},
		"file altered": {func(t *testing.T, dir string, _ RedisDialer) error {
			return os.WriteFile(anyFile(t, dir+"/lake/orders", ".parquet"), []byte("PAR1"), 0o600)
		}, "another SHA-256"},
		"batch lost": {func(t *testing.T, dir string, _ RedisDialer) error {
			return os.Remove(anyFile(t, dir+"/lake/_tailwater/customers", ".done"))
		}, "the books have"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := short()
			o.BeforeCheck = func(dir string, redis RedisDialer) error { return c.plant(t, dir, redis) }
			r := runShort(t, o)
			if r.Mismatches == 0 || !strings.Contains(strings.Join(r.Differences, "\n"), c.want) {
				t.Errorf("%d mismatches %q, want one that says %q", r.Mismatches, r.Differences, c.want)
			}
		})
	}
}

// onRedis does something to the newest window of the changes metric.
func onRedis(t *testing.T, redis RedisDialer, do func(context.Context, *goredis.Client, string) error) error {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) { return redis(ctx) },
	})
	defer c.Close()
	starts, err := c.ZRange(t.Context(), "tw:{"+metricChanges+"}:windows", -1, -1).Result()
	if err != nil || len(starts) == 0 {
		t.Fatalf("no window of %s: %v", metricChanges, err)
	}
	return do(t.Context(), c, "tw:{"+metricChanges+"}:w:"+starts[0])
}

func TestRun_RefusesWrongOptions(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(full+"/x", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no shards":    {func(o *Options) { o.Shards = 0 }, "--shards 0"},
		"many shards":  {func(o *Options) { o.Shards = 100 }, "--shards 100"},
		"servers":      {func(o *Options) { o.Servers = "oracle" }, "use builtin, mysql or mariadb"},
		"keep is full": {func(o *Options) { o.Keep = full }, "is not empty"},
	} {
		o := short()
		c.change(&o)
		_, err := Run(t.Context(), t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error = %v, want one that says %q", name, err, c.want)
		}
	}
}

func TestRun_KeepsWhatItWasAskedToKeep(t *testing.T) {
	o := short()
	o.Keep = filepath.Join(t.TempDir(), "kept")
	runShort(t, o)
	for _, name := range []string{"tailwater.yaml", "state/VERSION", "lake/orders", "lake/_tailwater"} {
		if _, err := os.Stat(filepath.Join(o.Keep, name)); err != nil {
			t.Errorf("%s is not kept: %v", name, err)
		}
	}
}

func TestRun_RemovesWhatNobodyAskedFor(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	runShort(t, short())
	left, err := filepath.Glob(os.TempDir() + "/tailwater-demo-*")
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
