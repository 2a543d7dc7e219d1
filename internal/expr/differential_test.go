package expr

import (
	"bytes"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"tailwater/internal/jsontext"
)

// generator makes random conditions and rows. Its conditions are well typed,
// so that every one of them is evaluated.
type generator struct{ *rand.Rand }

func (g generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g generator) number() string {
	return g.pick("0", "1", "-1", "42", "3", "12.5", "12.50", "-0.001", "18446744073709551615", "9223372036854775807", "99999999999999999999.9", "0.1", "1e2")
}

func (g generator) text() string {
	return g.pick("''", "'paid'", "'test'", "'Pune'", "'a\"b'", `'é\n'`, "'42'", "'true'")
}

// comparison returns a condition over one column or path and constants.
func (g generator) comparison() string {
	o := g.pick("==", "!=", "<", "<=", ">", ">=")
	eq := g.pick("==", "!=")
	switch g.IntN(12) {
	case 0, 1:
		return g.pick("id", "uid", "fine", "amount", "ratio", "qty", "payload.n", "doc.n", "payload.a.b") + o + g.number()
	case 2, 3:
		return g.pick("city", "status", "payload.n", "doc.n", "payload.a[1]") + o + g.text()
	case 4:
		return fmt.Sprintf("%s in [%s, %s, %s]", g.pick("amount", "id", "ratio", "payload.n"), g.number(), g.pick("null", g.number()), g.number())
	case 5:
		return fmt.Sprintf("%s in [%s, %s, %s]", g.pick("city", "status", "payload.n"), g.text(), g.pick("null", g.text()), g.text())
	case 6:
		return g.pick("id", "city", "payload", "payload.a.b", "payload.n", "doc.n", "doc", "flag", "spot") + eq + "null"
	case 7:
		return g.pick("city", "status", "payload.n") + "." + g.pick("startsWith", "endsWith", "contains", "matches") + "(" + g.pick("'P'", "'a'", "''", "'42'") + ")"
	case 8:
		return g.pick("day", "made") + o + g.pick("'2026-11-20'", "'2026-11-20 10:10:10.123'", "'0000-00-00'")
	case 9:
		return g.pick("flag", "payload.n == true", "flag "+eq+" false", "hash "+eq+" b'hello'", "took "+o+" '-01:00:00'")
	case 10:
		return g.pick("amount * 2", "id + qty", "uid - 1", "amount / qty", "ratio + 1", "id % 7", "coalesce(amount, 0)") + o + g.number()
	}
	return g.number() + o + g.pick("id", "amount", "ratio", "payload.n")
}

func (g generator) condition(depth int) string {
	if depth == 0 {
		return "(" + g.comparison() + ")"
	}
	switch g.IntN(6) {
	case 0, 1:
		return "(" + g.condition(depth-1) + " && " + g.condition(depth-1) + ")"
	case 2, 3:
		return "(" + g.condition(depth-1) + " || " + g.condition(depth-1) + ")"
	case 4:
		return "!" + g.condition(depth-1)
	}
	return "(" + g.condition(depth-1) + g.pick(" ? ", "? ") + g.condition(depth-1) + " : " + g.condition(depth-1) + ")"
}

func (g generator) row() *Texts {
	n := g.pick(`1`, `12.50`, `"paid"`, `"42"`, `true`, `false`, `null`, `{}`, `[1,"a"]`, `1e2`, `"a\"b"`, `-0.001`)
	row := testRow(
		"fine", g.pick("null", "0.000000000000000000000000000000", "99999999999999999999.900000000000000000000000000000", "-18446744073709551615.000000000000000000000000000000"),
		"id", g.pick("0", "42", "-1", "9223372036854775807", "-9223372036854775808"),
		"uid", g.pick("null", "0", "18446744073709551615", `"18446744073709551615"`),
		"amount", g.pick("null", "12.50", "-0.00", "0.10", "99999999.99"),
		"ratio", g.pick("null", "0.1", "-1", "42", "1.5e+300"),
		"status", g.pick("null", `"paid"`, `"test"`, `""`),
		"city", g.pick("null", `"Pune"`, `"a\"b"`, `"é\n"`, `"\u00e9\n"`, `""`),
		"payload", g.pick("null", `{"n":`+n+`}`, `{"a":{"b":`+n+`},"n": `+n+`}`, `{"a":[0, `+n+`]}`, `[]`, `null`, `"x"`),
		"doc", g.pick("null", string(jsontext.AppendQuoted(nil, []byte(`{"n": `+n+`}`))), `"{\"n\": [}"`, `"n"`),
		"flag", g.pick("null", "true", "false"),
		"made", g.pick("null", `"0000-00-00 00:00:00.000"`, `"2026-11-20 10:10:10.123"`, `"2026-11-20 00:00:00.000"`),
		"took", g.pick("null", `"-01:00:00.000"`, `"838:59:59.000"`),
		"spot", g.pick("null", `{"srid":0,"wkb":""}`),
		"qty", g.pick("0", "3", "-7"),
	)
	return row
}

// TestNativeAndCEL_GiveTheSameTruth is the property that lets a condition be
// taken apart: whatever part runs natively, the result is CEL's.
func TestNativeAndCEL_GiveTheSameTruth(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(1, 2))}
	counts := map[truth]int{}
	for range 3000 {
		src := g.condition(g.IntN(4))
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
		inCEL := &celTest{p: run}
		for range 10 {
			row := g.row()
			got, err := p.root.eval(row)
			want, err2 := inCEL.eval(row)
			if got != want || err != nil || err2 != nil {
				t.Fatalf("%s over %s:\nnative %v (%v)\nCEL    %v (%v)", src, bytes.Join(*row, []byte(" ")), got, err, want, err2)
			}
			counts[got]++
		}
	}
	for _, v := range []truth{isFalse, isTrue, isUnknown} {
		if counts[v] < 1000 {
			t.Errorf("truth %v came only %d times: the conditions do not exercise it", v, counts[v])
		}
	}
}

