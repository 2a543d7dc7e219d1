package expr

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tailwater/change"
)

// testColumns are the columns of the rows of these tests.
var testColumns = []change.Column{
	{Name: "id", Type: change.Int, Bits: 64},
	{Name: "uid", Type: change.Uint, Bits: 64, Nullable: true},
	{Name: "amount", Type: change.Decimal, Precision: 12, Scale: 2, Nullable: true},
	{Name: "ratio", Type: change.Double, Nullable: true},
	{Name: "status", Type: change.Enum, Members: []string{"new", "paid", "test"}, Nullable: true},
	{Name: "city", Type: change.Text, Nullable: true},
	{Name: "payload", Type: change.JSON, Nullable: true},
	{Name: "day", Type: change.Date, Nullable: true},
	{Name: "made", Type: change.DateTime, Scale: 3, Nullable: true},
	{Name: "seen", Type: change.Timestamp, Scale: 3, Nullable: true},
	{Name: "took", Type: change.Time, Scale: 3, Nullable: true},
	{Name: "hash", Type: change.Bytes, Nullable: true},
	{Name: "flag", Type: change.Bool, Nullable: true},
	{Name: "spot", Type: change.Geometry, Nullable: true},
	{Name: "order-id", Type: change.Int, Bits: 32},
	{Name: "qty", Type: change.Int, Bits: 32},
	{Name: "fine", Type: change.Decimal, Precision: 65, Scale: 30, Nullable: true},
	{Name: "doc", Type: change.Text, Charset: "utf8mb4", Nullable: true},
}

// testRow is a row of testColumns with the given cells changed.
func testRow(cells ...string) *Texts {
	row := Texts{
		[]byte(`42`), []byte(`18446744073709551615`), []byte(`12.50`), []byte(`0.1`), []byte(`"paid"`), []byte(`"Pune"`),
		[]byte(`{"ship": {"city": "Pune", "zip": 411001}, "items": [{"sku": "a", "price": "12.50", "qty": 2}, {"sku": "b"}], "ok": true, "none": null, "a key": 1.50, "q\"x": 7, "big": 1e20}`),
		[]byte(`"2026-11-20"`), []byte(`"2026-11-20 10:10:10.123"`), []byte(`"2026-11-20T10:10:10.123Z"`), []byte(`"-12:30:00.500"`),
		[]byte(`"aGVsbG8="`), []byte(`true`), []byte(`{"srid":0,"wkb":""}`), []byte(`7`), []byte(`3`),
		[]byte(`99999999999999999999999999999999999.999999999999999999999999999999`),
		[]byte(`"{\"ship\": {\"city\" :\n\"Pune\"}, \"n\": 12.50, \"q\": \"a\\\"b\", \"none\": null}"`),
	}
	for i := 0; i < len(cells); i += 2 {
		for c := range testColumns {
			if testColumns[c].Name == cells[i] {
				row[c] = []byte(cells[i+1])
			}
		}
	}
	return &row
}

// truthOfBoth evaluates a condition natively and in CEL, and fails the test
// when the two differ.
func truthOfBoth(t *testing.T, src string, row change.Row) truth {
	t.Helper()
	p, err := CompilePredicate(src, testColumns)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	native, nativeErr := p.root.eval(row)
	n, err := checkCondition(src, testColumns)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	run, err := newProgram(n, testColumns)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	inCEL, celErr := (&celTest{p: run}).eval(row)
	if native != inCEL || (nativeErr == nil) != (celErr == nil) {
		t.Fatalf("%s: native %v (%v), CEL %v (%v)", src, native, nativeErr, inCEL, celErr)
	}
	if nativeErr != nil {
		t.Fatalf("%s: %v", src, nativeErr)
	}
	return native
}

