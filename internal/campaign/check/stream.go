package check

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Event is one event that counts.
type Event struct {
	Table, Shard string
	// Txn is the source's transaction.
	Txn       string
	LSN       LSN
	Partition int32
	Offset    int64
	// Published is the record's timestamp in milliseconds, TS the commit time
	// in microseconds.
	Published, TS int64
	// Op is c, u or d.
	Op  string
	Row Row
	// Entry is there for events of the ledger, and Row then empty.
	Entry *Entry
}

// Log says how the stream is reached and read.
type Log struct {
	// Addr is any broker's address. With Dial every connection is made by it,
	// whatever address the brokers tell.
	Addr string
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Pipeline is the pipeline's name.
	Pipeline string
	// Rule is to keep the acceptance rule, which the log without transactions
	// needs. Without it committed records are read and each counts: one that
	// the rule would drop is a violation.
	Rule bool
}

// Client returns a client of the log.
func (l Log) Client(opts ...kgo.Opt) (*kgo.Client, error) {
	base := []kgo.Opt{
		kgo.SeedBrokers(l.Addr), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(64 << 20), kgo.FetchMaxPartitionBytes(16 << 20), kgo.BrokerMaxReadBytes(256 << 20),
		kgo.RetryBackoffFn(func(int) time.Duration { return 200 * time.Millisecond }), kgo.MetadataMinAge(200 * time.Millisecond),
	}
	if l.Dial != nil {
		base = append(base, kgo.Dialer(l.Dial))
	}
	return kgo.NewClient(append(base, opts...)...)
}

// Topic is the topic of a view.
func (l Log) Topic(view string) string { return "tw." + l.Pipeline + "." + view }

// Read reads the topics of all tables to where they end now.
func (l Log) Read(ctx context.Context) ([]Event, Findings, error) {
	var out []Event
	var found Findings
	r := &reader{Log: l, texts: map[string]string{}}
	for _, view := range append([]string{Ledger}, Tables...) {
		events, f, err := r.readView(ctx, view)
		if err != nil {
			return nil, found, fmt.Errorf("read topic %s: %w", l.Topic(view), err)
		}
		out = append(out, events...)
		found.Merge(f)
	}
	return out, found, nil
}

// Follow hands every event of a view to take as it comes, those included that
// do not count, until ctx ends. Brokers may come and go.
func (l Log) Follow(ctx context.Context, view string, take func(*Event)) error {
	cl, err := l.Client(kgo.ConsumeTopics(l.Topic(view)), kgo.UnknownTopicRetries(-1))
	if err != nil {
		return err
	}
	defer cl.Close()
	r := &reader{Log: l, texts: map[string]string{}}
	for ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(rec *kgo.Record) {
			if len(rec.Key) == 0 {
				return
			}
			// What is no event is found by Read, which names its place.
			if e, err := r.event(view, rec.Value); err == nil {
				e.Published = rec.Timestamp.UnixMilli()
				take(&e)
			}
		})
	}
	return nil
}

type reader struct {
	Log
	// texts holds each text once: tags and transactions repeat.
	texts map[string]string
}

func (r *reader) intern(s string) string {
	if t, ok := r.texts[s]; ok {
		return t
	}
	s = strings.Clone(s)
	r.texts[s] = s
	return s
}

func (r *reader) readView(ctx context.Context, view string) ([]Event, Findings, error) {
	var out []Event
	var found Findings
	topic := r.Topic(view)
	ends, err := r.ends(ctx, topic)
	if err != nil {
		return nil, found, err
	}
	at := map[int32]kgo.Offset{}
	for p, end := range ends {
		if end > 0 {
			at[p] = kgo.NewOffset().At(0)
		} else {
			delete(ends, p)
		}
	}
	cl, err := r.Client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}), kgo.KeepControlRecords())
	if err != nil {
		return nil, found, err
	}
	defer cl.Close()
	marks := acceptance{}
	for len(ends) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return nil, found, fmt.Errorf("%d partitions are not read to their end: %w", len(ends), err)
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return nil, found, errs[0].Err
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			end, open := ends[rec.Partition]
			if !open || rec.Offset >= end {
				return
			}
			if rec.Offset == end-1 {
				delete(ends, rec.Partition)
			}
			if e, ok := r.record(&found, marks, view, rec); ok {
				out = append(out, e)
			}
		})
	}
	return out, found, nil
}

