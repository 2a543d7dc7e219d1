package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"tailwater/internal/testenv"
	"tailwater/stream"
	"tailwater/stream/kafka/kafkatest"
	"tailwater/stream/streamtest"
)

// ledger is a source that is published to a cluster by a road that a test
// spoils, and read back by whoever reads committed records.
type ledger struct {
	*testing.T
	road way
	o    Options
	log  *Log
	src  *streamtest.Source
	r    *streamtest.Reader
}

// onLedger runs a test on a cluster in this process and on a real one.
func onLedger(t *testing.T, transactions int, o Options, settings []string, test func(l *ledger)) {
	for name, start := range map[string]func(t *testing.T) []string{
		"in process":   func(t *testing.T) []string { return kafkatest.Start(t) },
		"Apache Kafka": func(t *testing.T) []string { return []string{testenv.Kafka(t, settings...).Addr} },
	} {
		t.Run(name, func(t *testing.T) {
			l := &ledger{T: t, o: o, src: streamtest.RandomSource(rand.New(rand.NewPCG(3, 9)), transactions)}
			l.o.Brokers, l.o.dial = start(t), l.road.dial
			l.log = openWith(t, l.o)
			if _, err := l.log.EnsureTopic(t.Context(), stream.TopicSpec{Name: streamtest.Topic, Partitions: streamtest.Partitions}); err != nil {
				t.Fatal(err)
			}
			l.start()
			test(l)
		})
	}
}

// start opens the shard as a process does that starts, and waits until it may.
func (l *ledger) start() {
	l.Helper()
	testenv.Wait(l, time.Minute, "the shard to open", func() (err error) {
		l.r, err = streamtest.OpenReader(l.Context(), l.log, l.src, 0)
		return err
	})
}

func (l *ledger) session() *Session { return l.r.Session.(*Session) }

// publish publishes n transactions, on their own or with the position.
func (l *ledger) publish(n int, split bool) error {
	if n%2 == 0 {
		return l.r.Publish(l.Context(), n, split)
	}
	return l.r.PublishAt(l.Context(), n, split)
}

func (l *ledger) mustPublish(n int) {
	l.Helper()
	if err := l.publish(n, false); err != nil {
		l.Fatal(err)
	}
}

// finish publishes what is left. Whoever reads committed records finds each row
// of the source once, be it by the rule of marks or without any.
func (l *ledger) finish() {
	l.Helper()
	for l.r.Left() {
		if err := l.publish(3, false); err != nil {
			l.Logf("publish: %v", err)
			l.start()
		}
	}
	if err := l.session().settle(l.Context()); err != nil {
		l.Fatal(err)
	}
	records := committed(l.T, l.log, streamtest.Topic)
	for _, wrong := range streamtest.Fold(l.src, records) {
		l.Error(wrong)
	}
	seen := make(map[string]int)
	for i := range records {
		if records[i].Kind == stream.Event {
			seen[string(records[i].Value)]++
		}
	}
	for row, n := range seen {
		if n != 1 {
			l.Errorf("a reader without the rule finds %s %d times", row, n)
		}
	}
}

