package pipeline_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/internal/status"
	"tailwater/stream"
	"tailwater/stream/kafka/kafkatest"
)

// captureRig is a pipeline that captures every table of its primaries.
type captureRig struct {
	*shopRig
	// want counts the rows that a topic must have, by table and shard.
	mu   sync.Mutex
	want map[string]map[string]int
}

// newCapture makes a rig; capture is the section's value, views what else the
// file has.
func newCapture(t *testing.T, shards int, capture, views string) *captureRig {
	t.Helper()
	r := &captureRig{shopRig: &shopRig{t: t, dir: t.TempDir()}, want: map[string]map[string]int{}}
	for i := range shards {
		s, err := primary.Start(primary.Options{ServerID: uint32(i + 1), User: "tailwater", Password: "x"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		r.servers = append(r.servers, s)
	}
	r.edit = func(text string) string {
		head, _, _ := strings.Cut(text, "tables:\n")
		return strings.Replace(head, "    type: mysql\n", "    type: mysql\n    capture: "+capture+"\n", 1) + views + "http: { listen: 127.0.0.1:0 }\n"
	}
	t.Cleanup(r.close)
	return r
}

// table makes a table of an id and a text, with more columns when they are named.
func (r *captureRig) table(shard int, database, name string, more ...string) {
	r.t.Helper()
	def := encode.Table{Database: database, Name: name, PrimaryKey: []int{0}, Columns: []encode.Column{
		{Name: "id", Kind: encode.BigInt}, {Name: "v", Kind: encode.Text, Length: 100_000},
	}}
	for _, m := range more {
		def.Columns = append(def.Columns, encode.Column{Name: m, Kind: encode.Int, Nullable: true})
	}
	if err := r.servers[shard].CreateTable(def); err != nil {
		r.t.Error(err)
	}
}

// place names a table for insert.
type place struct{ database, table string }

// insert puts a row with a number of NULLs behind it into tables, in one
// transaction, and expects it in their topics.
func (r *captureRig) insert(shard, id int, value any, nulls int, into ...place) {
	r.t.Helper()
	tx := r.servers[shard].Begin()
	for _, p := range into {
		row := encode.Row{int64(id), value}
		for range nulls {
			row = append(row, nil)
		}
		if err := tx.Insert(p.database, p.table, row); err != nil {
			r.t.Error(err)
			tx.Rollback()
			return
		}
	}
	if _, err := tx.Commit(primary.CommitOptions{}); err != nil {
		r.t.Error(err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range into {
		view := stream.CapturedView("shop", p.database, p.table)
		if r.want[view] == nil {
			r.want[view] = map[string]int{}
		}
		r.want[view][fmt.Sprintf("%02d/%d", shard, id)]++
	}
}

// rows reads a topic, if it is there, to its end by the rule of consumers, and counts the events
// of each row, as shard/id.
func (r *captureRig) rows(view string) map[string]int {
	r.t.Helper()
	out := map[string]int{}
	r.accepted(view, func(rec *stream.Record) {
		if len(rec.Key) == 0 { // of the table as a whole
			out[rec.Shard+"/t"]++
			return
		}
		var key []string
		if err := json.Unmarshal(rec.Key, &key); err != nil {
			r.t.Fatal(err)
		}
		out[rec.Shard+"/"+key[len(key)-1]]++
	})
	return out
}

// settle writes a last row on every shard and waits until the stream has them:
// each shard publishes in its order.
func (r *captureRig) settle(id int) {
	r.t.Helper()
	for i := range r.servers {
		r.insert(i, id, "last", 0, place{"shop", "t_000"})
	}
	r.await("the last rows in the stream", func(status.Snapshot) bool {
		rows := r.rows("shop.t_000")
		for i := range r.servers {
			if rows[fmt.Sprintf("%02d/%d", i, id)] == 0 {
				return false
			}
		}
		return true
	})
}

// compare holds every topic against what was written.
func (r *captureRig) compare() {
	r.t.Helper()
	for view, want := range r.want {
		got := r.rows(view)
		for row, n := range want {
			if got[row] != n {
				r.t.Errorf("topic of %s: row %s is there %d times, want %d", view, row, got[row], n)
			}
		}
		if len(got) != len(want) {
			r.t.Errorf("topic of %s: %d rows, want %d", view, len(got), len(want))
		}
	}
}

func TestCapture_EveryTableComesExactlyOnceThroughAKillAndNewTables(t *testing.T) {
	everyTable(t, 160, 40, "")
}

func TestCapture_OnKafkaEveryTableComesExactlyOnceThroughAKillAndNewTables(t *testing.T) {
	everyTable(t, 30, 20, fmt.Sprintf("stream: { type: kafka, brokers: [%q], partitions: 3 }\n", kafkatest.Start(t)[0]))
}

// everyTable writes to tables made before the start and in mid-run, on two
// shards at the same time, and kills the pipeline in the middle.
func everyTable(t *testing.T, before, later int, streamKeys string) {
	r := newCapture(t, 2, "{ tables: all, exclude: ['*.skipped'] }", `tables:
  t: { from: { source: s, schema: shop, table: "t_00{n}" }, key: [shard, id] }
views:
  named: { from: t }
`+streamKeys)
	name := func(i int) place { return place{"shop", fmt.Sprintf("t_%03d", i)} }
	odd := []place{{"we-ird.db", "tab le"}, {"shop", "größe"}, {"positions", "00"}}
	left := []place{{"shop", "skipped"}, {"shop", "_t_gho"}, {"shop", "_t_old"}, {"sys", "sys_config"}}
	for shard := range r.servers {
		for i := range before {
			r.table(shard, "shop", name(i).table)
		}
		for _, p := range append(slices.Clone(odd), left...) {
			r.table(shard, p.database, p.table)
			r.insert(shard, 1, "odd", 0, p)
		}
		for i := range before {
			r.insert(shard, i, "first", 0, name(i), name((i+1)%before))
		}
	}
	r.start()
	var writers sync.WaitGroup
	half := make(chan struct{}, 2)
	for shard := range r.servers {
		writers.Go(func() {
			for i := before; i < before+later; i++ {
				r.table(shard, "shop", name(i).table)
				r.insert(shard, i, "new", 0, name(i), name(i%7), name(before-1))
				if i == before+later/2 {
					half <- struct{}{}
				}
			}
		})
	}
	<-half
	r.crash()
	r.start()
	writers.Wait()
	r.settle(10_000)
	r.compareCaptured(left, before+later+len(odd))
	at := r.pipe.Snapshot()
	for i := range at.Shards {
		// One session each at the start, and few for the tables.
		s := at.Shards[i]
		t.Logf("shard %s opened %d sessions for %d tables", s.Shard, s.Epoch, before+later)
		if s.Epoch > 60 {
			t.Errorf("shard %s opened %d sessions for %d tables", s.Shard, s.Epoch, before+later)
		}
	}
	if n := len(r.rows("named")); n == 0 {
		t.Errorf("the named view has %d rows", n)
	}
	// A restart knows every table without seeing a row of it.
	r.crash()
	r.start()
	if got := r.pipe.Snapshot().Captures[0].Tables; got != before+later+len(odd) {
		t.Errorf("%d captured tables after a restart, want %d", got, before+later+len(odd))
	}
}

// compareCaptured is compare without the tables that must have no topic.
func (r *captureRig) compareCaptured(left []place, tables int) {
	r.t.Helper()
	for _, p := range left {
		view := stream.CapturedView("shop", p.database, p.table)
		delete(r.want, view)
		if _, err := r.pipe.Log().Bounds(r.t.Context(), stream.TopicName("shop", view)); err == nil {
			r.t.Errorf("table %s.%s has a topic", p.database, p.table)
		}
	}
	r.compare()
	if c := r.pipe.Snapshot().Captures; len(c) != 1 || c[0].Tables != tables || c[0].Stopped != 0 {
		r.t.Errorf("captures are %+v, want %d tables", c, tables)
	}
}

func TestCapture_BadTableStopsAloneUntilItIsResumed(t *testing.T) {
	r := newCapture(t, 2, "{ tables: all }", "stream: { max_record: 64KiB }\n")
	good, bad, large := place{"shop", "t_000"}, place{"shop", "bad"}, place{"shop", "large"}
	for shard := range r.servers {
		r.table(shard, "shop", "t_000")
		r.table(shard, "shop", "large")
		r.insert(shard, 1, "x", 0, good, large)
	}
	r.table(0, "shop", "bad", "_version")
	r.table(1, "shop", "bad")
	r.start()
	r.insert(0, 2, "x", 0, good)
	r.insert(0, 3, "x", 1, bad)
	r.insert(0, 4, "x", 0, good)
	r.insert(1, 3, "x", 0, bad, good)
	r.insert(1, 5, strings.Repeat("x", 66000), 0, large)
	r.insert(1, 6, "x", 0, large, good)
	r.settle(100)
	// Killed and started again, they are still stopped, since the same transaction.
	first := r.pipe.Snapshot().Captures[0]
	r.crash()
	r.start()
	r.insert(0, 7, "x", 1, bad)
	r.settle(101)
	c := r.pipe.Snapshot().Captures[0]
	if c.Stopped != 2 || len(c.Notices) != 2 || first.Skipped != 3 || c.Skipped < 1 {
		t.Fatalf("captures are %+v, before the restart %+v; want two stopped tables", c, first)
	}
	for i, want := range []struct{ shard, table, reason string }{{"00", "bad", "_version"}, {"01", "large", "exceeds the limit"}} {
		m := c.Notices[i]
		if m.Shard != want.shard || m.Table != want.table || m.State != "stopped" || !strings.Contains(m.Reason, want.reason) || m.Since == "" || m.Since != first.Notices[i].Since {
			t.Errorf("notice %d is %+v, want shard %s, table %s and %q", i, m, want.shard, want.table, want.reason)
		}
	}
	for i := range r.pipe.Snapshot().Shards {
		if s := r.shard(i); s.State != status.Streaming || s.Error != "" {
			t.Errorf("shard %s is %s %s", s.Shard, s.State, s.Error)
		}
	}
	r.metric(`tailwater_capture_stopped_tables{source="s"} 2`)
	r.resume("00", "shop", "nothing", http.StatusConflict)
	r.resume("01", "shop", "large", http.StatusAccepted)
	r.await("large goes on", func(s status.Snapshot) bool {
		return s.Captures[0].Stopped == 1 && s.Shards[1].State == status.Streaming
	})
	r.insert(1, 8, "x", 0, large)
	r.settle(102)
	for view, lost := range map[string][]string{"shop.bad": {"00/3", "00/7"}, "shop.large": {"01/5", "01/6"}} {
		for _, row := range lost {
			delete(r.want[view], row)
		}
	}
	r.compare()
}

// resume posts that a table goes on, and checks the answer's status.
func (r *captureRig) resume(shard, schema, table string, want int) {
	r.t.Helper()
	token, err := os.ReadFile(filepath.Join(r.dir, "state", "api-token"))
	if err != nil {
		r.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost,
		fmt.Sprintf("http://%s/api/v1/shards/%s/resume?schema=%s&table=%s", r.pipe.HTTPAddr(), shard, schema, table), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		r.t.Errorf("resume of %s.%s on shard %s answers %s, want %d", schema, table, shard, resp.Status, want)
	}
}

func TestCapture_StatementsAreNotedAndNamedTablesStopTheShard(t *testing.T) {
	r := newCapture(t, 2, "{ tables: all }", `tables:
  named: { from: { source: s, schema: shop, table: named }, key: [id] }
views:
  named: { from: named }
`)
	for shard := range r.servers {
		r.table(shard, "shop", "t_000")
		r.table(shard, "shop", "named")
		r.insert(shard, 1, "x", 0, place{"shop", "t_000"}, place{"shop", "named"})
	}
	for shard, table := range []string{"t_000", "named"} {
		if err := r.servers[shard].Statement("shop", "ALTER IGNORE TABLE "+table+" ADD UNIQUE (v)"); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.servers[0].TruncateTable("shop", "t_000"); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.await("stopped at the named table", func(s status.Snapshot) bool {
		return s.Shards[1].State == status.Stopped && strings.Contains(s.Shards[1].Error, "ALTER IGNORE TABLE of shop.named")
	})
	r.insert(0, 2, "x", 0, place{"shop", "t_000"})
	r.await("noted", func(s status.Snapshot) bool {
		return len(s.Captures[0].Notices) == 1 && r.rows("shop.t_000")["00/2"] == 1
	})
	if n := r.rows("shop.t_000")["00/t"]; n != 1 {
		t.Errorf("the truncated table has %d events of it as a whole, want one in its one partition", n)
	}
	m := r.pipe.Snapshot().Captures[0].Notices[0]
	if m.Shard != "00" || m.State != "noted" || !strings.Contains(m.Reason, "ALTER IGNORE TABLE of shop.t_000") || strings.Contains(m.Reason, "accept transaction") {
		t.Errorf("the notice is %+v", m)
	}
}

func TestCapture_FirstRowBehindTheEndOfTheLogIsThere(t *testing.T) {
	// A shard that begins at the end of its server's log, and knows no table:
	// the session that the first table ends must not let the next one begin at
	// the end that the log has then.
	r := newCapture(t, 1, "{ tables: all }", "")
	edit := r.edit
	r.edit = func(text string) string {
		return strings.Replace(edit(text), "    type: mysql\n", "    type: mysql\n    start: latest\n", 1)
	}
	r.table(0, "shop", "t_000")
	r.insert(0, 1, "before", 0, place{"shop", "t_000"})
	r.want = map[string]map[string]int{}
	r.start()
	r.await("streaming", func(s status.Snapshot) bool { return s.Shards[0].State == status.Streaming && s.Shards[0].Connected })
	r.await("heard of", func(s status.Snapshot) bool { return !s.Shards[0].LastHeard.IsZero() })
	for i := range 20 {
		r.table(0, "shop", fmt.Sprintf("n_%d", i))
		r.insert(0, i+2, "new", 0, place{"shop", fmt.Sprintf("n_%d", i)}, place{"shop", "t_000"})
	}
	r.settle(100)
	r.compare()
}

func TestCapture_TopicsThatKafkaTakesForOneStopTheSecond(t *testing.T) {
	r := newCapture(t, 1, "{ tables: all }", "")
	for _, p := range []place{{"shop", "t_000"}, {"a_b", "c"}, {"a", "b_c"}} {
		r.table(0, p.database, p.table)
		r.insert(0, 1, "x", 0, p)
	}
	r.start()
	r.settle(10)
	m := r.pipe.Snapshot().Captures[0].Notices
	if len(m) != 1 || m[0].Schema != "a" || m[0].Table != "b_c" || !strings.Contains(m[0].Reason, "captured table a_b.c in . and _ only") || !strings.Contains(m[0].Reason, "exclude one") {
		t.Fatalf("notices are %+v, want a.b_c, its reason and the way out", m)
	}
	delete(r.want, "a.b_c")
	r.compare()
}

func TestCapture_MaskedColumnsAreMaskedInCapturedViews(t *testing.T) {
	r := newCapture(t, 1, "{ tables: all }", `tables:
  people: { from: { source: s, schema: shop, table: people }, key: [id], masking: { v: drop } }
`)
	r.table(0, "shop", "people")
	r.table(0, "shop", "t_000")
	r.insert(0, 1, "secret", 0, place{"shop", "people"}, place{"shop", "t_000"})
	r.start()
	r.settle(2)
	schemas, err := r.pipe.Log().Schemas(t.Context(), "shop.people")
	if err != nil || len(schemas) != 1 {
		t.Fatalf("%d schemas, %v", len(schemas), err)
	}
	for _, s := range schemas {
		if len(s.Columns) != 1 || s.Columns[0].Name != "id" {
			t.Errorf("the columns are %+v, want id alone", s.Columns)
		}
	}
}

func TestCapture_NewTableAtTheEndOfALargeTransaction(t *testing.T) {
	// Pieces of the transaction are published before its last row shows that the
	// session lacks a topic.
	r := newCapture(t, 1, "{ tables: all }", "limits: { memory: 64MiB }\n")
	const rows = 20_000
	r.table(0, "shop", "t_000")
	r.table(0, "shop", "end")
	r.insert(0, -1, "x", 0, place{"shop", "t_000"})
	r.start()
	r.await("the first row", func(status.Snapshot) bool { return r.rows("shop.t_000")["00/-1"] == 1 })
	tx := r.servers[0].Begin()
	text := strings.Repeat("x", 1000)
	for i := range rows {
		if err := tx.Insert("shop", "t_000", encode.Row{int64(i), text}); err != nil {
			t.Fatal(err)
		}
		r.want["shop.t_000"][fmt.Sprintf("00/%d", i)] = 1
	}
	if err := tx.Insert("shop", "end", encode.Row{int64(1), "x"}); err != nil {
		t.Fatal(err)
	}
	r.want["shop.end"] = map[string]int{"00/1": 1}
	if _, err := tx.Commit(primary.CommitOptions{}); err != nil {
		t.Fatal(err)
	}
	r.settle(rows + 1)
	r.compare()
	if s := r.shard(0); s.Skipped == 0 {
		t.Errorf("no event of the transaction was published before its end: the test shows nothing; %+v", s)
	}
}

func TestCapture_TableThatIsRenamedIsToldUnderBothNames(t *testing.T) {
	r := newCapture(t, 1, "{ tables: all }", "")
	for _, name := range []string{"t_000", "old"} {
		r.table(0, "shop", name)
		r.insert(0, 1, "x", 0, place{"shop", name})
	}
	// Nobody has had a topic of the new name before: its rows come without events.
	if err := r.servers[0].Statement("shop", "RENAME TABLE old TO renamed"); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.settle(2)
	for _, view := range []string{"shop.old", "shop.renamed"} {
		if n := r.rows(view)["00/t"]; n != 1 {
			t.Errorf("%s has %d events of the table as a whole, want 1", view, n)
		}
	}
}
