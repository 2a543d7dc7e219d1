package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tailwater/change"
	"tailwater/internal/testenv"
	"tailwater/stream"
)

const rowsTopic = "tw.suite.rows"

// fakeLog is a log on a cluster in this process, with one topic.
func fakeLog(t *testing.T, o Options) (*kfake.Cluster, *Log) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	o.Brokers, o.Name = c.ListenAddrs(), "suite"
	l, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if _, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: rowsTopic, Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	return c, l
}

func open(t *testing.T, l *Log, shard string) *Session {
	t.Helper()
	s, err := l.OpenShard(t.Context(), stream.ShardOptions{Source: "src", Shard: shard, Topics: []string{rowsTopic}})
	if err != nil {
		t.Fatal(err)
	}
	return s.(*Session)
}

// row is one event in partition 0.
func row(s *Session, txn uint64) []stream.Record {
	return []stream.Record{{Topic: rowsTopic, Kind: stream.Event, Shard: s.shard, LSN: change.LSN{Epoch: s.epoch, Txn: txn, Row: 1}, TxID: "t", Row: 1, Key: []byte(`["1"]`), Value: []byte(`{}`)}}
}

// requests remembers the kinds of request that a cluster gets from now on.
type requests struct {
	mu   sync.Mutex
	keys []kmsg.Key
}

func watch(c *kfake.Cluster) *requests {
	r := &requests{}
	c.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.keys = append(r.keys, kmsg.Key(req.Key()))
		return nil, nil, false
	})
	return r
}

func (r *requests) all() []kmsg.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.keys)
}

func (r *requests) count(k kmsg.Key) (n int) {
	for _, got := range r.all() {
		if got == k {
			n++
		}
	}
	return n
}

// A position that is read before the session before is fenced may still be
// replaced by it.
func TestOpenShard_InitializesBeforeItReadsThePosition(t *testing.T) {
	c, l := fakeLog(t, Options{})
	if err := open(t, l, "a").Save(t.Context(), stream.SourcePosition{Source: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	heir := openLog(t, c.ListenAddrs()) // a process that has claimed nothing yet
	if _, err := heir.EnsureTopic(t.Context(), stream.TopicSpec{Name: rowsTopic}); err != nil {
		t.Fatal(err)
	}
	seen := watch(c)
	open(t, heir, "a")
	keys := seen.all()
	first := slices.Index(keys, kmsg.InitProducerID)
	for _, reading := range []kmsg.Key{kmsg.ListOffsets, kmsg.Fetch} {
		if at := slices.Index(keys, reading); first < 0 || at < first {
			t.Errorf("request %v came at %d, InitProducerID at %d", reading.Name(), at, first)
		}
	}
}

// A process that was told by its own publish that another has the shard takes
// it back at once when it is asked to.
func TestOpenShard_WhoWasToldTakesTheShardBack(t *testing.T) {
	c, l := fakeLog(t, Options{})
	first := open(t, l, "a")
	second := open(t, openLog(t, c.ListenAddrs()), "a")
	if err := first.Publish(t.Context(), row(first, 1)); !errors.Is(err, stream.ErrFenced) {
		t.Fatalf("the first session's publish = %v, want ErrFenced", err)
	}
	if back := open(t, l, "a"); back.Epoch() <= second.Epoch() {
		t.Errorf("taken back at epoch %d, want one above %d", back.Epoch(), second.Epoch())
	}
}

// What ended the session here had nothing to do with another: only the start
// that follows can say that there is one.
func TestOpenShard_WhoWasReplacedIsToldBeforeItTakesTheShardBack(t *testing.T) {
	c, l := fakeLog(t, Options{})
	if err := open(t, l, "a").Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, openLog(t, c.ListenAddrs()), "a")
	if _, err := l.OpenShard(t.Context(), stream.ShardOptions{Source: "src", Shard: "a", Topics: []string{rowsTopic}}); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("the first process opens the shard again: got %v, want ErrFenced", err)
	}
	if back := open(t, l, "a"); back.Epoch() <= second.Epoch() {
		t.Errorf("taken back at epoch %d, want one above %d", back.Epoch(), second.Epoch())
	}
}

