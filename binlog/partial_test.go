package binlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"tailwater/change"
)

// jsonTable is a table of INT id and n JSON columns a, b, c, ...
func jsonTable(t testing.TB, n int) *tableMap {
	t.Helper()
	columns, list := []mapColumn{{wire: wireLong}}, []string{"id"}
	for i := range n {
		columns = append(columns, mapColumn{wire: wireJSON, meta: []byte{4}, nullable: true})
		list = append(list, string(rune('a'+i)))
	}
	return mustParse(t, mapBody(columns, tlv(metaSignedness, 0), names(list...)))
}

// partialHead is the head of an update of a table of up to 7 columns that may
// be partial, with the columns of the two bitmaps.
func partialHead(columns, before, after byte) string {
	return "\x07\x00\x00\x00\x00\x00\x01\x00\x02\x00" + string([]byte{columns, before, after})
}

// long writes a length of four bytes, and the bytes.
func long(b []byte) string {
	return string(binary.LittleEndian.AppendUint32(nil, uint32(len(b)))) + string(b)
}

// partialEvent has two rows of jsonTable(3): in the first a is changed, b NULL
// and c whole, in the second nothing is partial.
func partialEvent(t testing.TB) []byte {
	doc := func(text string) string { return long(jsonbOf(t, text, false)) }
	return []byte(partialHead(4, 0x0f, 0x0f) +
		"\x00\x01\x00\x00\x00" + doc(`{"k": 1}`) + doc(`[2]`) + doc(`[3]`) +
		"\x01\x01" + "\x04\x02\x00\x00\x00" + long(diffsOf(t, "= $.k <- 1.5")) + doc(`"three"`) +
		"\x08\x05\x00\x00\x00" + doc(`{}`) + doc(`{}`) +
		"\x00" + "\x00\x06\x00\x00\x00" + doc(`1`) + doc(`2`) + doc(`3`))
}

func TestHazard_A39_AnAfterImageOfChangesIsTheWholeDocument(t *testing.T) {
	m := jsonTable(t, 3)
	body := partialEvent(t)
	got, err := seen(t, m, rowsPartial, body)
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, got, `u id=1 a={"k": 1} b=[2] c=[3] -> id=2 a={"k": 1.5} b=null c="three"`, `u id=5 a={} b={} c=null -> id=6 a=1 b=2 c=3`)
	if n, err := m.count(rowsPartial, body); n != 2 || err != nil {
		t.Errorf("count %d, %v, want 2", n, err)
	}
	// A table that is not followed is counted by its shape alone.
	shape, err := parseTableShape(m.body)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := shape.count(rowsPartial, body); n != 2 || err != nil {
		t.Errorf("count by shape %d, %v, want 2", n, err)
	}
	// Whatever is missing at the end, no row is made up and both agree.
	for n := range body {
		_, err := seen(t, m, rowsPartial, body[:n])
		counted, countErr := m.count(rowsPartial, body[:n])
		if (err == nil) != (countErr == nil) || err == nil && counted != 1 {
			t.Errorf("%d bytes: %v; counted %d, %v", n, err, counted, countErr)
		}
	}
}

func TestHazard_A39_ChangesOfAnAbsentDocumentAreAbsent(t *testing.T) {
	m := jsonTable(t, 3)
	// The image before is the key; the one after has b changed and c whole. a
	// has its bit though it is in no image.
	body := partialHead(4, 0x01, 0x0c) + "\x00\x01\x00\x00\x00" + "\x01\x02" + "\x00" + long(diffsOf(t, "- $.k")) + long(jsonbOf(t, "1", false))
	got, err := seen(t, m, rowsPartial, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, got, `u id=1 -> c=1`)
	// The bit of a column says nothing where the image after has no value.
	doc := long(jsonbOf(t, "[1]", false))
	body = partialHead(4, 0x0e, 0x0c) + "\x00" + doc + doc + doc + "\x01\x07" + "\x01" + long(diffsOf(t, "- $[0]"))
	got, err = seen(t, m, rowsPartial, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, got, `u a=[1] b=[1] c=[1] -> b=null c=[]`)
	// A full row behind it is whole again.
	got, err = seen(t, m, rowsPartial, partialEvent(t))
	if err != nil || !strings.Contains(got[0], `a={"k": 1.5}`) {
		t.Errorf("the next event: %q, %v", got, err)
	}
}

