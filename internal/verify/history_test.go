package verify

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/stream"
	"tailwater/stream/embedded"
)

const notesViews = `
tables:
  notes:
    from: { source: shop, schema: "s_{db}", table: "notes" }
views:
  notes:
    from: notes
    key: [shard, db, at, cost]
    select: { at: at, cost: cost, body: body, id: id }
lake: { url: "file://./lake", file: { roll_every: 1s } }
`

// notes is a fixture with one table of large rows, so that the stream can be
// trimmed.
func notes(t *testing.T, rows int) *fixture {
	t.Helper()
	s, err := primary.Start(primary.Options{User: "tw", Password: "pw"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	def := encode.Table{Database: "s_x", Name: "notes", PrimaryKey: []int{0}, Columns: []encode.Column{
		{Name: "id", Kind: encode.Int}, {Name: "at", Kind: encode.DateTime, Scale: 3}, {Name: "cost", Kind: encode.Decimal, Precision: 10, Scale: 2},
		{Name: "body", Kind: encode.Text, Length: 1 << 24},
	}}
	if err := s.CreateTable(def); err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, dir: t.TempDir(), servers: []*primary.Server{s}, partitions: 1}
	for i := range rows {
		f.note(i, 600<<10)
	}
	f.configure(shardLine(s), notesViews)
	return f
}

func shardLine(s *primary.Server) string {
	host, port, _ := net.SplitHostPort(s.Addr())
	return fmt.Sprintf("        - { name: a, host: %s, port: %s, user: tw, password: pw }\n", host, port)
}

// note inserts one row.
func (f *fixture) note(i, size int) {
	f.t.Helper()
	raw := make([]byte, size)
	r := rand.New(rand.NewPCG(uint64(i), 1))
	for j := range raw {
		raw[j] = byte(r.Uint32())
	}
	f.change(func(tx *primary.Tx) error {
		return tx.Insert("s_x", "notes", encode.Row{int64(i), fmt.Sprintf("2026-11-20 10:00:%02d.500", i%60), fmt.Sprintf("%d.10", i), base64.StdEncoding.EncodeToString(raw)})
	})
}

// change commits one transaction.
func (f *fixture) change(do func(*primary.Tx) error) {
	f.t.Helper()
	tx := f.servers[0].Begin()
	defer tx.Rollback()
	if err := do(tx); err != nil {
		f.t.Fatal(err)
	}
	if _, err := tx.Commit(primary.CommitOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

// trim removes what retention allows from the stopped pipeline's stream, and
// returns the first offset that is left.
func (f *fixture) trim(view string) int64 {
	f.t.Helper()
	l, err := embedded.Open(embedded.Options{
		Dir: filepath.Join(f.cfg.StateDir, "stream"), Name: f.cfg.Name, Logger: slog.New(slog.DiscardHandler),
		Retention: embedded.Retention{MaxAge: time.Nanosecond, MaxBytes: 1},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	name := stream.TopicName(f.cfg.Name, view)
	keep := map[stream.TopicPartition]int64{{Topic: name, Partition: 0}: 1 << 40}
	if _, err := l.Trim(f.t.Context(), keep); err != nil {
		f.t.Fatal(err)
	}
	bounds, err := l.Bounds(f.t.Context(), name)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		f.t.Fatal(err)
	}
	return bounds[0].First
}

func TestVerify_TakesFromTheLakeWhatHasLeftTheStream(t *testing.T) {
	f := notes(t, 40)
	f.start()
	clean(t, f.verify())
	f.change(func(tx *primary.Tx) error {
		if err := tx.Delete("s_x", "notes", []any{int64(3)}); err != nil {
			return err
		}
		row, err := tx.Get("s_x", "notes", []any{int64(5)})
		if err != nil {
			return err
		}
		row[3] = "short"
		return tx.Update("s_x", "notes", []any{int64(5)}, row)
	})
	f.note(99, 10)
	clean(t, f.verify("rows")) // the readers have read everything when this is done
	f.halt()
	if first := f.trim("notes"); first < 10 {
		t.Fatalf("the stream begins at offset %d, want some records gone", first)
	}
	r := f.verify()
	clean(t, r)
	if r.RowsCompared != 40 || r.UnseenRows != 0 || len(r.Notes) != 0 || r.Events != 43 {
		t.Errorf("got %+v, want 40 rows of 43 events", r)
	}
	if r.LakeRowsCompared >= r.LakeRows {
		t.Errorf("%d rows of the lake held against the stream, of %d: the stream has not all of them", r.LakeRowsCompared, r.LakeRows)
	}

	file := missingFile(t, f.cfg.Lake.Dir)
	r = f.verify()
	if d := one(t, r, "file", func(d *Difference) bool { return d.Kind == File }); d.Where != file {
		t.Errorf("got %s, want %s", d.Where, file)
	}
	if r.Found != 1 || r.UnseenRows == 0 {
		t.Errorf("without a part of the history: got %d differences and %d unseen rows, want 1 and some", r.Found, r.UnseenRows)
	}
	if err := os.RemoveAll(f.cfg.Lake.Dir); err != nil {
		t.Fatal(err)
	}
	f.cfg.Lake = nil
	r = f.verify()
	if r.Found != 0 || r.UnseenRows == 0 || len(r.Notes) == 0 {
		t.Errorf("without a lake: got %+v, want unseen rows and a note", r)
	}
}

func TestVerify_LateStartLeavesOldRowsUnseen(t *testing.T) {
	f := notes(t, 3)
	f.cfg.Sources[0].Start.Mode = "latest"
	f.start()
	f.awaitReader()
	f.note(50, 10)
	f.change(func(tx *primary.Tx) error { return tx.Delete("s_x", "notes", []any{int64(1)}) })
	r := f.verify("rows")
	clean(t, r)
	if r.UnseenRows != 2 || r.RowsCompared != 1 {
		t.Errorf("got %+v, want 2 rows unseen and 1 compared", r)
	}
}

// awaitReader waits until the reader follows the server.
func (f *fixture) awaitReader() {
	f.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for f.servers[0].Followers() == 0 {
		if time.Now().After(deadline) || !pause(f.t.Context(), 10*time.Millisecond) {
			f.t.Fatal("no reader follows the server")
		}
	}
}

func TestVerify_SaysWhatTheStreamLacks(t *testing.T) {
	f := notes(t, 2)
	if _, err := Run(t.Context(), Options{Config: f.cfg}); err == nil || !strings.Contains(err.Error(), "there is no stream") {
		t.Errorf("before the first run: got %v", err)
	}
	f.start()
	clean(t, f.verify("rows"))
	f.halt()
	f.note(7, 10)
	_, err := Run(t.Context(), Options{Config: f.cfg})
	if err == nil || !strings.Contains(err.Error(), "shard a: the stream lacks "+f.servers[0].UUID()+":4, and no pipeline runs") {
		t.Errorf("behind the pipeline's end: got %v", err)
	}
	f.servers[0].Down()
	_, err = Run(t.Context(), Options{Config: f.cfg})
	if err == nil || !strings.Contains(err.Error(), "shard a at "+f.servers[0].Addr()+" cannot be reached") {
		t.Errorf("without the server: got %v", err)
	}
	if err := f.servers[0].Up(); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(f.servers, func(s *primary.Server) bool { return s.Followers() > 0 }) {
		t.Error("a comparison follows the server's log")
	}
}
