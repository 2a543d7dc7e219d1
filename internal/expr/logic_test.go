package expr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"tailwater/change"
)

// The truth of SQL as numbers: false 0, unknown 1, true 2. AND is the least,
// OR the greatest, NOT 2-x. It shares nothing with the code.
var truthOfNumber = map[int]truth{0: isFalse, 1: isUnknown, 2: isTrue}

// operands are conditions of each truth: natively evaluated, evaluated by CEL,
// and constant.
var operands = map[int][]string{
	0: {`id == 1`, `id + 0 == 1`, `false`},
	1: {`status == 'x'`, `lower(status) == 'x'`, `null`},
	2: {`id == 42`, `id + 0 == 42`, `true`},
}

func TestLogic_IsThatOfThreeValues(t *testing.T) {
	row := testRow("status", "null")
	check := func(src string, want int) {
		t.Helper()
		if got := truthOfBoth(t, src, row); got != truthOfNumber[want] {
			t.Errorf("%s: got %v, want %v", src, got, truthOfNumber[want])
		}
	}
	for a, as := range operands {
		for _, x := range as {
			check("!("+x+")", 2-a)
			check("("+x+") == null", map[bool]int{true: 2}[a == 1])
			check("("+x+") != null", map[bool]int{false: 2}[a == 1])
			for b, bs := range operands {
				for _, y := range bs {
					check("("+x+") && ("+y+")", min(a, b))
					check("("+x+") || ("+y+")", max(a, b))
					check("!(("+x+") && ("+y+")) == (!("+x+") || !("+y+"))", map[bool]int{true: 1, false: 2}[min(a, b) == 1])
					for c, cs := range operands {
						want := c
						if a == 2 {
							want = b
						}
						check("("+x+") ? ("+y+") : ("+cs[0]+")", want)
					}
				}
			}
		}
	}
}

// TestLogic_ErrorsDecideOnlyWhereNothingElseDoes gives && and || an operand
// that fails.
func TestLogic_ErrorsDecideOnlyWhereNothingElseDoes(t *testing.T) {
	row := testRow("status", "null")
	const fails = `int(city) == 1`
	for truth, as := range operands {
		for _, x := range as {
			for _, src := range []string{x + " && " + fails, fails + " && " + x, x + " || " + fails, fails + " || " + x, `(` + x + `) ? ` + fails + ` : true`} {
				p, err := CompilePredicate(src, testColumns)
				if err != nil {
					t.Fatal(err)
				}
				got, err := p.Eval(row)
				decided := strings.Contains(src, "&&") && truth == 0 || strings.Contains(src, "||") && truth == 2 || strings.Contains(src, "?") && truth != 2
				want := decided && !strings.Contains(src, "&&")
				if (err == nil) != decided || got != want {
					t.Errorf("%s: got %v, %v, want %v, decided %v", src, got, err, want, decided)
				}
			}
		}
	}
}

