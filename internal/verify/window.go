package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"tailwater/change"
	"tailwater/internal/config"
	"tailwater/internal/expr"
	"tailwater/stream"
)

// metric is a metric of the configuration, folded anew.
type metric struct {
	config.ResolvedMetric
	size int64 // microseconds
	// where is the condition, columns what it is compiled against.
	where   *expr.Value
	columns []change.Column
	shards  []string
	cells   map[int64]map[string]*total
	// rows are the rows as they are, by shard and key, for rows: latest.
	rows map[string]spot
	// column is that of the value.
	column change.Column
	// timeType is the type of the column that places rows.
	timeType change.Type
	// from is the start of the first window that the stream has whole.
	from int64
	// public is what readers see of the metric, bucket the part that this is.
	public shown
	bucket int
	// secret says that a group shows a masked column.
	secret bool
}

// total is a value of one window and group.
type total struct {
	rows, values int64
	sum          big.Rat
	// best is the smallest or largest value, and shown its public text.
	best, shown string
}

// text is the value as decimal text without digits that mean nothing.
func (m *metric) text(t *total) string {
	switch {
	case m.Value.Func == "count":
		return strconv.FormatInt(t.rows, 10)
	case t.values == 0:
		return "null"
	case m.extreme():
		return canonicalNumber(t.shown)
	case m.Value.Func == "avg":
		return canonicalNumber(average(&t.sum, t.values, m.column.Scale))
	}
	return canonicalNumber(t.sum.FloatString(maxScale))
}

