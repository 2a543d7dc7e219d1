package minisql

import (
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// people is a relation in the order of id.
type people struct{ scanned int }

var peopleRows = [][]any{
	{int64(1), "Asha", Decimal("10.50"), nil},
	{int64(2), "Bela", Decimal("-3.00"), "x"},
	{int64(3), "asha", Decimal("10.5"), "y"},
	{int64(4), "Chad", nil, "x"},
}

func (p *people) Columns() []string { return []string{"id", "name", "money", "tag"} }

func (p *people) Rows(Expr) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for _, r := range peopleRows {
			p.scanned++
			if !yield(r) {
				return
			}
		}
	}
}

func (p *people) Ordered(columns []string) bool { return slices.Equal(columns, []string{"id"}) }

// world is an environment with one variable of each kind.
type world struct{ params []any }

func (w world) Column(name string) (any, error) { return nil, fmt.Errorf("no column %s", name) }

func (w world) SystemVariable(name string) (any, error) {
	if name == "server_id" {
		return int64(7), nil
	}
	return nil, fmt.Errorf("no variable %s", name)
}

func (w world) UserVariable(name string) any {
	if name == "x" {
		return "user"
	}
	return nil
}

func (w world) Call(name string, args []any) (any, error) {
	if name == "TWICE" && len(args) == 1 {
		return calculate("*", args[0], int64(2)), nil
	}
	return nil, fmt.Errorf("no function %s", name)
}

func (w world) Param(n int) (any, error) {
	if n < len(w.params) {
		return w.params[n], nil
	}
	return nil, errors.New("no value")
}

// collector is a Sink that keeps everything as text.
type collector struct {
	cols []Column
	rows []string
}

func (c *collector) Columns(cols []Column) error { c.cols = cols; return nil }

func (c *collector) Row(row []any) error {
	var cells []string
	for _, v := range row {
		if v == nil {
			cells = append(cells, "NULL")
		} else {
			cells = append(cells, Text(v))
		}
	}
	c.rows = append(c.rows, strings.Join(cells, "|"))
	return nil
}

// run evaluates a SELECT over people.
func run(text string, params ...any) (*collector, error) {
	st, err := Parse(text)
	if err != nil {
		return nil, err
	}
	sel, ok := st.(*Select)
	if !ok {
		return nil, fmt.Errorf("%T is no SELECT", st)
	}
	var rel Relation
	if sel.From != nil {
		rel = &people{}
	}
	c := &collector{}
	return c, Run(sel, rel, world{params}, c)
}