func TestPredicate_Truth(t *testing.T) {
	null := []string{"status", "null", "amount", "null", "payload", "null", "city", "null", "flag", "null", "uid", "null", "made", "null", "hash", "null"}
	cases := []struct {
		src   string
		cells []string
		want  truth
	}{
		// Comparisons with constants.
		{`status != 'test'`, nil, isTrue},
		{`status == 'paid'`, nil, isTrue},
		{`'paid' == Status`, nil, isTrue},
		{`status == 'PAID'`, nil, isFalse},
		{`id == 42`, nil, isTrue}, {`id > 41.99`, nil, isTrue}, {`41.99 < id`, nil, isTrue}, {`id <= 42.0`, nil, isTrue}, {`id >= 43`, nil, isFalse},
		{`col("order-id") == 7`, nil, isTrue},
		{`uid == 18446744073709551615`, nil, isTrue}, {`uid > 18446744073709551614`, nil, isTrue}, {`uid == 18446744073709551615u`, nil, isTrue},
		{`uid < 18446744073709551616`, nil, isTrue}, {`uid == -1`, nil, isFalse},
		{`amount == 12.5`, nil, isTrue}, {`amount == 12.50`, nil, isTrue}, {`amount < 12.500000000000000000001`, nil, isTrue}, {`amount == - 12.5`, nil, isFalse},
		{`amount in [1, 12.5, 3]`, nil, isTrue}, {`amount in [1, null]`, nil, isUnknown}, {`!(amount in [1, null])`, nil, isUnknown},
		{`fine > 99999999999999999999999999999999999.999999999999999999999999999998`, nil, isTrue},
		{`fine == 99999999999999999999999999999999999.999999999999999999999999999999`, nil, isTrue},
		{`ratio == 0.1`, nil, isTrue}, {`ratio > 0`, nil, isTrue}, {`ratio in [1, 0.1]`, nil, isTrue}, {`id > ratio`, nil, isTrue},
		{`hash == b'hello'`, nil, isTrue}, {`hash > b'hell'`, nil, isTrue}, {`hash in [b'x', b'hello']`, nil, isTrue},
		{`flag`, nil, isTrue}, {`!flag`, nil, isFalse}, {`flag == false`, nil, isFalse},
		{`city in ['Pune', 'Oslo']`, nil, isTrue},
		{`city in ['1','2','3','4','5','6','7','8','Pune']`, nil, isTrue}, {`city in ['1','2','3','4','5','6','7','8','9', null]`, nil, isUnknown},
		{`city in ['1','2','3','4','5','6','7','8','9']`, nil, isFalse},
		{`city == 'a"b\\c\nd\u00e9'`, []string{"city", `"a\"b\\c\nd\u00e9"`}, isTrue},
		{`city.startsWith('Pu')`, nil, isTrue}, {`city.endsWith('ne')`, nil, isTrue}, {`city.contains('un')`, nil, isTrue}, {`city.matches('^P.*e$')`, nil, isTrue},
		{`matches(city, 'z')`, nil, isFalse}, {`city.contains('"')`, []string{"city", `"a\"b"`}, isTrue},
		// Three-valued NULL.
		{`status != 'test'`, null, isUnknown}, {`status == 'test'`, null, isUnknown}, {`!(status == 'test')`, null, isUnknown},
		{`status == null`, null, isTrue}, {`status != null`, null, isFalse}, {`null == status`, nil, isFalse}, {`status != null`, nil, isTrue},
		{`status == 'x' && id == 1`, null, isFalse}, {`status == 'x' && id == 42`, null, isUnknown}, {`id == 1 && status == 'x'`, null, isFalse},
		{`status == 'x' || id == 42`, null, isTrue}, {`status == 'x' || id == 1`, null, isUnknown},
		{`city.startsWith('P')`, null, isUnknown}, {`amount + 1 > 2`, null, isUnknown}, {`status in ['a']`, null, isUnknown},
		{`flag`, null, isUnknown}, {`flag ? true : id == 42`, null, isTrue}, {`null == null`, nil, isTrue}, {`(null)`, nil, isUnknown},
		{`made > '2026-01-01'`, null, isUnknown}, {`hash == b'x'`, null, isUnknown}, {`lower(city) == 'x'`, null, isUnknown},
		{`(amount > 1) == null`, null, isTrue}, {`coalesce(amount, 0) == 0`, null, isTrue}, {`spot != null`, nil, isTrue},
		// JSON paths.
		{`payload.ship.city == 'Pune'`, nil, isTrue}, {`payload.ship.zip == 411001`, nil, isTrue}, {`payload.ship.zip > 411000.5`, nil, isTrue},
		{`payload.items[0].sku == 'a'`, nil, isTrue}, {`payload.items[2].sku == 'a'`, nil, isUnknown}, {`payload.items[1]["sku"] in ['b']`, nil, isTrue},
		{`payload["a key"] == 1.5`, nil, isTrue}, {`payload["q\"x"] == 7`, nil, isTrue}, {`payload.big == 100000000000000000000`, nil, isTrue},
		{`payload.ok == true`, nil, isTrue}, {`payload.none == null`, nil, isTrue}, {`payload.nope == null`, nil, isTrue},
		{`payload.ship == null`, nil, isFalse}, {`has(payload.ship.city)`, nil, isTrue}, {`has(payload.none)`, nil, isFalse},
		{`payload == null`, null, isTrue}, {`payload == null`, nil, isFalse}, {`payload == null`, []string{"payload", "null "}, isTrue},
		{`doc.ship.city == 'Pune'`, nil, isTrue}, {`doc.n > 12`, nil, isTrue}, {`doc.q == 'a"b'`, nil, isTrue}, {`doc.none == null`, nil, isTrue},
		{`doc.ship == null`, nil, isFalse}, {`doc.ship.zip == 1`, nil, isUnknown}, {`doc.ship.city == lower('PUNE')`, nil, isFalse},
		{`doc.a == null`, []string{"doc", `"no JSON"`}, isTrue}, {`doc.a == null`, []string{"doc", `"{\"a\": nonsense}"`}, isTrue},
		{`doc.a == null`, []string{"doc", `"{\"a\": [1,}"`}, isTrue}, {`doc.a == 1`, []string{"doc", "null"}, isUnknown},
		{`lower(doc.a) == 'x'`, []string{"doc", `"{\"a\":tru}"`}, isUnknown},
		{`payload.ship.city == 'x'`, null, isUnknown}, {`payload.city.x == 'x'`, []string{"payload", `{"city":"a"}`}, isUnknown},
		// A JSON value of another type: neither equal nor ordered.
		{`payload.ship.zip == '411001'`, nil, isFalse}, {`payload.ship.zip != '411001'`, nil, isTrue}, {`payload.ship.zip < 'a'`, nil, isUnknown},
		{`payload.ship == 'x'`, nil, isFalse}, {`payload.ship in ['x', 1]`, nil, isFalse}, {`payload.ok == 1`, nil, isFalse}, {`payload.ok > 0`, nil, isUnknown},
		{`payload.ship.zip in ['411001', 411001]`, nil, isTrue}, {`payload.ship.zip == ratio`, nil, isFalse},
		{`payload.ship.city.startsWith('Pu')`, nil, isTrue}, {`size(payload.items) == 2`, nil, isTrue}, {`size(payload.ship) == 2`, nil, isTrue}, {`size(payload.ok) == 1`, nil, isUnknown},
		// Dates and times.
		{`day == '2026-11-20'`, nil, isTrue}, {`day < '2026-11-20 00:00:01'`, nil, isTrue}, {`day in ['2026-01-01', '2026-11-20']`, nil, isTrue},
		{`made == '2026-11-20 10:10:10.123000'`, nil, isTrue}, {`made > '2026-11-20T10:10:10'`, nil, isTrue}, {`made == '2026-11-20 10:10:10'`, []string{"made", `"2026-11-20 10:10:10.000"`}, isTrue},
		{`made < '2026-01-01'`, []string{"made", `"0000-00-00 00:00:00.000"`}, isTrue}, {`day < made`, nil, isTrue},
		{`seen == '2026-11-20T15:40:10.123+05:30'`, nil, isTrue}, {`seen >= '2026-11-20T10:10:10.124Z'`, nil, isFalse},
		{`took < '-12:30:00'`, nil, isTrue}, {`took > '-838:59:59'`, nil, isTrue}, {`'00:00:00' > took`, nil, isTrue},
		// Logic around errors: what does not decide does not matter.
		{`id == 1 && int(city) == 1`, nil, isFalse}, {`int(city) == 1 && id == 1`, nil, isFalse}, {`id == 42 || int(city) == 1`, nil, isTrue}, {`int(city) == 1 || id == 42`, nil, isTrue},
		{`id == 42 ? true : int(city) == 1`, nil, isTrue},
		// Computation.
		{`0.1 + 0.2 == 0.3`, nil, isTrue}, {`amount * qty == 37.5`, nil, isTrue}, {`uid + 1 == 18446744073709551616`, nil, isTrue}, {`id / 0 == null`, nil, isTrue},
		{`id % 5 == 2`, nil, isTrue}, {`-id % 5 == -2`, nil, isTrue}, {`-id == -42`, nil, isTrue}, {`7 / 2 == 3.5`, nil, isTrue}, {`!!flag`, nil, isTrue},
		{`decimal(payload.items[0].price, 12, 2) * int(payload.items[0].qty) == 25`, nil, isTrue}, {`bool(id)`, nil, isTrue}, {`bool(payload.ok) && bool(flag)`, nil, isTrue},
		{`lower(city) == 'pune' && upper(city) == 'PUNE'`, nil, isTrue}, {`size('é') == 1`, nil, isTrue}, {`city + '-' + status == 'Pune-paid'`, nil, isTrue},
		{`double(payload.ship.zip) / 2 == 205500.5`, nil, isTrue}, {`ratio * 2 == 0.2`, nil, isTrue}, {`ratio % 0 == null`, nil, isTrue}, {`size(hash) == 5`, nil, isTrue},
		{`string(seen).contains('T')`, nil, isTrue}, {`string(ratio) == '0.1'`, nil, isTrue}, {`-ratio < 0`, nil, isTrue},
	}
	for _, c := range cases {
		if got := truthOfBoth(t, c.src, testRow(c.cells...)); got != c.want {
			t.Errorf("%s over %v: got %v, want %v", c.src, c.cells, got, c.want)
		}
	}
}

