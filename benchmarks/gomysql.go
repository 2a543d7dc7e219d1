package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
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
	p := newParser()
	p.SetRawMode(true)
	var id replication.GTIDEvent
	return parseFile(p, j.Path, func(e *replication.BinlogEvent) error {
		if e.Header.EventType != replication.GTID_EVENT {
			return ctx.Err()
		}
		t.count++
		if t.job.Check {
			if err := id.Decode(e.RawData[replication.EventHeaderSize:]); err != nil {
				return err
			}
			t.line(gtidText(&id) + "\n")
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
	// members are those of the enum columns of the table at hand.
	table   *replication.TableMapEvent
	members map[int][]string
}

// event takes an event of the binlog.
func (m *mapper) event(e *replication.BinlogEvent) error {
	switch ev := e.Event.(type) {
	case *replication.GTIDEvent:
		m.gtid, m.tsMicros = gtidText(ev), int64(ev.OriginalCommitTimestamp)
	case *replication.RowsEvent:
		return m.rows(e.Header.EventType, ev)
	}
	return nil
}

func gtidText(e *replication.GTIDEvent) string {
	u := e.SID
	return fmt.Sprintf("%x-%x-%x-%x-%x:%d", u[:4], u[4:6], u[6:8], u[8:10], u[10:], e.GNO)
}

func (m *mapper) rows(kind replication.EventType, e *replication.RowsEvent) error {
	if kind != replication.WRITE_ROWS_EVENTv2 {
		return fmt.Errorf("an event of type %v: the fixtures only insert", kind)
	}
	if m.table != e.Table {
		m.table, m.members = e.Table, e.Table.EnumStrValueMap()
	}
	names := e.Table.ColumnNameString()
	schema, name := string(e.Table.Schema), string(e.Table.Table)
	for _, values := range e.Rows {
		row := make(map[string]any, len(values)+6)
		row["_op"], row["_shard"], row["_db"], row["_table"] = "c", shardID, schema, name
		row["_ts_us"], row["_gtid"] = m.tsMicros, m.gtid
		for i, v := range values {
			row[names[i]] = m.value(i, v)
		}
		if err := m.emit(fmt.Sprintf(`["%v"]`, values[0]), row); err != nil {
			return err
		}
	}
	return nil
}

// value makes a value what a reader of JSON expects.
func (m *mapper) value(column int, v any) any {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case int64:
		if members := m.members[column]; members != nil && v > 0 && int(v) <= len(members) {
			return members[v-1]
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
		if ev, ok := e.Event.(*replication.RowsEvent); ok {
			name := fmt.Sprintf("%s.%s", ev.Table.Schema, ev.Table.Table)
			c.mu.Lock()
			c.tables[name] = ev.Table
			c.mu.Unlock()
		}
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