func TestRun_Expressions(t *testing.T) {
	for text, want := range map[string]string{
		"1 + 2 * 3":                      "7",
		"(1 + 2) * 3":                    "9",
		"-2 - -3":                        "1",
		"7 / 2":                          "3.5000",
		"1.10 + 2.2":                     "3.30",
		"0.1 + 0.2 = 0.3":                "1",
		"5 % 3":                          "2",
		"-5 % 3":                         "-2",
		"1 / 0":                          "NULL",
		"9223372036854775807 + 1":        "9223372036854775808",
		"18446744073709551615 > -1":      "1",
		"NULL = NULL":                    "NULL",
		"NULL <=> NULL":                  "1",
		"NULL AND 0":                     "0",
		"NULL AND 1":                     "NULL",
		"NULL OR 1":                      "1",
		"NULL OR 0":                      "NULL",
		"NOT NULL":                       "NULL",
		"NOT 0 AND !0":                   "1",
		"1 IN (2, NULL)":                 "NULL",
		"1 IN (1, NULL)":                 "1",
		"1 NOT IN (2, 3)":                "1",
		"2 BETWEEN 1 AND 3":              "1",
		"2 NOT BETWEEN 1 AND 3":          "0",
		"NULL IS NULL":                   "1",
		"1 IS NOT NULL":                  "1",
		"'abc' LIKE 'A%C'":               "1",
		"'abc' LIKE 'a_'":                "0",
		"'a%c' LIKE 'a\\%c'":             "1",
		"'abc' LIKE 'a\\%c'":             "0",
		"'aXbXc' LIKE '%b%c%'":           "1",
		"'abc' NOT LIKE 'x%'":            "1",
		"'10' = 10":                      "1",
		"'10x' = 10":                     "1",
		"'b' > 'a'":                      "1",
		"(1, 2) < (1, 3)":                "1",
		"(2, 1) > (1, 9)":                "1",
		"(1, 1) = (1, 2)":                "0",
		"(1, NULL) = (1, 2)":             "NULL",
		"(2, NULL) > (1, 2)":             "1",
		"'it''s' \"x\"":                  "it's",
		"'tab\\there'":                   "tab\there",
		"X'4142'":                        "AB",
		"0x4142":                         "AB",
		"_utf8mb4'é'":                    "é",
		"@@global.server_id":             "7",
		"@x":                             "user",
		"@nothing":                       "NULL",
		"TWICE(4)":                       "8",
		"COALESCE(NULL, 2)":              "2",
		"IFNULL(NULL, NULL)":             "NULL",
		"IF(1 > 2, 'a', 'b')":            "b",
		"CONCAT('a', 1, 'b')":            "a1b",
		"CONCAT('a', NULL)":              "NULL",
		"CONCAT_WS(',', 'a', NULL, 'b')": "a,b",
		"UPPER('é') ":                    "É",
		"HEX('ab')":                      "6162",
		"HEX(255)":                       "FF",
		"LENGTH('é')":                    "2",
		"CHAR_LENGTH('é')":               "1",
		"CAST(12.7 AS SIGNED)":           "12",
		"CAST(5 AS CHAR)":                "5",
		"CAST('x' AS CHAR(5) CHARACTER SET utf8mb4)": "x",
		"CONVERT('x' USING utf8mb4)":                 "x",
		"1e3":                                        "1000",
		"TRUE, FALSE":                                "1|0",
		"1 /* c */ + /* d */ 1 -- end":               "2",
	} {
		got, err := run("SELECT " + text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if len(got.rows) != 1 || got.rows[0] != want {
			t.Errorf("%s: got %q, want %q", text, got.rows, want)
		}
	}
}

func TestRun_Rows(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT * FROM people WHERE id = 2":                                             "2|Bela|-3.00|x",
		"SELECT p.*, id FROM people p WHERE id = 2":                                     "2|Bela|-3.00|x|2",
		"SELECT id FROM people WHERE money = 10.5":                                      "1 3",
		"SELECT id FROM people WHERE money > -5 ORDER BY money, id DESC":                "2 3 1",
		"SELECT id FROM people ORDER BY money":                                          "4 2 1 3",
		"SELECT id FROM people ORDER BY tag DESC, id LIMIT 3":                           "3 2 4",
		"SELECT id AS n FROM people ORDER BY n DESC LIMIT 1":                            "4",
		"SELECT name FROM people ORDER BY 1":                                            "Asha Bela Chad asha",
		"SELECT id FROM people LIMIT 2, 5":                                              "3 4",
		"SELECT id FROM people ORDER BY name LIMIT 9 OFFSET 3":                          "3",
		"SELECT id FROM people ORDER BY name LIMIT 9 OFFSET 30":                         "",
		"SELECT COUNT(*), COUNT(tag), SUM(money), MIN(name), MAX(money) FROM people":    "4|3|18.00|Asha|10.50",
		"SELECT tag, COUNT(*) c, SUM(id) FROM people GROUP BY tag ORDER BY c DESC, tag": "x|2|6 NULL|1|1 y|1|3",
		"SELECT COUNT(*), SUM(id) FROM people WHERE id > 9":                             "0|NULL",
		"SELECT tag FROM people WHERE id > 9 GROUP BY tag":                              "",
		"SELECT id FROM people WHERE id = ? AND name = ?":                               "1",
	} {
		got, err := run(text, int64(1), "Asha")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if rows := strings.Join(got.rows, " "); rows != want {
			t.Errorf("%s: got %q, want %q", text, rows, want)
		}
	}
}

