package events

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tailwater/binlog"
	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/change"
)

func TestRun_ALineIsTheEventOfTheView(t *testing.T) {
	r := newRig(t, primary.Options{})
	r.insert("things", 1)
	gtid := r.commit(func(tx *primary.Tx) error {
		return errors.Join(
			tx.Update("shop", "things", []any{int64(1)}, encode.Row{int64(1), "y"}),
			tx.Update("shop", "things", []any{int64(1)}, encode.Row{int64(2), nil}))
	})
	got := r.run(nil)
	if got.err != nil || len(got.lines) != 4 {
		t.Fatalf("got %q and %v, want four lines", got.lines, got.err)
	}
	head := func(op, at string) string {
		return fmt.Sprintf(`{"_op":%q,"_shard":"a","_ts_us":%s,"_lsn":"00000000%s","_db":"shop","_table":"things","_gtid":%q,`,
			op, field(got.lines[1], `"_ts_us":`, ","), at, gtid)
	}
	for i, want := range []string{
		head("u", "000000000004000000010000") + `"id":1,"label":"y","_old":{"label":"x"}}`,
		head("d", "000000000004000000020000") + `"id":1,"label":"y"}`,
		head("c", "000000000004000000020001") + `"id":2,"label":null}`,
	} {
		if got.lines[i+1] != want {
			t.Errorf("line %d is\n%s, want\n%s", i+1, got.lines[i+1], want)
		}
	}
	if got.Events != 4 || got.Transactions != 2 || got.Next != "gtid:"+uuid+":1-4" || !got.GoesOn {
		t.Errorf("got %+v, want 4 events of 2 transactions up to 4", got.Result)
	}
}

func TestPlans_ATableWithoutAKeyHasAPlanWhateverItsColumns(t *testing.T) {
	p := plans{shard: "a"}
	table := &change.Table{Database: "shop", Name: "odd", Columns: []change.Column{{Name: "None", Type: change.Int}, {Name: "shard", Type: change.Int}}}
	plan, err := p.of(table)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(plan.Schema().Columns); got != 2 {
		t.Errorf("it shows %d columns, want the table's two", got)
	}
	if again, _ := p.of(table); again != plan {
		t.Error("the same shape was compiled twice")
	}
}

func TestRun_EndsWhereTheBinlogEnded(t *testing.T) {
	r := newRig(t, primary.Options{})
	r.want("without rows", r.run(nil), "")
	r.insert("things", 1)
	r.server.Rotate()
	r.insert("notes", 2)
	r.want("idle", r.run(nil), "c1 notes:c2")
	r.server.RotateStorm(2)
	r.want("behind empty files", r.run(nil), "c1 notes:c2")
	r.want("from the end", r.run(func(o *Options) { o.Start = "latest" }), "")
	r.want("by file", r.run(func(o *Options) { o.Position = "file" }), "c1 notes:c2")
}

func TestRun_UntilNowEndsOnABusyServer(t *testing.T) {
	r := newRig(t, primary.Options{})
	r.insert("things", 1)
	stop, done := make(chan struct{}), make(chan int)
	var committed atomic.Int64
	go func() {
		id := 2
		for {
			select {
			case <-stop:
				done <- id
				return
			default:
				tx := r.server.Begin()
				_ = tx.Insert("shop", "things", encode.Row{int64(id), "x"})
				_, _ = tx.Commit(primary.CommitOptions{})
				committed.Store(int64(id))
				id++
			}
		}
	}()
	for committed.Load() < 100 {
		runtime.Gosched()
	}
	before := int(committed.Load())
	got := r.run(nil)
	close(stop)
	last := <-done
	if n := len(got.lines); got.err != nil || n < before || n >= last {
		t.Errorf("got %d of %d rows and %v, want at least the %d from before the start", n, last, got.err, before)
	}
	for i, l := range got.lines {
		if want := fmt.Sprintf(`"id":%d,`, i+1); !strings.Contains(l, want) {
			t.Fatalf("line %d is %s, want %s", i, l, want)
		}
	}
}

