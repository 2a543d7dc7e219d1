package binlog

import (
	"errors"
	"strings"
	"testing"

	"tailwater/change"
)

// threeColumns is a table of INT a, VARCHAR(9) b and INT UNSIGNED c.
func threeColumns(t testing.TB) *tableMap {
	t.Helper()
	return mustParse(t, mapBody([]mapColumn{{wire: wireLong}, {wire: wireVarchar, meta: []byte{9, 0}, nullable: true}, {wire: wireLong}},
		tlv(metaSignedness, 0b0100_0000), tlv(metaDefaultCharset, 45), names("a", "b", "c")))
}

// seen renders the row changes of an event.
func seen(t *testing.T, m *tableMap, eventType byte, body []byte) ([]string, error) {
	t.Helper()
	var out []string
	err := m.rows(eventType, body, func(op change.Op, before, after change.Row) error {
		out = append(out, op.String()+" "+states(t, m, before)+" -> "+states(t, m, after))
		return nil
	})
	return out, err
}

func TestRows_ReadBothVersionsAndTheirExtraData(t *testing.T) {
	m := threeColumns(t)
	const all = "\x03\x07" // column count, bitmap
	row1 := "\x00" + "\xff\xff\xff\xff" + "\x02hi" + "\xff\xff\xff\xff"
	row2 := "\x02" + "\x05\x00\x00\x00" + "\x06\x00\x00\x00"
	head := "\x07\x00\x00\x00\x00\x00\x01\x00"
	want1, want2 := `a=-1 b="hi" c=4294967295`, `a=5 b=null c=6`
	for _, c := range []struct {
		name string
		kind byte
		body string
		want []string
	}{
		{"write v1", rowsWriteV1, head + all + row1 + row2, []string{"c - -> " + want1, "c - -> " + want2}},
		{"write v2", rowsWriteV2, head + "\x02\x00" + all + row1, []string{"c - -> " + want1}},
		{"write v2 with extra data", rowsWriteV2, head + "\x05\x00\x01ab" + all + row1, []string{"c - -> " + want1}},
		{"delete v1", rowsDeleteV1, head + all + row2, []string{"d " + want2 + " -> -"}},
		{"delete v2", rowsDeleteV2, head + "\x02\x00" + all + row2, []string{"d " + want2 + " -> -"}},
		{"update v1", rowsUpdateV1, head + all + "\x07" + row1 + row2, []string{"u " + want1 + " -> " + want2}},
		{"update v2", rowsUpdateV2, head + "\x02\x00" + all + "\x07" + row2 + row1 + row1 + row2,
			[]string{"u " + want2 + " -> " + want1, "u " + want1 + " -> " + want2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := seen(t, m, c.kind, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			wantRows(t, got, c.want...)
			if n, err := m.count(c.kind, []byte(c.body)); n != len(c.want) || err != nil {
				t.Errorf("count %d, %v, want %d", n, err, len(c.want))
			}
		})
	}
}

func TestHazard_A38_AnAbsentColumnIsNeverNull(t *testing.T) {
	m := threeColumns(t)
	// The before image has a only, the after image b only: the null bitmap of
	// each counts what is present.
	body := []byte("\x07\x00\x00\x00\x00\x00\x01\x00\x02\x00" + "\x03\x01\x02" + "\x00\x01\x00\x00\x00" + "\x01" + "\x00\x02\x00\x00\x00" + "\x00\x01x")
	got, err := seen(t, m, rowsUpdateV2, body)
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, got, `u a=1 -> b=null`, `u a=2 -> b="x"`)
	// The next event carries every column again, and the one after it does not.
	full := []byte("\x07\x00\x00\x00\x00\x00\x01\x00\x02\x00" + "\x03\x07" + "\x00\x09\x00\x00\x00\x01y\x08\x00\x00\x00")
	got, err = seen(t, m, rowsWriteV2, full)
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, got, `c - -> a=9 b="y" c=8`)
	if got, err = seen(t, m, rowsUpdateV2, body); err != nil || got[0] != `u a=1 -> b=null` {
		t.Errorf("after a full image: %q, %v", got, err)
	}
}

func TestHazard_A44_MetadataIsIndexedByColumnNotByPresence(t *testing.T) {
	m := threeColumns(t)
	body := []byte("\x07\x00\x00\x00\x00\x00\x01\x00\x02\x00" + "\x03\x04" + "\x00\xff\xff\xff\xff")
	got, err := seen(t, m, rowsWriteV2, body)
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, got, `c - -> c=4294967295`)
}

