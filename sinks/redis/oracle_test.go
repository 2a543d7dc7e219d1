package redis

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/stream"
	"tailwater/windowing"
)

// The oracle folds a prefix of the log with nothing of the product but the
// definition of the metric: encoding/json, big numbers and a plain map.

// oracleMark is what the oracle remembers of a shard in a partition.
type oracleMark struct {
	lsn string
	wm  int64
}

// oracleSum is what the oracle knows of one group.
type oracleSum struct {
	rows, values int
	sum          *big.Rat
	// there counts the raw values that are not NULL.
	there map[string]int
}

// text is the public text of a group.
func (a *oracleSum) text(m *windowing.Metric) string {
	switch kind := m.Aggregate().Kind(); {
	case kind == "count":
		return strconv.Itoa(a.rows)
	case a.values == 0:
		return "null"
	case kind == "avg":
		n := new(big.Rat).SetInt64(int64(a.values))
		return n.Quo(a.sum, n).FloatString(m.Aggregate().Scale() + 4)
	case kind == "sum":
		return a.sum.FloatString(m.Aggregate().Scale())
	default:
		best := ""
		for raw, n := range a.there {
			if n > 0 && (best == "" || oracleLess(raw, best) == (kind == "min")) {
				best = raw
			}
		}
		return best
	}
}

// oracleLess compares numbers as numbers and the rest as text.
func oracleLess(a, b string) bool {
	x, ok := new(big.Rat).SetString(a)
	y, ok2 := new(big.Rat).SetString(b)
	if ok && ok2 {
		return x.Cmp(y) < 0
	}
	return a < b
}

// oracleWindows folds the first offsets[p] records of each partition, and
// returns the public texts by window and group.
func oracleWindows(t testing.TB, l *fakeLog, m *windowing.Metric, offsets []int64) map[int64]map[string]string {
	t.Helper()
	all := map[int64]map[string]*oracleSum{}
	rows := oracleTable{}
	for p := range l.parts {
		marks := map[string]oracleMark{}
		for _, r := range l.parts[p][:offsets[p]] {
			mark, low := marks[r.Shard], oracleLow(marks, m.Shards)
			if lsn := r.LSN.String(); lsn < mark.lsn || r.Kind == stream.Event && lsn == mark.lsn {
				continue
			}
			marks[r.Shard] = oracleMark{r.LSN.String(), max(mark.wm, r.Watermark)}
			if r.Kind == stream.Event && m.Rows == windowing.Latest {
				rows.apply(t, &r)
			} else if r.Kind == stream.Event {
				oracleAdd(t, all, m, oracleEvent(t, r.Value), low)
			}
		}
	}
	for _, e := range rows {
		oracleAdd(t, all, m, e, 0)
	}
	out := map[int64]map[string]string{}
	for start, groups := range all {
		out[start] = map[string]string{}
		for g, a := range groups {
			out[start][g] = a.text(m)
		}
	}
	return out
}

// oracleAdd counts one event, low being its partition's watermark before it.
func oracleAdd(t testing.TB, all map[int64]map[string]*oracleSum, m *windowing.Metric, e map[string]json.RawMessage, low int64) {
	t.Helper()
	var op string
	if json.Unmarshal(e["_op"], &op) != nil {
		t.Fatal("oracle: an event has no op")
	}
	at, ok := oracleTime(t, m, e)
	size := int64(m.Size.Seconds())
	start := at / size * size
	if !ok || op == "r" || m.Rows == windowing.Inserts && op != "c" || m.OnLate == windowing.Drop && (start+size)*1e6 <= low-m.Lateness.Microseconds() {
		return
	}
	var group []string
	for _, g := range m.GroupBy {
		if e[g] == nil {
			e[g] = json.RawMessage("null")
		}
		group = append(group, string(e[g]))
	}
	if all[start] == nil {
		all[start] = map[string]*oracleSum{}
	}
	key := "[" + strings.Join(group, ",") + "]"
	a := all[start][key]
	if a == nil {
		a = &oracleSum{sum: new(big.Rat), there: map[string]int{}}
		all[start][key] = a
	}
	a.rows++
	if raw := e[m.Aggregate().Column()]; raw != nil && string(raw) != "null" {
		a.values++
		a.there[string(raw)]++
		if v, ok := new(big.Rat).SetString(string(raw)); ok {
			a.sum.Add(a.sum, v)
		}
	}
}

