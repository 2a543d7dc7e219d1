package primary

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"

	"tailwater/binlog/primary/encode"
)

func TestStore_BehavesLikeAMapAndKeepsOldVersions(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var root *node
	model := map[string]*record{}
	type saved struct {
		root  *node
		model map[string]*record
	}
	var history []saved
	for step := range 3000 {
		key := fmt.Sprintf("%03d", rng.IntN(400))
		if rng.IntN(3) == 0 {
			root = root.remove(key)
			delete(model, key)
		} else {
			rec := &record{}
			root = root.put(key, rec)
			model[key] = rec
		}
		if step%300 == 0 {
			history = append(history, saved{root, maps.Clone(model)})
		}
	}
	for i, h := range append(history, saved{root, model}) {
		var got []*record
		h.root.scan("", func(r *record) bool { got = append(got, r); return true })
		var want []*record
		for _, k := range slices.Sorted(maps.Keys(h.model)) {
			want = append(want, h.model[k])
			if h.root.find(k) != h.model[k] {
				t.Fatalf("version %d: key %s is not found", i, k)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("version %d: a scan finds %d records, want %d in order", i, len(got), len(want))
		}
	}
}

func TestStore_ScanRange(t *testing.T) {
	var root *node
	for _, k := range []string{"a", "b", "ba", "c", "d"} {
		root = root.put(k, &record{row: encode.Row{k}})
	}
	for _, tt := range []struct{ from, to, want string }{
		{"", "", "a b ba c d"}, {"b", "", "b ba c d"}, {"", "b", "a b ba"}, {"b", "c", "b ba c"}, {"bb", "bz", ""}, {"x", "", ""},
	} {
		var got []string
		root.scanRange(tt.from, tt.to, func(r *record) bool { got = append(got, r.row[0].(string)); return true })
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q to %q: got %v, want %s", tt.from, tt.to, got, tt.want)
		}
	}
}

func TestGTIDs_TextAndBinaryRoundTrip(t *testing.T) {
	const a, b = "aaaaaaaa-0000-0000-0000-000000000001", "bbbbbbbb-0000-0000-0000-000000000002"
	for in, want := range map[string]string{
		"":                                    "",
		a + ":1":                              a + ":1",
		b + ":5," + a + ":1-3:7":              a + ":1-3:7," + b + ":5",
		a + ":1-3:4-9":                        a + ":1-9",
		a + ":5:1:3:2-4":                      a + ":1-5",
		" " + strings.ToUpper(a) + ":2-2 ,\n": a + ":2",
	} {
		set, err := parseGTIDs(in)
		if err != nil || set.String() != want {
			t.Errorf("%q: got %s and error %v, want %s", in, set, err, want)
			continue
		}
		back, err := decodeGTIDs(set.encode())
		if err != nil || back.String() != want {
			t.Errorf("%q: decoded %s and error %v, want %s", in, back, err, want)
		}
		if !set.covers(back) || !back.covers(set) {
			t.Errorf("%q: the set does not cover itself", in)
		}
	}
	for _, bad := range []string{"x:1", a + ":0", a + ":3-1", a + ":x", a + ":1-", a[:30] + ":1"} {
		if set, err := parseGTIDs(bad); err == nil {
			t.Errorf("%q was parsed to %s", bad, set)
		}
	}
	whole := gtidSet{}.add([16]byte{1}, gtidRange{1, 5}).encode()
	for n := range len(whole) {
		if _, err := decodeGTIDs(whole[:n]); err == nil {
			t.Errorf("the first %d bytes of a set were decoded", n)
		}
	}
	if _, err := decodeGTIDs([]byte{1, 0, 0, 0, 0, 0, 0, 1}); err == nil {
		t.Error("a set with tags was decoded")
	}
}

