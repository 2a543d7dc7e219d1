package shop

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"tailwater/binlog/primary/encode"
)

// Ledger is the account of what was committed. It may be used by several
// goroutines.
type Ledger struct {
	mu       sync.Mutex
	accounts []*account
	totals   map[Total]int64
	also     []func(*Change)
	rows     int64
	events   int64
	first    int64
	last     int64
}

// Account says what to add up: events of tables, by window of commit time and by
// columns.
type Account struct {
	// Name is how Windows finds it.
	Name string
	// Prefix selects tables by the beginning of their names: "orders_".
	Prefix string
	// Window is the length of a window; windows begin at multiples of it since 1970.
	Window time.Duration
	// GroupBy names columns of the row that the event shows.
	GroupBy []string
	// Sum names a DECIMAL or integer column to be added up, or is empty.
	Sum string
	// Where, when set, leaves out the events for whose row it is false.
	Where func(t *encode.Table, row encode.Row) bool
}

// Total counts the events of one kind in one physical table.
type Total struct {
	Shard, Table string
	Op           byte
}

// Value is one group in one window.
type Value struct {
	// Start is the window's beginning in microseconds.
	Start int64
	// Group holds the group's columns as text, nil for NULL.
	Group []any
	// Count is the number of events.
	Count int64
	// Sum is exact, with the scale of the column, "12.50"; empty without one. NULL
	// adds nothing.
	Sum string
}

// account is an Account with its numbers.
type account struct {
	Account
	groups map[groupKey]*groupSum
}

type groupKey struct {
	start int64
	group string
}

type groupSum struct {
	group []any
	count int64
	sum   big.Int // scaled
	scale int
}

// NewLedger returns a ledger that keeps the accounts, beside the totals.
func NewLedger(accounts ...Account) *Ledger {
	l := &Ledger{totals: map[Total]int64{}}
	for _, a := range accounts {
		l.accounts = append(l.accounts, &account{a, map[groupKey]*groupSum{}})
	}
	return l
}

// Also calls f for every change event from now on, one at a time.
func (l *Ledger) Also(f func(*Change)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.also = append(l.also, f)
}

// Committed enters a transaction that has committed.
func (l *Ledger) Committed(tx *Tx) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if tx.Rollback {
		return nil
	}
	l.rows += int64(tx.Rows)
	l.events += int64(len(tx.Changes))
	if len(tx.Changes) > 0 {
		if l.first == 0 || tx.CommitMicros < l.first {
			l.first = tx.CommitMicros
		}
		l.last = max(l.last, tx.CommitMicros)
	}
	for i := range tx.Changes {
		c := &tx.Changes[i]
		l.totals[Total{c.Shard, c.Table.Name, c.Op}]++
		for _, a := range l.accounts {
			if err := a.add(c); err != nil {
				return fmt.Errorf("keep account %s: %w", a.Name, err)
			}
		}
		for _, f := range l.also {
			f(c)
		}
	}
	return nil
}

// add enters one event.
func (a *account) add(c *Change) error {
	row := c.Row()
	if !strings.HasPrefix(c.Table.Name, a.Prefix) || a.Where != nil && !a.Where(c.Table, row) {
		return nil
	}
	group := make([]any, len(a.GroupBy))
	key := groupKey{start: c.CommitMicros - c.CommitMicros%a.Window.Microseconds()}
	for i, name := range a.GroupBy {
		n := c.Table.ColumnIndex(name)
		if n < 0 {
			return fmt.Errorf("table %s has no column %s", c.Table.Name, name)
		}
		if text, ok := c.Table.Columns[n].Text(row[n]); ok {
			group[i] = text
			key.group += fmt.Sprintf("%d:%s", len(text), text)
		} else {
			key.group += "-"
		}
	}
	g := a.groups[key]
	if g == nil {
		g = &groupSum{group: group}
		a.groups[key] = g
	}
	g.count++
	if a.Sum == "" {
		return nil
	}
	n := c.Table.ColumnIndex(a.Sum)
	if n < 0 {
		return fmt.Errorf("table %s has no column %s", c.Table.Name, a.Sum)
	}
	if row[n] == nil {
		return nil
	}
	text, _ := c.Table.Columns[n].Text(row[n])
	scaled, ok := new(big.Int).SetString(strings.Replace(text, ".", "", 1), 10)
	if !ok {
		return fmt.Errorf("column %s of table %s is not a number", a.Sum, c.Table.Name)
	}
	g.scale = c.Table.Columns[n].Scale
	g.sum.Add(&g.sum, scaled)
	return nil
}

// Windows returns the values of the account with the name, by window and group.
func (l *Ledger) Windows(name string) []Value {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Value
	for _, a := range l.accounts {
		if a.Name != name {
			continue
		}
		for key, g := range a.groups {
			v := Value{Start: key.start, Group: slices.Clone(g.group), Count: g.count}
			if a.Sum != "" {
				v.Sum = decimalText(&g.sum, g.scale)
			}
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b Value) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), strings.Compare(fmt.Sprintf("%q", a.Group), fmt.Sprintf("%q", b.Group)))
	})
	return out
}

// decimalText prints a scaled number.
func decimalText(v *big.Int, scale int) string {
	text := new(big.Int).Abs(v).String()
	if scale > 0 {
		if len(text) <= scale {
			text = strings.Repeat("0", scale+1-len(text)) + text
		}
		text = text[:len(text)-scale] + "." + text[len(text)-scale:]
	}
	if v.Sign() < 0 {
		return "-" + text
	}
	return text
}

// Totals returns the number of events by shard, physical table and operation.
func (l *Ledger) Totals() map[Total]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[Total]int64, len(l.totals))
	for k, v := range l.totals {
		out[k] = v
	}
	return out
}

// Rows returns the number of row changes in the binlogs; a key change is one.
func (l *Ledger) Rows() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rows
}

// Events returns the number of change events; a key change is two.
func (l *Ledger) Events() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events
}

// Span returns the earliest and the latest commit time, in microseconds.
func (l *Ledger) Span() (first, last int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first, l.last
}
