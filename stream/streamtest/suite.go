// Package streamtest is the conformance suite of stream.Log: every
// implementation runs it and adds the faults that it can suffer.
//
// Its heart is a model of a source (Source), of a reader that publishes it
// through a session (Reader), and of a consumer that folds the log (Fold).
// Whatever happens to the log and the sessions, the fold must hold every row of
// the source exactly once and the rows of each key in the source's order.
//
// An implementation offers its faults by optional interfaces of its Store. A
// test whose fault is not offered is skipped, and says so.
package streamtest

import (
	"context"
	"testing"
	"time"

	"tailwater/stream"
)

// Store is the place of one log.
type Store interface {
	// Open opens the log as a starting process does. The log that was opened
	// before has been closed or killed. Open registers what must be released.
	Open(t *testing.T) stream.Log
}

// Crasher is a Store whose log can end without order.
type Crasher interface {
	// Kill ends the log as kill -9 does: what was written stays. What still
	// uses the log gets errors.
	Kill(t *testing.T, l stream.Log)
	// PowerCut is Kill that loses everything that was not synced.
	PowerCut(t *testing.T, l stream.Log)
}

// Faulty is a Store whose log can be made to fail.
type Faulty interface {
	// FailWrite makes the next write to the partition fail without effect.
	FailWrite(t *testing.T, l stream.Log, tp stream.TopicPartition)
	// LoseAnswer makes the next write to the partition take effect, and the
	// answer to it fail.
	LoseAnswer(t *testing.T, l stream.Log, tp stream.TopicPartition)
	// Heal takes back the faults that have not struck.
	Heal(t *testing.T, l stream.Log)
	// WriteLate writes records as they are, as the request of a session does
	// that was delayed on its way. They must be of one partition.
	WriteLate(t *testing.T, l stream.Log, records []stream.Record)
}

// CommitLoser is a Store of a log with transactions: its sessions are
// stream.TransactionalSession.
type CommitLoser interface {
	// LoseCommit makes the next session that commits fail before the log hears
	// of it, as one that dies between its data and its commit: what it has sent
	// stays in a transaction that is open.
	LoseCommit(t *testing.T, l stream.Log)
}

// Rollback is a Store whose positions can be set back to a copy.
type Rollback interface {
	// CopyPositions copies the positions. The function that it returns puts
	// the copy back; it must be called while no log is open.
	CopyPositions(t *testing.T) (restore func())
}

// Factory makes an empty Store.
type Factory func(t *testing.T) Store

// Topic and Shard are the names that the suite uses, with Partitions partitions.
const (
	Topic      = "tw.suite.rows"
	Shard      = "s0"
	Partitions = 3
)

// suiteTest is one test of the suite.
type suiteTest struct {
	name string
	run  func(t *testing.T, e *env)
}

// transactional are the tests of logs whose Store is a CommitLoser.
var transactional = []suiteTest{
	{"PublishesWithThePosition", testPublishAt},
	{"DiesBetweenDataAndCommit", testLostCommit},
	{"LostAnswerToACommitIsAllOrNothing", testLostCommitAnswer},
	{"FailedPublishLeavesThePosition", testFailedPublishAt},
	{"ZombiePublishesNeitherDataNorPosition", testZombiePublishAt},
	{"PositionWithDataInsideATransaction", testPublishAtSplit},
	{"PositionBehindTheData", testOldPosition},
}

// Run runs the suite, and the tests of transactions where the log has them.
func Run(t *testing.T, factory Factory) {
	tests := []suiteTest{
		{"KeepsTheOrderOfEachPartition", testOrder},
		{"NumbersEventsAndHeartbeats", testNumbers},
		{"ResumesInsideAPublish", testResume},
		{"RoundTripsEveryField", testFields},
		{"KnowsWhichPartitionsHaveATablesEvent", testTableEvent},
		{"BoundsAPoll", testPollBound},
		{"PollWaitsForRecords", testPollWaits},
		{"TakesARecordAtTheLimit", testRecordLimit},
		{"RefusesOffsetsOutOfRange", testOutOfRange},
		{"KeepsTopics", testTopics},
		{"KeepsSchemas", testSchemas},
		{"SavesPositions", testPositions},
		{"TopicsJoinFromSessionToSession", testJoiningTopics},
		{"RefusesAPublishOutOfOrder", testRefusals},
		{"EndsASessionAtItsFirstError", testFirstError},
		{"ClosesInMidProduce", testCloseInMidProduce},
		{"TwoSessionsAtOnce", testTwoSessions},
		{"ZombieCannotSave", testZombie},
		{"ZombieLateWriteIsDropped", testLateWrite},
		{"FenceStopsALateWriteToAnIdlePartition", testFence},
		{"KilledBetweenDataAndPosition", testKilledBeforeSave},
		{"DuplicatePublishCountsOnce", testDuplicate},
		{"LostAnswerCountsOnce", testLostAnswer},
		{"FailedBatchOneOfTwo", testFailedBatch},
		{"FailedPublishIsInvisible", testFailedPublish},
		{"SkipsByEventNotByTransaction", testHalfTransaction},
		{"FoldsTheTailAsAConsumerDoes", testFoldMarks},
		{"KeepsTheSkipListUntilItsTransactionIsComplete", testSkipListStays},
		{"FailsOverToAnotherOrder", testOtherOrder},
		{"ClaimsAboveTheEpochsOfTheLog", testRolledBackPosition},
		{"LosesNothingAcknowledgedInAPowerCut", testPowerCut},
		{"RandomSchedules", testRandom},
	}
	if _, ok := factory(t).(CommitLoser); ok {
		tests = append(tests, transactional...)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := &env{t: t, factory: factory, store: factory(t)}
			e.ctx, e.cancel = context.WithTimeout(t.Context(), time.Minute)
			defer e.cancel()
			e.open()
			test.run(t, e)
			if !t.Failed() && e.log != nil {
				if err := e.log.Close(); err != nil {
					t.Errorf("close the log: %v", err)
				}
			}
		})
	}
}