// committed reads every committed record of a topic.
func committed(t *testing.T, l *Log, name string) (records []stream.Record) {
	t.Helper()
	bounds, err := l.Bounds(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.NewConsumer(t.Context(), stream.ConsumerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	from, left := make(map[stream.TopicPartition]int64), make(map[int32]bool)
	for p, b := range bounds {
		if b.First < b.Next {
			from[stream.TopicPartition{Topic: name, Partition: int32(p)}], left[int32(p)] = b.First, true
		}
	}
	if err := c.Assign(from); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(left) > 0 {
		polled, err := c.Poll(ctx)
		if err != nil {
			t.Fatalf("poll with %v left: %v", left, err)
		}
		for _, r := range polled {
			if r.Offset >= bounds[r.Partition].Next-1 {
				delete(left, r.Partition)
			}
			records = append(records, r)
		}
	}
	return records
}

// The commit of a session that is gone arrives in the middle of its successor's
// transaction, just before the successor ends it.
func TestHazard_B1_ALateEndEndsNoOtherTransaction(t *testing.T) {
	onLedger(t, 40, Options{}, nil, func(l *ledger) {
		for range 5 {
			l.mustPublish(3)
			l.road.keepNext(kmsg.EndTxn, 1, true)
			if err := l.publish(3, false); !errors.Is(err, stream.ErrSessionEnded) || errors.Is(err, stream.ErrFenced) {
				l.Fatalf("publish whose end is on its way: got %v, want the end of the session", err)
			}
			l.start()
			late := l.road.take()
			if len(late) != 1 {
				l.Fatalf("%d ends are on their way, want 1", len(late))
			}
			arrived := false
			l.road.set(func(w *way) {
				w.before = func() {
					if !arrived {
						arrived = true
						if err := late[0].arrive(); err != nil {
							l.Errorf("the late end: %v", err)
						}
					}
				}
			})
			l.mustPublish(2)
			l.road.set(func(w *way) { w.before = nil })
			if !arrived {
				l.Fatal("the late end did not arrive")
			}
		}
		l.finish()
	})
}

// Ends are lost, lose their answers, or come late, in any order.
func TestHazard_B1_AStormOnTheEndsOfTransactions(t *testing.T) {
	onLedger(t, 120, Options{}, nil, func(l *ledger) {
		rng := rand.New(rand.NewPCG(1, 890))
		var late []keptRequest
		for l.r.Left() {
			fault := rng.IntN(6)
			switch fault {
			case 0:
				l.road.set(func(w *way) { w.deafen = true })
			case 1:
				l.road.set(func(w *way) { w.cut = true })
			case 2:
				l.road.keepNext(kmsg.EndTxn, 1, true)
			}
			n := 1 + rng.IntN(4)
			err := l.publish(n, rng.IntN(3) == 0)
			// Where everything stands already there is nothing to end but a position.
			if strikes := fault < 3 && (len(l.r.Last) > 0 || n%2 == 1); (err != nil) != strikes {
				l.Fatalf("publish of %d records under fault %d: %v", len(l.r.Last), fault, err)
			}
			l.road.set((*way).heal)
			if late = append(late, l.road.take()...); err != nil {
				if l.start(); len(late) > 0 && rng.IntN(2) == 0 {
					_ = late[0].arrive()
					late = late[1:]
				}
			}
		}
		for _, k := range late {
			_ = k.arrive()
		}
		l.finish()
	})
}

// A cluster that was upgraded and whose transaction.version was left behind
// does not list it, and is refused like one that says 1; one that knows nothing
// of it is taken.
func TestHazard_B1_OlderTransactionsAreRefusedWithTheWayOut(t *testing.T) {
	for name, c := range map[string]struct {
		versions *kversion.Versions
		level    int16
		refused  bool
	}{
		"level 2":    {kversion.V4_1_0(), 2, false},
		"level 1":    {kversion.V4_1_0(), 1, true},
		"level 0":    {kversion.V4_1_0(), 0, true},
		"unheard of": {kversion.V3_9_0(), -1, false},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.MaxVersions(c.versions))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			if c.level >= 0 {
				setTransactionVersion(t, cluster.ListenAddrs(), c.level)
			}
			l, err := Open(t.Context(), Options{Brokers: cluster.ListenAddrs(), Name: "suite"})
			if err == nil {
				defer l.Close()
			}
			if c.refused != (err != nil) {
				t.Fatalf("got %v, want it refused: %t", err, c.refused)
			}
			want := fmt.Sprintf("the cluster has transaction.version %d", c.level)
			if c.refused && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--feature transaction.version=2")) {
				t.Errorf("got %v, want the level and the way out", err)
			}
		})
	}
}

func setTransactionVersion(t *testing.T, brokers []string, level int16) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req := kmsg.NewPtrUpdateFeaturesRequest()
	u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	u.Feature, u.MaxVersionLevel, u.AllowDowngrade, u.UpgradeType = "transaction.version", level, true, 2
	req.FeatureUpdates = append(req.FeatureUpdates, u)
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		t.Fatal(err)
	}
}

