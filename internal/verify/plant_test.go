package verify

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/change"
	"tailwater/internal/testenv"
	"tailwater/stream"
	"tailwater/stream/embedded"
)

// plants writes events of its own into the stream of a pipeline that is
// stopped, as a reader with a mistake would.
type plants struct {
	f       *fixture
	log     *embedded.Log
	session stream.Session
	next    change.LSN
	rec     stream.Recovered
}

func (f *fixture) plant(shard string) *plants {
	f.t.Helper()
	l, err := embedded.Open(embedded.Options{Dir: filepath.Join(f.cfg.StateDir, "stream"), Name: f.cfg.Name, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.t.Fatal(err)
	}
	var topics []string
	for i := range f.cfg.Views {
		topics = append(topics, stream.TopicName(f.cfg.Name, f.cfg.Views[i].Name))
	}
	s, err := l.OpenShard(f.t.Context(), stream.ShardOptions{Source: "shop", Shard: shard, Topics: topics})
	if err != nil {
		f.t.Fatal(err)
	}
	p := &plants{f: f, log: l, session: s, rec: s.Recovered()}
	p.next = change.LSN{Epoch: s.Epoch(), Txn: p.rec.Position.LSN.Txn}
	return p
}

// last returns the last events of every key of a view on the shard, live ones only.
func (p *plants) last(view, shard string) []stream.Record {
	p.f.t.Helper()
	name := stream.TopicName(p.f.cfg.Name, view)
	bounds, err := p.log.Bounds(p.f.t.Context(), name)
	if err != nil {
		p.f.t.Fatal(err)
	}
	spans := make(map[int32]span)
	for i, b := range bounds {
		spans[int32(i)] = span{b.First, b.Next}
	}
	byKey := make(map[string]stream.Record)
	err = readSpans(p.f.t.Context(), p.log, name, spans, func(r *stream.Record) error {
		switch {
		case r.Kind != stream.Event || r.Shard != shard:
		case bytes.Contains(r.Value[:12], []byte(`"d"`)):
			delete(byKey, string(r.Key))
		default:
			byKey[string(r.Key)] = *r
		}
		return nil
	})
	if err != nil {
		p.f.t.Fatal(err)
	}
	var out []stream.Record
	for _, r := range byKey {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b stream.Record) int { return bytes.Compare(a.Key, b.Key) })
	return out
}

// publish writes a copy of a record under the next lsn, its JSON changed.
func (p *plants) publish(r stream.Record, change func(m map[string]json.RawMessage)) {
	p.f.t.Helper()
	p.next.Txn++
	p.next.Row = 1
	var m map[string]json.RawMessage
	if err := json.Unmarshal(r.Value, &m); err != nil {
		p.f.t.Fatal(err)
	}
	m["_lsn"] = json.RawMessage(`"` + p.next.String() + `"`)
	delete(m, "_old")
	change(m)
	// Metadata stands first; a consumer may rely on it.
	value := []byte(`{"_op":` + string(m["_op"]) + `,"_shard":` + string(m["_shard"]))
	for _, name := range []string{"_ts_us", "_lsn", "_db", "_table", "_gtid", "_schema"} {
		value = append(value, `,"`+name+`":`+string(m[name])...)
	}
	for name, raw := range m {
		if !strings.HasPrefix(name, "_") {
			value = append(value, `,"`+name+`":`+string(raw)...)
		}
	}
	r.Value, r.LSN, r.Offset = append(value, '}'), p.next, 0
	if err := p.session.Publish(p.f.t.Context(), []stream.Record{r}); err != nil {
		p.f.t.Fatal(err)
	}
}

func op(letter string) func(map[string]json.RawMessage) {
	return func(m map[string]json.RawMessage) { m["_op"] = json.RawMessage(`"` + letter + `"`) }
}

// close saves the position as it was.
func (p *plants) close() {
	p.f.t.Helper()
	at := p.rec.Position
	at.LSN = p.next
	if err := p.session.Save(p.f.t.Context(), at); err != nil {
		p.f.t.Fatal(err)
	}
	if err := p.session.Close(); err != nil {
		p.f.t.Fatal(err)
	}
	if err := p.log.Close(); err != nil {
		p.f.t.Fatal(err)
	}
}

// ownRedis is the shop's configuration with a window store that outlives the
// pipeline.
func ownRedis(t testing.TB) (views string, client *goredis.Client) {
	t.Helper()
	s := testenv.Redis(t)
	client = goredis.NewClient(&goredis.Options{Addr: s.Addr})
	t.Cleanup(func() { client.Close() })
	return strings.Replace(shopViews, "store: { type: embedded }", "store: { type: redis, url: \"redis://"+s.Addr+"/0\" }", 1), client
}

