package pipeline_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"tailwater/internal/objstore/s3"
	"tailwater/internal/status"
	"tailwater/internal/testenv"
	"tailwater/internal/verify"
)

// lakeIn puts the rig's lake into a bucket of a server whose objects are files.
func (r *shopRig) lakeIn(server *testenv.Server, prefix string) {
	r.lake = filepath.Join(server.DataDir, server.Bucket, prefix)
	r.edit = func(text string) string {
		return strings.Replace(text, "lake: { url: file://./lake,", fmt.Sprintf("lake: { url: s3://%s/%s, endpoint: %q, path_style: true,", server.Bucket, prefix, server.URL), 1)
	}
}

// verify compares servers, stream and lake while the pipeline runs.
func (r *shopRig) verify() {
	r.t.Helper()
	got, err := verify.Run(r.t.Context(), verify.Options{Config: r.resolved()})
	if err != nil {
		r.t.Fatalf("verify: %v", err)
	}
	if len(got.Differences) != 0 || got.LakeRows == 0 {
		r.t.Errorf("verify finds %d differences in %d rows of the lake: %+v", len(got.Differences), got.LakeRows, got.Differences)
	}
}

func lakeRows(s status.Snapshot) (rows uint64) {
	for i := range s.Lake {
		rows += s.Lake[i].Rows
	}
	return rows
}

func TestPipeline_ALakeInABucketThatGoesAwayAndComesBackHasEveryRowOnce(t *testing.T) {
	server := testenv.S3(t)
	r := newShop(t, 2, 300)
	r.lakeIn(server, "shop/lake")
	server.Kill(t) // away when the pipeline starts
	r.start()
	r.caughtUp()
	r.await("the lake's error", func(s status.Snapshot) bool {
		return strings.Contains(s.Lake[0].Error, server.URL+" cannot be reached")
	})
	server.Restart(t)
	r.await("rows in the lake", func(s status.Snapshot) bool { return lakeRows(s) > 0 })
	end := r.background()
	before := lakeRows(r.pipe.Snapshot())
	r.await("more rows in the lake", func(s status.Snapshot) bool { return lakeRows(s) > before })
	server.Kill(t)
	r.await("the lake's error", func(s status.Snapshot) bool { return s.Lake[0].Error != "" })
	server.Restart(t)
	before = lakeRows(r.pipe.Snapshot())
	r.await("more rows in the lake", func(s status.Snapshot) bool { return lakeRows(s) > before })
	r.crash()
	r.start()
	r.await("rows in the lake", func(s status.Snapshot) bool { return lakeRows(s) > 0 })
	end()
	r.caughtUp()
	r.verify()
	r.drainAndCompare()
}

func TestPipeline_RefusesABucketThatIsNotThere(t *testing.T) {
	server := testenv.S3(t)
	r := newShop(t, 1, 300)
	r.lakeIn(server, "lake")
	server.Bucket = "other"
	pipe, err := r.open()
	if err == nil {
		pipe.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "bucket other does not exist") || !strings.Contains(err.Error(), "lake.url") {
		t.Errorf("Open = %v, want an error that names the bucket and lake.url", err)
	}
}

func TestVerify_AStoreThatIsAwayIsNoDifference(t *testing.T) {
	server := testenv.S3(t)
	r := newShop(t, 1, 300)
	r.lakeIn(server, "lake")
	r.start()
	r.caughtUp()
	r.await("rows in the lake", func(s status.Snapshot) bool { return lakeRows(s) > 0 })
	server.Kill(t)
	_, err := verify.Run(t.Context(), verify.Options{Config: r.resolved(), Only: []string{"lake"}})
	var away *verify.UnreachableError
	var failed *s3.Error
	if !errors.As(err, &away) || !errors.As(err, &failed) || !failed.Temporary {
		t.Errorf("verify = %v, want an UnreachableError of the lake", err)
	}
}