// Leaders and coordinators move, transactions are aborted, and the processes
// that share the partitions come and go: each event is committed once, and the
// work that follows the rule of marks counts it once.
func TestHazard_B2_LeadersMoveWorkIsSharedAnewAndTransactionsAreAborted(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	l := &ledger{T: t, src: streamtest.RandomSource(rand.New(rand.NewPCG(5, 5)), 200)}
	l.o = Options{Brokers: cluster.ListenAddrs(), dial: l.road.dial, Timeout: 5 * time.Second}
	l.log = openWith(t, l.o)
	if _, err := l.log.EnsureTopic(t.Context(), stream.TopicSpec{Name: streamtest.Topic, Partitions: streamtest.Partitions}); err != nil {
		t.Fatal(err)
	}
	l.start()
	sink := &counted{T: t, next: make(map[int32]int64), marks: make(map[int32]stream.Marks), seen: make(map[string]int)}
	var workers []*taking
	rng := rand.New(rand.NewPCG(2, 2026))
	for i := 0; l.r.Left(); i++ {
		switch rng.IntN(12) {
		case 0:
			cluster.ShufflePartitionLeaders()
		case 1:
			cluster.RehashCoordinators()
		case 2:
			l.road.set(func(w *way) { w.cut = true })
		case 3:
			l.road.set(func(w *way) { w.deafen = true })
		case 4:
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: streamtest.Topic, Partitions: []int32{int32(rng.IntN(3))}, Err: kerr.NotLeaderForPartition})
		}
		switch i % 20 {
		case 0, 5, 6:
			workers = append(workers, sink.take(l.o.Brokers))
		case 15, 18:
			workers[0].end()
			workers = workers[1:]
		}
		if err := l.publish(1+rng.IntN(4), rng.IntN(3) == 0); err != nil {
			l.road.set((*way).heal)
			l.start()
		}
	}
	l.road.set((*way).heal)
	l.finish()
	bounds, err := l.log.Bounds(t.Context(), streamtest.Topic)
	if err != nil {
		t.Fatal(err)
	}
	workers = append(workers, sink.take(l.o.Brokers))
	testenv.Wait(t, time.Minute, "the work to come to the end", func() error { return sink.reached(bounds) })
	for _, w := range workers {
		w.end()
	}
	rows := 0
	for _, tx := range l.src.Tx {
		rows += len(tx)
	}
	if len(sink.seen) != rows {
		t.Errorf("the work has counted %d rows, want %d", len(sink.seen), rows)
	}
	for row, n := range sink.seen {
		if n != 1 {
			t.Errorf("the work has counted %s %d times", row, n)
		}
	}
}

// counted is a sink that keeps offset and marks with what it has counted, and
// refuses whoever begins elsewhere.
type counted struct {
	*testing.T
	mu    sync.Mutex
	next  map[int32]int64
	marks map[int32]stream.Marks
	seen  map[string]int
}

func (c *counted) reached(bounds []stream.Bounds) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, b := range bounds {
		if at := c.next[int32(p)]; at < b.Next {
			return fmt.Errorf("partition %d is at %d of %d", p, at, b.Next)
		}
	}
	return nil
}

// add applies what came behind the sink's own offset.
func (c *counted) add(records []stream.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range records {
		r := &records[i]
		if r.Offset < c.next[r.Partition] {
			continue // another worker has applied it
		}
		if c.marks[r.Partition] == nil {
			c.marks[r.Partition] = stream.Marks{}
		}
		ok, err := c.marks[r.Partition].Accept(r)
		if err != nil {
			return err
		}
		if ok && r.Kind == stream.Event {
			c.seen[string(r.Value)]++
		}
		c.next[r.Partition] = r.Offset + 1
	}
	return nil
}

func (c *counted) from(parts []int32) map[stream.TopicPartition]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[stream.TopicPartition]int64)
	for _, p := range parts {
		out[stream.TopicPartition{Topic: streamtest.Topic, Partition: p}] = c.next[p]
	}
	return out
}

// taking is one process that works for the sink.
type taking struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func (w *taking) end() { w.cancel(); <-w.done }

