package streamtest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"

	"tailwater/change"
	"tailwater/stream"
)

// Row is one row change of a Source.
type Row struct {
	Key  string
	Part int32
}

// Source is a database: transactions by id, and the orders in which its
// servers log them. Orders differ only in transactions that touch no key in
// common.
type Source struct {
	Tx     [][]Row
	Orders [][]int
}

// RandomSource makes a source of n transactions with two servers.
func RandomSource(rng *rand.Rand, n int) *Source {
	s := &Source{}
	for range n {
		var rows []Row
		for range 1 + rng.IntN(3) {
			k := rng.IntN(5)
			rows = append(rows, Row{Key: "k" + strconv.Itoa(k), Part: int32(k % Partitions)})
		}
		s.Tx = append(s.Tx, rows)
	}
	first := make([]int, n)
	for i := range first {
		first[i] = i
	}
	second := slices.Clone(first)
	for i := range n - 1 {
		if rng.IntN(10) < 6 && s.apart(second[i], second[i+1]) {
			second[i], second[i+1] = second[i+1], second[i]
		}
	}
	s.Orders = [][]int{first, second}
	return s
}

func (s *Source) apart(a, b int) bool {
	for _, x := range s.Tx[a] {
		for _, y := range s.Tx[b] {
			if x.Key == y.Key {
				return false
			}
		}
	}
	return true
}

func txid(tx int) string { return "gtid:" + strconv.Itoa(tx) }

// event names one row of a source in the log.
type event struct {
	Tx  string
	Row uint32
}

// readerPosition is what a Reader saves as the source position.
type readerPosition struct {
	Done []int  `json:"done"`
	Txn  uint64 `json:"txn"`
}

// Reader publishes a Source through one session. It follows the rules that
// protocol asks of readers: it never publishes again what Recovered lists, and
// keeps that list until the transactions are complete.
type Reader struct {
	Session stream.Session
	src     *Source
	order   []int
	done    map[int]bool
	txn     uint64
	// at and row are the next transaction in order, and the rows of it that
	// are behind the reader.
	at, row int
	// lsn is the last given to an event.
	lsn change.LSN
	// standing are the events in the log of transactions that are not done.
	standing map[event]stream.Published
	// Last are the records of the last publish, also when it failed.
	Last []stream.Record
}

// OpenReader opens a session and starts behind what it recovers.
func OpenReader(ctx context.Context, l stream.Log, src *Source, server int) (*Reader, error) {
	s, err := l.OpenShard(ctx, stream.ShardOptions{Source: "suite", Shard: Shard, Topics: []string{Topic}})
	if err != nil {
		return nil, fmt.Errorf("open reader: %w", err)
	}
	r := &Reader{Session: s, src: src, done: make(map[int]bool), standing: make(map[event]stream.Published), lsn: change.LSN{Epoch: s.Epoch()}}
	rec := s.Recovered()
	if rec.Found {
		var p readerPosition
		if err := json.Unmarshal(rec.Position.Source, &p); err != nil {
			return nil, fmt.Errorf("read position: %w", err)
		}
		for _, tx := range p.Done {
			r.done[tx] = true
		}
		r.txn = p.Txn
	}
	for _, p := range rec.Skip {
		r.standing[event{p.TxID, p.Row}] = p
	}
	for _, tx := range src.Orders[server] {
		if r.done[tx] {
			r.forget(tx)
			continue
		}
		r.order = append(r.order, tx)
	}
	return r, nil
}

func (r *Reader) forget(tx int) {
	for k := range r.standing {
		if k.Tx == txid(tx) {
			delete(r.standing, k)
		}
	}
}

// Left reports whether the source has more.
func (r *Reader) Left() bool { return r.at < len(r.order) }

// Publish publishes the next n transactions; with split, only one row of the
// last of them, if it has more.
func (r *Reader) Publish(ctx context.Context, n int, split bool) error {
	next := r.ahead(n, split)
	r.Last = next.Last
	if err := r.Session.Publish(ctx, r.Last); err != nil {
		return err
	}
	r.take(next)
	return nil
}

// PublishAt is Publish and Save in one. The session must be a
// stream.TransactionalSession.
func (r *Reader) PublishAt(ctx context.Context, n int, split bool) error {
	next := r.ahead(n, split)
	r.Last = next.Last
	p, err := next.position()
	if err != nil {
		return err
	}
	if err := r.Session.(stream.TransactionalSession).PublishAt(ctx, r.Last, p); err != nil {
		return err
	}
	r.take(next)
	return nil
}

// take makes what the reader was ahead its state. Its Session stays as it is:
// another goroutine may be closing that.
func (r *Reader) take(next *Reader) {
	r.done, r.standing, r.at, r.row, r.txn, r.lsn = next.done, next.standing, next.at, next.row, next.txn, next.lsn
}