func TestRun_ScanInKeyOrderStopsAtTheLimit(t *testing.T) {
	st, err := Parse("SELECT id FROM people WHERE id > 1 ORDER BY id LIMIT 1")
	if err != nil {
		t.Fatal(err)
	}
	p := &people{}
	if err := Run(st.(*Select), p, world{}, &collector{}); err != nil || p.scanned != 2 {
		t.Errorf("scanned %d rows with error %v, want 2", p.scanned, err)
	}
}

func TestRun_NamesColumns(t *testing.T) {
	got, err := run("SELECT id, `name` AS n, COUNT(*) total, money 'cash' FROM people GROUP BY id")
	if err != nil {
		t.Fatal(err)
	}
	want := []Column{{"id", 0}, {"n", 1}, {"total", -1}, {"cash", 2}}
	if !reflect.DeepEqual(got.cols, want) {
		t.Errorf("got %v, want %v", got.cols, want)
	}
}

func TestRun_Errors(t *testing.T) {
	for _, text := range []string{
		"SELECT nothing FROM people", "SELECT id FROM people WHERE nothing = 1", "SELECT id FROM people ORDER BY nothing",
		"SELECT @@nothing", "SELECT NOTHING()", "SELECT ?", "SELECT (1, 2)", "SELECT (1, 2) = 3", "SELECT (1, 2) = (1, 2, 3)",
		"SELECT id FROM people WHERE COUNT(*) > 1", "SELECT UPPER(MAX(id)) FROM people", "SELECT SUM(1, 2) FROM people",
	} {
		if got, err := run(text); err == nil {
			t.Errorf("%s: got %v, want an error", text, got.rows)
		}
	}
}

func TestParse_RefusesWhatItDoesNotServe(t *testing.T) {
	for _, text := range []string{
		"", ";", "SELECT", "SELECT 1 FROM", "SELECT 1 2 3", "SELECT * FROM a, b", "SELECT * FROM a JOIN b", "SELECT (SELECT 1)",
		"SELECT 1; SELECT 2", "INSERT INTO a VALUES (1)", "UPDATE a SET b = 1", "DELETE FROM a", "DROP TABLE a",
		"SELECT 'open", "SELECT `open", "SELECT /* open", "SELECT 1 +", "SELECT 1 LIMIT x", "SELECT 1 LIMIT -1", "SELECT X'4'",
		"SELECT 1 IN 2", "SELECT 1 IS 2", "SELECT CAST(1)", "SELECT CAST(1 AS", "KILL x", "SET", "SET a", "SET 1 = 2", "SELECT @", "SELECT \\",
		"SELECT 1 FROM a WHERE", "SELECT " + strings.Repeat("(", 10_000), "SELECT " + strings.Repeat("NOT ", 10_000) + "1",
		"SELECT " + strings.Repeat("-", 10_001) + "1", "SHOW TABLES LIKE x", "SELECT 1 BETWEEN 2", "SELECT 1.2.3 FROM x JOIN y",
	} {
		if st, err := Parse(text); err == nil {
			t.Errorf("%.60q was parsed to %T", text, st)
		}
	}
}

