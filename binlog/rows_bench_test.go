package binlog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tailwater/change"
)

// mustParse parses a table map of MySQL.
func mustParse(t testing.TB, body []byte) *tableMap {
	t.Helper()
	return mustParseOf(t, body, MySQL)
}

func mustParseOf(t testing.TB, body []byte, flavor Flavor) *tableMap {
	t.Helper()
	m, err := parseTableMap(body, flavor)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// loadOrders returns the recorded rows of a nine-column order table: bigint,
// int, enum, decimal, char, varchar, json, datetime(3), timestamp(3).
func loadOrders(t testing.TB) (*tableMap, rowsEvent) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("testdata", "rows", "orders.txt"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(file)), "\n")
	if len(lines) != 2 {
		t.Fatalf("orders.txt has %d lines, want a table map and one event", len(lines))
	}
	var ev rowsEvent
	var body string
	if _, err := fmt.Sscanf(lines[1], "event %d %s", &ev.kind, &body); err != nil {
		t.Fatal(err)
	}
	ev.body = unhexed(t, body)
	return mustParse(t, unhexed(t, strings.TrimPrefix(lines[0], "map "))), ev
}

// flat renders rows as flat JSON objects, as a view with all columns does:
// keys rendered beforehand, JSON columns as strings.
type flat struct {
	keys     [][]byte
	json     []bool
	dst, doc []byte
	rows     int
}

func newFlat(m *tableMap) *flat {
	f := &flat{}
	for i, c := range m.Table().Columns {
		key := fmt.Sprintf(",%q:", c.Name)
		if i == 0 {
			key = "{" + key[1:]
		}
		f.keys = append(f.keys, []byte(key))
		f.json = append(f.json, c.Type == change.JSON)
	}
	return f
}

func (f *flat) row(_ change.Op, _, after change.Row) (err error) {
	f.rows++
	for i, key := range f.keys {
		f.dst = append(f.dst, key...)
		if !f.json[i] {
			if f.dst, err = after.AppendJSON(f.dst, i); err != nil {
				return err
			}
			continue
		}
		if f.doc, err = after.AppendJSON(f.doc[:0], i); err != nil {
			return err
		}
		f.dst = append(f.dst, '"')
		f.dst, _ = appendEscaped(f.dst, f.doc)
		f.dst = append(f.dst, '"')
	}
	f.dst = append(f.dst, '}', '\n')
	return nil
}

func TestRows_DecodeWithoutAllocation(t *testing.T) {
	m, ev := loadOrders(t)
	f := newFlat(m)
	fn := f.row
	run := func() {
		f.dst = f.dst[:0]
		if err := m.rows(ev.kind, ev.body, fn); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if got := testing.AllocsPerRun(100, run); got != 0 {
		t.Errorf("an event of %d rows takes %v allocations, want 0", f.rows, got)
	}
}

func reportRows(b *testing.B, rows int) {
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkRows_FlatJSON decodes every column of the order table to flat JSON.
func BenchmarkRows_FlatJSON(b *testing.B) {
	m, ev := loadOrders(b)
	f := newFlat(m)
	fn := f.row
	b.SetBytes(int64(len(ev.body)))
	b.ReportAllocs()
	for b.Loop() {
		f.dst = f.dst[:0]
		if err := m.rows(ev.kind, ev.body, fn); err != nil {
			b.Fatal(err)
		}
	}
	reportRows(b, f.rows)
}

// BenchmarkRows_Split finds the cells and renders none.
func BenchmarkRows_Split(b *testing.B) {
	m, ev := loadOrders(b)
	rows := 0
	fn := func(change.Op, change.Row, change.Row) error { rows++; return nil }
	b.SetBytes(int64(len(ev.body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := m.rows(ev.kind, ev.body, fn); err != nil {
			b.Fatal(err)
		}
	}
	reportRows(b, rows)
}

// BenchmarkRows_Count is what a table that is not followed costs.
func BenchmarkRows_Count(b *testing.B) {
	m, ev := loadOrders(b)
	rows := 0
	b.SetBytes(int64(len(ev.body)))
	b.ReportAllocs()
	for b.Loop() {
		n, err := m.count(ev.kind, ev.body)
		if err != nil {
			b.Fatal(err)
		}
		rows += n
	}
	reportRows(b, rows)
}

// BenchmarkTableMap_Parse is what a table map that changed costs; one that did
// not is compared and no more.
func BenchmarkTableMap_Parse(b *testing.B) {
	m, _ := loadOrders(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseTableMap(m.body, MySQL); err != nil {
			b.Fatal(err)
		}
	}
}
