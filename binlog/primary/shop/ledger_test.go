package shop

import (
	"reflect"
	"testing"
	"time"

	"tailwater/binlog/primary/encode"
)

const minute = int64(60_000_000)

func order(t *testing.T, id int, status, amount string, coupon any) (*encode.Table, encode.Row) {
	t.Helper()
	table, err := encode.New(OrdersTable("00", 0))
	if err != nil {
		t.Fatal(err)
	}
	row, _, err := table.Encode(encode.Row{
		id, 1, status, "Pune", amount, coupon, "a@b.c", "{}", "2026-11-20 10:00:00", "2026-11-20 10:00:00",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return table, row
}

// commit builds the transaction that a shard would.
func commit(micros int64, ops ...Op) *Tx {
	tx := &Tx{Shard: "00", Ops: ops, CommitMicros: micros}
	tx.Changes, tx.Rows = changes("00", ops, micros)
	return tx
}

func TestLedger_CountsEventsAsTheyComeOut(t *testing.T) {
	table, new1 := order(t, 1, "new", "10.25", nil)
	_, paid1 := order(t, 1, "paid", "10.25", nil)
	_, paid2 := order(t, 2, "paid", "10.25", nil)
	_, refund := order(t, 3, "new", "-0.30", nil)
	l := NewLedger(byStatus)
	for _, tx := range []*Tx{
		commit(minute, Op{Kind: Create, Table: table, After: new1}),
		commit(6*minute, Op{Kind: Update, Table: table, Before: new1, After: paid1}),
		commit(7*minute, Op{Kind: Update, Table: table, Before: paid1, After: paid2}), // a key change
		commit(8*minute,
			Op{Kind: Delete, Table: table, Before: paid2},
			Op{Kind: Savepoint},
			Op{Kind: Create, Table: table, After: new1},
			Op{Kind: RollbackTo},
			Op{Kind: Create, Table: table, After: refund}),
		{Shard: "00", CommitMicros: 9 * minute, Rollback: true, Changes: []Change{{Table: table, Op: 'c', After: new1}}},
	} {
		if err := l.Committed(tx); err != nil {
			t.Fatal(err)
		}
	}
	want := []Value{
		{Start: 0, Group: []any{"new"}, Count: 1, Sum: "10.25"},
		{Start: 5 * minute, Group: []any{"new"}, Count: 1, Sum: "-0.30"},
		{Start: 5 * minute, Group: []any{"paid"}, Count: 4, Sum: "41.00"},
	}
	if got := l.Windows("status"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if l.Rows() != 5 || l.Events() != 6 {
		t.Errorf("got %d rows and %d events, want 5 and 6", l.Rows(), l.Events())
	}
	wantTotals := map[Total]int64{{"00", "orders_0", 'c'}: 3, {"00", "orders_0", 'u'}: 1, {"00", "orders_0", 'd'}: 2}
	if got := l.Totals(); !reflect.DeepEqual(got, wantTotals) {
		t.Errorf("got totals %v, want %v", got, wantTotals)
	}
}

func TestLedger_GroupsNullApartFromEveryText(t *testing.T) {
	table, null := order(t, 1, "new", "1.00", nil)
	_, empty := order(t, 2, "new", "1.00", "")
	_, dash := order(t, 3, "new", "1.00", "-")
	l := NewLedger(Account{Name: "coupon", Prefix: "orders_", Window: time.Minute, GroupBy: []string{"coupon", "status"}})
	tx := commit(1, Op{Kind: Create, Table: table, After: null}, Op{Kind: Create, Table: table, After: empty},
		Op{Kind: Create, Table: table, After: dash})
	if err := l.Committed(tx); err != nil {
		t.Fatal(err)
	}
	if got := l.Windows("coupon"); len(got) != 3 {
		t.Errorf("got %+v, want three groups", got)
	}
}

func TestLedger_CallsBackForEveryEventAndAppliesWhere(t *testing.T) {
	table, small := order(t, 1, "new", "1.00", nil)
	_, large := order(t, 2, "paid", "99999.00", nil)
	l := NewLedger(Account{
		Name: "paid", Prefix: "orders_", Window: time.Minute, Sum: "amount",
		Where: func(_ *encode.Table, row encode.Row) bool { return row[OrderStatus] == "paid" },
	})
	var seen []string
	l.Also(func(c *Change) { seen = append(seen, c.Shard+c.Table.Name+string(rune(c.Op))) })
	tx := commit(1, Op{Kind: Create, Table: table, After: small}, Op{Kind: Update, Table: table, Before: small, After: large})
	if err := l.Committed(tx); err != nil {
		t.Fatal(err)
	}
	if want := []string{"00orders_0c", "00orders_0d", "00orders_0c"}; !reflect.DeepEqual(seen, want) {
		t.Errorf("got calls %v, want %v", seen, want)
	}
	want := []Value{{Group: []any{}, Count: 1, Sum: "99999.00"}}
	if got := l.Windows("paid"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLedger_UnknownColumnIsAnError(t *testing.T) {
	table, row := order(t, 1, "new", "1.00", nil)
	for _, a := range []Account{
		{Name: "a", Window: time.Minute, GroupBy: []string{"nowhere"}}, {Name: "a", Window: time.Minute, Sum: "nowhere"},
		{Name: "a", Window: time.Minute, Sum: "city"},
	} {
		if err := NewLedger(a).Committed(commit(1, Op{Kind: Create, Table: table, After: row})); err == nil {
			t.Errorf("account %+v was accepted", a)
		}
	}
}

func TestSQL_RendersOperations(t *testing.T) {
	table, row := order(t, 7, "new", "1.50", "O'CLOCK\\")
	_, paid := order(t, 7, "paid", "1.50", nil)
	for _, tt := range []struct {
		op   Op
		want string
	}{
		{
			Op{Kind: Create, Table: table, After: row},
			"INSERT INTO `shop_00`.`orders_0` VALUES (7,1,'new','Pune','1.50','O''CLOCK\\\\','a@b.c','{}'," +
				"'2026-11-20 10:00:00.000','2026-11-20 10:00:00.000')",
		},
		{
			Op{Kind: Update, Table: table, Before: row, After: paid},
			"UPDATE `shop_00`.`orders_0` SET `status`='paid',`coupon`=NULL WHERE `id`=7",
		},
		{Op{Kind: Delete, Table: table, Before: row}, "DELETE FROM `shop_00`.`orders_0` WHERE `id`=7"},
		{Op{Kind: Savepoint}, "SAVEPOINT shop"},
		{Op{Kind: RollbackTo}, "ROLLBACK TO SAVEPOINT shop"},
	} {
		if got := SQL(&tt.op); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	if got, want := Literal([]byte{0, 255}), "X'00ff'"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
