package pipeline_test

import (
	"log/slog"
	"path/filepath"

	"tailwater/change"
	"tailwater/stream"
	"tailwater/stream/embedded"
)

// publishTail publishes an event of a transaction behind a shard's position, as
// a reader does that dies then. No pipeline runs.
func (r *shopRig) publishTail(shard, transaction string) {
	r.t.Helper()
	l, err := embedded.Open(embedded.Options{Dir: filepath.Join(r.dir, "state", "stream"), Name: "shop", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.t.Fatal(err)
	}
	topics := []string{stream.TopicName("shop", "orders"), stream.TopicName("shop", "customers")}
	s, err := l.OpenShard(r.t.Context(), stream.ShardOptions{Source: "s", Shard: shard, Topics: topics})
	if err != nil {
		r.t.Fatal(err)
	}
	rec := stream.Record{
		Topic: topics[1], Kind: stream.Event, Shard: shard, LSN: change.LSN{Epoch: s.Epoch(), Txn: 1, Row: 1}, TxID: transaction, Row: 1,
		Key: []byte(`["lost"]`), Value: []byte(`{"_op":"c"}`),
	}
	if err := s.Publish(r.t.Context(), []stream.Record{rec}); err != nil {
		r.t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		r.t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		r.t.Fatal(err)
	}
}
