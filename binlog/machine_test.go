package binlog

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"tailwater/binlog/primary/encode"
)

// testMachine is a machine whose handler is a journal.
type testMachine struct{ *machine }

// take hands an event to the machine at a fixed time.
func (m testMachine) take(ev event) error { return m.event(ev, time.Unix(1e9, 0)) }

// newTestMachine returns a machine by GTID that follows database d.
func newTestMachine(t testing.TB, change ...func(*Options)) (testMachine, *journal) {
	t.Helper()
	o := Options{Shard: "00", Host: "h", User: "u", Filter: func(db, table string) bool { return db == "d" && table != "skipped" }}
	o.FollowsDatabase = func(db string) bool { return db == "d" }
	o.MaxPayload = 1 << 20
	for _, c := range change {
		c(&o)
	}
	o.fill()
	j := newJournal()
	p := &Position{Flavor: MySQL, ServerUUID: uuidA, GTID: &GTIDSet{}}
	if o.Position == ByFile {
		p = &Position{Flavor: MySQL, ServerUUID: uuidA, File: "binlog.000001", Pos: firstEvent}
	}
	return testMachine{newMachine(o, false, p, j)}, j
}

// tape feeds a machine with events at rising offsets.
type tape struct {
	m   testMachine
	pos uint64
	gno int64
}

// feed hands over one event of a file.
func (p *tape) feed(kind eventType, body []byte) error {
	size := uint32(headerSize + len(body))
	p.pos += uint64(size)
	return p.m.take(event{header: header{seconds: 1e9, kind: kind, size: size, next: uint32(p.pos)}, body: body})
}

// testTable is a table of one INT column.
func testTable(t testing.TB, db, name string) *encode.Table {
	t.Helper()
	table, err := encode.New(encode.Table{Database: db, Name: name, Columns: []encode.Column{{Name: "id", Kind: encode.Int}}, PrimaryKey: []int{0}})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// insertRows is the body of a WRITE_ROWS event for testTable.
func insertRows(id uint64, last bool, values ...int32) []byte {
	b := encode.AppendRowsHeader(nil, byte(evWriteV2), id, 1, last)
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(append(b, 0), uint32(v))
	}
	return b
}

// step is one event of a scripted dump.
type step struct {
	name string
	kind eventType
	body func(*tape) []byte
}

// The steps that scripts are made of, by name.
func steps(t testing.TB) map[string]step {
	fixed := func(b []byte) func(*tape) []byte { return func(*tape) []byte { return b } }
	all := []step{
		{"gtid", evGTID, func(p *tape) []byte {
			p.gno++
			return (&encode.GTID{UUID: UUID{1}, GNO: p.gno, ImmediateMicros: 7, OriginalMicros: 5}).Append(nil, encode.Writer{}, 0)
		}},
		{"again", evGTID, func(p *tape) []byte { return (&encode.GTID{UUID: UUID{1}, GNO: p.gno}).Append(nil, encode.Writer{}, 0) }},
		{"anonymous", evAnonymousGTID, fixed((&encode.GTID{}).Append(nil, encode.Writer{}, 0))},
		{"map", evTableMap, fixed(testTable(t, "d", "t").TableMap(9, true))},
		{"map skipped", evTableMap, fixed(testTable(t, "d", "skipped").TableMap(8, true))},
		{"map minimal", evTableMap, fixed(testTable(t, "d", "t").TableMap(9, false))},
		{"rows", evWriteV2, fixed(insertRows(9, true, 1, 2))},
		{"rows open", evWriteV2, fixed(insertRows(9, false, 3))},
		{"rows skipped", evWriteV2, fixed(insertRows(8, true, 4, 5, 6))},
		{"rows none", evWriteV2, fixed(insertRows(noTable, true))},
		{"rows short", evWriteV2, fixed(insertRows(9, true, 1)[:14])},
		{"xid", evXID, fixed(encode.XID(1))},
		{"format", evFormat, fixed(nil)}, {"stop", evStop, fixed(nil)}, {"rows query", evRowsQuery, fixed([]byte("x"))},
		{"intvar", evIntvar, fixed(make([]byte, 9))}, {"incident", evIncident, fixed([]byte{1, 0})}, {"xa prepare", evXAPrepare, fixed(make([]byte, 13))}, {"xa one phase", evXAPrepare, fixed(append([]byte{1}, make([]byte, 12)...))},
		{"partial", evPartialUpdate, fixed(nil)}, {"unknown", 99, fixed(nil)}, {"load query", 17, fixed(nil)}, {"payload empty", evPayload, fixed([]byte{1, 1, 0, 0})},
		{"rotate", evRotate, fixed(encode.Rotate("binlog.000002", 4))}, {"rotate back", evRotate, fixed(encode.Rotate("binlog.000000", 4))},
		{"rotate inside", evRotate, fixed(encode.Rotate("binlog.000003", 400))}, {"rotate garbage", evRotate, fixed(encode.Rotate("binlog\x00", 4))},
	}
	out := map[string]step{}
	for _, s := range all {
		out[s.name] = s
	}
	return out
}

