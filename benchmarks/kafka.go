package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"tailwater/binlog"
	"tailwater/change"
	"tailwater/internal/view"
	"tailwater/stream"
	"tailwater/stream/kafka"
)

// kafkaBench is what a shard's session on Kafka costs beside the client library
// that it is made of.
var kafkaBench = &bench{
	name: "kafka", what: "events in memory to a broker outside of the process, each publish a transaction with the position in it; on one core",
	procs: 1, serve: serveBroker, fixtures: "ab", rows: map[string]int{"a": 200_000},
	groups: func() []*group {
		return []*group{
			{name: "publish", arms: []*arm{
				{name: "tailwater", what: "a session's PublishAt", run: new(throughSession).run},
				{name: "franz-go", what: "franz-go with the session's settings and the session's own records, headers and positions, made before", run: new(throughClient).run},
			}},
		}
	},
}

// publishRows is how many rows a publish has at least: it takes whole
// transactions until it has as many. With fixture a, that is one transaction.
const publishRows = 50

// publish is what one call of PublishAt takes.
type publish struct {
	records  []stream.Record
	position stream.SourcePosition
}

// gathered makes publishes of a recording, as the pipeline does of a server's
// binlog.
type gathered struct {
	planned
	row       *binlog.RowChange
	tx        *binlog.Transaction
	open      publish
	publishes []publish
}

var _ binlog.Handler = (*gathered)(nil)

// gather reads a recording into memory. The records' topic is left empty.
func gather(ctx context.Context, j *job) ([]publish, error) {
	g := &gathered{planned: planned{tally: newTally(&job{}), plans: make(map[*change.Table]*view.Plan)}}
	g.definition = ordersView()
	g.emit = g.add
	if err := replay(ctx, j, binlog.Options{Shard: shardID}, g); err != nil {
		return nil, err
	}
	g.seal()
	return g.publishes, nil
}

// Row makes the records of a row.
func (g *gathered) Row(tx *binlog.Transaction, r *binlog.RowChange) error {
	g.tx, g.row = tx, r
	return g.planned.Row(tx, r)
}

func (g *gathered) add(e view.Event) error {
	g.open.records = append(g.open.records, stream.Record{
		Partition: stream.Partition(e.Key, partitions), Kind: stream.Event, Shard: shardID, LSN: e.LSN, Watermark: g.tx.CommitMicros,
		TxID: g.tx.ID, Row: g.row.Row, Key: bytes.Clone(e.Key), Value: bytes.Clone(e.Value),
	})
	return nil
}

// Commit takes the position, and ends a publish that has enough rows.
func (g *gathered) Commit(_ *binlog.Transaction, position []byte) error {
	n := len(g.open.records)
	if n == 0 {
		return nil
	}
	g.open.position = stream.SourcePosition{Source: bytes.Clone(position), LSN: g.open.records[n-1].LSN}
	if n >= publishRows {
		g.seal()
	}
	return nil
}

func (g *gathered) seal() {
	if len(g.open.records) > 0 {
		g.publishes = append(g.publishes, g.open)
		g.open = publish{}
	}
}

// kafkaName is the name of a pipeline that no other lap has. All are of one
// length, for positions name topics.
func kafkaName(lap int) string { return fmt.Sprintf("bench-%08d-%04d", os.Getpid(), lap) }

// kafkaTimeout bounds the wait for an answer of the broker.
const kafkaTimeout = 30 * time.Second

// openKafka opens a stream on the broker and makes topics of so many partitions.
func openKafka(ctx context.Context, addr, name string, topics map[string]int) (*kafka.Log, error) {
	log, err := kafka.Open(ctx, kafka.Options{Brokers: []string{addr}, Name: name, Timeout: kafkaTimeout})
	if err != nil {
		return nil, err
	}
	for topic, n := range topics {
		if _, err := log.EnsureTopic(ctx, stream.TopicSpec{Name: topic, Partitions: n}); err != nil {
			return nil, errors.Join(err, log.Close())
		}
	}
	return log, nil
}

// throughSession publishes by Tailwater's session.
type throughSession struct {
	publishes []publish
	lap       int
}

// run publishes all of the recording once; what comes before and behind it is
// not counted.
func (a *throughSession) run(ctx context.Context, j *job, t *tally) error {
	if a.publishes == nil {
		var err error
		if a.publishes, err = gather(ctx, j); err != nil {
			return err
		}
		runtime.GC()
	}
	a.lap++
	name := kafkaName(a.lap)
	return publishAll(ctx, j.Addr, name, a.publishes, t, func() error {
		if !j.Check {
			return nil
		}
		return hashKafka(ctx, j.Addr, name, claimed, int64(len(a.publishes)), t)
	})
}

// publishAll publishes by a session of its own, counts that, calls then with the
// session still open, and removes the topics.
func publishAll(ctx context.Context, addr, name string, publishes []publish, t *tally, then func() error) (err error) {
	topic := stream.TopicName(name, ordersName)
	log, err := openKafka(ctx, addr, name, map[string]int{topic: partitions})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close(), removeTopics(ctx, addr, name)) }()
	opened, err := log.OpenShard(ctx, stream.ShardOptions{Source: "shop", Shard: shardID, Topics: []string{topic}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	session, ok := opened.(stream.TransactionalSession)
	if !ok {
		return errors.New("the session has no transactions")
	}
	for i := range publishes {
		for k := range publishes[i].records {
			publishes[i].records[k].Topic = topic
		}
	}
	t.start()
	for i := range publishes {
		if err := session.PublishAt(ctx, publishes[i].records, publishes[i].position); err != nil {
			return err
		}
		t.took(publishes[i].records)
	}
	t.stop()
	return then()
}

// took counts records that are published.
func (t *tally) took(records []stream.Record) {
	for i := range records {
		t.bytes += int64(len(records[i].Value))
	}
	t.count += int64(len(records))
}