func (c *counted) take(brokers []string) *taking {
	c.Helper()
	l := openLog(c, brokers)
	ctx, cancel := context.WithCancel(c.Context())
	w := &taking{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		err := l.Share(ctx, "tw.suite.counted", streamtest.Topic, func(ctx context.Context, parts []int32) error {
			if len(parts) == 0 {
				<-ctx.Done()
				return nil
			}
			consumer, err := l.NewConsumer(ctx, stream.ConsumerOptions{})
			if err != nil {
				return err
			}
			defer func() { _ = consumer.Close() }()
			if err := consumer.Assign(c.from(parts)); err != nil {
				return err
			}
			for ctx.Err() == nil {
				records, err := consumer.Poll(ctx)
				if err == nil {
					err = c.add(records)
				}
				if err != nil && ctx.Err() == nil {
					c.Logf("work: %v", err)
				}
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			c.Errorf("share: %v", err)
		}
	}()
	c.Cleanup(w.end)
	return w
}

// A reader stands still between its records and their commit for longer than
// the brokers wait: they end the transaction, nobody waits longer for it, and
// when the reader comes back it has not been replaced, begins again, and
// publishes the same rows.
func TestHazard_B4_AReaderThatStandsStillLongerThanItsTransaction(t *testing.T) {
	settings := []string{"transaction.abort.timed.out.transaction.cleanup.interval.ms=200"}
	onLedger(t, 30, Options{openFor: time.Second}, settings, func(l *ledger) {
		l.mustPublish(3)
		if err := l.session().settle(l.Context()); err != nil {
			l.Fatal(err)
		}
		l.road.keepNext(kmsg.EndTxn, 1, false)
		ended := make(chan error, 1)
		go func() { ended <- l.publish(5, false) }()
		other := openAt(l, "other")
		testenv.Wait(l, time.Minute, "the records to be sent and their transaction to be ended", func() error {
			if len(l.kept()) == 0 {
				return errors.New("the commit is not on its way")
			}
			return l.hidden()
		})
		if err := other.Publish(l.Context(), beat(other)); err != nil {
			l.Errorf("another shard: %v", err)
		}
		if err := l.road.take()[0].goOn(); err != nil {
			l.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, stream.ErrSessionEnded) || errors.Is(err, stream.ErrFenced) {
			l.Errorf("the reader that came back: got %v, want the end of its session, and nobody in its place", err)
		}
		before := l.session().Epoch()
		l.start()
		if got := l.session().Epoch(); got != before+1 {
			l.Errorf("got epoch %d behind %d", got, before)
		}
		l.finish()
	})
}

func (l *ledger) kept() (kept []keptRequest) {
	l.road.set(func(w *way) { kept = slices.Clone(w.kept) })
	return kept
}

// hidden is an error while readers wait for an open transaction.
func (l *ledger) hidden() error {
	stable, err := l.log.offsets(l.Context(), streamtest.Topic, l.log.admin.ListCommittedOffsets)
	if err != nil {
		return err
	}
	end, err := l.log.offsets(l.Context(), streamtest.Topic, l.log.admin.ListEndOffsets)
	if err == nil && !slices.Equal(stable, end) {
		err = fmt.Errorf("readers see up to %v of %v", stable, end)
	}
	return err
}

// openAt opens another shard of the ledger's topic.
func openAt(l *ledger, shard string) *Session {
	l.Helper()
	s, err := l.log.OpenShard(l.Context(), stream.ShardOptions{Source: "suite", Shard: shard, Topics: []string{streamtest.Topic}})
	if err != nil {
		l.Fatal(err)
	}
	return s.(*Session)
}

// beat is a heartbeat, for the ledger holds the rows of its own shard only.
func beat(s *Session) []stream.Record {
	records := row(s, 1)
	records[0].Kind, records[0].LSN.Txn, records[0].LSN.Row, records[0].Key = stream.Heartbeat, 0, 0, nil
	return records
}

// Acknowledgements do not come within the time that a publish may take, and the
// batches arrive after their session was given up: the session ends there, and
// goes on with nothing; what arrives late is refused.
func TestHazard_B5_NothingFollowsABatchThatWasGivenUp(t *testing.T) {
	onLedger(t, 30, Options{Timeout: time.Second}, nil, func(l *ledger) {
		l.mustPublish(3)
		l.road.keepNext(kmsg.Produce, 1<<20, false)
		if err := l.publish(4, false); !errors.Is(err, stream.ErrSessionEnded) || errors.Is(err, stream.ErrFenced) {
			l.Fatalf("publish without an acknowledgement: got %v, want the end of the session", err)
		}
		l.road.set((*way).heal)
		if err := l.publish(1, false); !errors.Is(err, stream.ErrSessionEnded) {
			l.Errorf("the next publish: got %v, want the end of the session", err)
		}
		late := l.road.take()
		if len(late) == 0 {
			l.Fatal("no batch is on its way")
		}
		l.start()
		for _, k := range late {
			if err := k.arrive(); err != nil {
				l.Logf("a late batch: %v", err)
			}
		}
		l.finish()
	})
}

// One of three transactions is aborted: who reads uncommitted records sees its
// rows, Tailwater's consumers do not.
func TestHazard_B6_OnlyReadersOfUncommittedRecordsSeeAbortedRows(t *testing.T) {
	onBoth(t, func(t *testing.T, l *Log) {
		s := open(t, l, "a")
		if err := s.Publish(t.Context(), row(s, 1)); err != nil {
			t.Fatal(err)
		}
		if err := s.producer.client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.producer.send(t.Context(), row(s, 2), nil); err != nil {
			t.Fatal(err)
		}
		heir := open(t, l, "a")
		if err := heir.Publish(t.Context(), row(heir, 3)); err != nil {
			t.Fatal(err)
		}
		if err := heir.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := standing(t, l); !slices.Equal(got, []uint64{1, 3}) {
			t.Errorf("a consumer of ours has the transactions %v, want 1 and 3", got)
		}
		dirty, err := kgo.NewClient(kgo.SeedBrokers(l.o.Brokers...), kgo.ConsumeTopics(rowsTopic), kgo.FetchIsolationLevel(kgo.ReadUncommitted()))
		if err != nil {
			t.Fatal(err)
		}
		defer dirty.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for rows := 0; rows < 3 && ctx.Err() == nil; {
			dirty.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				if string(r.Key) == `["1"]` {
					rows++
				}
			})
		}
		if ctx.Err() != nil {
			t.Error("a reader of uncommitted records did not see the aborted row: the test shows nothing")
		}
	})
}

