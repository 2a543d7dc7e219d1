package check

import (
	"context"
	"fmt"
	"math/big"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Metric is a metric over the ledger, grouped by kind.
type Metric struct {
	Name string
	// Sum is of cents; a count of transactions without it.
	Sum bool
	// ByRow puts a transaction into the window of its row's time, and not of
	// its commit's.
	ByRow bool
}

// Metrics are those of the pipeline that is checked.
var Metrics = []Metric{{Name: "txs"}, {Name: "cents", Sum: true}, {Name: "txs_by_row", ByRow: true}, {Name: "cents_by_row", Sum: true, ByRow: true}}

// Value is one value of a metric: that of one kind in one window.
type Value struct {
	Metric string
	// Start is the window's, in seconds.
	Start int64
	Kind  string
}

// Stored is what Redis holds.
type Stored struct {
	Values map[Value]string
	// Lost are windows that say that they are not whole any more.
	Lost []string
}

// Total is the sum of the values of one metric.
func (s *Stored) Total(metric string) int64 {
	var sum int64
	for v, text := range s.Values {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && v.Metric == metric {
			sum += n
		}
	}
	return sum
}

// ReadWindows reads the named metrics from Redis.
func ReadWindows(ctx context.Context, url string, metrics ...Metric) (*Stored, error) {
	o, err := goredis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("read windows: %w", err)
	}
	o.DialTimeout, o.MaxRetries = time.Second, 1
	c := goredis.NewClient(o)
	defer func() { _ = c.Close() }()
	out := &Stored{Values: map[Value]string{}}
	for _, m := range metrics {
		key := "tw:{" + m.Name + "}:"
		starts, err := c.ZRange(ctx, key+"windows", 0, -1).Result()
		if err != nil {
			return nil, fmt.Errorf("read windows of metric %s: %w", m.Name, err)
		}
		pipe := c.Pipeline()
		values := make([]*goredis.MapStringStringCmd, len(starts))
		states := make([]*goredis.StringCmd, len(starts))
		for i, start := range starts {
			values[i], states[i] = pipe.HGetAll(ctx, key+"w:"+start), pipe.HGet(ctx, key+"meta:"+start, "state")
		}
		if _, err := pipe.Exec(ctx); err != nil && len(starts) > 0 {
			return nil, fmt.Errorf("read windows of metric %s: %w", m.Name, err)
		}
		for i, start := range starts {
			second, err := strconv.ParseInt(start, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("metric %s has a window %q: %w", m.Name, start, err)
			}
			if states[i].Val() == "lost" {
				out.Lost = append(out.Lost, m.Name+" "+start)
			}
			for kind, text := range values[i].Val() {
				out.Values[Value{m.Name, second, kind}] = text
			}
		}
	}
	return out, nil
}

// Windows holds what Redis stores against the ledger: by the time in the row as
// the server has it, and by the commit time. SQL does not tell the latter; that
// of the stream is taken, which Transactions has held between two times that it
// does tell.
func Windows(truth *Truth, events []Event, stored *Stored, size int64) Findings {
	var found Findings
	type id struct {
		lane laneKey
		seq  int64
	}
	commits := map[id]int64{}
	for i := range events {
		if e := events[i].Entry; e != nil {
			commits[id{laneKey{e.Shard, e.Lane}, e.Seq}] = events[i].TS
		}
	}
	want := map[Value]*big.Int{}
	for _, e := range truth.Entries {
		commit, ok := commits[id{laneKey{e.Shard, e.Lane}, e.Seq}]
		if !ok {
			continue // Transactions says so
		}
		for _, m := range Metrics {
			at, n := commit, int64(1)
			if m.ByRow {
				at = e.At
			}
			if m.Sum {
				n = e.Cents
			}
			v := Value{m.Name, at / 1e6 / size * size, `["` + e.Kind + `"]`}
			if want[v] == nil {
				want[v] = new(big.Int)
			}
			want[v].Add(want[v], big.NewInt(n))
		}
	}
	for v, n := range want {
		found.Looked++
		if got := stored.Values[v]; got != n.String() {
			found.add("window", "metric %s, window %d, group %s: Redis has %q, the ledger %s", v.Metric, v.Start, v.Kind, got, n)
		}
	}
	for v, text := range stored.Values {
		if want[v] == nil {
			found.add("window", "metric %s, window %d, group %s: Redis has %q, the ledger nothing", v.Metric, v.Start, v.Kind, text)
		}
	}
	for _, w := range stored.Lost {
		found.add("window", "metric and window %s: it is marked lost", w)
	}
	return found
}