func TestGTIDs_Algebra(t *testing.T) {
	const a = "aaaaaaaa-0000-0000-0000-000000000001"
	parse := func(s string) gtidSet {
		t.Helper()
		if s == "" {
			return nil
		}
		set, err := parseGTIDs(a + ":" + s)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	for _, tt := range []struct{ x, y, union, minus string }{
		{"1-5", "3", "1-5", "1-2:4-5"}, {"1-5", "1-5", "1-5", ""}, {"1-5", "6-9", "1-9", "1-5"},
		{"1-9", "2-3:5:9-20", "1-20", "1:4:6-8"}, {"", "1", "1", ""}, {"4", "", "4", "4"},
	} {
		x, y := parse(tt.x), parse(tt.y)
		if got := x.union(y).String(); got != parse(tt.union).String() {
			t.Errorf("%s + %s: got %s, want %s", tt.x, tt.y, got, tt.union)
		}
		if got := x.subtract(y).String(); got != parse(tt.minus).String() {
			t.Errorf("%s - %s: got %s, want %s", tt.x, tt.y, got, tt.minus)
		}
		if got, want := x.covers(y), len(y.subtract(x)) == 0; got != want {
			t.Errorf("%s covers %s: got %t", tt.x, tt.y, got)
		}
	}
}

func TestTx_ErrorsChangeNothing(t *testing.T) {
	s := startWithThings(t, Options{})
	insert(t, s, 1, 2)
	tx := s.Begin()
	defer tx.Rollback()
	for name, tt := range map[string]struct{ got, want error }{
		"no table":       {tx.Insert("shop", "nothing", encode.Row{1}), ErrNoTable},
		"duplicate":      {tx.Insert("shop", "things", encode.Row{1, "x"}), ErrDuplicateKey},
		"no row":         {tx.Update("shop", "things", []any{9}, encode.Row{9, "x"}), ErrNoRow},
		"onto another":   {tx.Update("shop", "things", []any{1}, encode.Row{2, "x"}), ErrDuplicateKey},
		"delete no row":  {tx.Delete("shop", "things", []any{9}), ErrNoRow},
		"delete nowhere": {tx.Delete("x", "things", []any{9}), ErrNoTable},
	} {
		if !errors.Is(tt.got, tt.want) {
			t.Errorf("%s: got error %v, want %v", name, tt.got, tt.want)
		}
	}
	for name, err := range map[string]error{
		"few values": tx.Insert("shop", "things", encode.Row{3}),
		"wrong type": tx.Insert("shop", "things", encode.Row{"x", "y"}),
		"wrong key":  tx.Delete("shop", "things", []any{"x"}),
		"null key":   tx.Delete("shop", "things", []any{nil}),
		"long key":   tx.Delete("shop", "things", []any{1, 2}),
	} {
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if done, err := tx.Commit(CommitOptions{}); err != nil || done != (Committed{}) {
		t.Errorf("got %+v and error %v, want an empty transaction that is not logged", done, err)
	}
	if _, err := tx.Commit(CommitOptions{}); !errors.Is(err, ErrTxDone) {
		t.Errorf("got error %v, want %v", err, ErrTxDone)
	}
	if err := tx.Insert("shop", "things", encode.Row{3, nil}); !errors.Is(err, ErrTxDone) {
		t.Errorf("got error %v, want %v", err, ErrTxDone)
	}
}

func TestTx_RollbackAndSavepointsLeaveNothingInTheLog(t *testing.T) {
	s := startWithThings(t, Options{})
	tx := s.Begin()
	_ = tx.Insert("shop", "things", encode.Row{100, nil})
	tx.Rollback()
	tx.Rollback() // idempotent

	tx = s.Begin()
	for _, step := range []func() error{
		func() error { return tx.Insert("shop", "things", encode.Row{1, "one"}) },
		func() error {
			sp := tx.Savepoint()
			if err := tx.Insert("shop", "things", encode.Row{2, "two"}); err != nil {
				return err
			}
			if err := tx.Delete("shop", "things", []any{1}); err != nil {
				return err
			}
			tx.RollbackTo(sp)
			return nil
		},
		func() error { return tx.Insert("shop", "things", encode.Row{2, "another two"}) },
		func() error { return tx.Update("shop", "things", []any{1}, encode.Row{1, "one"}) }, // no change
		func() error { return tx.Update("shop", "things", []any{1}, encode.Row{3, "one"}) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if row, err := tx.Get("shop", "things", []any{3}); err != nil || fmt.Sprint(row) != "[3 one]" {
		t.Errorf("got row %v and error %v, want [3 one]", row, err)
	}
	done, err := tx.Commit(CommitOptions{})
	if err != nil || done.Rows != 3 {
		t.Fatalf("got %+v and error %v, want 3 rows", done, err)
	}
	f := followGTID(t, s, "")
	wantIDs(t, f.ids(2), 1, 2)
	rows := f.until(replication.UPDATE_ROWS_EVENTv2).Event.(*replication.RowsEvent).Rows
	if got, want := fmt.Sprint(rows), "[[1 one] [3 one]]"; got != want {
		t.Errorf("got update %s, want %s", got, want)
	}
	wantTable(t, connect(t, s), "SELECT * FROM shop.things ORDER BY id", []any{"2", "another two"}, []any{"3", "one"})
}

func TestTx_StatementsShareRowEventsUnlessEnded(t *testing.T) {
	for _, end := range []bool{false, true} {
		s := startWithThings(t, Options{})
		tx := s.Begin()
		for id := range 3 {
			if err := tx.Insert("shop", "things", encode.Row{id, nil}); err != nil {
				t.Fatal(err)
			}
			if end {
				tx.EndStatement()
			}
		}
		if _, err := tx.Commit(CommitOptions{}); err != nil {
			t.Fatal(err)
		}
		f := followGTID(t, s, "")
		got := len(f.until(replication.WRITE_ROWS_EVENTv2).Event.(*replication.RowsEvent).Rows)
		if want := map[bool]int{false: 3, true: 1}[end]; got != want {
			t.Errorf("ended %t: got %d rows in the first event, want %d", end, got, want)
		}
	}
}

func TestTx_SeveralWritersCommitOneAfterTheOther(t *testing.T) {
	s := startWithThings(t, Options{FileBytes: 3000})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 50 {
				insert(t, s, w*1000+i)
			}
		})
	}
	f := followGTID(t, s, "")
	writers.Wait()
	got := f.ids(200)
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != 200 {
		t.Errorf("got %d different rows, want 200", len(got))
	}
	if want := testUUID + ":1-201"; s.Executed() != want {
		t.Errorf("got executed %s, want %s", s.Executed(), want)
	}
}

func TestDDL_TablesComeAndGo(t *testing.T) {
	s := startWithThings(t, Options{})
	insert(t, s, 1)
	c := connect(t, s)
	if err := s.CreateTable(things); err == nil {
		t.Error("a table was created twice")
	}
	if err := s.TruncateTable("shop", "things"); err != nil {
		t.Fatal(err)
	}
	wantTable(t, c, "SELECT COUNT(*) FROM shop.things", []any{"0"})
	if err := s.Statement("shop", "GRANT SELECT ON *.* TO reader"); err != nil {
		t.Fatal(err)
	}
	if err := s.DropTable("shop", "things"); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateTable(things); err != nil {
		t.Fatal(err)
	}
	insert(t, s, 2)
	wantTable(t, c, "SELECT id FROM shop.things", []any{"2"})
	for name, err := range map[string]error{
		"drop": s.DropTable("x", "y"), "truncate": s.TruncateTable("x", "y"),
		"alter": s.AddColumn("x", "y", encode.Column{Name: "c", Kind: encode.Int}),
	} {
		if !errors.Is(err, ErrNoTable) {
			t.Errorf("%s: got error %v, want %v", name, err, ErrNoTable)
		}
	}
	if err := s.AddColumn("shop", "things", encode.Column{Name: "c", Kind: encode.Int}); err == nil {
		t.Error("a column without default was added to a row that needs one")
	}
	if err := s.AddColumn("shop", "things", encode.Column{Name: "id", Kind: encode.Int, Nullable: true}); err == nil {
		t.Error("a column was added twice")
	}
	f := followGTID(t, s, "")
	var texts []string
	for len(texts) < 5 {
		q := f.until(replication.QUERY_EVENT).Event.(*replication.QueryEvent)
		if text := string(q.Query); text != "BEGIN" {
			texts = append(texts, strings.Fields(text)[0])
		}
	}
	if got, want := strings.Join(texts, " "), "CREATE TRUNCATE GRANT DROP CREATE"; got != want {
		t.Errorf("got statements %s, want %s", got, want)
	}
}
