package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// The rivals here are written as their users write them: go-mysql decodes, a
// map holds the row, encoding/json writes it. Nothing in them is slowed down.

// newParser is go-mysql's parser with the settings of every arm.
func newParser() *replication.BinlogParser {
	p := replication.NewBinlogParser()
	p.SetFlavor(mysql.MySQLFlavor)
	p.SetVerifyChecksum(true)
	p.SetTimestampStringLocation(time.UTC)
	return p
}

// parseFile is the parser's own ParseFile, which reads each header and each body
// with a system call of its own, behind the buffer that its connection has.
func parseFile(p *replication.BinlogParser, path string, onEvent replication.OnEventFunc) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReaderSize(f, 64<<10)
	if _, err := r.Discard(len(replication.BinLogFileHeader)); err != nil {
		return err
	}
	return p.ParseReader(r, onEvent)
}

func mysqlRaw(ctx context.Context, j *job, t *tally) error {
	return rawTransactions(ctx, j, func(id *replication.GTIDEvent) {
		t.count++
		if id != nil {
			t.line(gtidText(id) + "\n")
		}
	})
}

// mysqlTransport has no row to count, so it counts the transactions.
func mysqlTransport(ctx context.Context, j *job, t *tally) error {
	n := int64(0)
	if err := rawTransactions(ctx, j, func(*replication.GTIDEvent) { n++ }); err != nil {
		return err
	}
	if n != j.Transactions {
		return fmt.Errorf("the recording has %d transactions, want %d", n, j.Transactions)
	}
	t.count += j.Count
	return nil
}

// rawTransactions calls fn for each transaction, with its GTID where the output
// is checked.
func rawTransactions(ctx context.Context, j *job, fn func(*replication.GTIDEvent)) error {
	p := newParser()
	p.SetRawMode(true)
	var id replication.GTIDEvent
	return parseFile(p, j.Path, func(e *replication.BinlogEvent) error {
		switch {
		case e.Header.EventType != replication.GTID_EVENT:
		case !j.Check:
			fn(nil)
		default:
			if err := id.Decode(e.RawData[replication.EventHeaderSize:]); err != nil {
				return err
			}
			fn(&id)
		}
		return ctx.Err()
	})
}

func mysqlMap(ctx context.Context, j *job, t *tally) error {
	m := mapper{emit: func(_ string, row map[string]any) error {
		b, err := json.Marshal(row)
		if err != nil {
			return err
		}
		return t.event(b)
	}}
	return parseFile(newParser(), j.Path, func(e *replication.BinlogEvent) error {
		if err := m.event(e); err != nil {
			return err
		}
		return ctx.Err()
	})
}

// mapper turns go-mysql's events into a map for each row.
type mapper struct {
	// emit takes the primary key's text and the row.
	emit func(key string, row map[string]any) error

	gtid     string
	tsMicros int64
	// columns are those of the table at hand.
	table   *replication.TableMapEvent
	columns []mappedColumn
}

// mappedColumn is what go-mysql leaves to its user: the text of members, and
// which strings are bytes.
type mappedColumn struct {
	enum, set []string
	binary    bool
}

// collationBinary is that of VARBINARY and BLOB, by MySQL's number.
const collationBinary = 63

// event takes an event of the binlog.
func (m *mapper) event(e *replication.BinlogEvent) error {
	switch ev := e.Event.(type) {
	case *replication.GTIDEvent:
		m.gtid, m.tsMicros = gtidText(ev), int64(ev.OriginalCommitTimestamp)
	case *replication.TransactionPayloadEvent:
		for _, inner := range ev.Events {
			if err := m.event(inner); err != nil {
				return err
			}
		}
	case *replication.RowsEvent:
		return m.rows(ev)
	}
	return nil
}

func gtidText(e *replication.GTIDEvent) string {
	u := e.SID
	return fmt.Sprintf("%x-%x-%x-%x-%x:%d", u[:4], u[4:6], u[6:8], u[8:10], u[10:], e.GNO)
}