func TestHazard_A44_FlavoursCountOtherColumnsAsCollated(t *testing.T) {
	blob := func(wire byte) mapColumn { return mapColumn{wire: wire, meta: []byte{4}} }
	text := mapColumn{wire: wireVarchar, meta: []byte{9, 0}}
	columns := []mapColumn{text, blob(wireGeometry), blob(wireVector), text}
	for flavor, exceptions := range map[Flavor][]byte{MySQL: {28, 1, 63}, MariaDB: {28, 1, 63, 2, 63}} {
		m := mustParseOf(t, mapBody(columns, tlv(metaDefaultCharset, exceptions...), names("a", "g", "v", "b"), tlv(metaGeometryType, 0), tlv(metaVectorDimension, 1)), flavor)
		for _, i := range []int{0, 3} {
			if got := m.Table().Columns[i]; got.Type != change.Text || got.Charset != "gbk" {
				t.Errorf("%s: column %s is %s in %q, want text in gbk", flavor, got.Name, got.Type, got.Charset)
			}
		}
	}
}

func TestHazard_A45_ColumnsThatAreNotAskedForShiftNothing(t *testing.T) {
	m, ev := loadOrders(t)
	var whole, some []string
	for pass, columns := range [][]int{{0, 1, 2, 3, 4, 5, 6, 7, 8}, {8, 3, 0}} {
		err := m.rows(ev.kind, ev.body, func(_ change.Op, _, after change.Row) error {
			for _, i := range columns {
				text, err := after.AppendJSON(nil, i)
				if err != nil {
					return err
				}
				if pass == 0 {
					whole = append(whole, string(text))
				} else {
					some = append(some, string(text))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(whole) != 9*40 || len(some) != 3*40 {
		t.Fatalf("%d and %d values, want 360 and 120", len(whole), len(some))
	}
	for row := range 40 {
		for n, i := range []int{8, 3, 0} {
			if got, want := some[3*row+n], whole[9*row+i]; got != want {
				t.Errorf("row %d, column %d: got %s, want %s", row, i, got, want)
			}
		}
	}
}

func TestHazard_A42_CompressedColumnsAreRefusedWhenAskedFor(t *testing.T) {
	m := mustParse(t, mapBody([]mapColumn{{wire: wireTiny}, {wire: wireBlobCompressed, meta: []byte{2}}},
		tlv(metaSignedness, 0), tlv(metaDefaultCharset, 45), names("a", "packed")))
	err := m.rows(rowsWriteV1, []byte("\x07\x00\x00\x00\x00\x00\x01\x00\x02\x03\x00\x05\x02\x00xy"), func(_ change.Op, _, after change.Row) error {
		if text, err := after.AppendJSON(nil, 0); string(text) != "5" || err != nil {
			t.Errorf("the column before: %s, %v, want 5", text, err)
		}
		_, err := after.AppendJSON(nil, 1)
		return err
	})
	want := "decode table shop.orders, column packed: a COMPRESSED column of MariaDB cannot be read: ALTER TABLE … MODIFY it without COMPRESSED, or leave it out of the view"
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant %s", err, want)
	}
}

func TestRows_ErrorsNameTheTable(t *testing.T) {
	m := threeColumns(t)
	head := "\x07\x00\x00\x00\x00\x00\x01\x00"
	none := "decode table shop.orders: the rows carry no column: binlog_row_image must be FULL, in every session"
	for _, c := range []struct{ body, want string }{
		{"\x07\x00", "decode table shop.orders: event ends inside a field"},
		{"\x08\x00\x00\x00\x00\x00\x01\x00\x03\x07\x00", "decode table shop.orders: the rows belong to table id 8, the table map to 7"},
		{head, "decode table shop.orders: event ends inside a field"},
		{head + "\x04\x0f\x00", "decode table shop.orders: the rows have 4 columns, the table map 3"},
		{head + "\x02\x03\x00", "decode table shop.orders: the rows have 2 columns, the table map 3"},
		{head + "\x03", "decode table shop.orders: event ends inside a field"},
		{head + "\x03\x07", "decode table shop.orders: the event carries no row"},
		{head + "\x03\x00", none},
		{head + "\x03\x00\x01", none},
		{head + "\x03\x07\x00\x01\x00\x00", "decode table shop.orders, column a: event ends inside a field"},
		{head + "\x03\x07\x00\x01\x00\x00\x00", "decode table shop.orders, column b: event ends inside a field"},
		{head + "\x03\x07\x00\x01\x00\x00\x00\x09abc", "decode table shop.orders, column b: event ends inside a field"},
		{head + "\x03\x07\x00\x01\x00\x00\x00\x01a\x00", "decode table shop.orders, column c: event ends inside a field"},
		{head + "\x03\x04\x00\x01\x00", "decode table shop.orders, column c: event ends inside a field"},
	} {
		if _, err := seen(t, m, rowsWriteV1, []byte(c.body)); err == nil || err.Error() != c.want {
			t.Errorf("%q:\nerror %v\nwant  %s", c.body, err, c.want)
		}
		if _, err := m.count(rowsWriteV1, []byte(c.body)); err == nil || err.Error() != c.want {
			t.Errorf("count %q:\nerror %v\nwant  %s", c.body, err, c.want)
		}
	}
	if _, err := seen(t, m, rowsWriteV2, []byte(head+"\x01\x00\x03\x07\x07")); err == nil {
		t.Error("extra data shorter than its own length is accepted")
	}
	if _, err := seen(t, m, rowsWriteV2, []byte(head+"\xff\xff\x03\x07\x07")); err == nil {
		t.Error("extra data longer than the event is accepted")
	}
	if _, err := seen(t, m, 166, []byte(head)); !errors.Is(err, errNotRows) || !strings.Contains(err.Error(), "166") {
		t.Errorf("event type 166: %v, want errNotRows naming it", err)
	}
	if _, _, err := rowsTableID(rowsWriteV2, []byte("\x07\x00\x00\x00\x00\x00\x01")); err == nil {
		t.Error("seven bytes have a table id, want an error")
	}
	if id, flags, err := rowsTableID(rowsWriteV2, []byte("\x01\x02\x03\x04\x05\x06\x01\x80")); id != 0x060504030201 || flags != 0x8001 || err != nil {
		t.Errorf("id %x, flags %x, %v", id, flags, err)
	}
}

func TestRows_TheFirstErrorOfTheCallerEndsTheWalk(t *testing.T) {
	m, ev := loadOrders(t)
	stop := errors.New("stop")
	calls := 0
	err := m.rows(ev.kind, ev.body, func(change.Op, change.Row, change.Row) error {
		if calls++; calls == 3 {
			return stop
		}
		return nil
	})
	if err != stop || calls != 3 {
		t.Errorf("%d calls, %v, want 3 and the caller's own error", calls, err)
	}
}

func TestRows_HoldNoEventAfterwards(t *testing.T) {
	m, ev := loadOrders(t)
	for _, end := range []error{nil, errors.New("stop")} {
		err := m.rows(ev.kind, ev.body, func(change.Op, change.Row, change.Row) error { return end })
		if err != end {
			t.Fatal(err)
		}
		for i := range m.images {
			if m.images[i].body != nil {
				t.Errorf("image %d holds the event after an end with %v: ten thousand tables would hold as many", i, end)
			}
		}
	}
}

func TestImage_AfterAnErrorTheBufferIsAsItWas(t *testing.T) {
	m := mustParse(t, mapBody([]mapColumn{{wire: wireVarchar, meta: []byte{9, 0}}}, tlv(metaDefaultCharset, 45), names("s")))
	err := m.rows(rowsWriteV1, []byte("\x07\x00\x00\x00\x00\x00\x01\x00\x01\x01\x00\x04ab\xff\xfe"), func(_ change.Op, _, after change.Row) error {
		dst, err := after.AppendJSON([]byte("before"), 0)
		if string(dst) != "before" {
			t.Errorf("buffer %q, want it unchanged", dst)
		}
		want := "decode table shop.orders, column s: the bytes are not valid in the column's character set"
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		for _, col := range []int{-1, 1, 1 << 30} {
			if _, err := after.AppendJSON(nil, col); err == nil || after.State(col) != change.Absent {
				t.Errorf("column %d exists", col)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestImage_WideTablesNeedWideBitmaps(t *testing.T) {
	const n = 300
	var list []string
	for i := range n {
		list = append(list, "c"+string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	body := []byte{7, 0, 0, 0, 0, 0, 1, 0, 1, 'd', 0, 1, 't', 0, 252, n & 255, n >> 8}
	for range n {
		body = append(body, wireTiny)
	}
	body = append(append(body, 0), make([]byte, (n+7)/8)...)
	signs := make([]byte, (n+7)/8)
	all := names(list...)[1:]
	body = append(append(body, metaSignedness, byte(len(signs))), signs...)
	body = append(append(body, metaColumnName, 252, byte(len(all)), byte(len(all)>>8)), all...)
	m := mustParse(t, body)
	rows := []byte{7, 0, 0, 0, 0, 0, 1, 0, 252, n & 255, n >> 8}
	for range (n + 7) / 8 {
		rows = append(rows, 0xff)
	}
	nulls := make([]byte, (n+7)/8)
	nulls[299/8] |= 1 << (299 % 8)
	rows = append(rows, nulls...)
	for i := range n - 1 {
		rows = append(rows, byte(i%100))
	}
	err := m.rows(rowsWriteV1, rows, func(_ change.Op, _, after change.Row) error {
		text, err := after.AppendJSON(nil, 298)
		if string(text) != "98" || after.State(299) != change.Null {
			t.Errorf("column 298 is %s, 299 is %d, want 98 and NULL", text, after.State(299))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
