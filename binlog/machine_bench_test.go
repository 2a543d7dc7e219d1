package binlog

import (
	"testing"

	"tailwater/binlog/primary/encode"
)

// BenchmarkMachine_Rows is what one transaction of 1,000 rows in ten events
// costs from the bytes of its events to the Handler, which does nothing.
func BenchmarkMachine_Rows(b *testing.B) {
	values := make([]int32, 100)
	for name, table := range map[string]string{"followed": "t", "filtered": "skipped"} {
		b.Run(name, func(b *testing.B) {
			m, _ := newTestMachine(b)
			rows := 0
			m.h = &counter{rows: &rows, want: 1 << 62}
			p := &tape{m: m, pos: firstEvent}
			tm := testTable(b, "d", table).TableMap(9, true)
			begin, xid, event := encode.Query("", "BEGIN"), encode.XID(1), insertRows(9, false, values...)
			last := insertRows(9, true, values...)
			b.SetBytes(int64(10 * len(event)))
			b.ReportAllocs()
			for b.Loop() {
				p.gno++
				id := (&encode.GTID{UUID: UUID{1}, GNO: p.gno}).Append(nil, encode.Writer{}, 0)
				feed := func(kind eventType, body []byte) {
					if err := p.feed(kind, body); err != nil {
						b.Fatal(err)
					}
				}
				feed(evGTID, id)
				feed(evQuery, begin)
				feed(evTableMap, tm)
				for range 9 {
					feed(evWriteV2, event)
				}
				feed(evWriteV2, last)
				feed(evXID, xid)
			}
		})
	}
}

// BenchmarkMachine_Transactions is what a transaction of one row costs.
func BenchmarkMachine_Transactions(b *testing.B) {
	m, _ := newTestMachine(b)
	rows := 0
	m.h = &counter{rows: &rows, want: 1 << 62}
	p := &tape{m: m, pos: firstEvent}
	tm := testTable(b, "d", "t").TableMap(9, true)
	begin, xid, row := encode.Query("", "BEGIN"), encode.XID(1), insertRows(9, true, 1)
	id := (&encode.GTID{UUID: UUID{1}}).Append(nil, encode.Writer{}, 0)
	b.ReportAllocs()
	for b.Loop() {
		p.gno++
		for i := range 8 {
			id[17+i] = byte(p.gno >> (8 * i))
		}
		for _, ev := range []struct {
			kind eventType
			body []byte
		}{{evGTID, id}, {evQuery, begin}, {evTableMap, tm}, {evWriteV2, row}, {evXID, xid}} {
			if err := p.feed(ev.kind, ev.body); err != nil {
				b.Fatal(err)
			}
		}
	}
}