// Sent again, an end could end the transaction after the one it is of.
func TestPublish_NeverSendsAnEndAgain(t *testing.T) {
	for name, fail := range map[string]func(*kfake.Cluster){
		"an error": func(c *kfake.Cluster) {
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.RequestTimedOut})
		},
		"a connection that breaks": func(c *kfake.Cluster) {
			c.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) { return nil, errors.New("hang up"), true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, l := fakeLog(t, Options{})
			s := open(t, l, "a")
			fail(c)
			seen := watch(c)
			err := s.Publish(t.Context(), row(s, 1))
			if !errors.Is(err, stream.ErrSessionEnded) || errors.Is(err, stream.ErrFenced) {
				t.Errorf("got %v, want the end of the session", err)
			}
			if err := s.Publish(t.Context(), row(s, 2)); !errors.Is(err, stream.ErrSessionEnded) {
				t.Errorf("the next publish: got %v, want the end of the session", err)
			}
			// The one whose connection broke is not among those that are watched.
			want := map[string]int{"an error": 1}[name]
			if n := seen.count(kmsg.EndTxn); n != want {
				t.Errorf("got %d requests EndTxn, want %d", n, want)
			}
		})
	}
}

// The records of all shards wait behind an open transaction until the shard's
// next session begins.
func TestOpenTransaction_HidesOtherShardsUntilItsSuccessor(t *testing.T) {
	_, l := fakeLog(t, Options{})
	dead, other := open(t, l, "a"), open(t, l, "b")
	if err := dead.producer.client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	at, err := dead.producer.send(t.Context(), row(dead, 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Publish(t.Context(), row(other, 1)); err != nil {
		t.Fatal(err)
	}
	next := func() int64 {
		b, err := l.Bounds(t.Context(), rowsTopic)
		if err != nil {
			t.Fatal(err)
		}
		return b[0].Next
	}
	mine := at[stream.TopicPartition{Topic: rowsTopic}]
	if got := next(); got >= mine {
		t.Errorf("while it is open: the bound is %d, want below %d", got, mine)
	}
	open(t, l, "a")
	if got := next(); got <= mine {
		t.Errorf("behind its end: the bound is %d, want above %d", got, mine)
	}
}

// steps is a clock that is stepped by hand.
type steps struct {
	mu sync.Mutex
	at time.Time
}

func (s *steps) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *steps) step(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.at.Add(d)
}

// Brokers refuse a producer in the same words when they have timed out its
// transaction and when another session has its place.
func TestPublish_TellsATimeOutFromASuccessor(t *testing.T) {
	for _, tt := range []struct {
		name      string
		stoodFor  time.Duration
		successor bool
		fenced    bool
	}{
		{"a time-out", transactionTimeout, false, false},
		{"a time-out, and a successor", transactionTimeout, true, true},
		{"refused at once", time.Second, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := &steps{at: time.Unix(1e9, 0)}
			c, l := fakeLog(t, Options{now: clock.now})
			s := open(t, l, "a")
			if tt.successor {
				open(t, l, "a")
			}
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.ProducerFenced})
			c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				clock.step(tt.stoodFor)
				return nil, nil, false
			})
			err := s.Publish(t.Context(), row(s, 1))
			if !errors.Is(err, stream.ErrSessionEnded) || errors.Is(err, stream.ErrFenced) != tt.fenced || errors.Is(err, errOverdue) == tt.fenced {
				t.Fatalf("got %v, want fenced: %t", err, tt.fenced)
			}
			if !tt.fenced {
				if heir := open(t, l, "a"); heir.Epoch() != s.Epoch()+1 {
					t.Errorf("got epoch %d behind %d", heir.Epoch(), s.Epoch())
				}
			}
		})
	}
}

// Two refusals that a person must act on name both sides.
func TestEnsureTopic_RefusesAnotherPartitionCount(t *testing.T) {
	_, l := fakeLog(t, Options{})
	_, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: rowsTopic, Partitions: 3})
	if err == nil || !strings.Contains(err.Error(), "it has 2 partitions, the configuration wants 3") {
		t.Errorf("got %v, want both counts", err)
	}
}

// A record in the positions topic that nobody of ours wrote stops the shard.
func TestOpenShard_RefusesAForeignPosition(t *testing.T) {
	_, l := fakeLog(t, Options{})
	if err := open(t, l, "a").Close(); err != nil {
		t.Fatal(err)
	}
	c, err := l.newClient()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: l.positionTopic("a"), Value: []byte("{}")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	_, err = l.OpenShard(t.Context(), stream.ShardOptions{Source: "src", Shard: "a", Topics: []string{rowsTopic}})
	if err == nil || !strings.Contains(err.Error(), "position of shard a in topic tw.suite.positions.a") {
		t.Errorf("got %v, want the shard and the topic", err)
	}
}