// one returns the only difference for which f is true.
func one(t *testing.T, r *Result, what string, f func(*Difference) bool) *Difference {
	t.Helper()
	var got []*Difference
	for i := range r.Differences {
		if f(&r.Differences[i]) {
			got = append(got, &r.Differences[i])
		}
	}
	if len(got) != 1 {
		t.Errorf("%s: got %d differences, want 1", what, len(got))
		return &Difference{}
	}
	return got[0]
}

func TestVerify_NamesEachPlantedFault(t *testing.T) {
	views, client := ownRedis(t)
	f := newFixture(t, 2, views)
	f.start()
	clean(t, f.verify())
	f.halt()
	clean(t, f.verify())

	p := f.plant("01")
	rows := p.last("orders", "01")
	lost, doubled, altered, extra := rows[0], rows[1], rows[2], rows[3]
	p.publish(lost, op("d"))
	p.publish(doubled, op("c"))
	p.publish(altered, func(m map[string]json.RawMessage) {
		m["_op"], m["city"], m["email"] = json.RawMessage(`"u"`), json.RawMessage(`"Atlantis"`), json.RawMessage(`"secret text"`)
	})
	extra.Key = []byte(`["01","4711000"]`)
	extra.Partition = stream.Partition(extra.Key, 3)
	p.publish(extra, func(m map[string]json.RawMessage) {
		m["_op"], m["id"] = json.RawMessage(`"c"`), json.RawMessage(`4711000`)
	})
	p.close()
	f.start() // the sinks take what was planted
	if r := f.verify("windows"); r.Found != 0 {
		t.Errorf("a fold of the same events differs: %v", r.Differences)
	}
	f.halt()
	window, group := wrongWindow(t, client)
	file := missingFile(t, f.cfg.Lake.Dir)

	r := f.verify()
	for i := range r.Differences {
		t.Log(&r.Differences[i])
		if strings.Contains(r.Differences[i].String(), "secret text") {
			t.Error("a masked value is shown")
		}
	}
	if r.Found != 7 {
		t.Errorf("got %d differences, want 7", r.Found)
	}
	byKey := func(kind Kind, key []byte, column string) func(*Difference) bool {
		return func(d *Difference) bool {
			return d.Part == "rows" && d.Kind == kind && d.View == "orders" && d.Shard == "01" && d.Key == string(key) && d.Column == column && strings.HasPrefix(d.Table, "shop_01.orders_")
		}
	}
	one(t, r, "lost", byKey(Lost, lost.Key, ""))
	one(t, r, "doubled", func(d *Difference) bool { return d.Kind == Doubled && d.Key == string(doubled.Key) })
	if d := one(t, r, "altered", byKey(Altered, altered.Key, "city")); d.Actual != "Atlantis" || d.Expected == "" {
		t.Errorf("altered: got %+v", d)
	}
	if d := one(t, r, "altered and masked", byKey(Altered, altered.Key, "email")); d.Actual != "***" || d.Expected != "***" {
		t.Errorf("masked: got %+v", d)
	}
	one(t, r, "extra", byKey(Extra, extra.Key, ""))
	if d := one(t, r, "window", func(d *Difference) bool { return d.Kind == Window }); d.Metric != "changes" || d.Window != window || d.Group != group || d.Actual != "123456" {
		t.Errorf("window: got %+v, want %s %s", d, window, group)
	}
	if d := one(t, r, "file", func(d *Difference) bool { return d.Kind == File }); d.Where != file || !strings.Contains(d.Text, "missing") {
		t.Errorf("file: got %+v, want %s", d, file)
	}
}

// wrongWindow changes one value of one window, and names them.
func wrongWindow(t *testing.T, c *goredis.Client) (window, group string) {
	t.Helper()
	starts, err := c.ZRange(t.Context(), "tw:{changes}:windows", 0, -1).Result()
	if err != nil || len(starts) == 0 {
		t.Fatalf("windows: %v %v", starts, err)
	}
	key := "tw:{changes}:w:" + starts[0]
	groups, err := c.HKeys(t.Context(), key).Result()
	if err != nil || len(groups) == 0 {
		t.Fatalf("groups: %v %v", groups, err)
	}
	if err := c.HSet(t.Context(), key, groups[0], "123456").Err(); err != nil {
		t.Fatal(err)
	}
	var seconds int64
	if err := json.Unmarshal([]byte(starts[0]), &seconds); err != nil {
		t.Fatal(err)
	}
	return stamp(seconds * 1e6), groups[0]
}

// missingFile removes one file of the lake, and names it.
func missingFile(t *testing.T, dir string) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".parquet") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("files: %v %v", files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	rel, err := filepath.Rel(dir, files[0])
	if err != nil {
		t.Fatal(err)
	}
	return filepath.ToSlash(rel)
}