// play feeds a script of step names; what is no step is the text of a QUERY.
func (p *tape) play(t testing.TB, script string) error {
	t.Helper()
	known := steps(t)
	for name := range strings.SplitSeq(script, ", ") {
		s, ok := known[name]
		if !ok {
			s = step{name, evQuery, func(*tape) []byte { return encode.Query("d", name) }}
		}
		if err := p.feed(s.kind, s.body(p)); err != nil {
			return err
		}
	}
	return nil
}

// newTape returns a tape at the start of binlog.000001.
func newTape(t testing.TB, change ...func(*Options)) (*tape, *journal) {
	t.Helper()
	m, j := newTestMachine(t, change...)
	p := &tape{m: m, pos: firstEvent}
	if err := m.take(event{header: header{kind: evRotate, flags: flagArtificial}, body: encode.Rotate("binlog.000001", 4)}); err != nil {
		t.Fatal(err)
	}
	return p, j
}

func TestMachine_FollowsTheLegalSequences(t *testing.T) {
	const row12 = "c d.t#1 [1]|c d.t#2 [2]"
	for _, c := range []struct{ script, want string }{
		{"format, gtid, BEGIN, map, rows, xid", "begin|" + row12 + "|commit"},
		{"gtid, BEGIN, map, rows, COMMIT", "begin|" + row12 + "|commit"},
		{"gtid, BEGIN, rows query, map, rows open, rows, SAVEPOINT a, xid", "begin|c d.t#1 [3]|c d.t#2 [1]|c d.t#3 [2]|commit"},
		{"gtid, BEGIN, map, map skipped, rows open, rows skipped, map, rows, xid", "begin|c d.t#1 [3]|c d.t#5 [1]|c d.t#6 [2]|commit"},
		{"gtid, BEGIN, map, rows none, xid", "begin|commit"},
		{"gtid, BEGIN, SAVEPOINT a, ROLLBACK, gtid, BEGIN, xid", "begin|commit|begin|commit"},
		{"gtid, BEGIN, map, rows, SAVEPOINT a, ROLLBACK TO a, xid", "begin|" + row12 + "|commit"},
		{"gtid, CREATE TABLE t (a INT), gtid, DROP TABLE skipped", "begin|commit|begin|commit"},
		{"gtid, BEGIN, CREATE TABLE t (a INT) START TRANSACTION, map, rows, xid", "begin|" + row12 + "|commit"},
		{"gtid, intvar, CREATE TABLE t (a INT)", "begin|commit"},
		{"gtid, BEGIN, xid, rotate, format, gtid, BEGIN, xid, stop", "begin|commit|begin|commit"},
	} {
		p, j := newTape(t)
		if err := p.play(t, c.script); err != nil {
			t.Errorf("%s: %v", c.script, err)
			continue
		}
		if got := strings.Join(j.all, "|"); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.script, got, c.want)
		}
		if got, want := p.m.position.GTID.String(), fmt.Sprintf("01000000-0000-0000-0000-000000000000:1-%d", p.gno); p.gno > 1 && got != want {
			t.Errorf("%s: executed %s, want %s", c.script, got, want)
		}
	}
}

