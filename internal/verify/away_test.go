package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
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

// topicless is a stream that says one thing of every topic.
type topicless struct {
	log
	says error
}

func (l topicless) Topic(context.Context, string) (stream.Topic, error) {
	return stream.Topic{}, l.says
}

// A stream that does not answer says nothing about its topics; only one that
// has no topic tells of a pipeline that has not run.
func TestOpenTopic_TellsAStreamThatIsAwayFromAnAbsentTopic(t *testing.T) {
	errBroker := errors.New("dial 10.0.0.1:9092: connection refused")
	for _, c := range []struct {
		says   error
		hasRun bool
	}{{fmt.Errorf("topic tw.shop.orders: %w", stream.ErrUnknownTopic), false}, {errBroker, true}} {
		_, err := openTopic(t.Context(), topicless{says: c.says}, "tw.shop.orders")
		var away *UnreachableError
		if !errors.As(err, &away) || strings.Contains(err.Error(), "has the pipeline run") == c.hasRun || c.hasRun && !errors.Is(err, errBroker) {
			t.Errorf("%v: got %v", c.says, err)
		}
	}
}
