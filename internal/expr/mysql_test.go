package expr

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tailwater/change"
	"tailwater/internal/jsontext"
	"tailwater/internal/testenv"
)

// both is a condition in our language and in SQL.
type both struct{ ours, sql string }

// sqlTable is the table that both sides read. Text has a binary collation,
// for the language compares bytes.
const sqlTable = `CREATE TABLE t (
  nr INT PRIMARY KEY, id BIGINT NOT NULL, uid BIGINT UNSIGNED, amount DECIMAL(12,2), fine DECIMAL(30,10), ratio DOUBLE,
  city VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, day DATE, made DATETIME(3), hash VARBINARY(20), qty INT NOT NULL, took TIME(3)
)`

var sqlColumns = []change.Column{
	{Name: "nr", Type: change.Int, Bits: 32}, {Name: "id", Type: change.Int, Bits: 64}, {Name: "uid", Type: change.Uint, Bits: 64, Nullable: true},
	{Name: "amount", Type: change.Decimal, Precision: 12, Scale: 2, Nullable: true}, {Name: "fine", Type: change.Decimal, Precision: 30, Scale: 10, Nullable: true},
	{Name: "ratio", Type: change.Double, Nullable: true}, {Name: "city", Type: change.Text, Nullable: true}, {Name: "day", Type: change.Date, Nullable: true},
	{Name: "made", Type: change.DateTime, Scale: 3, Nullable: true}, {Name: "hash", Type: change.Bytes, Nullable: true}, {Name: "qty", Type: change.Int, Bits: 32},
	{Name: "took", Type: change.Time, Scale: 3, Nullable: true},
}