func TestRun_UntilAGTIDSet(t *testing.T) {
	r := newRig(t, primary.Options{})
	for id := range 4 {
		r.insert("things", id) // transactions 3 to 6
	}
	until := func(set string, edit ...func(*Options)) ran {
		return r.run(func(o *Options) {
			o.UntilNow, o.UntilGTID = false, set
			for _, e := range edit {
				e(o)
			}
		})
	}
	r.want("the set", until(uuid+":1-4"), "c0 c1")
	r.want("one of it", until(uuid+":5"), "c0 c1 c2")
	r.want("before the start", until(uuid+":1-4", func(o *Options) { o.Start = "gtid:" + uuid + ":1-4" }), "")
	r.want("the rest", until(uuid+":1-6", func(o *Options) { o.Start = "gtid:" + uuid + ":1-4" }), "c2 c3")
	got := until(uuid+":1-7", func(o *Options) { o.For = 300 * time.Millisecond })
	var incomplete *IncompleteError
	if !errors.As(got.err, &incomplete) || got.ids() != "c0 c1 c2 c3" {
		t.Errorf("a set that does not come: got %q and %v, want all and an error", got.ids(), got.err)
	}
	// Another run prints what came since, from where this one says.
	r.insert("things", 9)
	r.want("going on", until(uuid+":1-7", func(o *Options) { o.Start = got.Next }), "c9")
}

func TestRun_LimitCutsATransactionAndSaysSo(t *testing.T) {
	r := newRig(t, primary.Options{})
	r.insert("things", 1)
	r.insert("things", 2, 3, 4)
	limit := func(n uint64, start string) ran {
		return r.run(func(o *Options) { o.UntilNow, o.Limit, o.Start = false, n, start })
	}
	got := limit(2, "earliest")
	r.want("inside", got, "c1 c2")
	if got.GoesOn || got.Next != "gtid:"+uuid+":1-3" {
		t.Errorf("got %+v, want the place in front of the transaction", got.Result)
	}
	r.want("again", limit(3, got.Next), "c2 c3 c4")
	got = limit(4, "earliest")
	r.want("at its end", got, "c1 c2 c3 c4")
	if !got.GoesOn || got.Next != "gtid:"+uuid+":1-4" {
		t.Errorf("got %+v, want the place behind the transaction", got.Result)
	}
}

func TestRun_TimeEndsIt(t *testing.T) {
	r := newRig(t, primary.Options{})
	r.insert("things", 1)
	r.want("for", r.run(func(o *Options) { o.UntilNow, o.For = false, 300*time.Millisecond }), "c1")
}

func TestRun_ATransactionAboveTheBoundIsNotPrinted(t *testing.T) {
	r := newRig(t, primary.Options{})
	r.insert("things", 1)
	var ids []int
	for id := 10; id < 40; id++ {
		ids = append(ids, id)
	}
	gtid := r.insert("things", ids...)
	got := r.run(func(o *Options) { o.MaxTransaction = 4 << 10 })
	var large *TransactionError
	if !errors.As(got.err, &large) || large.ID != gtid || !strings.Contains(got.err.Error(), "--max-transaction") || got.ids() != "c1" {
		t.Errorf("got %q and %v, want the first row and an error about %s", got.ids(), got.err, gtid)
	}
	if got = r.run(func(o *Options) { o.MaxTransaction = 8 << 10 }); got.err != nil || len(got.lines) != 31 {
		t.Errorf("with room: %d lines and %v, want 31", len(got.lines), got.err)
	}
}

func TestRun_WhatStopsAReaderEndsTheRun(t *testing.T) {
	r := newRig(t, primary.Options{})
	r.insert("things", 1)
	if err := r.server.Statement("shop", "ALTER TABLE things ENGINE=BLACKHOLE"); err != nil {
		t.Fatal(err)
	}
	r.insert("things", 2)
	got := r.run(nil)
	var stop *binlog.StopError
	if !errors.As(got.err, &stop) || got.ids() != "c1" {
		t.Fatalf("got %q and %v, want the row before it and an error", got.ids(), got.err)
	}
	for _, want := range []string{"ENGINE=BLACKHOLE of shop.things", "--accept " + uuid + ":4", "--exclude"} {
		if !strings.Contains(got.err.Error(), want) {
			t.Errorf("the error is %q, want %q in it", got.err, want)
		}
	}
	r.want("accepted", r.run(func(o *Options) { o.Accept = []string{uuid + ":4"} }), "c1 c2")
	r.want("excluded", r.run(func(o *Options) { o.Exclude = []string{"shop.th*"} }), "")
}