// illegal are scripts, each with why it stops; those without a reason are the
// harmless neighbours.
var illegal = []struct{ script, want string }{
	{"gtid, gtid", "GTID is out of sequence: it came behind a GTID, and may come outside transactions only"},
	{"gtid, BEGIN, gtid", "GTID is out of sequence: it came inside a transaction"},
	{"gtid, BEGIN, BEGIN", "QUERY is out of sequence"},
	{"gtid, COMMIT", "QUERY is out of sequence"},
	{"gtid, xid", "XID is out of sequence"},
	{"BEGIN", "QUERY is out of sequence: it came outside transactions, and may come behind a GTID only"},
	{"CREATE TABLE x (a INT)", "QUERY is out of sequence"},
	{"map", "TABLE_MAP is out of sequence"},
	{"gtid, map", "TABLE_MAP is out of sequence"},
	{"rows", "WRITE_ROWS is out of sequence"},
	{"intvar", "INTVAR outside a transaction"},
	{"gtid, BEGIN, rows", "WRITE_ROWS names table id 9, which no TABLE_MAP of its statement has"},
	{"gtid, BEGIN, map, rows, rows", "WRITE_ROWS names table id 9"},
	{"gtid, BEGIN, map, rows open, format", "a new binlog begins inside a transaction"},
	{"gtid, BEGIN, rotate", "ROTATE is out of sequence"},
	{"gtid, stop", "STOP is out of sequence"},
	{"gtid, BEGIN, map, rows short", "table d.t"},
	{"gtid, BEGIN, map minimal", "binlog_row_metadata"},
	{"gtid, BEGIN, map, rows, ROLLBACK", "ROLLBACK behind 2 row changes"},
	{"gtid, BEGIN, SAVEPOINT a, map, rows, ROLLBACK TO a, xid", "ROLLBACK TO a savepoint behind 2 row changes"},
	{"gtid, BEGIN, xid, again", "01000000-0000-0000-0000-000000000000:1 came again"},
	{"anonymous", "a transaction without a GTID cannot be remembered by GTID"},
	{"rotate back", "ROTATE goes back to binlog.000000"},
	{"rotate inside", "inside a file that was not read"},
	{"rotate garbage", `"binlog\x00" is not the name of a binlog file`},
	{"gtid, incident", "INCIDENT: the server says that it lost events"},
	{"gtid, BEGIN, xa prepare", "XA_PREPARE without XA START"},
	{"gtid, XA START 'x', map, rows, XA END 'x', xa prepare, gtid, XA COMMIT 'y'", "prepared before the place where the reader began"},
	{"gtid, XA START 'x', xa prepare, gtid, XA START 'x', xa prepare", "which is prepared already"},
	{"gtid, XA START 'x', SAVEPOINT a, map, rows, ROLLBACK TO a", "ROLLBACK TO a savepoint behind 2 row changes"},
	{"gtid, XA START 'x', INSERT INTO t VALUES (1)", "INSERT is logged as a statement"},
	{"gtid, XA START 'x', gtid", "out of sequence"},
	{"gtid, XA START 'x', format", "a new binlog begins inside a transaction"},
	{"gtid, BEGIN, XA COMMIT 'x'", "out of sequence"},
	{"gtid, BEGIN, partial", "PARTIAL_UPDATE_ROWS"},
	{"unknown", "event type 99 is not understood"},
	{"gtid, BEGIN, load query", "event BEGIN_LOAD_QUERY is not understood"},
	{"gtid, payload empty", "TRANSACTION_PAYLOAD does not hold a whole transaction"},
	{"gtid, BEGIN, INSERT INTO x.y VALUES (1)", "INSERT is logged as a statement"},
	{"gtid, ALTER TABLE t DISCARD TABLESPACE", "ALTER TABLE .. DISCARD TABLESPACE of d.t, which is followed"},
	{"gtid, ALTER TABLE x.a ENGINE=BLACKHOLE", ""},
	{"gtid, ALTER TABLE x.a ENGINE=BLACKHOLE,RENAME t", "ALTER TABLE .. ENGINE=BLACKHOLE of d.t, which is followed"},
	{"gtid, DROP TABLE t /*!80000 , u */", `cannot be classified (it begins with "DROP")`},
	{"gtid, XA RECOVER", `it begins with "XA"`},
	{"gtid, FROBNICATE 'secret'", `in database "d" cannot be classified (it begins with "FROBNICATE")`},
}

func TestMachine_StopsAtWhatIsNotLegal(t *testing.T) {
	for _, c := range illegal {
		p, j := newTape(t)
		err := p.play(t, c.script)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.script, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", c.script, err, c.want)
			continue
		}
		if Classify(err) != Stop || !strings.Contains(err.Error(), "shard 00: at binlog.00000") || !strings.Contains(err.Error(), "; ") {
			t.Errorf("%s: %v (%v)\nwant a stop that names shard, file, offset and the way out", c.script, err, Classify(err))
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells values: %v", c.script, err)
		}
		if n := len(j.transactions); strings.Count(string(j.position), "1-2") > 0 || n > 1 {
			t.Errorf("%s: the position moved to %s", c.script, j.position)
		}
	}
}

func TestMachine_PassesOverIgnorableEventsOnly(t *testing.T) {
	p, _ := newTape(t)
	for _, kind := range []eventType{evIgnorable, 99, 36} {
		if err := p.m.take(event{header: header{kind: kind, flags: flagIgnorable, size: headerSize}}); err != nil {
			t.Errorf("%v with the flag: %v", kind, err)
		}
		if err := p.m.take(event{header: header{kind: kind, size: headerSize}}); err == nil {
			t.Errorf("%v without the flag is passed over", kind)
		}
	}
	// The flag does not make these harmless.
	for _, kind := range []eventType{evIncident, evXAPrepare, evPartialUpdate} {
		if err := p.m.take(event{header: header{kind: kind, flags: flagIgnorable, size: headerSize}}); err == nil {
			t.Errorf("%v is passed over", kind)
		}
	}
}