func TestParse_Statements(t *testing.T) {
	like := "x%"
	for text, want := range map[string]Statement{
		"SHOW GLOBAL VARIABLES LIKE 'x%'":            &Show{What: "VARIABLES", Like: &like},
		"show binary log status;":                    &Show{What: "BINARY LOG STATUS"},
		"SHOW FULL COLUMNS FROM `t` FROM `d`":        &Show{What: "COLUMNS", Table: Name{"d", "t"}},
		"SHOW CREATE TABLE d.t":                      &Show{What: "CREATE TABLE", Table: Name{"d", "t"}},
		"SHOW GRANTS FOR 'a'@'%'":                    &Show{What: "GRANTS"},
		"SHOW TABLES IN d":                           &Show{What: "TABLES", Table: Name{"", "d"}},
		"DESCRIBE t":                                 &Show{What: "COLUMNS", Table: Name{"", "t"}},
		"KILL 12":                                    &Kill{ID: 12},
		"KILL QUERY 12":                              &Kill{ID: 12, Query: true},
		"USE `d`":                                    &Use{"d"},
		"BEGIN":                                      &Transaction{Begin: true},
		"START TRANSACTION READ ONLY":                &Transaction{Begin: true},
		"START TRANSACTION WITH CONSISTENT SNAPSHOT": &Transaction{Begin: true, Snapshot: true},
		"START TRANSACTION READ ONLY, WITH CONSISTENT SNAPSHOT":  &Transaction{Begin: true, Snapshot: true},
		"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY;": &Transaction{Begin: true, Snapshot: true},
		"COMMIT":                                &Transaction{},
		"ROLLBACK TO SAVEPOINT x":               &Nothing{},
		"FLUSH TABLES WITH READ LOCK":           &Nothing{},
		"SET NAMES utf8mb4 COLLATE utf8mb4_bin": &Set{},
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ": &Set{},
		"SET @a = 'x', @@session.b = 5, GLOBAL c = ON":            &Set{[]Assignment{{true, "a", &literal{"x"}}, {false, "b", &literal{int64(5)}}, {false, "c", &literal{"ON"}}}},
		"SET autocommit=1": &Set{[]Assignment{{false, "autocommit", &literal{int64(1)}}}},
		"SET @master_binlog_checksum = @@global.binlog_checksum": &Set{[]Assignment{{true, "master_binlog_checksum", &sysVar{"binlog_checksum"}}}},
	} {
		got, err := Parse(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v and error %v, want %+v", text, got, err, want)
		}
	}
}

func TestPrepare_CountsPlaceholders(t *testing.T) {
	_, n, err := Prepare("SELECT ? FROM t WHERE a > ? AND b = '?' LIMIT 1")
	if err != nil || n != 2 {
		t.Errorf("got %d placeholders and error %v, want 2", n, err)
	}
}

func TestBound_IsFoundInConditions(t *testing.T) {
	key := []string{"a", "b"}
	for where, want := range map[string]string{
		"a > 5":                                "[5] []",
		"a >= 5 AND x = 1":                     "[5] []",
		"x = 1 AND a = 5":                      "[5] [5]",
		"a > 1 AND a <= 9":                     "[1] [9]",
		"a BETWEEN 1 AND 9":                    "[1] [9]",
		"(a, b) > (1, 2)":                      "[1 2] []",
		"(a, b) > (1, 2) AND (a, b) <= (3, 4)": "[1 2] [3 4]",
		"(a, x) > (1, 2)":                      "[1] []",
		"(b, a) > (1, 2)":                      "[] []",
		"b > 1":                                "[] []",
		"a > b":                                "[] []",
		"a > NULL":                             "[] []",
		"a > 1 OR x = 1":                       "[] []",
		"5 < a":                                "[] []",
		"a <> 5":                               "[] []",
		"`A` > ? + 1":                          "[8] []",
	} {
		st, err := Parse("SELECT 1 FROM t WHERE " + where)
		if err != nil {
			t.Fatal(err)
		}
		w := st.(*Select).Where
		env := world{[]any{int64(7)}}
		if got := fmt.Sprint(Bound(w, key, env, false), Bound(w, key, env, true)); got != want {
			t.Errorf("%s: got bounds %s, want %s", where, got, want)
		}
	}
}

func FuzzParse_NeverPanics(f *testing.F) {
	for _, s := range []string{
		"SELECT a, COUNT(*) FROM d.t WHERE (a, b) > (1, 'x') GROUP BY a ORDER BY a DESC LIMIT 1, 2 FOR SHARE",
		"SHOW VARIABLES LIKE 'x'", "SET @a = 1, b = DEFAULT", "SELECT -1.5e3, X'00', @@a, @b, ?", "START TRANSACTION WITH CONSISTENT SNAPSHOT",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2000 {
			return
		}
		st, err := Parse(text)
		if err != nil {
			return
		}
		if sel, ok := st.(*Select); ok {
			var rel Relation
			if sel.From != nil {
				rel = &people{}
			}
			_ = Run(sel, rel, world{}, &collector{})
		}
	})
}
