package verify

import (
	"context"
	"errors"
	"io"
	"iter"
	"testing"

	"tailwater/internal/objstore"
	"tailwater/internal/objstore/s3"
	"tailwater/sinks/parquet"
	"tailwater/stream"
)

// awayStore is a bucket that does not answer.
type awayStore struct{ objstore.Store }

var errAway = &s3.Error{Op: "get", URL: "s3://bucket/lake", Problem: "cannot be reached", Temporary: true}

func (awayStore) Get(context.Context, string) (io.ReadCloser, objstore.Info, error) {
	return nil, objstore.Info{}, errAway
}

func (awayStore) List(context.Context, string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) { yield(objstore.Info{}, errAway) }
}

// A bucket that does not answer says nothing about the lake: neither that rows
// are missing nor that all of them are there.
func TestVerify_ABucketThatStopsToAnswerIsNoDifference(t *testing.T) {
	v := &verifier{lake: awayStore{}}
	l := &lake{v: v, view: "orders", layout: parquet.DefaultLayout, chains: make(map[string][]parquet.Batch)}
	b := parquet.Batch{Manifest: &parquet.Manifest{}, Done: &parquet.Done{Files: []parquet.DoneFile{{Key: "orders/a.parquet"}}}}
	top := &topic{bounds: []stream.Bounds{{First: 5, Next: 9}}, history: [][]parquet.Batch{{b}}, whole: true, store: awayStore{}}
	r := &rows{v: v, topic: top}
	for name, f := range map[string]func() error{
		"the chains":  func() error { return l.run(t.Context()) },
		"a file":      func() error { _, err := l.files(t.Context(), b, &content{}); return err },
		"the history": func() error { return top.addHistory(t.Context(), awayStore{}, "orders", parquet.DefaultLayout) },
		"a batch":     func() error { return r.foldBatch(t.Context(), &pass{}, b) },
		"a key":       func() error { return r.lookUpHistory(t.Context(), &pass{}, nil) },
	} {
		err := f()
		var away *UnreachableError
		if !errors.As(err, &away) || !errors.Is(err, errAway) {
			t.Errorf("%s: %v, want an UnreachableError", name, err)
		}
	}
	if len(v.findings.list) != 0 {
		t.Errorf("differences: %+v, want none", v.findings.list)
	}
}