// env is one test's log.
type env struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // it bounds one test
	cancel  context.CancelFunc
	factory Factory
	store   Store
	log     stream.Log
}

// open opens the log and its topic.
func (e *env) open() {
	e.t.Helper()
	e.log = e.store.Open(e.t)
	if _, err := e.log.EnsureTopic(e.ctx, stream.TopicSpec{Name: Topic, Partitions: Partitions}); err != nil {
		e.t.Fatal(err)
	}
}

// reopen closes the log in order and opens it again.
func (e *env) reopen() {
	e.t.Helper()
	if err := e.log.Close(); err != nil {
		e.t.Fatal(err)
	}
	e.open()
}

func (e *env) crasher() Crasher { return optional[Crasher](e) }

func (e *env) faulty() Faulty { return optional[Faulty](e) }

func optional[I any](e *env) I {
	e.t.Helper()
	f, ok := e.store.(I)
	if !ok {
		e.t.Skipf("the store %T does not offer %T", e.store, new(I))
	}
	return f
}

func (e *env) kill() {
	e.t.Helper()
	e.crasher().Kill(e.t, e.log)
	e.open()
}

func (e *env) session() stream.Session {
	e.t.Helper()
	s, err := e.log.OpenShard(e.ctx, stream.ShardOptions{Source: "suite", Shard: Shard, Topics: []string{Topic}})
	if err != nil {
		e.t.Fatalf("open shard: %v", err)
	}
	return s
}

func (e *env) consumer(o stream.ConsumerOptions, offsets map[stream.TopicPartition]int64) stream.Consumer {
	e.t.Helper()
	c, err := e.log.NewConsumer(e.ctx, o)
	if err != nil {
		e.t.Fatal(err)
	}
	if err := c.Assign(offsets); err != nil {
		e.t.Fatal(err)
	}
	return c
}

func tp(p int32) stream.TopicPartition { return stream.TopicPartition{Topic: Topic, Partition: p} }

// end is the offset behind the last durable record of a partition.
func (e *env) end(p int32) int64 {
	e.t.Helper()
	bounds, err := e.log.Bounds(e.ctx, Topic)
	if err != nil {
		e.t.Fatal(err)
	}
	return bounds[p].Next
}

// all reads every durable record of the topic.
func (e *env) all() []stream.Record {
	e.t.Helper()
	return e.from(map[stream.TopicPartition]int64{tp(0): 0, tp(1): 0, tp(2): 0})
}

// from reads every durable record at or behind the offsets, but for those of
// the log itself.
func (e *env) from(offsets map[stream.TopicPartition]int64) []stream.Record {
	e.t.Helper()
	bounds, err := e.log.Bounds(e.ctx, Topic)
	if err != nil {
		e.t.Fatal(err)
	}
	left := make(map[stream.TopicPartition]bool)
	for at, offset := range offsets {
		if offset < bounds[at.Partition].Next {
			left[at] = true
		}
	}
	c := e.consumer(stream.ConsumerOptions{}, offsets)
	var records []stream.Record
	for len(left) > 0 {
		polled, err := c.Poll(e.ctx)
		if err != nil {
			e.t.Fatalf("poll after %d records, with %v left: %v", len(records), left, err)
		}
		for i := range polled {
			r := &polled[i]
			if r.Offset >= bounds[r.Partition].Next-1 {
				delete(left, tp(r.Partition))
			}
			if r.Kind != stream.Control {
				records = append(records, *r)
			}
		}
	}
	if err := c.Close(); err != nil {
		e.t.Error(err)
	}
	return records
}
