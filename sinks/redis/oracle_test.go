package redis

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

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
	key := oracleGroup(m, e)
	if all[start] == nil {
		all[start] = map[string]*oracleSum{}
	}
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

// oracleGroup is the group of an event.
func oracleGroup(m *windowing.Metric, e map[string]json.RawMessage) string {
	var group []string
	for _, g := range m.GroupBy {
		if e[g] == nil {
			e[g] = json.RawMessage("null")
		}
		group = append(group, string(e[g]))
	}
	return "[" + strings.Join(group, ",") + "]"
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
		diff := ""
		for number := 0; number < m.Buckets && diff == ""; number++ {
			diff = compareWindows(t, s, l, m, number, before[number])
		}
		if diff == "" && m.Buckets > 1 {
			diff = compareMerged(t, s, m, before)
		}
		if diff == "" || reflect.DeepEqual(before, bookkeeping(t, s, m)) {
			return diff
		}
	}
}

// bookkeeping is that of every bucket.
func bookkeeping(t testing.TB, s *Store, m *windowing.Metric) (all []*stored) {
	t.Helper()
	for number := range m.Buckets {
		st, err := s.table(m, number).load(context.Background())
		if err != nil {
			t.Fatalf("load positions: %v", err)
		}
		all = append(all, st)
	}
	return all
}

// oracleBucket is the bucket of a group.
func oracleBucket(group string, m *windowing.Metric) int {
	return int(xxhash.Sum64String(group) % uint64(max(1, m.Buckets)))
}

// compareWindows compares the public windows of a bucket with the fold of its
// groups up to the positions of st. The keys of a bucket are those of a metric
// of another name.
func compareWindows(t testing.TB, s *Store, l *fakeLog, m *windowing.Metric, number int, st *stored) string {
	t.Helper()
	ctx := context.Background()
	name := bucket{number, m.Buckets}.tag(m.Name)
	offsets := make([]int64, m.Partitions)
	for p, at := range st.positions {
		offsets[p] = at.Offset
	}
	want := oracleWindows(t, l, m, offsets)
	for start, groups := range want {
		if maps.DeleteFunc(groups, func(g, _ string) bool { return oracleBucket(g, m) != number }); len(groups) == 0 {
			delete(want, start)
		}
	}
	got, lost := map[int64]*Window{}, map[int64]bool{}
	infos, err := s.Windows(ctx, name, 0)
	if err != nil {
		t.Fatalf("list windows: %v", err)
	}
	for _, info := range infos {
		w, err := s.Window(ctx, name, info.Start)
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
				return fmt.Sprintf("%s: window %d group %s: got %v, want %s (stored offsets %v)", name, start, g, w, text, offsets)
			}
		}
		if n := len(got[start].Values); n != len(groups) || got[start].Groups != int64(n) {
			return fmt.Sprintf("%s: window %d: got %d groups and says %d, want %d", name, start, n, got[start].Groups, len(groups))
		}
	}
	for start, w := range got {
		if emptied := m.Rows == windowing.Latest && len(w.Values) == 0 && w.Groups == 0; want[start] == nil && !emptied {
			return fmt.Sprintf("%s: window %d is there, and the log up to offsets %v has no event of it", name, start, offsets)
		}
	}
	return ""
}