func TestMachine_FollowsServersWithoutGTIDs(t *testing.T) {
	p, j := newTape(t, func(o *Options) { o.Position = ByFile })
	if err := p.play(t, "format, BEGIN, map, rows, xid, CREATE TABLE x (a INT), anonymous, BEGIN, xid"); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(j.all, "|"), "begin|c d.t#1 [1]|c d.t#2 [2]|commit|begin|commit|begin|commit"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := j.transactions[0].ID, "binlog.000001:23"; got != want {
		t.Errorf("id %s, want %s", got, want)
	}
	if got, want := j.transactions[0].CommitMicros, int64(1e15); got != want {
		t.Errorf("commit time %d, want the header's %d", got, want)
	}
	if got, want := string(j.position), fmt.Sprintf(`"pos":%d}`, p.pos); !strings.HasSuffix(got, want) {
		t.Errorf("position %s, want …%s", got, want)
	}
}

func TestHazard_A7_OffsetsAbove4GiB(t *testing.T) {
	p, j := newTape(t)
	p.pos, p.m.end = 1<<32-300, 1<<32-300
	if err := p.play(t, "gtid, BEGIN, map, rows, xid, gtid, BEGIN, xid"); err != nil {
		t.Fatal(err)
	}
	if p.pos < 1<<32 || p.m.end != p.pos {
		t.Errorf("offset %d, want %d, above 4 GiB", p.m.end, p.pos)
	}
	if got, want := string(j.position), fmt.Sprintf(`"pos":%d}`, p.pos); !strings.HasSuffix(got, want) {
		t.Errorf("position %s, want …%s", got, want)
	}
	// The server passes over events that were not asked for.
	p.pos += 5000
	if err := p.play(t, "gtid, BEGIN, xid"); err != nil {
		t.Fatal(err)
	}
	if p.m.end != p.pos {
		t.Errorf("offset %d behind a gap, want %d", p.m.end, p.pos)
	}
	// A heartbeat of 32 bits, then one of 64.
	for _, hb := range []event{
		{header{kind: evHeartbeat, next: uint32(p.pos + 10)}, []byte("binlog.000001")},
		{header{kind: evHeartbeatV2}, append(append([]byte{1, 13}, "binlog.000001"...), append([]byte{2, 9, 0xfe}, binary.LittleEndian.AppendUint64(nil, p.pos+20)...)...)},
	} {
		if err := p.m.take(hb); err != nil {
			t.Fatal(err)
		}
	}
	if p.m.end != p.pos+20 || p.m.position.Pos != p.pos+20 {
		t.Errorf("offset %d behind heartbeats, want %d", p.m.end, p.pos+20)
	}
	// It passes over the boundary in the same way.
	over, _ := newTape(t)
	over.m.end, over.pos = 1<<32-300, 1<<32+700
	if err := over.play(t, "gtid, BEGIN, xid"); err != nil {
		t.Fatal(err)
	}
	if over.m.end != over.pos || over.pos < 1<<32 {
		t.Errorf("offset %d behind a gap over 4 GiB, want %d", over.m.end, over.pos)
	}
	// A dump cannot begin there, and says so.
	r := &Reader{o: p.m.o}
	r.o.Position = ByFile
	if _, err := r.startDump(t.Context(), &p.m.position); Classify(err) != Stop || !strings.Contains(err.Error(), "4 GiB") {
		t.Errorf("a dump behind 4 GiB: %v", err)
	}
}

// payloadOf is the body of a TRANSACTION_PAYLOAD that holds the events.
func payloadOf(t testing.TB, compress bool, events ...event) []byte {
	t.Helper()
	var plain []byte
	for _, ev := range events {
		plain = encode.Writer{}.Append(plain, encode.Header{Type: byte(ev.kind)}, ev.body)
	}
	if !compress {
		b := append([]byte{2, 3, 0xfc, 255, 0, 1, 3, 0xfc}, binary.LittleEndian.AppendUint16(nil, uint16(len(plain)))...)
		return append(append(b, 0), plain...)
	}
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return encode.TransactionPayload(nil, w.EncodeAll(plain, nil), len(plain))
}

