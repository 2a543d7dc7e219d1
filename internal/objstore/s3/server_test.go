package s3_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tailwater/internal/objstore"
	"tailwater/internal/objstore/objstoretest"
	"tailwater/internal/objstore/s3"
	"tailwater/internal/testenv"
)

// serverOptions are those of a store on a real server.
func serverOptions(s *testenv.Server, prefix string) s3.Options {
	return s3.Options{Bucket: s.Bucket, Prefix: prefix, Endpoint: s.URL, PathStyle: true, PartSize: 5 << 20, Backoff: time.Millisecond}
}

func openOn(t *testing.T, o s3.Options) *s3.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestServer_ConformsToStore(t *testing.T) {
	server := testenv.S3(t)
	n := 0
	objstoretest.Run(t, func(t *testing.T) objstore.Store {
		n++
		return openOn(t, serverOptions(server, fmt.Sprintf("case-%d", n)))
	})
}

func TestServer_KeepsParts(t *testing.T) {
	s := openOn(t, serverOptions(testenv.S3(t), ""))
	if err := s.Probe(t.Context()); err != nil {
		t.Fatalf("Probe: %v", err)
	}
	big := bodyOf(11 << 20)
	if err := put(t.Context(), s, "big", big); err != nil {
		t.Fatal(err)
	}
	wantBody(t, s, "big", big)
	if err := put(t.Context(), s, "big", big); !errors.Is(err, objstore.ErrExists) {
		t.Errorf("the second upload = %v, want ErrExists", err)
	}
	for info, err := range s.List(t.Context(), "_tailwater/") {
		t.Errorf("the probe has left %+v, %v", info, err)
	}
}

func TestServer_OneOfManyUploadsWins(t *testing.T) {
	s := openOn(t, serverOptions(testenv.S3(t), "p"))
	var wins atomic.Int32
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			body := bodyOf(6<<20 + i)
			err := put(t.Context(), s, "race", body)
			for errors.Is(err, objstore.ErrConflict) {
				err = put(t.Context(), s, "race", body)
			}
			if err == nil {
				wins.Add(1)
			} else if !errors.Is(err, objstore.ErrExists) {
				t.Errorf("PutNew = %v, want nil or ErrExists", err)
			}
		})
	}
	wg.Wait()
	if got := wins.Load(); got != 1 {
		t.Errorf("%d uploads won, want 1", got)
	}
}

func TestServer_SaysWhatToChange(t *testing.T) {
	server := testenv.S3(t)
	o := serverOptions(server, "p")
	o.Bucket = "no-such-bucket"
	checkMessage(t, openOn(t, o).Probe(t.Context()), "bucket no-such-bucket does not exist", "lake.url")
	o = serverOptions(server, "p")
	o.Region = "eu-west-1"
	checkMessage(t, openOn(t, o).Probe(t.Context()), "region", "lake.region")
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	checkMessage(t, openOn(t, serverOptions(server, "p")).Probe(t.Context()), "AWS_SECRET_ACCESS_KEY")
	t.Setenv("AWS_ACCESS_KEY_ID", "nobody")
	checkMessage(t, openOn(t, serverOptions(server, "p")).Probe(t.Context()), "AWS_ACCESS_KEY_ID")
}

func TestServer_WritesGoOnWhenItIsBack(t *testing.T) {
	server := testenv.S3(t)
	o := serverOptions(server, "p")
	o.Attempts = 2
	s := openOn(t, o)
	if err := put(t.Context(), s, "a", "1"); err != nil {
		t.Fatal(err)
	}
	server.Kill(t)
	var e *s3.Error
	if err := put(t.Context(), s, "b", "2"); !errors.As(err, &e) || !e.Temporary {
		t.Errorf("PutNew without a server = %v, want a temporary error", err)
	}
	server.Restart(t)
	testenv.Wait(t, 30*time.Second, "the server to take a write", func() error { return s.Put(t.Context(), "b", strings.NewReader("2"), 1) })
	wantBody(t, s, "a", "1")
	wantBody(t, s, "b", "2")
}
