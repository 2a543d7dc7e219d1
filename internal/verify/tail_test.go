package verify

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestVerify_NamesTheNewestBatchThatIsGone(t *testing.T) {
	f := newFixture(t, 1, shopViews)
	f.start()
	clean(t, f.verify("rows"))
	f.halt()
	if r := f.verify("lake"); r.LakeBehind != 0 {
		t.Errorf("%d rows behind after a drain", r.LakeBehind)
	}
	clean(t, f.verify("lake"))

	done, err := filepath.Glob(filepath.Join(f.cfg.Lake.Dir, "_tailwater", "*", "*", "*", "*", "*.done"))
	if err != nil || len(done) == 0 {
		t.Fatalf("no committed batch: %v", err)
	}
	slices.Sort(done)
	newest := strings.TrimSuffix(done[len(done)-1], ".done")
	for _, ext := range []string{".json", ".done"} {
		if err := os.Remove(newest + ext); err != nil {
			t.Fatal(err)
		}
	}
	r := f.verify("lake")
	one(t, r, "the missing batch", func(d *Difference) bool { return d.Kind == Lost && strings.Contains(d.Actual, "removed") })
}