// ends are the next offsets of a topic's partitions. The last record before an
// end is handed out, a control record too.
func (r *reader) ends(ctx context.Context, topic string) (map[int32]int64, error) {
	cl, err := r.Client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	listed, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list the ends: %w", err)
	}
	out := map[int32]int64{}
	for p, o := range listed[topic] {
		out[p] = o.Offset
	}
	return out, nil
}

// record turns a record into an event, if it is one that counts.
func (r *reader) record(found *Findings, marks acceptance, view string, rec *kgo.Record) (Event, bool) {
	if rec.Attrs.IsControl() {
		return Event{}, false
	}
	place := func() string {
		return fmt.Sprintf("topic %s, partition %d, offset %d", rec.Topic, rec.Partition, rec.Offset)
	}
	found.Looked++
	id, err := identify(rec)
	if err != nil {
		found.add("record", "%s: %v", place(), err)
		return Event{}, false
	}
	counts, err := marks.accept(id, rec.Partition)
	if err != nil {
		found.add("record", "%s: %v: records are missing", place(), err)
	}
	if !counts {
		if !r.Rule && id.kind == "ev" {
			found.add("record", "%s: an event of shard %s at or below the one before it stands among committed records", place(), id.shard)
		}
		return Event{}, false
	}
	if id.kind != "ev" || len(rec.Key) == 0 {
		return Event{}, false
	}
	e, err := r.event(view, rec.Value)
	if err != nil {
		found.add("record", "%s: %v: %.200q", place(), err, rec.Value)
		return Event{}, false
	}
	if e.LSN != id.lsn || e.Shard != id.shard {
		found.add("record", "%s: the event has lsn %x of shard %s, its header %x of %s", place(), e.LSN, e.Shard, id.lsn, id.shard)
	}
	e.Partition, e.Offset, e.Published = rec.Partition, rec.Offset, rec.Timestamp.UnixMilli()
	return e, true
}

// flat is an event's JSON: the columns of all tables.
type flat struct {
	Op     string  `json:"_op"`
	Shard  string  `json:"_shard"`
	TS     int64   `json:"_ts_us"`
	LSN    string  `json:"_lsn"`
	GTID   string  `json:"_gtid"`
	Lane   int64   `json:"lane"`
	ID     int64   `json:"id"`
	N      int64   `json:"n"`
	Ver    int64   `json:"ver"`
	Tag    string  `json:"tag"`
	Body   *string `json:"body"`
	Cents  int64   `json:"cents"`
	Digest string  `json:"digest"`
	Kind   string  `json:"kind"`
	At     string  `json:"at"`
}

func (r *reader) event(view string, value []byte) (Event, error) {
	var f flat
	if err := json.Unmarshal(value, &f); err != nil {
		return Event{}, err
	}
	e := Event{Table: view, Shard: r.intern(f.Shard), Txn: r.intern(f.GTID), TS: f.TS, Op: r.intern(f.Op)}
	if n, err := hex.Decode(e.LSN[:], []byte(f.LSN)); err != nil || n != len(e.LSN) {
		return e, fmt.Errorf("_lsn is %q", f.LSN)
	}
	if view == Ledger {
		at, err := time.Parse(time.RFC3339Nano, f.At)
		if err != nil {
			return e, fmt.Errorf("column at: %w", err)
		}
		e.Entry = &Entry{e.Shard, f.Lane, f.ID, f.N, strings.Clone(f.Digest), r.intern(f.Kind), f.Cents, at.UnixMicro()}
		return e, nil
	}
	e.Row = Row{Lane: f.Lane, ID: f.ID, N: f.N, Ver: f.Ver, Tag: r.intern(f.Tag)}
	if f.Body != nil {
		e.Row.Body = BodyHash(*f.Body)
	}
	return e, nil
}
