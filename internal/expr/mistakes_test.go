package expr

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tailwater/change"
)

// mistake is a text that does not compile and what is said about it.
type mistake struct{ src, want string }

func TestCompile_MistakesOfGrammarNamesAndTypes(t *testing.T) {
	checkMistakes(t, []mistake{
		{``, `offset 0: the expression is empty`},
		{"  \n", `offset 0: the expression is empty`},
		{`stattus == 'x'`, `offset 0: unknown column "stattus" (did you mean "status"?)`},
		{`id == 1 && zzz == 2`, `offset 11: unknown column "zzz"`},
		{`'é' == city && stats == 'x'`, `offset 16: unknown column "stats" (did you mean "status"?)`},
		{`id = 5`, `offset 3: unknown character '= ' (equality is written ==)`},
		{`id <> 5`, `offset 4: extraneous input '>' (inequality is written !=)`},
		{`id == 5 AND qty == 1`, `offset 8: unexpected 'AND' (and is written &&)`},
		{`city is null`, `offset 5: unexpected 'is' (IS NULL is written == null, IS NOT NULL is written != null)`},
		{`city like 'a%'`, `offset 5: unexpected 'like' (LIKE is written with startsWith, endsWith, contains or matches)`},
		{"id == 1 &&\n  city == 'x", `offset 21: unknown character ''x' (is a quote missing?)`},
		{`(id == 1`, `offset 8: missing ')' at the end`},
		{`package == 1`, `offset 0: reserved identifier: package (a column of that name is written col("package"))`},
		{`id == '42'`, `offset 3: int cannot be compared with text (write the number without quotes)`},
		{`city == 42`, `offset 5: text cannot be compared with int (write it in quotes, or int(...) around the text)`},
		{`id == true`, `offset 3: int cannot be compared with bool (compare it with 0 or 1)`},
		{`hash == 'x'`, `offset 5: bytes cannot be compared with text (bytes are written b"...")`},
		{`spot == 'x'`, `offset 5: geometry or vector cannot be compared with text (it can be compared with null only)`},
		{`flag > false`, `offset 5: truth values have no order`},
		{`payload.a == payload.b`, `offset 10: two JSON values have no common type to compare as (write string(...), int(...) or decimal(..., p, s) around one)`},
		{`payload.a > true`, `offset 10: JSON cannot be compared with bool`},
		{`city > null`, `offset 5: nothing is smaller or larger than null (x == null tests for NULL)`},
		{`null in [1]`, `offset 5: null is in no list (x == null tests for NULL)`},
		{`id in []`, `offset 3: the list is empty`},
		{`id in payload`, `offset 6: behind in stands a list in brackets (x in [1, 2])`},
		{`[1] == 2`, `offset 0: a list stands only behind in`},
		{`{1: 2} == 2`, `offset 0: maps and messages are not part of the language`},
		{`payload.ok`, `offset 0: a condition is needed here, not a JSON value (compare it, or write bool(...))`},
		{`id`, `offset 0: a condition is needed here, not int (compare it: ... != 0)`},
		{`city || flag`, `offset 0: a condition is needed here, not text`},
		{`id.x == 1`, `offset 0: column id is int: only a JSON column, or text that holds JSON, has members`},
		{`payload[id] == 1`, `offset 8: in brackets stands a number from 0 or a text: items[0], payload["a key"]`},
		{`payload[-1] == 1`, `offset 8: in brackets stands a number from 0 or a text: items[0], payload["a key"]`},
		{`lower(city).x == 1`, `offset 5: a path begins with a column that holds JSON`},
		{`col(city) == 1`, `offset 3: col takes the name of a column in quotes: col("order-id")`},
		{`day == 'soon'`, `offset 7: a DATE or DATETIME is compared with a text such as '2026-11-20' or '2026-11-20 10:10:10.123'`},
		{`day == '2026-13-01'`, `offset 7: a DATE or DATETIME is compared with a text such as '2026-11-20' or '2026-11-20 10:10:10.123'`},
		{`seen > '2026-01-01'`, `offset 7: a TIMESTAMP is compared with an RFC 3339 time that names its zone, such as '2026-01-01T00:00:00Z'`},
		{`took > '1 hour'`, `offset 7: a TIME is compared with a text such as '-12:30:00.5'`},
		{`seen > made`, `offset 5: timestamp cannot be compared with datetime`},
		{`seen > city`, `offset 7: timestamp is compared with a constant or another timestamp (write string(...) around the other)`},
		{`city + 1 == 'x'`, `offset 5: text and int cannot be joined (write string(...))`},
		{`payload.a * 2 == 1`, `offset 0: a JSON value has no type to compute with (write int(...), decimal(..., p, s) or double(...))`},
		{`-city == 'x'`, `offset 1: text cannot be computed with`},
	})
}