func TestHazard_A40_PayloadIsOneTransaction(t *testing.T) {
	of := func(kind eventType, body []byte) event { return event{header{kind: kind}, body} }
	begin, commit := of(evQuery, encode.Query("", "BEGIN")), of(evXID, encode.XID(1))
	tm, rows := of(evTableMap, testTable(t, "d", "t").TableMap(9, true)), of(evWriteV2, insertRows(9, true, 1, 2))
	for _, compress := range []bool{true, false} {
		p, j := newTape(t)
		feed := func(events ...event) error {
			if err := p.play(t, "gtid"); err != nil {
				return err
			}
			return p.feed(evPayload, payloadOf(t, compress, events...))
		}
		if err := feed(begin, tm, rows, commit); err != nil {
			t.Fatal(err)
		}
		if err := p.play(t, "gtid, BEGIN, map, rows, xid"); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(j.rows, "|"); got != "c d.t#1 [1]|c d.t#2 [2]|c d.t#1 [1]|c d.t#2 [2]" {
			t.Errorf("rows %s", got)
		}
		before := string(j.position)
		for _, c := range []struct {
			events []event
			want   string
		}{
			{[]event{begin, tm, rows}, "does not hold a whole transaction"},
			{[]event{begin, commit, commit}, "XID follows the end"},
			{[]event{begin, of(evGTID, nil)}, "GTID is not understood"},
			{[]event{begin, of(evRotate, nil)}, "ROTATE is not understood"},
			{[]event{begin, tm, of(evWriteV2, make([]byte, 2<<20)), commit}, "larger than the bound of 1048576 bytes"},
		} {
			if !compress && len(c.events) > 3 {
				continue
			}
			p.m.phase = between
			if err := feed(c.events...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if string(j.position) != before {
				t.Errorf("the position moved to %s", j.position)
			}
			j.open = nil
		}
	}
}

func TestPayload_LiesAboutItsSize(t *testing.T) {
	zeros, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bomb := encode.Writer{}.Append(nil, encode.Header{Type: byte(evRowsQuery)}, make([]byte, 900_000))
	var plain []byte
	for range 64 {
		plain = append(plain, bomb...)
	}
	p, _ := newTape(t)
	if err := p.play(t, "gtid"); err != nil {
		t.Fatal(err)
	}
	err = p.feed(evPayload, encode.TransactionPayload(nil, zeros.EncodeAll(plain, nil), 100))
	if err == nil || !strings.Contains(err.Error(), "larger than the bound of 1048576 bytes") {
		t.Errorf("a payload that grows to %d bytes: %v", len(plain), err)
	}
	for _, body := range brokenPayloads {
		p, _ := newTape(t)
		if err := p.play(t, "gtid"); err != nil {
			t.Fatal(err)
		}
		if err := p.feed(evPayload, body); err == nil {
			t.Errorf("payload %v is taken", body)
		}
	}
}

var brokenPayloads = [][]byte{{}, {2, 1}, {1, 1, 9, 0}, {2, 1, 7, 1, 1, 0, 0}, {1, 1, 3, 2, 1, 0, 0, 1, 2, 3}}

func FuzzPayload(f *testing.F) {
	for _, body := range brokenPayloads {
		f.Add(body)
	}
	eachRecordedBody(f, func(_ Flavor, ev event) {
		if ev.kind == evPayload {
			f.Add(ev.body)
			f.Add(ev.body[:len(ev.body)-1])
		}
	})
	short := event{header{kind: evXID}, make([]byte, 8)}
	f.Add(payloadOf(f, false, short, short))
	f.Add(append(payloadOf(f, false, short), 1, 2, 3))
	f.Add(payloadOf(f, false, event{header{kind: evQuery}, make([]byte, 1<<20)}))
	f.Add(payloadOf(f, true, event{header{kind: evQuery}, make([]byte, 1<<21)}))
	f.Add([]byte{2, 1, 0, 1, 1, 4, 0, 1, 2, 3, 4})
	f.Add(append([]byte{2, 3, 0xfc, 255, 0, 1, 1, headerSize, 0}, make([]byte, headerSize)...))
	tm := event{header{kind: evTableMap}, testTable(f, "d", "t").TableMap(9, true)}
	f.Add(payloadOf(f, true, event{header{kind: evQuery}, encode.Query("", "BEGIN")}, tm, event{header{kind: evXID}, encode.XID(1)}))
	f.Add(payloadOf(f, false, tm))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, j := newTape(t)
		if err := p.play(t, "gtid"); err != nil {
			t.Fatal(err)
		}
		if err := p.feed(evPayload, body); err == nil && len(j.transactions) != 1 {
			t.Error("a payload is taken without its transaction")
		}
	})
}
