package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"tailwater/stream"
)

// ready is a publish as the client library takes it.
type ready struct {
	records  []readyRecord
	position []byte
}

// readyRecord is a record of which nothing is left to make.
type readyRecord struct {
	partition  int32
	key, value []byte
	headers    []kgo.RecordHeader
}

// throughClient publishes by the client library alone what a session has
// published before: the same bytes to the same partitions in the same
// transactions.
type throughClient struct {
	publishes []ready
	// positionKey is the key of a position.
	positionKey []byte
	lap         int
}

// run publishes all of the recording once; what comes before and behind it is
// not counted.
func (a *throughClient) run(ctx context.Context, j *job, t *tally) (err error) {
	if a.publishes == nil {
		publishes, err := gather(ctx, j)
		if err == nil {
			err = a.take(ctx, j.Addr, publishes)
		}
		if err != nil {
			return err
		}
		runtime.GC()
	}
	a.lap++
	name := kafkaName(a.lap)
	topic, positions := stream.TopicName(name, ordersName), positionsTopic(name)
	log, err := openKafka(ctx, j.Addr, name, map[string]int{topic: partitions, positions: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close(), removeTopics(ctx, j.Addr, name)) }()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(j.Addr),
		kgo.TransactionalID(topic),
		kgo.TransactionTimeout(10*time.Second),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()),
		kgo.ProducerLinger(0),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return err
	}
	t.start()
	for i := range a.publishes {
		if err := a.publish(ctx, cl, &a.publishes[i], topic, positions); err != nil {
			return err
		}
		t.tookReady(a.publishes[i].records)
	}
	t.stop()
	if !j.Check {
		return nil
	}
	return hashKafka(ctx, j.Addr, name, 0, int64(len(a.publishes)), t)
}

// publish is one transaction.
func (a *throughClient) publish(ctx context.Context, cl *kgo.Client, p *ready, topic, positions string) error {
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	failed := make(chan error, 1)
	done := func(_ *kgo.Record, err error) {
		if err != nil {
			select {
			case failed <- err:
			default:
			}
		}
	}
	for i := range p.records {
		r := &p.records[i]
		cl.Produce(ctx, &kgo.Record{Topic: topic, Partition: r.partition, Key: r.key, Value: r.value, Headers: r.headers}, done)
	}
	cl.Produce(ctx, &kgo.Record{Topic: positions, Key: a.positionKey, Value: p.position}, done)
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return fmt.Errorf("produce: %w", err)
	default:
		return cl.EndTransaction(ctx, kgo.TryCommit)
	}
}

// take has a session publish, and keeps what it has sent.
func (a *throughClient) take(ctx context.Context, addr string, publishes []publish) error {
	name := kafkaName(0)
	return publishAll(ctx, addr, name, publishes, newTally(&job{}), func() error {
		sent := make([][]readyRecord, partitions)
		rows := int64(0)
		for i := range publishes {
			rows += int64(len(publishes[i].records))
		}
		events := kafkaTopic{addr: addr, name: stream.TopicName(name, ordersName), partitions: partitions, from: claimed}
		err := events.read(ctx, rows, func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				sent[r.Partition] = append(sent[r.Partition], keep(r))
			}
		})
		if err != nil {
			return err
		}
		var stored [][]byte
		positions := kafkaTopic{addr: addr, name: positionsTopic(name), partitions: 1, from: claimed}
		err = positions.read(ctx, int64(len(publishes)), func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				a.positionKey = bytes.Clone(r.Key)
				stored = append(stored, bytes.Clone(r.Value))
			}
		})
		if err != nil {
			return err
		}
		for i := range publishes {
			p := ready{position: stored[i]}
			for k := range publishes[i].records {
				at := publishes[i].records[k].Partition
				p.records = append(p.records, sent[at][0])
				sent[at] = sent[at][1:]
			}
			a.publishes = append(a.publishes, p)
		}
		return nil
	})
}

// keep copies a record out of the buffers that it was read into.
func keep(r *kgo.Record) readyRecord {
	out := readyRecord{partition: r.Partition, key: bytes.Clone(r.Key), value: bytes.Clone(r.Value)}
	for _, h := range r.Headers {
		out.headers = append(out.headers, kgo.RecordHeader{Key: h.Key, Value: bytes.Clone(h.Value)})
	}
	return out
}

// tookReady counts records that are published.
func (t *tally) tookReady(records []readyRecord) {
	for i := range records {
		t.bytes += int64(len(records[i].value))
	}
	t.count += int64(len(records))
}