func TestCompile_MistakesOfFunctionsAndLimits(t *testing.T) {
	checkMistakes(t, []mistake{
		{`startWith(city, 'x')`, `offset 9: unknown function "startWith" (did you mean "startsWith"?)`},
		{`ifnull(city, 'x') == 'x'`, `offset 6: unknown function "ifnull" (did you mean "coalesce"?)`},
		{`startsWith(city, 'x')`, `offset 10: startsWith is written x.startsWith(y)`},
		{`city.int() == 1`, `offset 8: int is written int(x)`},
		{`city.startsWith() == 1`, `offset 15: startsWith takes 1 argument, not 0`},
		{`decimal(amount, 2) == 1`, `offset 7: decimal takes 3 arguments, not 2`},
		{`coalesce(city) == 'x'`, `offset 8: coalesce takes 2 to 20 arguments, not 1`},
		{`decimal(amount, qty, 2) == 1`, `offset 16: precision and scale of decimal are constant whole numbers (decimal(x, 12, 2))`},
		{`decimal(amount, 2, 12) == 1`, `offset 19: the scale of decimal is at most 30 and at most the precision`},
		{`decimal(amount, 66, 2) == 1`, `offset 16: precision and scale of decimal are constant whole numbers (decimal(x, 12, 2))`},
		{`city.matches('(')`, "offset 13: the pattern cannot be compiled: error parsing regexp: missing closing ): `(` (the syntax is RE2's)"},
		{`city.matches(status)`, `offset 13: the pattern of matches is a constant text`},
		{`id.startsWith('4')`, `offset 0: startsWith takes text, not int (write string(...))`},
		{`size(id) == 1`, `offset 5: size takes text, bytes or JSON, not int`},
		{`int(day) == 1`, `offset 4: int cannot be made of date`},
		{`coalesce(city, 1) == 1`, `offset 15: coalesce has values of types text and int`},
		{`(flag ? city : 1) == 1`, `offset 6: the two branches are text and int`},
		{`has(lower(city))`, `offset 9: has takes a column or a path (has(payload.ship))`},
		{`payload.items.exists(x, x.qty > 1)`, `offset 20: unknown function "exists" (did you mean "matches"?)`},
		{`id == 1e9999`, `offset 6: `},
		{`id == ` + strings.Repeat("9", 500), `offset 6: the number cannot be read: the number has more than 400 digits`},
		{strings.Repeat("(", 200) + "id" + strings.Repeat(")", 200) + " == 1", `offset 407: the expression is nested too deeply`},
		{`id in [` + strings.Repeat("1,", 1200) + `1]`, `the expression is too large`},
		{strings.Repeat(" ", 9000) + "flag", `offset 8192: the expression has 9004 bytes, at most 8192 are allowed`},
		{"city == '\xff'", `offset 0: the expression is not UTF-8`},
	})
}

func checkMistakes(t *testing.T, cases []mistake) {
	t.Helper()
	for _, c := range cases {
		_, err := CompilePredicate(c.src, testColumns)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: got %v, want a SyntaxError", c.src, err)
			continue
		}
		// A text that ends in a colon is a prefix; an offset in a huge text does not matter.
		got := syntax.Error()
		if got != c.want && !(strings.HasSuffix(c.want, ": ") && strings.HasPrefix(got, c.want)) && !(len(c.src) > 1000 && strings.HasSuffix(got, c.want)) {
			t.Errorf("%s:\n got %s\nwant %s", c.src, got, c.want)
		}
		if syntax.Offset < 0 || syntax.Offset > len(c.src) {
			t.Errorf("%s: offset %d is outside", c.src, syntax.Offset)
		}
		if !strings.HasPrefix(err.Error(), fmt.Sprintf("compile expression %q: offset ", c.src)) {
			t.Errorf("%s: the error does not begin with the expression: %v", c.src, err)
		}
	}
}