// A transactional id has been initialized so often that its epoch is used up:
// the brokers give it another producer id, and the shard goes on.
func TestHazard_B8_AnEpochThatIsUsedUp(t *testing.T) {
	_, l := fakeLog(t, Options{})
	s := open(t, l, "a")
	if err := s.PublishAt(t.Context(), row(s, 1), at(s, 1)); err != nil {
		t.Fatal(err)
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(l.o.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	id := TransactionalID(l.o.Name, "src", "a")
	var first, last int64
	var epoch int16
	for n := 0; epoch < 32_700 || first == last; n++ {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionalID, req.TransactionTimeoutMillis = &id, 1000
		resp, err := req.RequestWith(t.Context(), c)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err != nil || n > 70_000 {
			t.Fatalf("initialize the id %d times: %v", n, err)
		}
		if first == 0 {
			first = resp.ProducerID
		}
		last, epoch = resp.ProducerID, resp.ProducerEpoch
		if first != last {
			break
		}
	}
	// Brokers have other words for a producer id that is gone than for an epoch.
	if err := s.Publish(t.Context(), row(s, 9)); !errors.Is(err, stream.ErrSessionEnded) {
		t.Errorf("the session before: got %v, want its end", err)
	}
	var heir *Session
	for heir == nil { // the first one is told that this process was replaced
		again, err := l.OpenShard(t.Context(), stream.ShardOptions{Source: "src", Shard: "a", Topics: []string{rowsTopic}})
		if err == nil {
			heir = again.(*Session)
		} else if !errors.Is(err, stream.ErrFenced) {
			t.Fatal(err)
		}
	}
	if err := heir.PublishAt(t.Context(), row(heir, 2), at(heir, 2)); err != nil {
		t.Fatal(err)
	}
	if err := heir.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := standing(t, l); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("got the transactions %v, want 1 and 2", got)
	}
}

// The log is not to be had for a while: its coordinators are not, or too few
// replicas are in sync. That is waited for, and never taken for another session.
func TestHazard_B8_AClusterThatIsUnavailableFencesNobody(t *testing.T) {
	for name, f := range map[string]kfake.Fault{
		"no coordinator":        {Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.CoordinatorNotAvailable},
		"coordinator loads":     {Keys: []kmsg.Key{kmsg.InitProducerID, kmsg.EndTxn}, Err: kerr.CoordinatorLoadInProgress},
		"transactions are busy": {Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.ConcurrentTransactions},
		"too few replicas":      {Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas},
		"replicas lag behind":   {Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicasAfterAppend},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, log := fakeLog(t, Options{Timeout: 300 * time.Millisecond})
			s := open(t, log, "a")
			if err := s.PublishAt(t.Context(), row(s, 1), at(s, 1)); err != nil {
				t.Fatal(err)
			}
			f.Count = -1
			fault := cluster.Fault(f)
			for range 2 {
				err := s.PublishAt(t.Context(), row(s, 2), at(s, 2))
				if errors.Is(err, stream.ErrFenced) {
					t.Errorf("publish: got %v, and nobody is in its place", err)
				}
				if err == nil {
					break
				}
				again, err := log.OpenShard(t.Context(), stream.ShardOptions{Source: "src", Shard: "a", Topics: []string{rowsTopic}})
				if errors.Is(err, stream.ErrFenced) {
					t.Errorf("open: got %v, and nobody is in its place", err)
				}
				if err == nil {
					s = again.(*Session)
				}
			}
			if fault.Hits() == 0 && f.Keys[0] == kmsg.Produce {
				t.Error("the fault has not struck")
			}
			fault.Remove()
			heir := open(t, log, "a")
			done := 1
			if string(heir.Recovered().Position.Source) == "behind 2" {
				done = 2
			}
			for txn := done + 1; txn <= 3; txn++ {
				if err := heir.PublishAt(t.Context(), row(heir, uint64(txn)), at(heir, uint64(txn))); err != nil {
					t.Fatal(err)
				}
			}
			if err := heir.settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := standing(t, log); !slices.Equal(got, []uint64{1, 2, 3}) {
				t.Errorf("got the transactions %v, want 1 to 3 once", got)
			}
		})
	}
}