func TestPredicate_TakesOnlyTrue(t *testing.T) {
	p, err := CompilePredicate(`status != 'test'`, testColumns)
	if err != nil {
		t.Fatal(err)
	}
	for cell, want := range map[string]bool{`"paid"`: true, `"test"`: false, `null`: false} {
		got, err := p.Eval(testRow("status", cell))
		if err != nil || got != want {
			t.Errorf("status %s: got %v, %v, want %v", cell, got, err, want)
		}
	}
}

func TestPredicate_ReadsQuotedNumbersOfEvents(t *testing.T) {
	if got := truthOfBoth(t, `uid > 18446744073709551614 && amount == 12.5`, testRow("uid", `"18446744073709551615"`, "amount", `"12.50"`)); got != isTrue {
		t.Errorf("got %v, want true", got)
	}
}

func TestValue_TextAndColumn(t *testing.T) {
	cases := []struct{ src, want, column string }{
		{`city`, `"Pune"`, "text null"},
		{`payload`, `"{\"ok\":1}"`, "json null"},
		{`payload.ship.city`, `"Pune"`, "text null"},
		{`payload.ship.zip`, `"411001"`, "text null"},
		{`payload.items[0]`, `"{\"sku\": \"a\", \"price\": \"12.50\", \"qty\": 2}"`, "text null"},
		{`payload.ok`, `"true"`, "text null"},
		{`doc.ship.city`, `"Pune"`, "text null"}, {`doc.n`, `"12.50"`, "text null"}, {`doc.ship.zip`, `null`, "text null"},
		{`payload.none`, `null`, "text null"},
		{`amount * qty`, `37.50`, "decimal(22,2) null"},
		{`qty + 1`, `4`, "int64"},
		{`id * 2`, `84`, "int64"},
		{`uid + 1`, `18446744073709551616`, "decimal(21,0) null"},
		{`7 / 2`, `3.5000`, "decimal(5,4) null"},
		{`10 / 3 / 3`, `1.11110000`, "decimal(10,8) null"},
		{`amount / 0`, `null`, "decimal(16,6) null"},
		{`decimal(payload.items[0].price, 12, 2) * int(payload.items[0].qty)`, `25.00`, "decimal(31,2) null"},
		{`decimal('2.345', 5, 2)`, `2.35`, "decimal(5,2)"},
		{`decimal('-2.345', 5, 2)`, `-2.35`, "decimal(5,2)"},
		{`int(-12.99)`, `-12`, "int64"},
		{`int(' 7 ')`, `7`, "int64"},
		{`status == 'paid'`, `true`, "bool null"},
		{`status == null`, `false`, "bool"},
		{`id == 42 ? amount : 0`, `12.50`, "decimal(12,2) null"},
		{`id == 0 ? 1.5 : 2`, `2.0`, "decimal(2,1)"},
		{`id == 42 ? null : amount`, `null`, "decimal(12,2) null"},
		{`id == 42 ? payload.ship.zip : city`, `"411001"`, "text null"},
		{`coalesce(payload.none, city, 'x')`, `"Pune"`, "text"},
		{`coalesce(payload.none, payload.ship)`, `"{\"city\": \"Pune\", \"zip\": 411001}"`, "text null"},
		{`coalesce(ratio, 1)`, `0.1`, "double"},
		{`coalesce(null, qty)`, `3`, "int64"},
		{`string(amount) + '/' + string(id)`, `"12.50/42"`, "text null"},
		{`double(amount)`, `12.5`, "double null"},
		{`double('1e300') * 10`, `1e+301`, "double"},
		{`size(city)`, `4`, "int64 null"},
		{`hash`, `"aGVsbG8="`, "bytes null"},
		{`id == 42 ? hash : b'x'`, `"aGVsbG8="`, "bytes null"},
		{`id == 42 ? seen : null`, `"2026-11-20T10:10:10.123Z"`, "timestamp.3 null"},
		{`upper('straße"')`, `"STRAßE\""`, "text"},
		{`-amount`, `-12.50`, "decimal(12,2) null"},
		{`int(flag)`, `1`, "int64 null"},
		{`decimal(flag, 1, 0)`, `1`, "decimal(1,0) null"},
		{`decimal(ratio, 5, 3)`, `0.100`, "decimal(5,3) null"},
		{`int(ratio * 1000)`, `100`, "int64 null"},
	}
	for _, c := range cases {
		v, err := CompileValue(c.src, testColumns)
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		row := testRow()
		if c.src == "payload" {
			row = testRow("payload", `{"ok":1}`)
		}
		got, err := v.AppendJSON([]byte("<"), row)
		if string(got) != "<"+c.want || err != nil {
			t.Errorf("%s: got %s, %v, want <%s", c.src, got, err, c.want)
		}
		if got := describe(v.Column()); got != c.column {
			t.Errorf("%s: column %s, want %s", c.src, got, c.column)
		}
	}
}