func TestCompileValue_Mistakes(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`fine * fine`, `compile expression "fine * fine": the result may have 130 digits, 60 of them behind the point; a DECIMAL has at most 65 and 30`},
		{`null`, `compile expression "null": the expression is always NULL`},
		{`nope`, `compile expression "nope": offset 0: unknown column "nope"`},
	} {
		if _, err := CompileValue(c.src, testColumns); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestCheckSyntax_NeedsNoColumns(t *testing.T) {
	for _, src := range []string{
		`a.b[0]["c"] == 1 && !(x in [1, 2])`, `decimal(a, 12, 2) * int(b) > 3`, `a == 123456789012345678901234567890`,
		`a.matches('^x')`, `col("x y") == null // a comment`, `has(a.b) ? size(a) : 3`, `a == r'\d' || b == "it's" || c == '''x'''`,
	} {
		if err := CheckSyntax(src); err != nil {
			t.Errorf("%s: %v", src, err)
		}
	}
	for _, c := range []struct{ src, want string }{
		{`a = 1`, `offset 2: unknown character '= ' (equality is written ==)`},
		{`a == 1 && lenght(b) > 1`, `offset 16: unknown function "lenght"`},
		{`a.matches('[')`, "offset 10: the pattern cannot be compiled: error parsing regexp: missing closing ]: `[` (the syntax is RE2's)"},
		{`x in y`, `offset 2: behind in stands a list in brackets (x in [1, 2])`},
		{`a.b([1])`, `offset 3: unknown function "b"`},
		{`int([1]) == 1`, `offset 4: a list stands only behind in`},
		{`A{b: 1} == 1`, `offset 1: maps and messages are not part of the language`},
		{`-[1] == 1`, `offset 1: a list stands only behind in`},
		{``, `offset 0: the expression is empty`},
		{strings.Repeat("a+", 1500) + "a", `offset 3001: the expression is nested too deeply`},
		{"x in [" + strings.Repeat("1,", 1500) + "1]", `too large`},
	} {
		err := CheckSyntax(c.src)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || err.Error() != c.want && !(len(c.src) > 100 && strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %s", c.src, err, c.want)
		}
	}
}

// FuzzCompile looks for texts that make the compiler panic, or for a row on
// which the two ways to evaluate differ.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{`status != 'test' && id in [1, 2.5]`, `payload.a[0].b == null || !(made > '2026-01-01')`, `decimal(city, 3, 1) * 2 > 1 ? flag : id == 7`, "'''a\n' + r\"\\\" == `x`", `{}[0]`, `-9223372036854775808 % id == 0`} {
		f.Add(s)
	}
	row := testRow()
	f.Fuzz(func(t *testing.T, src string) {
		if err := CheckSyntax(src); err != nil {
			if !errors.As(err, new(*SyntaxError)) {
				t.Fatalf("%q: %v is not a SyntaxError", src, err)
			}
			if _, err := CompilePredicate(src, testColumns); err == nil {
				t.Fatalf("%q compiles though its syntax is refused", src)
			}
			return
		}
		p, err := CompilePredicate(src, testColumns)
		if err != nil {
			return
		}
		native, nativeErr := p.root.eval(row)
		n, err := checkCondition(src, testColumns)
		if err != nil {
			t.Fatal(err)
		}
		run, err := newProgram(n, testColumns)
		if err != nil {
			t.Fatal(err)
		}
		inCEL, celErr := (&celTest{p: run}).eval(row)
		if (nativeErr == nil) != (celErr == nil) || nativeErr == nil && native != inCEL {
			t.Fatalf("%q: native %v (%v), CEL %v (%v)", src, native, nativeErr, inCEL, celErr)
		}
	})
}

func TestEventRow_GivesDocumentsOfJSONColumns(t *testing.T) {
	row := &EventRow{
		Columns: []change.Column{{Name: "doc", Type: change.JSON}, {Name: "n", Type: change.Int}, {Name: "gone", Type: change.Text}, {Name: "nil", Type: change.Text}},
		Cells:   [][]byte{[]byte(`"{\"a\": \"x\\\"\"}"`), []byte(`5`), nil, []byte(`null`)},
	}
	p, err := CompilePredicate(`doc.a == 'x"' && n == 5`, row.Columns)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Eval(row); !got || err != nil {
		t.Errorf("got %v, %v, want true", got, err)
	}
	if got, want := fmt.Sprint(row.State(0), row.State(2), row.State(3), row.State(9)), fmt.Sprint(change.Present, change.Absent, change.Null, change.Absent); got != want {
		t.Errorf("states: got %s, want %s", got, want)
	}
	for _, col := range []int{2, 9} {
		if _, err := row.AppendJSON(nil, col); err == nil {
			t.Errorf("cell %d is absent, got no error", col)
		}
	}
	if _, err := (&Texts{}).AppendJSON(nil, 0); err == nil {
		t.Error("an absent cell gave no error")
	}
}