func (m *mapper) rows(e *replication.RowsEvent) error {
	if m.table != e.Table {
		m.describe(e.Table)
	}
	names := e.Table.ColumnNameString()
	op, step := "c", 1
	switch e.Type() {
	case replication.EnumRowsEventTypeUpdate:
		op, step = "u", 2
	case replication.EnumRowsEventTypeDelete:
		op = "d"
	}
	schema, name := string(e.Table.Schema), string(e.Table.Table)
	for i := 0; i < len(e.Rows); i += step {
		values := e.Rows[i+step-1]
		row := make(map[string]any, len(values)+7)
		row["_op"], row["_shard"], row["_db"], row["_table"] = op, shardID, schema, name
		row["_ts_us"], row["_gtid"] = m.tsMicros, m.gtid
		for c, v := range values {
			row[names[c]] = m.value(c, v)
		}
		if step == 2 {
			if old := m.old(names, e.Rows[i], values); len(old) > 0 {
				row["_old"] = old
			}
		}
		if err := m.emit(fmt.Sprintf(`["%v"]`, values[0]), row); err != nil {
			return err
		}
	}
	return nil
}

// describe takes the columns of a table from its metadata.
func (m *mapper) describe(t *replication.TableMapEvent) {
	m.table, m.columns = t, make([]mappedColumn, t.ColumnCount)
	enums, sets, collations := t.EnumStrValueMap(), t.SetStrValueMap(), t.CollationMap()
	for i := range m.columns {
		m.columns[i] = mappedColumn{enums[i], sets[i], collations[i] == collationBinary}
	}
}

// old are the columns of an update that changed, as they were.
func (m *mapper) old(names []string, before, after []any) map[string]any {
	var old map[string]any
	for c, v := range before {
		same := false
		if text, ok := v.([]byte); ok {
			other, ok := after[c].([]byte)
			same = ok && bytes.Equal(text, other)
		} else {
			same = v == after[c]
		}
		if !same {
			if old == nil {
				old = make(map[string]any)
			}
			old[names[c]] = m.value(c, v)
		}
	}
	return old
}

// value makes a value what a reader of JSON expects.
func (m *mapper) value(column int, v any) any {
	c := &m.columns[column]
	switch v := v.(type) {
	case []byte:
		if c.binary {
			return v
		}
		return string(v)
	case string:
		if c.binary {
			return []byte(v)
		}
	case int64:
		if c.enum != nil && v > 0 && int(v) <= len(c.enum) {
			return c.enum[v-1]
		}
		if c.set != nil {
			var members []string
			for i, member := range c.set {
				if v&(1<<i) != 0 {
					members = append(members, member)
				}
			}
			return strings.Join(members, ",")
		}
	}
	return v
}

// canal is the shape of go-mysql's canal and of who uses it: each event stamps
// a clock and moves a position under a lock, each rows event looks its table up
// in a cache by name, and each row is a map that goes through a channel to the
// goroutine that writes JSON. Canal parses the text of every QUERY as SQL, which
// is not done here: its parser is not among this module's dependencies.
type canal struct {
	mapper
	mu       sync.Mutex
	tables   map[string]*replication.TableMapEvent
	position uint32
	stamp    time.Time
}

// lookUp finds the tables of an event by name.
func (c *canal) lookUp(e *replication.BinlogEvent) {
	switch ev := e.Event.(type) {
	case *replication.TransactionPayloadEvent:
		for _, inner := range ev.Events {
			c.lookUp(inner)
		}
	case *replication.RowsEvent:
		name := fmt.Sprintf("%s.%s", ev.Table.Schema, ev.Table.Table)
		c.mu.Lock()
		c.tables[name] = ev.Table
		c.mu.Unlock()
	}
}

func mysqlCanal(ctx context.Context, j *job, t *tally) error {
	rows := make(chan map[string]any, 4096)
	written := make(chan error, 1)
	go func() {
		var failed error
		for row := range rows {
			b, err := json.Marshal(row)
			if err == nil {
				err = t.event(b)
			}
			if failed == nil {
				failed = err
			}
		}
		written <- failed
	}()
	c := &canal{tables: make(map[string]*replication.TableMapEvent)}
	c.emit = func(_ string, row map[string]any) error {
		rows <- row
		return nil
	}
	err := parseFile(newParser(), j.Path, func(e *replication.BinlogEvent) error {
		c.mu.Lock()
		c.stamp, c.position = time.Now(), e.Header.LogPos
		c.mu.Unlock()
		c.lookUp(e)
		if err := c.event(e); err != nil {
			return err
		}
		return ctx.Err()
	})
	close(rows)
	if werr := <-written; err == nil {
		err = werr
	}
	return err
}
