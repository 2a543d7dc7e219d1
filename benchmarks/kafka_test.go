package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"tailwater/binlog"
	"tailwater/change"
	"tailwater/internal/view"
	"tailwater/stream"
)

// brokerOf starts the broker of the measurement.
func brokerOf(t *testing.T) string {
	t.Helper()
	s, err := serveBroker(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s.addr
}

// publishesOf makes publishes of so many records each, numbered on.
func publishesOf(sizes ...int) (out []publish) {
	id := 0
	for _, n := range sizes {
		var p publish
		for range n {
			id++
			key := fmt.Appendf(nil, "[%d]", id)
			p.records = append(p.records, stream.Record{
				Partition: stream.Partition(key, partitions), Kind: stream.Event, Shard: shardID, LSN: change.LSN{Epoch: 1, Txn: 1, Row: uint32(id)},
				TxID: "3E11FA47-71CA-11E1-9E33-C80AA9429562:1", Row: uint32(id), Key: key, Value: fmt.Appendf(nil, `{"id":%d}`, id),
			})
		}
		p.position = stream.SourcePosition{Source: []byte("here"), LSN: p.records[n-1].LSN}
		out = append(out, p)
	}
	return out
}

// digestOf publishes by a session and hashes what it left.
func digestOf(t *testing.T, addr, name string, publishes []publish) string {
	t.Helper()
	n := newTally(&job{Check: true})
	err := publishAll(t.Context(), addr, name, publishes, n, func() error {
		return hashKafka(t.Context(), addr, name, claimed, int64(len(publishes)), n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n.digest()
}

func TestHashKafka_TellsRecordsAndCommits(t *testing.T) {
	addr := brokerOf(t)
	want := digestOf(t, addr, "bench-1", publishesOf(20, 20))
	if got := digestOf(t, addr, "bench-2", publishesOf(20, 20)); got != want {
		t.Errorf("the same once more gives %s, want %s", got, want)
	}
	if got := digestOf(t, addr, "bench-3", publishesOf(40)); got == want {
		t.Errorf("one commit for two gives the same %s", got)
	}
	other := publishesOf(20, 20)
	other[1].records[3].Value[1] = '_'
	if got := digestOf(t, addr, "bench-4", other); got == want {
		t.Errorf("another value gives the same %s", got)
	}
	other = publishesOf(20, 20)
	other[1].records[3].Watermark = 5 // stands in a header only
	if got := digestOf(t, addr, "bench-5", other); got == want {
		t.Errorf("another header gives the same %s", got)
	}
}

func TestThroughClient_SendsTheSessionsOwnBytes(t *testing.T) {
	addr := brokerOf(t)
	publishes := publishesOf(30, 1, 30)
	want := digestOf(t, addr, kafkaName(9), publishes)
	a := new(throughClient)
	if err := a.take(t.Context(), addr, publishes); err != nil {
		t.Fatal(err)
	}
	n := newTally(&job{Check: true})
	if err := a.run(t.Context(), &job{Addr: addr, Check: true}, n); err != nil {
		t.Fatal(err)
	}
	if got := n.digest(); got != want || n.count != 61 {
		t.Errorf("got %s of %d records, want %s of 61", got, n.count, want)
	}
}

func TestPublishAll_LeavesNoTopicBehind(t *testing.T) {
	addr := brokerOf(t)
	digestOf(t, addr, "gone", publishesOf(3))
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	topics, err := kadm.NewClient(cl).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, "tw.") {
			t.Errorf("topic %s is still there", name)
		}
	}
}

func TestKafkaTopic_OtherNumbersOfRecordsAreErrors(t *testing.T) {
	addr, publishes := brokerOf(t), publishesOf(5)
	err := publishAll(t.Context(), addr, "count", publishes, newTally(&job{}), func() error {
		k := kafkaTopic{addr: addr, name: positionsTopic("count"), partitions: 1, from: 0}
		if err := k.read(t.Context(), 1, func(*kgo.Record) {}); err == nil || !strings.Contains(err.Error(), "has 2 records, want 1") {
			t.Errorf("one too many: got %v", err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		seen := 0
		err := k.read(ctx, 3, func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				if seen++; seen == 2 {
					cancel(errors.New("nothing more comes"))
				}
			}
		})
		if err == nil || !strings.Contains(err.Error(), "nothing more comes") {
			t.Errorf("one missing: got %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestGathered_TakesWholeTransactions(t *testing.T) {
	g := new(gathered)
	for tx, rows := range []int{1, publishRows - 2, 0, 1, publishRows * 3, 2} {
		g.tx, g.row = &binlog.Transaction{ID: fmt.Sprint(tx)}, new(binlog.RowChange)
		for row := range rows {
			if err := g.add(view.Event{LSN: change.LSN{Txn: uint64(tx), Row: uint32(row)}, Key: []byte("[1]"), Value: []byte("{}")}); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Commit(g.tx, fmt.Append(nil, tx)); err != nil {
			t.Fatal(err)
		}
	}
	g.seal()
	var got []string
	for _, p := range g.publishes {
		got = append(got, fmt.Sprintf("%d rows up to %s", len(p.records), p.position.Source))
	}
	if want := fmt.Sprintf("[%d rows up to 3 %d rows up to 4 2 rows up to 5]", publishRows, publishRows*3); fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
