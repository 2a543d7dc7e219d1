package shop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
)

func startPrimaries(t testing.TB, n int) (servers []*primary.Server, ids []string, targets []Target) {
	t.Helper()
	for i := range n {
		s, err := primary.Start(primary.Options{ServerID: uint32(i + 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		servers = append(servers, s)
		ids = append(ids, fmt.Sprintf("%02d", i))
		targets = append(targets, OnPrimary(s))
	}
	return servers, ids, targets
}

// recorder is a Target that keeps what it is told.
type recorder struct {
	sql   []string
	fails error
}

func (r *recorder) CreateTable(_ context.Context, t *encode.Table) error {
	r.sql = append(r.sql, CreateSQL(t)...)
	return nil
}

func (r *recorder) AddColumn(_ context.Context, t *encode.Table, c encode.Column) error {
	r.sql = append(r.sql, AddColumnSQL(t, c))
	return nil
}

func (r *recorder) Apply(_ context.Context, tx *Tx) error {
	r.sql = append(r.sql, TxSQL(tx)...)
	return r.fails
}

func generate(t *testing.T, seed uint64, index, n int) string {
	t.Helper()
	s, err := NewShard("00", seed, index, 30)
	if err != nil {
		t.Fatal(err)
	}
	var r recorder
	for i := range n {
		tx, err := s.Next(1_763_632_000_000_000 + int64(i)*1000)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Apply(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(r.sql, "\n")
}

func TestShard_IsTheSameForTheSameSeedAndShardOnly(t *testing.T) {
	first := generate(t, 1, 0, 500)
	if again := generate(t, 1, 0, 500); again != first {
		t.Error("the same seed and shard made another workload")
	}
	if generate(t, 2, 0, 500) == first || generate(t, 1, 1, 500) == first {
		t.Error("another seed or shard made the same workload")
	}
}

func TestShard_DoesEverythingAShopDoes(t *testing.T) {
	s, err := NewShard("00", 1, 0, 300)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.First(1_763_632_000_000_000); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for i := range 4000 {
		tx, err := s.Next(1_763_632_000_000_000 + int64(i)*1000)
		if err != nil {
			t.Fatal(err)
		}
		tables := map[string]bool{}
		for _, c := range tx.Changes {
			seen["event "+string(rune(c.Op))]++
			tables[c.Table.Name] = true
		}
		for _, o := range tx.Ops {
			seen["op "+string(rune(o.Kind))]++
		}
		if tx.Rollback {
			seen["rollback"]++
			if len(tx.Changes) != 0 {
				t.Fatal("a rolled back transaction has changes")
			}
		}
		if len(tx.Changes) > tx.Rows {
			seen["key change"]++
		}
		if len(tables) > 1 {
			seen["several tables"]++
		}
		if s.Live() > 310 { // a transaction adds a few at most
			t.Fatalf("%d orders live, want at most about 300", s.Live())
		}
	}
	for _, want := range []string{
		"event c", "event u", "event d", "op s", "op b", "rollback", "key change", "several tables",
	} {
		if seen[want] == 0 {
			t.Errorf("no %s in 4000 transactions", want)
		}
	}
}

// judge adds up what a real replication client decodes, by its own decoder.
type judge struct {
	rows, events int64
	windows      map[string]*big.Int
	counts       map[string]int64
	gtids        int
}

func (j *judge) add(micros int64, row []any) {
	amount, _ := new(big.Int).SetString(strings.Replace(row[OrderAmount].(string), ".", "", 1), 10)
	start := micros - micros%(5*time.Minute).Microseconds()
	key := fmt.Sprintf("%d %s", start, Statuses[row[OrderStatus].(int64)-1])
	if j.windows[key] == nil {
		j.windows[key] = new(big.Int)
	}
	j.windows[key].Add(j.windows[key], amount)
	j.counts[key]++
}

// follow reads the server's log from its beginning to its end.
func (j *judge) follow(t *testing.T, s *primary.Server) {
	t.Helper()
	host, port, _ := net.SplitHostPort(s.Addr())
	n, _ := strconv.ParseUint(port, 10, 16)
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: 99, Flavor: "mysql", Host: host, Port: uint16(n), User: "root", VerifyChecksum: true,
		DisableRetrySync: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	defer syncer.Close()
	empty, _ := mysql.ParseMysqlGTIDSet("")
	stream, err := syncer.StartSyncGTID(empty)
	if err != nil {
		t.Fatal(err)
	}
	file, end := s.Position()
	at, micros := "", int64(0)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		e, err := stream.GetEvent(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		switch ev := e.Event.(type) {
		case *replication.RotateEvent:
			at = string(ev.NextLogName)
		case *replication.GTIDEvent:
			j.gtids++
			micros = int64(ev.OriginalCommitTimestamp)
		case *replication.RowsEvent:
			j.rowsEvent(e.Header.EventType, micros, ev)
		}
		if at == file && uint64(e.Header.LogPos) >= end {
			return
		}
	}
}

func (j *judge) rowsEvent(typ replication.EventType, micros int64, ev *replication.RowsEvent) {
	orders := strings.HasPrefix(string(ev.Table.Table), "orders_")
	step := 1
	if typ == replication.UPDATE_ROWS_EVENTv2 {
		step = 2
	}
	for i := 0; i < len(ev.Rows); i += step {
		j.rows++
		j.events++
		last := ev.Rows[i+step-1]
		if step == 2 && ev.Rows[i][0] != last[0] { // a key change
			j.events++
			if orders {
				j.add(micros, ev.Rows[i])
			}
		}
		if orders {
			j.add(micros, last)
		}
	}
}

var byStatus = Account{Name: "status", Prefix: "orders_", Window: 5 * time.Minute, GroupBy: []string{"status"}, Sum: "amount"}

func TestLedger_AgreesWithWhatAReplicationClientDecodes(t *testing.T) {
	servers, ids, targets := startPrimaries(t, 2)
	ledger := NewLedger(byStatus)
	w, err := New(Options{
		Seed: 7, Rate: 2000, HistoryTxs: 150, Ledger: ledger,
		Incidents: []Incident{{Kind: Alter, Shard: 1, At: 100 * time.Millisecond}},
	}, ids, targets)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	if err := w.Live(ctx); err != nil {
		t.Fatal(err)
	}
	j := &judge{windows: map[string]*big.Int{}, counts: map[string]int64{}}
	for _, s := range servers {
		j.follow(t, s)
	}
	if j.rows != ledger.Rows() || j.events != ledger.Events() {
		t.Errorf("got %d rows and %d events in the logs, the ledger says %d and %d", j.rows, j.events, ledger.Rows(), ledger.Events())
	}
	values := ledger.Windows("status")
	if len(values) != len(j.windows) || len(values) < 8 {
		t.Fatalf("got %d groups in the logs, the ledger has %d, want 8 or more", len(j.windows), len(values))
	}
	for _, v := range values {
		key := fmt.Sprintf("%d %s", v.Start, v.Group[0])
		if got := decimalText(j.windows[key], 2); got != v.Sum || j.counts[key] != v.Count {
			t.Errorf("%s: got count %d sum %s in the logs, the ledger says %d, %s", key, j.counts[key], got, v.Count, v.Sum)
		}
	}
	first, last := ledger.Span()
	if time.Duration(last-first)*time.Microsecond < 14*time.Minute {
		t.Errorf("commits span %d µs, want the history of 15 minutes", last-first)
	}
}

func TestShard_ModelIsWhatTheServerHolds(t *testing.T) {
	servers, ids, targets := startPrimaries(t, 1)
	w, err := New(Options{Seed: 3, HistoryTxs: 400, MaxLive: 100}, ids, targets)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := client.Connect(servers[0].Addr(), "root", "", "shop_00")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := map[string]bool{}
	for n := range OrderTables {
		r, err := c.Execute(fmt.Sprintf("SELECT id, status, amount, payload FROM orders_%d ORDER BY id", n))
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.Values {
			id, _ := r.GetInt(i, 0)
			status, _ := r.GetString(i, 1)
			amount, _ := r.GetString(i, 2)
			payload, _ := r.GetString(i, 3)
			got[fmt.Sprint(n, id, status, amount, payload)] = true
		}
	}
	want := map[string]bool{}
	for _, p := range w.shards[0].live {
		want[fmt.Sprint(p.table, p.row[OrderID], p.row[OrderStatus], p.row[OrderAmount], p.row[OrderPayload])] = true
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the server holds %d orders, the model %d, and they differ", len(got), len(want))
	}
}

func TestRun_FailedTransactionIsNotInTheBooks(t *testing.T) {
	ledger := NewLedger()
	broken := errors.New("server is gone")
	w, err := New(Options{Ledger: ledger}, []string{"00"}, []Target{&recorder{fails: broken}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Prepare(t.Context()); !errors.Is(err, broken) {
		t.Fatalf("got error %v, want %v", err, broken)
	}
	if got := ledger.Rows(); got != 0 {
		t.Errorf("the ledger has %d rows of a failed transaction", got)
	}
}

func TestRun_SilentShardStopsAndComesBack(t *testing.T) {
	_, ids, targets := startPrimaries(t, 1)
	var told []string
	w, err := New(Options{
		Rate: 1000, History: -1,
		Incidents:  []Incident{{Kind: Silent, Shard: 0, At: 0, For: 100 * time.Millisecond}},
		OnIncident: func(h Happening) { told = append(told, fmt.Sprint(h.Kind, h.ShardID, h.Over)) },
		Ledger:     NewLedger(),
	}, ids, targets)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := w.opts.Ledger.Rows()
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	if err := w.Live(ctx); err != nil {
		t.Fatal(err)
	}
	if want := []string{"silent00false", "silent00true"}; !reflect.DeepEqual(told, want) {
		t.Errorf("got incidents %v, want %v", told, want)
	}
	if got := w.opts.Ledger.Rows() - before; got == 0 || got > 320 {
		t.Errorf("got %d rows in 0.3 s at 1000 a second, want some and at most about 300", got)
	}
}

func TestNew_ReportsEveryMistake(t *testing.T) {
	_, err := New(Options{Rate: -1, Incidents: []Incident{{Kind: "flood", Shard: 9}}}, []string{"00"}, nil)
	for _, want := range []string{"1 shards for 0 targets", "may be negative", `kind "flood" on shard 9`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want it to say %q", err, want)
		}
	}
}

func BenchmarkShard_Next(b *testing.B) {
	s, err := NewShard("00", 1, 0, 2000)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	rows := 0
	for b.Loop() {
		tx, err := s.Next(1_763_632_000_000_000)
		if err != nil {
			b.Fatal(err)
		}
		rows += tx.Rows
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkShard_OnPrimary(b *testing.B) {
	_, _, targets := startPrimaries(b, 1)
	ledger := NewLedger(byStatus)
	w, err := New(Options{History: -1, Ledger: ledger}, []string{"00"}, targets)
	if err != nil {
		b.Fatal(err)
	}
	if err := w.Prepare(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		tx, err := w.shards[0].Next(1_763_632_000_000_000)
		if err := w.apply(b.Context(), targets[0], tx, err); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(ledger.Rows())/b.Elapsed().Seconds(), "rows/s")
}