func oracleLow(marks map[string]oracleMark, shards []string) int64 {
	low := marks[shards[0]].wm
	for _, s := range shards {
		low = min(low, marks[s].wm)
	}
	return low
}

func oracleEvent(t testing.TB, value []byte) map[string]json.RawMessage {
	t.Helper()
	var e map[string]json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(value)).Decode(&e); err != nil {
		t.Fatalf("oracle: %v", err)
	}
	return e
}

// checkExact compares every public window at or above the floor with the fold
// of the log up to the stored positions.
func checkExact(t testing.TB, s *Store, l *fakeLog, m *windowing.Metric) {
	t.Helper()
	if diff := inexact(t, s, l, m); diff != "" {
		t.Fatalf("metric %s: %s", m.Name, diff)
	}
}

// inexact returns the first difference that checkExact looks for, or "". A
// worker may run meanwhile: a look that it moved under is taken again.
func inexact(t testing.TB, s *Store, l *fakeLog, m *windowing.Metric) string {
	t.Helper()
	for {
		before := bookkeeping(t, s, m)
		diff := compareWindows(t, s, l, m, before)
		if diff == "" || reflect.DeepEqual(before, bookkeeping(t, s, m)) {
			return diff
		}
	}
}

func bookkeeping(t testing.TB, s *Store, m *windowing.Metric) *stored {
	t.Helper()
	st, err := s.table(m).load(context.Background())
	if err != nil {
		t.Fatalf("load positions: %v", err)
	}
	return st
}

// compareWindows compares the public windows with the fold up to the positions of st.
func compareWindows(t testing.TB, s *Store, l *fakeLog, m *windowing.Metric, st *stored) string {
	t.Helper()
	ctx := context.Background()
	offsets := make([]int64, m.Partitions)
	for p, at := range st.positions {
		offsets[p] = at.Offset
	}
	want := oracleWindows(t, l, m, offsets)
	got, lost := map[int64]*Window{}, map[int64]bool{}
	infos, err := s.Windows(ctx, m.Name, 0)
	if err != nil {
		t.Fatalf("list windows: %v", err)
	}
	for _, info := range infos {
		w, err := s.Window(ctx, m.Name, info.Start)
		if err != nil {
			return fmt.Sprintf("read window: %v", err)
		}
		if start := info.Start.Unix(); w.State == StateLost {
			lost[start] = true
		} else if start >= st.floor {
			got[start] = w
		}
	}
	for start, groups := range want {
		if start < st.floor || lost[start] {
			continue
		}
		for g, text := range groups {
			if w := got[start]; w == nil || w.Values[g] != text {
				return fmt.Sprintf("window %d group %s: got %v, want %s (stored offsets %v)", start, g, w, text, offsets)
			}
		}
		if n := len(got[start].Values); n != len(groups) || got[start].Groups != int64(n) {
			return fmt.Sprintf("window %d: got %d groups and says %d, want %d", start, n, got[start].Groups, len(groups))
		}
	}
	for start, w := range got {
		if emptied := m.Rows == windowing.Latest && len(w.Values) == 0 && w.Groups == 0; want[start] == nil && !emptied {
			return fmt.Sprintf("window %d is there, and the log up to offsets %v has no event of it", start, offsets)
		}
	}
	return ""
}

// ordersColumns are the columns of the view that the tests count.
var ordersColumns = []change.Column{
	{Name: "id", Type: change.Int, Bits: 64},
	{Name: "city", Type: change.Text, Nullable: true},
	{Name: "amount", Type: change.Decimal, Precision: 65, Scale: 2, Nullable: true},
	{Name: "status", Type: change.Text, Nullable: true},
	{Name: "at", Type: change.DateTime, Scale: 3, Nullable: true},
}