func describe(c change.Column) string {
	s := string(c.Type)
	switch {
	case c.Type == change.Decimal:
		s += fmt.Sprintf("(%d,%d)", c.Precision, c.Scale)
	case c.Type == change.Int:
		s += fmt.Sprint(c.Bits)
	case c.Scale > 0:
		s += fmt.Sprintf(".%d", c.Scale)
	}
	if c.Nullable {
		s += " null"
	}
	return s
}

func TestColumns_AreThoseThatAreRead(t *testing.T) {
	p, err := CompilePredicate(`payload.a == 'x' && (id > 1 || city in ['a'] || payload.b == null)`, testColumns)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(p.Columns()), "[0 5 6]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEval_NamesExpressionAndColumnButNoValue(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`int(city) > 1`, `evaluate expression "int(city) > 1", column city: int: the text is not a whole number`},
		{`int(amount) + int(uid) > 1`, `evaluate expression "int(amount) + int(uid) > 1", columns uid, amount: int: the number does not fit 64 bits`},
		{`decimal(city, 3, 1) > 1`, `evaluate expression "decimal(city, 3, 1) > 1", column city: decimal: the text is not a number`},
		{`decimal(amount, 2, 1) > 1`, `evaluate expression "decimal(amount, 2, 1) > 1", column amount: decimal: the number has more digits than decimal(2,1)`},
		{`double(payload.ship) > 1`, `evaluate expression "double(payload.ship) > 1", column payload: double: the JSON value is neither number nor text`},
		{`double('1e308') * 10 > id`, `evaluate expression "double('1e308') * 10 > id", column id: the result is not a finite number`},
		{`bool(payload.ship)`, `evaluate expression "bool(payload.ship)", column payload: bool: the JSON value is neither truth value nor number`},
	} {
		p, err := CompilePredicate(c.src, testColumns)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Eval(testRow())
		var e *EvalError
		if !errors.As(err, &e) || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	v, err := CompileValue(`id * id`, testColumns)
	if err != nil {
		t.Fatal(err)
	}
	dst, err := v.AppendJSON([]byte("x"), testRow("id", "9223372036854775807"))
	if want := `evaluate expression "id * id", column id: the result does not fit a 64-bit integer`; err == nil || err.Error() != want || string(dst) != "x" {
		t.Errorf("got %s, %v, want %s", dst, err, want)
	}
}

