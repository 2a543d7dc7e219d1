package redis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"tailwater/stream"
)

// history writes rows as a view does that is true to its table: what is
// updated or deleted was created, and an update carries what it replaced.
type history struct {
	rng  *rand.Rand
	rows []historyRow
	next int
}

// historyRow is one row; every column holds raw JSON.
type historyRow struct {
	id int
	columns
}

// columns are the columns of a row that an update may change.
type columns struct{ city, amount, at string }

func (c *columns) fields() [][2]string {
	return [][2]string{{"city", c.city}, {"amount", c.amount}, {"at", c.at}}
}

func (r *historyRow) text() string {
	out := []string{fmt.Sprintf(`"id":%d`, r.id)}
	for _, f := range r.fields() {
		out = append(out, fmt.Sprintf("%q:%s", f[0], f[1]))
	}
	return strings.Join(out, ",")
}

// old is the member _old of an update from r to now, or nothing.
func (r *historyRow) old(now *historyRow) string {
	var out []string
	after := now.fields()
	for i, f := range r.fields() {
		if f != after[i] {
			out = append(out, fmt.Sprintf("%q:%s", f[0], f[1]))
		}
	}
	if len(out) == 0 {
		return ""
	}
	return `,"_old":{` + strings.Join(out, ",") + "}"
}

// columns makes new values; the time lies at or before the commit.
func (h *history) columns(commit float64) columns {
	c := columns{
		city:   fmt.Sprintf("%q", string(rune('a'+h.rng.IntN(2)))),
		amount: fmt.Sprintf("%d.%d0", h.rng.IntN(9)-2, 5*h.rng.IntN(2)),
		at:     datetime(commit - []float64{0, 0, 2, 14}[h.rng.IntN(4)]),
	}
	switch h.rng.IntN(12) {
	case 0:
		c.amount = "null"
	case 1:
		c.at = []string{"null", `"0000-00-00 00:00:00.000"`}[h.rng.IntN(2)]
	}
	return c
}

// datetime is the text of a DATETIME(3).
func datetime(seconds float64) string {
	return time.UnixMicro(int64(seconds * 1e6)).UTC().Format(`"2006-01-02 15:04:05.000"`)
}

// change writes one change of a row: one event, or two when its key changes.
func (h *history) change(sh *fakeShard, commit float64) (out []stream.Record) {
	i := h.rng.IntN(len(h.rows) + 2)
	if i >= len(h.rows) {
		h.next++
		h.rows = append(h.rows, historyRow{h.next, h.columns(commit)})
		r := &h.rows[len(h.rows)-1]
		return []stream.Record{sh.op(r.partition(), "c", commit, r.text())}
	}
	was := h.rows[i]
	switch h.rng.IntN(6) {
	case 0:
		h.rows = slices.Delete(h.rows, i, i+1)
		return []stream.Record{sh.op(was.partition(), "d", commit, was.text())}
	case 1:
		h.next++
		h.rows[i].id = h.next
		out = append(out, sh.op(was.partition(), "d", commit, was.text()))
		return append(out, sh.op(h.rows[i].partition(), "c", commit, h.rows[i].text()))
	case 2: // nothing that the view shows
	default:
		now := h.columns(commit)
		if h.rng.IntN(3) == 0 {
			now.city, now.at = was.city, was.at
		}
		h.rows[i].columns = now
	}
	return []stream.Record{sh.op(was.partition(), "u", commit, h.rows[i].text()+was.old(&h.rows[i]))}
}

// partition is that of the row's key.
func (r *historyRow) partition() int32 { return int32(r.id % 2) }