// average is the text of MySQL's AVG over a column of the given scale: four
// digits more, at most 30, rounded half away from zero; cut without rounding
// where these digits fill its words of nine.
func average(sum *big.Rat, values int64, scale int) string {
	digits := min(scale+4, maxScale)
	q := new(big.Rat).Quo(sum, new(big.Rat).SetInt64(values))
	if (scale+4)%9 != 0 {
		return q.FloatString(digits)
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	cut := new(big.Int).Mul(q.Num(), unit)
	return new(big.Rat).SetFrac(cut.Quo(cut, q.Denom()), unit).FloatString(digits)
}

// maxScale is the most digits that MySQL keeps behind the point.
const maxScale = 30

func newMetric(m config.ResolvedMetric, columns map[string]change.Column) (*metric, error) {
	out := &metric{ResolvedMetric: m, size: m.Size.Microseconds(), cells: make(map[int64]map[string]*total), rows: make(map[string]spot), column: columns[m.Value.Column], timeType: columns[m.Time].Type}
	if m.Where == "" {
		return out, nil
	}
	for _, c := range columns {
		out.columns = append(out.columns, c)
	}
	slices.SortFunc(out.columns, func(a, b change.Column) int { return strings.Compare(a.Name, b.Name) })
	v, err := expr.CompileValue("("+string(m.Where)+") ? true : false", out.columns)
	if err != nil {
		return nil, fmt.Errorf("metric %s: where: %w", m.Name, err)
	}
	out.where = v
	return out, nil
}

// add folds one event. late says whether the event's window had ended before.
func (m *metric) add(e *event, late func(end int64) bool) error {
	if e.op == change.Read || e.op == change.OnTable && m.Rows != "latest" || m.Rows == "inserts" && e.op != change.Create {
		return nil
	}
	if m.Rows == "latest" {
		return m.follow(e)
	}
	start, group, ok, err := m.place(e)
	if err != nil || !ok || m.OnLate == "drop" && late(start+m.size) {
		return err
	}
	return m.count(m.cell(start, group), e.raw[m.Value.Column])
}

// place says in which window and group an event's row is, if the metric takes it.
func (m *metric) place(e *event) (start int64, group string, ok bool, err error) {
	if m.wide() && !m.mine(m.group(e)) {
		return 0, "", false, nil
	}
	if ok, err := m.takes(e); err != nil || !ok {
		return 0, "", false, err
	}
	at := e.micros
	if m.Time != "commit" {
		if at, ok, err = m.columnTime(e); err != nil || !ok {
			return 0, "", false, err
		}
	}
	if start = at - at%m.size; start < m.from {
		return 0, "", false, nil
	}
	if slices.Contains(e.noText, m.Value.Column) {
		return 0, "", false, fmt.Errorf("column %s: %w, and have no place in the order of texts", m.Value.Column, change.ErrInvalidText)
	}
	return start, string(m.group(e)), true, nil
}

// group is the JSON array of the values of an event's group.
func (m *metric) group(e *event) []byte {
	text := []byte{'['}
	for i, name := range m.GroupBy {
		if i > 0 {
			text = append(text, ',')
		}
		raw, ok := e.raw[name]
		if !ok {
			raw = json.RawMessage("null")
		}
		if slices.Contains(e.noText, name) {
			raw = json.RawMessage(`{"_raw":` + string(raw) + `}`)
		}
		text = append(text, raw...)
	}
	return append(text, ']')
}

// count adds a row with the given value.
func (m *metric) count(t *total, raw json.RawMessage) error {
	t.rows++
	if m.Value.Func == "count" {
		return nil
	}
	c, err := plainJSON(raw)
	if err != nil || c.null {
		return err
	}
	if m.extreme() {
		return m.compete(t, c.text, string(raw))
	}
	n, ok := new(big.Rat).SetString(c.text)
	if !ok {
		return fmt.Errorf("column %s is no number", m.Value.Column)
	}
	t.values++
	t.sum.Add(&t.sum, n)
	return nil
}

func (m *metric) cell(start int64, group string) *total {
	w := m.cells[start]
	if w == nil {
		w = make(map[string]*total)
		m.cells[start] = w
	}
	t := w[group]
	if t == nil {
		t = new(total)
		w[group] = t
	}
	return t
}

// takes evaluates the condition. A column that the event does not have is NULL.
func (m *metric) takes(e *event) (bool, error) {
	if m.where == nil {
		return true, nil
	}
	row := textRow{make(expr.Texts, len(m.columns)), func(col int) bool { return slices.Contains(e.noText, m.columns[col].Name) }}
	for _, i := range m.where.Columns() {
		c := &m.columns[i]
		raw, ok := e.raw[c.Name]
		if !ok {
			raw = json.RawMessage("null")
		}
		if c.Type == change.JSON && raw[0] == '"' {
			plain, err := plainJSON(raw)
			if err != nil {
				return false, err
			}
			raw = json.RawMessage(plain.text)
		}
		row.texts[i] = raw
	}
	out, err := m.where.AppendJSON(nil, &row)
	return string(out) == "true", err
}

// folding is the reading of one view's topic for its metrics.
type folding struct {
	v       *verifier
	topic   *topic
	metrics []*metric
	marks   []marks
	at      []int64
	n       int
}

// newFolding prepares the metrics of a view.
func (v *verifier) newFolding(ctx context.Context, view string) (*folding, error) {
	t, err := openTopic(ctx, v.log, topicName(v.cfg, view))
	if err != nil {
		return nil, err
	}
	stored, err := v.log.Schemas(ctx, view)
	if err != nil {
		return nil, fmt.Errorf("read the schemas of view %s: %w", view, err)
	}
	f := &folding{v: v, topic: t}
	for _, b := range t.bounds {
		f.marks, f.at = append(f.marks, make(marks)), append(f.at, b.First)
	}
	columns := newSchemas(stored).columns()
	for _, m := range v.cfg.Windows.Metrics {
		if m.View != view || len(columns) == 0 {
			continue
		}
		made, err := newMetric(m, columns)
		if err != nil {
			return nil, err
		}
		made.shards, made.secret = v.shardsOf(view), v.secretGroup(&m)
		f.metrics = append(f.metrics, made)
	}
	return f, nil
}

// only returns a folding of one of the metrics, which goes on from here by
// itself. The metric is shared, not copied.
func (f *folding) only(m *metric) *folding {
	g := &folding{v: f.v, topic: f.topic, metrics: []*metric{m}, at: slices.Clone(f.at)}
	for _, k := range f.marks {
		g.marks = append(g.marks, maps.Clone(k))
	}
	return g
}

// ends are the offsets behind the last records.
func ends(bounds []stream.Bounds) []int64 {
	out := make([]int64, len(bounds))
	for p, b := range bounds {
		out[p] = b.Next
	}
	return out
}

// read folds the records below an offset of each partition.
func (f *folding) read(ctx context.Context, to []int64) error {
	spans := make(map[int32]span)
	var n int64
	for p, end := range to {
		spans[int32(p)] = span{f.at[p], end}
		n += max(0, end-f.at[p])
	}
	f.v.progress.begin("folding the stream into windows", n)
	err := readSpans(ctx, f.v.log, f.topic.Name, spans, func(r *stream.Record) error {
		f.v.progress.add(1)
		return f.record(r)
	})
	if err != nil {
		return err
	}
	for p, end := range to {
		f.at[p] = max(f.at[p], end)
	}
	for _, m := range f.metrics {
		if err := m.recount(); err != nil {
			return fmt.Errorf("metric %s: %w", m.Name, err)
		}
	}
	return nil
}

// record folds one record.
func (f *folding) record(r *stream.Record) error {
	m := f.marks[r.Partition]
	_, heard := m[r.Shard]
	low := make([]int64, len(f.metrics))
	if r.Kind == stream.Event {
		for i, x := range f.metrics {
			low[i] = m.watermark(x.shards)
		}
	}
	ok, _ := m.accept(r)
	if !ok {
		return nil
	}
	if !heard && f.topic.bounds[r.Partition].First > 0 {
		for _, x := range f.metrics {
			x.from = max(x.from, r.Watermark+time.Minute.Microseconds())
		}
	}
	if r.Kind != stream.Event {
		return nil
	}
	e, err := decodeEvent(r)
	if err != nil {
		f.v.findings.add(Difference{Kind: Unreadable, Part: "windows", Shard: r.Shard, Where: at(r), LSN: r.LSN.String(), Text: err.Error()})
		return nil
	}
	f.n++
	for i, x := range f.metrics {
		lateness := x.Lateness.Microseconds()
		err := x.add(e, func(end int64) bool { return low[i] > 0 && end <= low[i]-lateness })
		if err != nil {
			return fmt.Errorf("metric %s, %s: %w", x.Name, at(r), err)
		}
	}
	return nil
}

// watermark is the lowest of the shards' watermarks, 0 when one was never heard.
func (m marks) watermark(shards []string) int64 {
	low := int64(0)
	for i, s := range shards {
		k, ok := m[s]
		if !ok || k.watermark == 0 {
			return 0
		}
		if i == 0 || k.watermark < low {
			low = k.watermark
		}
	}
	return low
}

// shardsOf lists the shards that write to a view.
func (v *verifier) shardsOf(view string) []string {
	var out []string
	for i := range v.cfg.Views {
		for j := range v.cfg.Sources {
			if v.cfg.Views[i].Name == view && v.cfg.Sources[j].Name == v.cfg.Views[i].Source {
				for _, s := range v.cfg.Sources[j].Shards {
					out = append(out, s.ID)
				}
			}
		}
	}
	return out
}

// secretGroup reports whether the groups of a metric may show a masked column:
// one of them is masked, or is computed in a view that masks any.
func (v *verifier) secretGroup(m *config.ResolvedMetric) bool {
	for i := range v.cfg.Views {
		def := &v.cfg.Views[i]
		if def.Name != m.View || len(def.Masking) == 0 {
			continue
		}
		for _, g := range m.GroupBy {
			if shows(def, g) {
				return true
			}
		}
	}
	return false
}