func TestHazard_A38_AbsentColumnIsAnErrorNeverNULL(t *testing.T) {
	row := testRow()
	(*row)[4] = nil
	p, err := CompilePredicate(`id == 1 && status == null`, testColumns)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Eval(row); err == nil || !strings.Contains(err.Error(), "column status: the row image does not carry the column") {
		t.Errorf("predicate: got %v", err)
	}
	v, err := CompileValue(`coalesce(status, 'x')`, testColumns)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.AppendJSON(nil, row); err == nil || !strings.Contains(err.Error(), "column status: the row image does not carry the column") {
		t.Errorf("value: got %v", err)
	}
}

func TestEval_MalformedCellsAreErrors(t *testing.T) {
	for _, c := range []struct{ src, column, cell string }{
		{`id > 1`, "id", `12x`}, {`id > 1`, "id", `"`}, {`amount > 1`, "amount", `--1`}, {`ratio > 1`, "ratio", `NaN`}, {`ratio > 1`, "ratio", ``}, {`city == 'a'`, "city", `a`},
		{`city == 'a'`, "city", `"\q"`}, {`city == 'a'`, "city", `"\u12"`}, {`flag`, "flag", `1`}, {`hash == b'a' || hash > b'b'`, "hash", `"*"`},
		{`payload.a == 1`, "payload", `{"a"`}, {`payload.a == 1`, "payload", `{"a":`}, {`payload.a == 1`, "payload", `{"a":1x`}, {`payload.a.b == 1`, "payload", `{"a":{"b":}}`},
		{`payload.a == 1`, "payload", `{"a":tru}`}, {`payload[1] == 1`, "payload", `[1`}, {`payload.a == null`, "payload", `{"b":"`}, {`payload.a == 1`, "payload", ``},
		{`size(payload) == 1`, "payload", `[1,]x`}, {`id > 1`, "id", strings.Repeat("9", 1000)}, {`payload.a > 1`, "payload", `{"a":1e999999}`},
	} {
		p, err := CompilePredicate(c.src, testColumns)
		if err != nil {
			t.Fatal(err)
		}
		row := testRow()
		for i := range testColumns {
			if testColumns[i].Name == c.column {
				(*row)[i] = []byte(c.cell)
			}
		}
		if got, err := p.Eval(row); err == nil {
			t.Errorf("%s over %s: got %v and no error", c.src, c.cell, got)
		}
	}
}
