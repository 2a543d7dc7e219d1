package verify

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"tailwater/change"
)

// spot is what a metric counts of a row: where, and the value.
type spot struct {
	start int64
	group string
	value json.RawMessage
	// partition, shard, database and table say which rows go with a table.
	partition              int32
	shard, database, table string
}

// follow keeps the row of an event as it is after it. The table knows keys, so
// that nothing is ever taken back: neither _old nor the image of a delete is
// looked at.
func (m *metric) follow(e *event) error {
	if e.op == change.OnTable {
		m.forget(e)
		return nil
	}
	delete(m.rows, e.key)
	if e.op == change.Delete {
		return nil
	}
	start, group, ok, err := m.place(e)
	if err != nil || !ok {
		return err
	}
	m.rows[e.key] = spot{start, group, e.raw[m.Value.Column], e.partition, e.shard, e.database, e.table}
	return nil
}

// forget drops the rows of a table that are gone, as far as events say so. Each
// partition has the event in its own place.
func (m *metric) forget(e *event) {
	if e.ddl == "partition" {
		return // some of them are gone
	}
	maps.DeleteFunc(m.rows, func(_ string, r spot) bool {
		named := r.database == "" || r.database == e.database
		named = named && (r.table == "" || e.table == "" || r.table == e.table)
		return r.partition == e.partition && r.shard == e.shard && named
	})
}

// recount groups the rows that a metric of rows: latest has followed.
func (m *metric) recount() error {
	if m.Rows != "latest" {
		return nil
	}
	m.cells = make(map[int64]map[string]*total)
	for _, r := range m.rows {
		if err := m.count(m.cell(r.start, r.group), r.value); err != nil {
			return err
		}
	}
	return nil
}

// layouts are the texts of the types that can place a row.
var layouts = map[change.Type]string{change.Date: time.DateOnly, change.DateTime: time.DateTime, change.Timestamp: time.RFC3339}

// lastTime is the last microsecond that a window can have: that of the year
// 2255 which a double holds exactly.
const lastTime int64 = 1<<53 - 1

// columnTime is the time of the metric's column in microseconds, if it is one.
func (m *metric) columnTime(e *event) (int64, bool, error) {
	c, _, err := e.get(m.Time)
	if err != nil || c.null {
		return 0, false, err
	}
	layout, ok := layouts[m.timeType]
	if !ok {
		return 0, false, fmt.Errorf("column %s is %s and no time", m.Time, m.timeType)
	}
	at, err := time.Parse(layout, c.text)
	if err != nil { // a zero or impossible date
		return 0, false, nil
	}
	return at.UnixMicro(), at.Unix() >= 0 && at.Unix() <= lastTime/1_000_000, nil
}