// TestNum_AgreesWithRationals checks the arithmetic against math/big's
// fractions, which share no code with it but the integers.
func TestNum_AgreesWithRationals(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(3, 4))}
	random := func() string {
		digits := g.pick("0", "7", "18", "99", "123456789", "999999999999999999", "9223372036854775807", "9223372036854775808", "18446744073709551615", strings.Repeat("9", 35), strings.Repeat("12", 30))
		if n := g.IntN(len(digits) + 1); g.IntN(2) == 0 {
			digits = "0" + digits[:n] + "." + digits[n:] + g.pick("0", "5", "000000000000000000000000000001")
		}
		return g.pick("", "-", "+") + digits
	}
	rat := func(s string) *big.Rat {
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatalf("%s is no number", s)
		}
		return r
	}
	for range 20000 {
		s, u := random(), random()
		a, err := parseNum([]byte(s))
		b, err2 := parseNum([]byte(u))
		if err != nil || err2 != nil {
			t.Fatal(s, err, u, err2)
		}
		x, y := rat(s), rat(u)
		check := func(name string, got num, want *big.Rat) {
			t.Helper()
			if rat(string(got.appendText(nil))).Cmp(want) != 0 {
				t.Fatalf("%s %s %s: got %s, want %s", s, name, u, got.appendText(nil), want.RatString())
			}
		}
		check("read", a, x)
		check("+", a.add(b), new(big.Rat).Add(x, y))
		check("-", a.sub(b), new(big.Rat).Sub(x, y))
		check("*", a.mul(b), new(big.Rat).Mul(x, y))
		check("neg", a.neg(), new(big.Rat).Neg(x))
		if got, want := a.cmp(b), x.Cmp(y); got != want {
			t.Fatalf("%s cmp %s: got %d, want %d", s, u, got, want)
		}
		p, ok := splitNum([]byte(s))
		q, ok2 := splitNum([]byte(u))
		if got, want := cmpLong(p, q), x.Cmp(y); got != want || !ok || !ok2 {
			t.Fatalf("%s cmpLong %s: got %d, want %d", s, u, got, want)
		}
		scale := g.IntN(6)
		check("rescale", a.rescale(scale), rat(x.FloatString(scale))) // FloatString rounds halves away from zero
		if b.sign() != 0 {
			ratio := new(big.Rat).Quo(x, y)
			check("/", a.quo(b), rat(ratio.FloatString(a.scale+divExtra)))
			whole := new(big.Rat).SetInt(new(big.Int).Quo(ratio.Num(), ratio.Denom()))
			check("%", a.rem(b), new(big.Rat).Sub(x, new(big.Rat).Mul(whole, y)))
		}
		if f, _ := x.Float64(); a.float() != f {
			t.Fatalf("%s: float %v, want %v", s, a.float(), f)
		}
	}
}

func TestNum_TextKeepsItsScale(t *testing.T) {
	for _, s := range []string{"0", "0.00", "-0.05", "12.50", "0.000000000000000000000000000001", "-99999999999999999999999999999999999.999999999999999999999999999999"} {
		n, err := parseNum([]byte(s))
		if err != nil || string(n.appendText(nil)) != s {
			t.Errorf("%s: got %s, %v", s, n.appendText(nil), err)
		}
	}
	for s, want := range map[string]string{"1e3": "1000", "1.5E+2": "150", "25e-1": "2.5", "-0.00": "0.00", ".5": "0.5", "5.": "5", "-9223372036854775808": "-9223372036854775808"} {
		n, err := parseNum([]byte(s))
		if err != nil || string(n.appendText(nil)) != want {
			t.Errorf("%s: got %s, %v, want %s", s, n.appendText(nil), err, want)
		}
	}
	for _, s := range []string{"", "-", ".", "1..2", "1e", "e1", "0x1", "1 ", "--1", "1e401", strings.Repeat("1", 801)} {
		if n, err := parseNum([]byte(s)); err == nil {
			t.Errorf("%q: got %s and no error", s, n.appendText(nil))
		}
	}
}

func BenchmarkPredicate(b *testing.B) {
	row := testRow()
	for _, src := range []string{
		`status != 'test'`, `id > 41`, `amount >= 12.5`, `uid == 18446744073709551615`, `city in ['Oslo', 'Rome', 'Pune']`,
		`status != 'test' && amount > 1 && city != null`, `payload.ship.city == 'Pune'`, `payload.ok == true`, `made >= '2026-01-01'`, `ratio < 2`,
		`amount * 2 > 5`,
	} {
		b.Run(src, func(b *testing.B) {
			p, err := CompilePredicate(src, testColumns)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Eval(row); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestPredicate_NativePartsAllocateNothing(t *testing.T) {
	row := testRow("city", `"a\"b"`)
	for _, src := range []string{
		`status != 'test' && id > 41.5 && amount in [1, 12.50] && !(city == null)`, `payload.ship.city == 'Pune' || payload.items[1].sku != 'x'`,
		`made >= '2026-01-01' && took < '00:00:00' && hash != b'x' && flag && ratio < 1`, `city.startsWith('a') && city.matches('b$')`, `uid > 18446744073709551614 && fine < 1e40 && uid in [1, 18446744073709551615]`,
	} {
		p, err := CompilePredicate(src, testColumns)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = p.Eval(row) }); n != 0 {
			t.Errorf("%s: %v allocations per row, want 0", src, n)
		}
	}
}