func TestHazard_A39_EveryJSONColumnHasABit(t *testing.T) {
	m := jsonTable(t, 10)
	head := "\x07\x00\x00\x00\x00\x00\x01\x00\x02\x00\x0b"
	// The images have id, a and j alone: the tenth bit is j's.
	columns := "\x03\x04"
	doc := long(jsonbOf(t, "[1]", false))
	for bits, want := range map[string]string{
		"\x00\x02": `u id=1 a=[1] j=[1] -> id=1 a=[1] j=[]`,
		"\xff\xff": `u id=1 a=[1] j=[1] -> id=1 a=[1] j=[]`,
	} {
		a := doc
		if bits[0] != 0 {
			a = long(nil) // no change is a change too
		}
		body := head + columns + columns + "\x00\x01\x00\x00\x00" + doc + doc + "\x01" + bits + "\x00\x01\x00\x00\x00" + a + long(diffsOf(t, "- $[0]"))
		got, err := seen(t, m, rowsPartial, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		wantRows(t, got, want)
	}
}

// patchedRow is a row of jsonTable(1), with changes in place of the document.
func patchedRow(before, diffs string) []byte {
	return []byte(partialHead(2, 0x03, 0x03) + before + "\x01\x01" + "\x00\x01\x00\x00\x00" + diffs)
}

func TestHazard_A39_ErrorsNameTheColumnAndTheWayOut(t *testing.T) {
	m := jsonTable(t, 1)
	doc := "\x00\x01\x00\x00\x00" + long(jsonbOf(t, `{"secret": "hidden"}`, false))
	for _, c := range []struct{ before, diffs, want string }{
		{doc, long(diffsOf(t, "- $.secret", "- $.secret")), "apply change 2 of the document: the document before has no such part: " + hintDiff},
		{doc, long([]byte("\x07")), "apply change 1 of the document: the changes of the JSON document cannot be read: " + hintDiff},
		{"\x02\x01\x00\x00\x00", long(diffsOf(t, "- $.secret")), "the document before is NULL, which has no parts: " + hintDiff},
		{"\x02\x01\x00\x00\x00", long(nil), "the document before is NULL, which has no parts: " + hintDiff},
	} {
		err := m.rows(rowsPartial, patchedRow(c.before, c.diffs), func(_ change.Op, _, after change.Row) error {
			// The other column is as good as ever.
			if id, err := after.AppendJSON(nil, 0); string(id) != "1" || err != nil {
				t.Errorf("id is %s, %v", id, err)
			}
			if after.State(1) != change.Present {
				t.Errorf("state %d, want present: who asks for the value gets the error", after.State(1))
			}
			dst, err := after.AppendJSON([]byte("x"), 1)
			if string(dst) != "x" {
				t.Errorf("the buffer is %s, want it as it was", dst)
			}
			return err
		})
		want := "decode table shop.orders, column a: " + c.want
		if err == nil || err.Error() != want {
			t.Errorf("error %v\nwant  %s", err, want)
		}
	}
	for name, body := range map[string]string{
		"value options unknown":  partialHead(2, 3, 3) + doc + "\x02\x00\x00\x01\x00\x00\x00" + long(nil),
		"value options missing":  partialHead(2, 3, 3) + doc,
		"value options NULL":     partialHead(2, 3, 3) + doc + "\xfb",
		"bits missing":           partialHead(2, 3, 3) + doc + "\x01",
		"changes behind the end": partialHead(2, 3, 3) + doc + "\x01\x01\x00\x01\x00\x00\x00\x05\x00\x00\x00\x02",
	} {
		_, err := seen(t, m, rowsPartial, []byte(body))
		_, countErr := m.count(rowsPartial, []byte(body))
		if err == nil || countErr == nil || !strings.Contains(err.Error(), "decode table shop.orders") {
			t.Errorf("%s: %v; counted: %v", name, err, countErr)
		}
	}
	// A length of another size would be taken for the changes.
	narrow := mustParse(t, mapBody([]mapColumn{{wire: wireLong}, {wire: wireJSON, meta: []byte{3}}}, tlv(metaSignedness, 0), names("id", "a")))
	if _, err := seen(t, narrow, rowsPartial, patchedRow(doc, long(nil))); err == nil || !strings.Contains(err.Error(), "column a: a JSON document's length takes 3 bytes, want 4") {
		t.Errorf("a length of 3 bytes: %v", err)
	}
}

func TestMachine_FollowsPartialUpdates(t *testing.T) {
	p, j := newTape(t, func(o *Options) { o.Filter = func(db, _ string) bool { return db == "shop" } })
	m := jsonTable(t, 3)
	body := partialEvent(t)
	body[6] = endOfStatement
	if err := p.play(t, "gtid, BEGIN"); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		kind eventType
		body []byte
	}{{evTableMap, m.body}, {evPartialUpdate, body}} {
		if err := p.feed(step.kind, step.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.play(t, "xid"); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprint([]string{`u shop.orders#1 [1,{"k": 1},[2],[3]] [2,{"k": 1.5},null,"three"]`, `u shop.orders#2 [5,{},{},null] [6,1,2,3]`})
	if got := fmt.Sprint(j.rows); got != want {
		t.Errorf("rows\n got %s\nwant %s", got, want)
	}
	// A row that a view cannot have ends the reader at the event.
	j.onRow = func(string) error { return errors.New("needs the column") }
	if err := p.play(t, "gtid, BEGIN"); err != nil {
		t.Fatal(err)
	}
	if err := p.feed(evTableMap, m.body); err != nil {
		t.Fatal(err)
	}
	if err := p.feed(evPartialUpdate, body); err == nil || !strings.Contains(err.Error(), "needs the column") {
		t.Errorf("the handler's error is %v", err)
	}
}