// ahead is the reader once it has published the next n transactions, which
// Last has the records of.
func (r *Reader) ahead(n int, split bool) *Reader {
	next := *r
	next.Last, next.done, next.standing = nil, maps.Clone(r.done), maps.Clone(r.standing)
	for ; n > 0 && next.Left(); n-- {
		tx := next.order[next.at]
		rows := next.src.Tx[tx]
		end := len(rows)
		if split && n == 1 && end-next.row > 1 {
			end = next.row + 1
		}
		for ; next.row < end; next.row++ {
			if _, ok := next.standing[event{txid(tx), uint32(next.row + 1)}]; !ok {
				next.add(next.record(tx, next.row, next.txn+1))
			}
		}
		if next.row < len(rows) {
			break
		}
		next.done[tx] = true
		next.forget(tx)
		next.at, next.row, next.txn = next.at+1, 0, next.txn+1
	}
	return &next
}

// add appends a record of the next publish, which will stand in the log.
func (r *Reader) add(rec stream.Record) {
	r.Last = append(r.Last, rec)
	r.lsn = rec.LSN
	r.standing[event{rec.TxID, rec.Row}] = stream.Published{Topic: rec.Topic, TxID: rec.TxID, Row: rec.Row, Part: rec.LSN.Part, KeyHash: stream.KeyHash(rec.Key)}
}

func (r *Reader) record(tx, row int, txn uint64) stream.Record {
	w := r.src.Tx[tx][row]
	return stream.Record{
		Topic: Topic, Partition: w.Part, Kind: stream.Event, Shard: Shard,
		LSN:       change.LSN{Epoch: r.Session.Epoch(), Txn: txn, Row: uint32(row + 1)},
		Watermark: int64(1000 + tx), TxID: txid(tx), Row: uint32(row + 1),
		Key: []byte(w.Key), Value: fmt.Appendf(nil, `{"tx":%d,"row":%d}`, tx, row),
	}
}

// Heartbeat publishes a heartbeat to every partition.
func (r *Reader) Heartbeat(ctx context.Context) error {
	var records []stream.Record
	for p := range int32(Partitions) {
		records = append(records, stream.Record{Topic: Topic, Partition: p, Kind: stream.Heartbeat, Shard: Shard, LSN: r.lsn, Watermark: 1})
	}
	return r.Session.Publish(ctx, records)
}

// Save saves the reader's position.
func (r *Reader) Save(ctx context.Context) error {
	p, err := r.position()
	if err != nil {
		return err
	}
	return r.Session.Save(ctx, p)
}

// position is where the reader stands.
func (r *Reader) position() (stream.SourcePosition, error) {
	b, err := json.Marshal(readerPosition{Done: slices.Sorted(maps.Keys(r.done)), Txn: r.txn})
	if err != nil {
		return stream.SourcePosition{}, fmt.Errorf("encode position: %w", err)
	}
	return stream.SourcePosition{Source: b, LSN: change.LSN{Epoch: r.Session.Epoch(), Txn: r.txn}, Skip: slices.Collect(maps.Values(r.standing))}, nil
}

// Fold reads records as every consumer must, and returns what is wrong with
// them: rows of the source that are missing or there twice, keys whose rows
// are out of order, gaps.
func Fold(src *Source, records []stream.Record) []string {
	var wrong []string
	marks := make(map[stream.TopicPartition]stream.Marks)
	count := make(map[event]int)
	last := make(map[string]event)
	for i := range records {
		r := &records[i]
		at := stream.TopicPartition{Topic: r.Topic, Partition: r.Partition}
		if marks[at] == nil {
			marks[at] = stream.Marks{}
		}
		ok, err := marks[at].Accept(r)
		if err != nil {
			wrong = append(wrong, err.Error())
			continue
		}
		if !ok || r.Kind != stream.Event {
			continue
		}
		e := event{r.TxID, r.Row}
		count[e]++
		if b, seen := last[string(r.Key)]; seen && before(e, b) {
			wrong = append(wrong, fmt.Sprintf("reordered: key %s has %v behind %v", r.Key, e, b))
		}
		last[string(r.Key)] = e
	}
	for tx, rows := range src.Tx {
		for row := range rows {
			switch n := count[event{txid(tx), uint32(row + 1)}]; {
			case n == 0:
				wrong = append(wrong, fmt.Sprintf("lost: transaction %d, row %d", tx, row+1))
			case n > 1:
				wrong = append(wrong, fmt.Sprintf("doubled: transaction %d, row %d, %d times", tx, row+1, n))
			}
		}
	}
	return wrong
}

// before compares by the number in the transaction id: for rows of one key
// that is the source's order on every server.
func before(a, b event) bool {
	x, _ := strconv.Atoi(a.Tx[len("gtid:"):])
	y, _ := strconv.Atoi(b.Tx[len("gtid:"):])
	return x < y || x == y && a.Row < b.Row
}