func TestRun_AChangeOfATableIsALine(t *testing.T) {
	r := newRig(t, primary.Options{})
	r.insert("things", 1)
	if err := r.server.TruncateTable("shop", "things"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"RENAME TABLE things TO old.things, next TO things", "RENAME TABLE things TO _things_old, _things_new TO things", "DROP DATABASE shop", "DROP DATABASE other"} {
		if err := r.server.Statement("shop", text); err != nil {
			t.Fatal(err)
		}
	}
	got := r.run(nil)
	if got.err != nil || len(got.lines) < 2 {
		t.Fatalf("got %q and %v", got.lines, got.err)
	}
	want := `{"_op":"t","_shard":"a","_ts_us":` + field(got.lines[1], `"_ts_us":`, ",") +
		`,"_lsn":"00000000000000000004000000010000","_db":"shop","_table":"things","_gtid":"` + uuid + `:4","_ddl":"truncate"}`
	if got.lines[1] != want {
		t.Errorf("got %s, want %s", got.lines[1], want)
	}
	rest := func(ran ran) string {
		var out []string
		for _, l := range ran.lines {
			if _, text, ok := strings.Cut(l, `"_ddl":`); ok {
				out = append(out, field(l, `"_table":`, ",")+" "+strings.TrimSuffix(text, "}"))
			}
		}
		return strings.Join(out, "\n")
	}
	only := func(o *Options) { o.Tables = []string{"shop.things"} }
	wantRest := `"things" "truncate"
"things" "rename","_to":["old","things"]
"things" "rename","_from":["shop","next"]
null "drop"`
	if text := rest(r.run(only)); text != wantRest {
		t.Errorf("of the one table:\n%s\nwant\n%s", text, wantRest)
	}
	// Of a table that is left out nothing is told, and of all the others everything.
	if text := rest(r.run(func(o *Options) { o.Exclude = []string{"shop.*", "old.*"} })); text != `null "drop"` {
		t.Errorf("without the database:\n%s\nwant that of the other", text)
	}
	// The swap by a copy is no event, unless the copies are asked for.
	if n := strings.Count(rest(r.run(nil)), "\n") + 1; n != 1+4+2 {
		t.Errorf("of every table: %d lines, want 7, without the copies", n)
	}
	if n := strings.Count(rest(r.run(func(o *Options) { o.Tables = []string{"*.*", "*._*_old", "*._*_new"} })), "\n") + 1; n != 1+4+4+2 {
		t.Errorf("of every table and the copies: %d lines, want 11", n)
	}
	if got := r.run(func(o *Options) { o.Limit = 2 }); len(got.lines) != 2 || got.err != nil {
		t.Errorf("with a limit: got %q and %v, want two lines", got.lines, got.err)
	}
}

func TestRun_ABrokenTableEndsItOrIsSkippedOnce(t *testing.T) {
	r := newRig(t, primary.Options{})
	if err := r.server.CreateTable(encode.Table{Database: "shop", Name: "bad", PrimaryKey: []int{0}, Columns: []encode.Column{{Name: "id", Kind: encode.BigInt}, {Name: "_x", Kind: encode.BigInt}}}); err != nil {
		t.Fatal(err)
	}
	r.commit(func(tx *primary.Tx) error {
		return errors.Join(tx.Insert("shop", "things", encode.Row{int64(1), "x"}), tx.Insert("shop", "bad", encode.Row{int64(2), int64(2)}),
			tx.Insert("shop", "bad", encode.Row{int64(3), int64(3)}))
	})
	r.insert("things", 4)
	got := r.run(nil)
	if got.err == nil || !strings.Contains(got.err.Error(), "table shop.bad") || !strings.Contains(got.err.Error(), "--skip-broken") || got.ids() != "" {
		t.Errorf("got %q and %v, want nothing of the transaction and an error about the table", got.ids(), got.err)
	}
	got = r.run(func(o *Options) { o.SkipBroken = true })
	r.want("skipped", got, "c1 c4")
	if strings.Count(got.notes, "shop.bad is skipped") != 1 || got.Skipped["shop.bad"] != 2 {
		t.Errorf("notes are %q and skipped %v, want the table once and its two rows", got.notes, got.Skipped)
	}
	got = r.run(func(o *Options) { o.Drop = []string{"shop.*._x"} })
	if len(got.lines) != 4 || got.err != nil || !strings.HasSuffix(got.lines[1], `"id":2}`) {
		t.Errorf("dropped: got %q and %v, want the rows without the column", got.lines, got.err)
	}
}