// TestGarbage_FailsOrGivesTheSameTruth puts cells that are no values of their
// columns before both ways to evaluate, and looks for a value in the errors.
func TestGarbage_FailsOrGivesTheSameTruth(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(21, 22))}
	const secret = "s3cr3t"
	garbage := []string{``, `"`, `"` + secret, secret, `"` + secret + `"`, `[` + secret, `{"n":` + secret + `}`, `{"n":"` + secret, `-`, `"\ud800` + secret + `"`, "\xff\xfe" + secret,
		`1e99999`, `0x10`, `truex`, `{"n":1` + secret + `}`, `{"` + secret + `":1}`, `nul`, `"2026-11-20T` + secret + `"`, strings.Repeat("9", 900), ` 1`}
	failed, fine := 0, 0
	for range 4000 {
		src := g.condition(g.IntN(3))
		p, err := CompilePredicate(src, testColumns)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		n, err := checkCondition(src, testColumns)
		if err != nil {
			t.Fatal(err)
		}
		run, err := newProgram(n, testColumns)
		if err != nil {
			t.Fatal(err)
		}
		row := g.row()
		for range 1 + g.IntN(4) {
			(*row)[g.IntN(len(*row))] = []byte(garbage[g.IntN(len(garbage))])
		}
		got, err := p.Eval(row)
		inCEL, celErr := (&celTest{p: run}).eval(row)
		if err == nil && celErr == nil && got != (inCEL == isTrue) {
			t.Fatalf("%s over %q: native %v, CEL %v", src, bytes.Join(*row, []byte("|")), got, inCEL)
		}
		if err == nil {
			fine++
			continue
		}
		failed++
		if e := (*EvalError)(nil); !errors.As(err, &e) || len(e.Columns) == 0 || strings.Contains(strings.ReplaceAll(err.Error(), fmt.Sprintf("%q", src), ""), secret) {
			t.Fatalf("%s: the error is %v, want an EvalError with its columns and no value", src, err)
		}
	}
	if failed < 200 || fine < 200 {
		t.Errorf("%d rows failed, %d did not: the garbage tells nothing", failed, fine)
	}
}

// TestErrors_HoldNoValue evaluates everything that can fail over rows whose
// every cell is a secret.
func TestErrors_HoldNoValue(t *testing.T) {
	const secret = "4242424242"
	row := testRow("id", secret+"42424242", "uid", secret+"42424242", "amount", secret+".42", "city", `"`+secret+`"`, "status", `"`+secret+`"`,
		"payload", `{"a":"`+secret+`","b":{"c":[`+secret+`]},"ok":"`+secret+`"}`, "ratio", secret+"e300", "fine", secret+".424242424242424242424242424242")
	failed := 0
	for _, src := range []string{
		`int(city + 'x')`, `decimal(city, 3, 1)`, `decimal(amount, 2, 1)`, `decimal(payload.a, 5, 2)`, `int(payload.b)`, `double(payload.b)`, `ratio * ratio`, `id * id`, `int(fine)`,
		`decimal(city + '.', 5, 1)`, `double(city + 'x')`, `int(uid * 100)`, `bool(payload.a)`, `payload.b.c[0] == 1 ? 1 : int(payload.a) * int(uid) * int(id) * 10`, `fine * 100000000000`, `decimal(ratio, 10, 2)`,
	} {
		v, err := CompileValue(src, testColumns)
		if err != nil {
			continue // too many digits, said without a row
		}
		if _, err := v.AppendJSON(nil, row); err != nil {
			failed++
			if strings.Contains(err.Error(), "4242") {
				t.Errorf("%s: the error holds a value: %v", src, err)
			}
		}
	}
	if failed < 10 {
		t.Errorf("only %d expressions failed: the test tells nothing", failed)
	}
}