// Offsets of a topic that was made again mean other records, also for a process
// that has known the one before.
func TestOpenShard_RefusesATopicThatWasMadeAgain(t *testing.T) {
	_, l := fakeLog(t, Options{})
	s := open(t, l, "a")
	if err := s.Publish(t.Context(), row(s, 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), stream.SourcePosition{Source: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.admin.DeleteTopic(t.Context(), rowsTopic); err != nil {
		t.Fatal(err)
	}
	if err := l.makeTopic(t.Context(), rowsTopic, 2, l.wantedFor(stream.TopicSpec{})); err != nil {
		t.Fatal(err)
	}
	// The client remembers for a moment what it was told.
	testenv.Wait(t, time.Minute, "the topic to be another", func() error {
		if now, err := l.look(t.Context(), rowsTopic); err != nil || now == nil || now.Incarnation == s.topics[0].Incarnation {
			return fmt.Errorf("it is %+v: %w", now, err)
		}
		return nil
	})
	_, err := l.OpenShard(t.Context(), stream.ShardOptions{Source: "src", Shard: "a", Topics: []string{rowsTopic}})
	if err == nil || !strings.Contains(err.Error(), "somebody removed and made it again") || !strings.Contains(err.Error(), rowsTopic) {
		t.Errorf("got %v, want the topic named", err)
	}
}

// A topic that somebody else has made must keep what it is for.
func TestTopics_RefuseACleanupThatLosesRecords(t *testing.T) {
	c, l := fakeLog(t, Options{})
	for name, policy := range map[string]string{"tw.suite.made": "compact", "tw.suite.both": "compact,delete", "tw.suite.positions.a": "delete", "tw.other.schemas": "delete"} {
		if err := l.makeTopic(t.Context(), name, 1, wanted{configs: map[string]*string{"cleanup.policy": text(policy)}}); err != nil {
			t.Fatal(err)
		}
	}
	_, made := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: "tw.suite.made"})
	_, both := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: "tw.suite.both"})
	_, own := l.OpenShard(t.Context(), stream.ShardOptions{Source: "src", Shard: "a", Topics: []string{rowsTopic}})
	_, schemas := Open(t.Context(), Options{Brokers: c.ListenAddrs(), Name: "other"})
	for want, err := range map[string]error{
		"tw.suite.made has cleanup.policy=compact": made, "tw.suite.both has cleanup.policy=compact,delete": both,
		"tw.suite.positions.a has cleanup.policy=delete": own, "tw.other.schemas has cleanup.policy=delete": schemas,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestEnsureTopic_RefusesTheNameOfTheSchemas(t *testing.T) {
	_, l := fakeLog(t, Options{})
	_, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: stream.TopicName("suite", "schemas"), Partitions: 1})
	if err == nil || !strings.Contains(err.Error(), "give the view another name") {
		t.Errorf("got %v, want the way out", err)
	}
}

// A position that stands in the log and whose commit is not shown yet is waited
// for: who read up to what is shown would go on from the one before.
func TestOpenShard_WaitsForThePositionWhoseCommitIsNotShownYet(t *testing.T) {
	c, l := fakeLog(t, Options{})
	s := open(t, l, "a")
	if err := s.PublishAt(t.Context(), row(s, 1), at(s, 1)); err != nil {
		t.Fatal(err)
	}
	later := s.position.Clone()
	later.Epoch, later.Source = 7, []byte("behind 2")
	slow, err := l.newClient(kgo.TransactionalID("slow"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if err := slow.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := slow.ProduceSync(t.Context(), &kgo.Record{Topic: l.positionTopic("a"), Key: []byte(positionKey), Value: encodePosition(later)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	heir := openLog(t, c.ListenAddrs())
	seen := watch(c)
	type opened struct {
		s   stream.Session
		err error
	}
	got := make(chan opened, 1)
	go func() {
		s, err := heir.OpenShard(t.Context(), stream.ShardOptions{Source: "src", Shard: "a", Topics: []string{rowsTopic}})
		got <- opened{s, err}
	}()
	testenv.Wait(t, time.Minute, "the heir to read positions", func() error {
		if seen.count(kmsg.Fetch) == 0 {
			return errors.New("it has read nothing")
		}
		return nil
	})
	if err := slow.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	o := <-got
	if o.err != nil {
		t.Fatal(o.err)
	}
	if source := string(o.s.Recovered().Position.Source); source != "behind 2" || o.s.Epoch() != 8 {
		t.Errorf("the heir goes on from %q in epoch %d, want behind 2 in epoch 8", source, o.s.Epoch())
	}
}
