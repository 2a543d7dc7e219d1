package primary

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"

	"tailwater/binlog/primary/encode"
)

// largeThings are n rows from id on, of one length.
func largeThings(from, n int, compress bool) Large {
	return Large{Database: "shop", Table: "things", Rows: n, Compress: compress, Row: func(i int) (encode.Row, error) {
		return encode.Row{from + i, fmt.Sprintf("thing %092d", from+i)}, nil
	}}
}

func TestInsertLarge_IsATransactionLikeOthers(t *testing.T) {
	for _, compress := range []bool{false, true} {
		for _, noChecksum := range []bool{false, true} {
			t.Run(fmt.Sprintf("compress=%v/checksum=%v", compress, !noChecksum), func(t *testing.T) {
				// 700 rows are 10 events, 77 one: all of it is made, or nothing.
				s := startWithThings(t, Options{NoChecksum: noChecksum, KeepBytes: 16 << 10})
				var want []int64
				f := followGTID(t, s, "")
				insert(t, s, 1)
				large, err := s.InsertLarge(largeThings(1000, 700, compress))
				if err != nil {
					t.Fatal(err)
				}
				insert(t, s, 2)
				if _, err := s.InsertLarge(largeThings(2000, 77, compress)); err != nil {
					t.Fatal(err)
				}
				insert(t, s, 3)
				want = append(want, 1)
				for i := range 700 {
					want = append(want, int64(1000+i))
				}
				want = append(want, 2)
				for i := range 77 {
					want = append(want, int64(2000+i))
				}
				want = append(want, 3)
				var got []int64
				for len(got) < len(want) {
					e, err := f.event()
					if err != nil {
						t.Fatalf("behind %d rows: %v", len(got), err)
					}
					got = append(got, insertedIDs(e)...)
					if g, ok := e.Event.(*replication.GTIDEvent); ok && g.GNO == 3 && g.TransactionLength != large.End-large.Pos {
						t.Errorf("its length is stated as %d, want %d", g.TransactionLength, large.End-large.Pos)
					}
				}
				wantIDs(t, got, want...)
				if want := testUUID + ":3"; large.GTID != want || s.Executed() != testUUID+":1-6" {
					t.Errorf("GTID %s, executed %s", large.GTID, s.Executed())
				}
				wantIDs(t, followGTID(t, s, testUUID+":1-5").ids(1), 3)
			})
		}
	}
}

// insertedIDs are the keys of an event's rows, in a payload too.
func insertedIDs(e *replication.BinlogEvent) (ids []int64) {
	switch ev := e.Event.(type) {
	case *replication.TransactionPayloadEvent:
		for _, inner := range ev.Events {
			ids = append(ids, insertedIDs(inner)...)
		}
	case *replication.RowsEvent:
		for _, row := range ev.Rows {
			ids = append(ids, row[0].(int64))
		}
	}
	return ids
}

func TestInsertLarge_ItsFileIsReadFromAnywhere(t *testing.T) {
	s := startWithThings(t, Options{})
	done, err := s.InsertLarge(largeThings(1, 700, false))
	if err != nil {
		t.Fatal(err)
	}
	whole := readLog(t, s, done, done.End-done.Pos)
	for _, piece := range []int{1000, 8192, 10_000} {
		var got []byte
		for at := done.Pos; at < done.End; {
			b := readLog(t, s, done, min(uint64(piece), done.End-at), at)
			got, at = append(got, b...), at+uint64(len(b))
		}
		if string(got) != string(whole) {
			t.Errorf("in pieces of %d bytes the file is another one", piece)
		}
	}
}

// readLog reads n bytes of a transaction's file, from its start or from at.
func readLog(t testing.TB, s *Server, c Committed, n uint64, at ...uint64) (out []byte) {
	t.Helper()
	from := append(at, c.Pos)[0]
	for _, f := range s.log.files {
		if f.name != c.File {
			continue
		}
		for uint64(len(out)) < n {
			b, _, err := s.log.read(f, int64(from)+int64(len(out)), int(n)-len(out))
			if err != nil || len(b) == 0 {
				t.Fatalf("read %s at %d: %d bytes, %v", f.name, from+uint64(len(out)), len(b), err)
			}
			out = append(out, b...)
		}
	}
	return out[:n]
}

func TestInsertLarge_RefusesWhatItCannotMake(t *testing.T) {
	s := startWithThings(t, Options{})
	uneven := largeThings(1, 200, false)
	uneven.Row = func(i int) (encode.Row, error) { return encode.Row{i, strings.Repeat("x", 50+i/190)}, nil }
	failing := largeThings(1, 200, true)
	failing.Row = func(int) (encode.Row, error) { return nil, errors.New("no row") }
	packed := uneven
	packed.Compress = true
	for want, o := range map[string]Large{
		"does not exist": {Database: "shop", Table: "none", Rows: 1}, "it has no row": {Database: "shop", Table: "things"},
		"the first one": uneven, "no row": failing, "row 190 takes": packed,
	} {
		if _, err := s.InsertLarge(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	insert(t, s, 5)
	wantIDs(t, followGTID(t, s, "").ids(1), 5)
}