// compareMerged compares what readers see of a wide metric with what its buckets
// have, each read by itself.
func compareMerged(t testing.TB, s *Store, m *windowing.Metric, st []*stored) string {
	t.Helper()
	ctx := context.Background()
	had := map[int64][]*Window{}
	for number := range m.Buckets {
		name := bucket{number, m.Buckets}.tag(m.Name)
		infos, err := s.Windows(ctx, name, 0)
		if err != nil {
			return err.Error()
		}
		for _, info := range infos {
			w, err := s.Window(ctx, name, info.Start)
			if err != nil {
				return err.Error()
			}
			if had[info.Start.Unix()] == nil {
				had[info.Start.Unix()] = make([]*Window, m.Buckets)
			}
			had[info.Start.Unix()][number] = w
		}
	}
	infos, err := s.Windows(ctx, m.Name, 0)
	if err != nil {
		return err.Error()
	}
	if got := s.client.HGet(ctx, s.root(m.Name), "current").Val(); got != m.Generation() {
		if len(infos) > 0 {
			return fmt.Sprintf("windows %v are listed, and the generation %q is public", infos, got)
		}
		return "" // the key is lost until the next merge
	}
	listed := map[int64]WindowInfo{}
	for _, info := range infos {
		listed[info.Start.Unix()] = info
	}
	for start, parts := range had {
		want, gone := oracleMerge(m, parts, st)
		got, err := s.Window(ctx, m.Name, time.Unix(start, 0))
		info, ok := listed[start]
		if delete(listed, start); gone || err != nil {
			if gone != errors.Is(err, ErrNoWindow) || gone == ok {
				return fmt.Sprintf("window %d: got %v, listed %v, want it gone: %v", start, err, ok, gone)
			}
			continue
		}
		if got.State != want.State || got.Complete != want.Complete || got.Revision != want.Revision || got.Groups != want.Groups || !maps.Equal(got.Values, want.Values) {
			return fmt.Sprintf("window %d: got %+v, want %+v of its buckets", start, got, want)
		}
		if !reflect.DeepEqual(info, got.WindowInfo) {
			return fmt.Sprintf("window %d: listed as %+v, read as %+v", start, info, got.WindowInfo)
		}
	}
	if len(listed) > 0 {
		return fmt.Sprintf("listed and in no bucket: %v", listed)
	}
	return ""
}

// oracleMerge says what readers must see of a window, and whether they must not
// see it.
func oracleMerge(m *windowing.Metric, parts []*Window, st []*stored) (out Window, gone bool) {
	out = Window{WindowInfo: WindowInfo{State: StateClosed, Complete: true}, Values: map[string]string{}}
	states := map[State]bool{}
	var start, end int64
	for _, w := range parts {
		if w == nil {
			continue
		}
		start, end = w.Start.Unix(), w.End.UnixMicro()
		states[w.State] = true
		out.Complete = out.Complete && w.Complete
		out.Revision += w.Revision
		out.Groups += w.Groups
		maps.Copy(out.Values, w.Values)
		out.Missing = append(out.Missing, w.Missing...)
	}
	for number, w := range parts {
		if w == nil && (start < st[number].floor || slices.Contains(st[number].starts, start)) && !states[StateLost] {
			return out, true
		}
		if w == nil && st[number].watermark < end {
			out.Complete = false
			states[StateOpen] = states[StateOpen] || len(out.Missing) == 0 || oracleWaited(st[number], m, end) == ""
		}
	}
	switch {
	case states[StateLost]:
		out.State, out.Complete = StateLost, false
	case states[StateOpen]:
		out.State, out.Complete, out.Revision = StateOpen, false, 0
	case states[StateRevised]:
		out.State = StateRevised
	}
	return out, false
}

// oracleWaited names the shards that a bucket would publish a window without
// which it does not have.
func oracleWaited(st *stored, m *windowing.Metric, end int64) string {
	var all []windowing.Watermarks
	for _, at := range st.positions {
		all = append(all, windowing.WatermarksOf(m.Shards, at.Marks))
	}
	if m.WaitForShards == 0 {
		return ""
	}
	return strings.Trim(fmt.Sprint(windowing.Missing(all, end+m.Lateness.Microseconds(), m.WaitForShards.Microseconds())), "[]")
}

// ordersColumns are the columns of the view that the tests count.
var ordersColumns = []change.Column{
	{Name: "id", Type: change.Int, Bits: 64},
	{Name: "city", Type: change.Text, Nullable: true},
	{Name: "amount", Type: change.Decimal, Precision: 65, Scale: 2, Nullable: true},
	{Name: "status", Type: change.Text, Nullable: true},
	{Name: "at", Type: change.DateTime, Scale: 3, Nullable: true},
}