func TestRun_ChoosesTables(t *testing.T) {
	r := newRig(t, primary.Options{})
	r.insert("things", 1)
	r.insert("notes", 2)
	tables := func(include, exclude string) ran {
		return r.run(func(o *Options) { o.Tables, o.Exclude = strings.Fields(include), strings.Fields(exclude) })
	}
	r.want("one", tables("shop.notes", ""), "notes:c2")
	r.want("two", tables("sho?.n* *.thing?", ""), "c1 notes:c2")
	r.want("all but one", tables("", "*.notes"), "c1")
	r.want("none", tables("`sh.op`.*", ""), "")
	r.create("_things_gho")
	r.insert("_things_gho", 3)
	r.want("all but copies", tables("", ""), "c1 notes:c2")
	r.want("all of a database but copies", tables("shop.*", ""), "c1 notes:c2")
	r.want("a copy", tables("shop._things_gho", ""), "_things_gho:c3")
	r.want("copies", tables("shop._*_gho", ""), "_things_gho:c3")
}

func TestRun_WithoutGTIDsPlacesAreFilesByThemselves(t *testing.T) {
	r := newRig(t, primary.Options{Variables: map[string]string{"gtid_mode": "OFF"}})
	r.insert("things", 1)
	got := r.run(nil)
	r.want("by file", got, "c1")
	if !strings.Contains(got.notes, "gtid_mode OFF") || !strings.HasPrefix(got.Next, "file:binlog.000001:") {
		t.Errorf("notes are %q and next %q, want the reason and a file", got.notes, got.Next)
	}
	got = r.run(func(o *Options) { o.Position = "gtid" })
	var unreachable *UnreachableError
	if !errors.As(got.err, &unreachable) || !strings.Contains(got.err.Error(), "--position file") {
		t.Errorf("asked for GTIDs: %v, want the way out", got.err)
	}
}

// fixedRow is a row of one column.
type fixedRow string

func (r fixedRow) State(int) change.CellState { return change.Present }

func (r fixedRow) AppendJSON(dst []byte, _ int) ([]byte, error) { return append(dst, r...), nil }

func TestPrinter_ARowTakesNoMemoryOfItsOwn(t *testing.T) {
	p := &printer{o: &Options{MaxTransaction: DefaultMaxTransaction}, plans: plans{shard: "a"}}
	p.o.Shard.ID = "a"
	p.emit = p.add
	p.out = newOutput(new(buffer), func(error) {})
	tx := &binlog.Transaction{ID: uuid + ":1", Number: 1}
	rc := &binlog.RowChange{
		Op: change.Update, Row: 1, Before: fixedRow("1"), After: fixedRow("2"),
		Table: &change.Table{Database: "shop", Name: "notes", Columns: []change.Column{{Name: "id", Type: change.Int}}},
	}
	if err := p.Begin(tx); err != nil {
		t.Fatal(err)
	}
	rows := func() {
		for range 100 {
			if err := p.Row(tx, rc); err != nil {
				t.Fatal(err)
			}
		}
		p.buf = p.buf[:0]
	}
	rows()
	// One row in a hundred is a failure already.
	if got := testing.AllocsPerRun(20, rows); got >= 1 {
		t.Errorf("a hundred rows allocate %v times", got)
	}
	if err := p.out.close(); err != nil {
		t.Error(err)
	}
}