// sqlRow returns one random row: the values for INSERT, and the cells.
func sqlRow(g generator, nr int) (insert string, cells *Texts) {
	pick := func(kind string, of ...string) (string, string) {
		v := g.pick(of...)
		switch {
		case v == "null":
			return "NULL", "null"
		case kind == "number":
			return v, v
		case kind == "bytes":
			return "'" + v + "'", `"` + map[string]string{"": "", "hello": "aGVsbG8=", "Hello": "SGVsbG8=", "z": "eg=="}[v] + `"`
		}
		return "'" + strings.ReplaceAll(v, `\`, `\\`) + "'", string(jsontext.AppendQuoted(nil, []byte(v)))
	}
	var sql []string
	row := Texts{}
	for _, c := range [][]string{
		{"number", fmt.Sprint(nr)},
		{"number", "0", "42", "-1", "7", "9223372036854775807", "-9223372036854775808"},
		{"number", "null", "0", "1", "18446744073709551615", "9223372036854775808"},
		{"number", "null", "12.50", "0.00", "-0.01", "9999999999.99", "3.33", "-7.25"},
		{"number", "null", "0.0000000001", "-99999999999999999999.9999999999", "42.0000000000", "3.3333333333"},
		{"number", "null", "0.1", "-1", "42", "1.5e300", "0.30000000000000004"},
		{"text", "null", "", "Pune", "pune", "PUNE ", "é", "e", "a\"b", `back\slash`, "42", "Zürich", "😀", "%"},
		{"text", "null", "2026-11-20", "1000-01-01", "9999-12-31"},
		{"text", "null", "2026-11-20 00:00:00.000", "2026-11-20 10:10:10.123", "1999-12-31 23:59:59.999"},
		{"bytes", "null", "", "hello", "Hello", "z"},
		{"number", "0", "3", "-7", "2147483647"},
		{"text", "null", "-12:30:00.500", "00:00:00.000", "838:59:59.000", "10:10:10.123"},
	} {
		s, cell := pick(c[0], c[1:]...)
		sql, row = append(sql, s), append(row, []byte(cell))
	}
	return "(" + strings.Join(sql, ",") + ")", &row
}

// sqlNumber returns a numeric operand. Doubles stay out of sums with exact
// numbers beyond 2^53, which the two sides round at different places.
func (g generator) sqlNumber(depth int) both {
	switch n := g.IntN(12); {
	case depth == 0 || n < 4:
		c := g.pick("id", "uid", "amount", "fine", "qty")
		return both{c, c}
	case n < 6:
		c := g.pick("0", "1", "-1", "42", "12.5", "0.01", "18446744073709551615", "-99999999999999999999.5", "3.3333333333")
		if c[0] == '-' {
			c = "(" + c + ")"
		}
		return both{c, c}
	case n < 9:
		// DECIMAL keeps MySQL from 64-bit overflow, which we do not have.
		a, b := g.sqlNumber(0), g.sqlNumber(0)
		o := g.pick("+", "-", "*")
		return both{fmt.Sprintf("(%s %s %s)", a.ours, o, b.ours), fmt.Sprintf("(CAST(%s AS DECIMAL(32,10)) %s CAST(%s AS DECIMAL(32,10)))", a.sql, o, b.sql)}
	case n < 10:
		a, c := g.pick("id", "amount", "qty"), g.pick("7", "3", "(-2)", "0")
		return both{fmt.Sprintf("(%s %% %s)", a, c), fmt.Sprintf("(%s %% %s)", a, c)}
	case n < 11:
		a, b := g.sqlNumber(0), g.pick("0", "7.25")
		return both{fmt.Sprintf("coalesce(%s, %s)", a.ours, b), fmt.Sprintf("COALESCE(%s, %s)", a.sql, b)}
	}
	a := g.pick("amount", "qty", "id")
	b := g.pick("3", "7", "(-8)", "0", "0.5")
	return both{fmt.Sprintf("(%s / %s)", a, b), fmt.Sprintf("(%s / %s)", a, b)}
}

func sqlText(s string) string { return "'" + strings.ReplaceAll(s, `\`, `\\`) + "'" }
func ourText(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", `\'`) + "'"
}

func (g generator) sqlTextTest() both {
	c := g.pick("", "Pune", "P", "e", "é", "\"", `\`, "42", "u", "😀", "%")
	switch g.IntN(6) {
	case 0:
		return both{"city.startsWith(" + ourText(c) + ")", "LEFT(city, CHAR_LENGTH(" + sqlText(c) + ")) = BINARY " + sqlText(c)}
	case 1:
		return both{"city.endsWith(" + ourText(c) + ")", "RIGHT(city, CHAR_LENGTH(" + sqlText(c) + ")) = BINARY " + sqlText(c)}
	case 2:
		return both{"city.contains(" + ourText(c) + ")", "LOCATE(BINARY " + sqlText(c) + ", CAST(city AS BINARY)) > 0"}
	case 3:
		o := g.pick("==", "<", ">=")
		n := g.pick("0", "1", "4", "6")
		return both{"size(city) " + o + " " + n, "CHAR_LENGTH(city) " + strings.Replace(o, "==", "=", 1) + " " + n}
	case 4:
		return both{"size(hash) > 1", "LENGTH(hash) > 1"}
	}
	return both{"city + '-' + string(qty) == " + ourText("Pune-3"), "CONCAT(city, '-', qty) = BINARY 'Pune-3'"}
}

func (g generator) sqlComparison() both {
	o := g.pick("==", "!=", "<", "<=", ">", ">=")
	s := strings.Replace(o, "==", "=", 1)
	join := func(a, b both) both { return both{a.ours + " " + o + " " + b.ours, a.sql + " " + s + " " + b.sql} }
	switch g.IntN(12) {
	case 0, 1, 2:
		return join(g.sqlNumber(1), g.sqlNumber(1))
	case 3:
		c := g.pick("", "Pune", "é", "a\"b", `back\slash`, "PUNE", "pune", "e")
		return both{"city " + o + " " + ourText(c), "CAST(city AS BINARY) " + s + " CAST(" + sqlText(c) + " AS BINARY)"}
	case 4:
		c := g.pick("id", "uid", "amount", "city", "day", "hash", "ratio")
		if g.IntN(2) == 0 {
			return both{c + " == null", c + " IS NULL"}
		}
		return both{c + " != null", c + " IS NOT NULL"}
	case 5:
		// Among whole numbers and decimals, IN finds -1 in a list with 2^64-1.
		a := g.sqlNumber(0)
		list := g.pick("42, 12.5", "0, 1, 3", "18446744073709551615, -7.25, 3.3333333333", "7, null, 3", "null, 42")
		return both{a.ours + " in [" + list + "]", "CAST(" + a.sql + " AS DECIMAL(32,10)) IN (" + list + ")"}
	case 6:
		return both{"city in ['Pune', 'é', '42']", "CAST(city AS BINARY) IN (BINARY 'Pune', BINARY 'é', BINARY '42')"}
	case 7:
		c := g.pick("'2026-11-20'", "'1000-01-01'", "'9999-12-31'")
		return both{"day " + o + " " + c, "day " + s + " " + c}
	case 8:
		c := g.pick("'2026-11-20 00:00:00'", "'2026-11-20 10:10:10.123'", "'1999-12-31 23:59:59.999'")
		return both{"made " + o + " " + c, "made " + s + " " + c}
	case 9:
		c := g.pick("'-12:30:00'", "'00:00:00'", "'10:10:10.123'", "'838:59:59'")
		return both{"took " + o + " " + c, "took " + s + " CAST(" + c + " AS TIME(3))"}
	case 10:
		if g.IntN(2) == 0 {
			return both{"day " + o + " made", "day " + s + " made"}
		}
		c := g.pick("0.1e0", "42e0", "1e0", "0.3e0", "1e300")
		return both{"ratio " + o + " double(" + ourText(c) + ")", "ratio " + s + " " + c}
	}
	return g.sqlTextTest()
}

func (g generator) sqlCondition(depth int) both {
	if depth == 0 {
		c := g.sqlComparison()
		return both{"(" + c.ours + ")", "(" + c.sql + ")"}
	}
	a, b := g.sqlCondition(depth-1), g.sqlCondition(depth-1)
	switch g.IntN(4) {
	case 0:
		return both{"(" + a.ours + " && " + b.ours + ")", "(" + a.sql + " AND " + b.sql + ")"}
	case 1:
		return both{"(" + a.ours + " || " + b.ours + ")", "(" + a.sql + " OR " + b.sql + ")"}
	case 2:
		return both{"(!" + a.ours + ")", "(NOT " + a.sql + ")"}
	}
	c := g.sqlCondition(0)
	return both{"(" + a.ours + " ? " + b.ours + " : " + c.ours + ")", "IF(" + a.sql + ", " + b.sql + ", " + c.sql + ")"}
}

// TestPredicate_TakesTheRowsThatMySQLTakes asks a real server the same
// questions about the same rows.
func TestPredicate_TakesTheRowsThatMySQLTakes(t *testing.T) {
	s := testenv.MySQL(t, 1)[0]
	s.Exec(t, "CREATE DATABASE shop", "USE shop", sqlTable)
	g := generator{rand.New(rand.NewPCG(11, 12))}
	var inserts []string
	var rows []*Texts
	for nr := range 60 {
		insert, row := sqlRow(g, nr)
		inserts, rows = append(inserts, insert), append(rows, row)
	}
	s.Exec(t, "INSERT INTO shop.t VALUES "+strings.Join(inserts, ","))
	taken := 0
	for range 30 {
		// Many conditions in one query: a server far away would be slow else.
		var conditions []both
		var selects []string
		for range 20 {
			c := g.sqlCondition(g.IntN(3))
			conditions = append(conditions, c)
			selects = append(selects, fmt.Sprintf("(SELECT GROUP_CONCAT(nr ORDER BY nr) FROM shop.t WHERE %s)", c.sql))
		}
		answer := s.Query(t, "SELECT "+strings.Join(selects, ","))[0]
		for i, c := range conditions {
			p, err := CompilePredicate(c.ours, sqlColumns)
			if err != nil {
				t.Fatalf("%s: %v", c.ours, err)
			}
			var got []string
			for nr, row := range rows {
				ok, err := p.Eval(row)
				if err != nil {
					t.Fatalf("%s: %v", c.ours, err)
				}
				if ok {
					got = append(got, fmt.Sprint(nr))
				}
			}
			want := strings.Split(answer[i], ",")
			if answer[i] == "" || answer[i] == "NULL" {
				want = nil
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s takes %v\n%s takes %v", c.ours, got, c.sql, want)
			}
			taken += len(got)
		}
	}
	if taken < 2000 || taken > 34000 {
		t.Errorf("600 conditions took %d of 36000 rows: they do not tell anything", taken)
	}
}