// TestText_FunctionsAreThoseOfGo runs the text functions over random texts.
func TestText_FunctionsAreThoseOfGo(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(31, 32))}
	random := func() string {
		var b strings.Builder
		for range g.IntN(6) {
			b.WriteString(g.pick("a", "B", "é", "É", "ß", "İ", "😀", " ", "%", `"`, `\`, "\n", "'", "x", "\x00"))
		}
		return b.String()
	}
	cell := func(v any) string { b, _ := json.Marshal(v); return string(b) }
	for range 3000 {
		s, u := random(), random()
		if g.IntN(2) == 0 && s != "" {
			u = string([]rune(s)[:g.IntN(utf8.RuneCountInString(s)+1)])
		}
		row := testRow("city", cell(s), "status", cell(u))
		for src, want := range map[string]any{
			`city.startsWith(status)`: strings.HasPrefix(s, u), `city.endsWith(status)`: strings.HasSuffix(s, u), `city.contains(status)`: strings.Contains(s, u),
			`size(city)`: utf8.RuneCountInString(s), `city + status`: s + u, `city < status`: s < u, `city == status`: s == u, `city >= status`: s >= u,
			`string(city)`: s, `coalesce(city, status)`: s, `lower(city)`: strings.ToLower(s), `upper(city)`: strings.ToUpper(s),
		} {
			v, err := CompileValue(src, testColumns)
			if err != nil {
				t.Fatal(err)
			}
			got, err := v.AppendJSON(nil, row)
			var value any
			if err == nil {
				err = json.Unmarshal(got, &value)
			}
			if err != nil || fmt.Sprint(value) != fmt.Sprint(want) {
				t.Fatalf("%s with %q and %q: got %s, %v, want %v", src, s, u, got, err, want)
			}
		}
	}
}

// TestPredicates_OfOneConfigurationRunSideBySide: one Predicate belongs to one
// goroutine, but those of a configuration share nothing that is written to.
func TestPredicates_OfOneConfigurationRunSideBySide(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p, err := CompilePredicate(`payload.ship.city.matches('^P') && lower(city) == 'pune' && amount * 2 == 25 && made > '2026-01-01'`, testColumns)
			if err != nil {
				t.Error(err)
				return
			}
			row := testRow()
			for range 200 {
				if got, err := p.Eval(row); !got || err != nil {
					t.Errorf("got %v, %v, want true", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestLimits_AreExact stands just below and just above each bound.
func TestLimits_AreExact(t *testing.T) {
	text := func(n int) string { return `city != '` + strings.Repeat("x", n-10) + `'` }
	list := func(n int) string { return `id in [1` + strings.Repeat(",1", n-1) + `]` }
	for _, c := range []struct {
		what     string
		src      string
		compiles bool
	}{
		{"8 KiB", text(maxSource), true}, {"8 KiB and a byte", text(maxSource + 1), false},
		{"1000 nodes", list(maxNodes - 2), true}, {"1001 nodes", list(maxNodes - 1), false},
		{"a wide sum", "id" + strings.Repeat(" + 1", 3000) + " > 0", false},
	} {
		_, err := CompilePredicate(c.src, testColumns)
		syntax := CheckSyntax(c.src)
		if (err == nil) != c.compiles || (syntax == nil) != c.compiles {
			t.Errorf("%s: CompilePredicate %v, CheckSyntax %v, want it to compile: %v", c.what, err, syntax, c.compiles)
		}
		if err != nil && !errors.As(err, new(*SyntaxError)) {
			t.Errorf("%s: %v is not a SyntaxError", c.what, err)
		}
	}
}

// TestComparison_OfEveryTwoTypesIsDefinedOrRefused compiles each comparison of
// two columns and evaluates those that compile both ways round.
func TestComparison_OfEveryTwoTypesIsDefinedOrRefused(t *testing.T) {
	mirror := map[string]string{"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
	rng := rand.New(rand.NewPCG(41, 42))
	g := generator{rng}
	compiled := 0
	name := func(c change.Column) string { return fmt.Sprintf("col(%q)", c.Name) }
	for _, a := range testColumns {
		for _, b := range testColumns {
			for o, back := range mirror {
				src, turned := name(a)+" "+o+" "+name(b), name(b)+" "+back+" "+name(a)
				p, err := CompilePredicate(src, testColumns)
				q, err2 := CompilePredicate(turned, testColumns)
				if (err == nil) != (err2 == nil) {
					t.Errorf("%s: %v, but %s: %v", src, err, turned, err2)
				}
				if err != nil || err2 != nil {
					continue
				}
				compiled++
				for range 5 {
					row := g.row()
					x, err := p.Eval(row)
					y, err2 := q.Eval(row)
					if x != y || err != nil || err2 != nil {
						t.Fatalf("%s: %v (%v), %s: %v (%v) over %s", src, x, err, turned, y, err2, bytes.Join(*row, []byte(" ")))
					}
				}
			}
		}
	}
	if compiled < 200 {
		t.Errorf("only %d comparisons compile", compiled)
	}
}
