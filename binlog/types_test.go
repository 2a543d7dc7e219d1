package binlog

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"tailwater/change"
)

func TestNumbers_Integers(t *testing.T) {
	signed, unsigned := map[byte]*column{}, map[byte]*column{}
	for _, wire := range []byte{wireTiny, wireShort, wireInt24, wireLong, wireLongLong} {
		s, u := column{wire: wire, size: plainSize(wire)}, column{wire: wire, size: plainSize(wire), unsigned: true}
		s.compile()
		u.compile()
		signed[wire], unsigned[wire] = &s, &u
	}
	for wire, bits := range map[byte]int{wireTiny: 8, wireShort: 16, wireInt24: 24, wireLong: 32, wireLongLong: 64} {
		if got := signed[wire]; got.Type != change.Int || got.Bits != bits {
			t.Errorf("type %d is %s of %d bits, want int of %d", wire, got.Type, got.Bits, bits)
		}
		n := bits / 8
		ones, low, high := strings.Repeat("\xff", n), strings.Repeat("\x00", n-1)+"\x80", strings.Repeat("\xff", n-1)+"\x7f"
		least := strconv.FormatInt(-1<<(bits-1), 10)
		checkCells(t, signed[wire], cellCase{ones, "-1"}, cellCase{low, least}, cellCase{high, strconv.FormatInt(1<<(bits-1)-1, 10)}, cellCase{strings.Repeat("\x00", n), "0"})
		checkCells(t, unsigned[wire], cellCase{ones, strconv.FormatUint(math.MaxUint64>>(64-bits), 10)}, cellCase{low, least[1:]}, cellCase{high, strconv.FormatInt(1<<(bits-1)-1, 10)})
	}
}

func TestNumbers_Bit(t *testing.T) {
	checkCells(t, cellColumn(t, wireBit, 1, 0), cellCase{"\x01", "1"}, cellCase{"\x02", ""})
	checkCells(t, cellColumn(t, wireBit, 1, 1), cellCase{"\x01\xff", "511"}, cellCase{"\x02\x00", ""})
	checkCells(t, cellColumn(t, wireBit, 0, 8), cellCase{"\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"})
}

func TestNumbers_FloatsAreShortestAndReadBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		f := math.Float64frombits(r.Uint64())
		g := math.Float32frombits(r.Uint32())
		a, errA := appendFloatText(nil, f, 64)
		b, errB := appendFloatText(nil, float64(g), 32)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			if errA == nil {
				t.Fatalf("%v renders as %s, want an error", f, a)
			}
		} else if back, err := strconv.ParseFloat(string(a), 64); err != nil || back != f || errA != nil || !json.Valid(a) {
			t.Fatalf("%v renders as %s, which reads back as %v, %v", f, a, back, err)
		}
		if f := float64(g); math.IsNaN(f) || math.IsInf(f, 0) {
			if errB == nil {
				t.Fatalf("%v renders as %s, want an error", g, b)
			}
		} else if back, err := strconv.ParseFloat(string(b), 32); err != nil || float32(back) != g || errB != nil || !json.Valid(b) {
			t.Fatalf("%v renders as %s, which reads back as %v, %v", g, b, back, err)
		}
	}
}

// Doubles of few decimals, and their neighbours, which have many.
func TestNumbers_ShortDecimalsAreTheShortestText(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	short := 0
	for range 300_000 {
		f := float64(r.Int64N(1<<(1+r.IntN(50)))) / []float64{1, 10, 100, 1000, 10_000, 100_000}[r.IntN(6)]
		if r.IntN(2) == 0 {
			f = -f
		}
		for _, f := range []float64{f, math.Nextafter(f, 0), math.Nextafter(f, math.Inf(1))} {
			a := math.Abs(f)
			if a < 1e-3 || a >= 1e11 {
				continue
			}
			want := strconv.AppendFloat(nil, f, 'f', -1, 64)
			if got, ok := appendShortDecimal(nil, f); ok {
				if short++; string(got) != string(want) {
					t.Fatalf("%b renders as %s, want %s", f, got, want)
				}
			}
			if got, err := appendFloatText(nil, f, 64); err != nil || string(got) != string(want) {
				t.Fatalf("%b renders as %s, %v, want %s", f, got, err, want)
			}
		}
	}
	if short < 100_000 {
		t.Errorf("only %d numbers had few decimals: the test shows little", short)
	}
}

func TestText_EscapesOnlyWhatJSONNeeds(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"plain text, longer than eight bytes / <>&'", "plain text, longer than eight bytes / <>&'"},
		{`say "hi" \o/`, `say \"hi\" \\o/`},
		{"\b\t\n\f\r", `\b\t\n\f\r`},
		{"\x00\x01\x1f\x7f", `\u0000\u0001\u001f` + "\x7f"},
		{"日本語 😀 \u2028\u2029", "日本語 😀 \u2028\u2029"},
		{"12345678\"2345678\\", `12345678\"2345678\\`},
	} {
		got, ok := appendEscaped(nil, []byte(c.in))
		if string(got) != c.want || !ok {
			t.Errorf("%q: got %s, %v, want %s", c.in, got, ok, c.want)
		}
	}
}

func TestText_EveryByteAtEveryPlace(t *testing.T) {
	for length := 1; length <= 18; length++ {
		for at := range length {
			for c := range 256 {
				s := bytes.Repeat([]byte{'.'}, length)
				s[at] = byte(c)
				got, ok := appendEscaped([]byte{'"'}, s)
				if ok != utf8.Valid(s) {
					t.Fatalf("%q: valid is %v", s, ok)
				}
				var back string
				if ok && (json.Unmarshal(append(got, '"'), &back) != nil || back != string(s)) {
					t.Fatalf("%q renders as %s", s, got)
				}
			}
		}
	}
}

func TestText_BytesThatAreNotUTF8AreRefused(t *testing.T) {
	for _, s := range []string{"\xff", "abc\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80", "日\x80本", "12345678\xe6\x97"} {
		if got, ok := appendEscaped(nil, []byte(s)); ok {
			t.Errorf("%q renders as %s, want an error", s, got)
		}
	}
}

func TestText_BinaryIsPaddedAndBytesAreNot(t *testing.T) {
	c := cellColumn(t, wireString, wireString, 4)
	c.collation = 63
	c.compile()
	checkCells(t, c, cellCase{"", `"AAAAAA=="`}, cellCase{"ab", `"YWIAAA=="`}, cellCase{"abcd", `"YWJjZA=="`}, cellCase{"abcde", ""})
	v := column{wire: wireVarchar, collation: 63, prefix: 1}
	v.compile()
	checkCells(t, &v, cellCase{"", `""`}, cellCase{"ab", `"YWI="`}, cellCase{"a\x00", `"YQA="`})
}

func TestText_EnumAndSetMembers(t *testing.T) {
	e := column{wire: wireEnum, size: 1, collation: 45}
	e.setMembers([][]byte{[]byte("new"), []byte(`a"b`)})
	s := column{wire: wireSet, size: 1, collation: 45}
	s.setMembers([][]byte{[]byte("x"), []byte("y"), []byte(`"`)})
	e.compile()
	s.compile()
	checkCells(t, &e, cellCase{"\x00", `""`}, cellCase{"\x01", `"new"`}, cellCase{"\x02", `"a\"b"`}, cellCase{"\x03", ""})
	checkCells(t, &s, cellCase{"\x00", `""`}, cellCase{"\x05", `"x,\""`}, cellCase{"\x07", `"x,y,\""`}, cellCase{"\x08", ""})
}

func TestText_AnUnknownCollationIsRefusedByNumber(t *testing.T) {
	c := column{Column: change.Column{Name: "s"}, wire: wireVarchar, prefix: 1, collation: 999}
	c.compile()
	_, err := c.append(&c, nil, []byte("a"))
	want := "collation 999 is unknown, so its character set is too: leave the column out of the view, or ALTER its character set to utf8mb4"
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant %s", err, want)
	}
	e := column{wire: wireEnum, size: 1, collation: 999}
	e.setMembers([][]byte{[]byte("new")})
	e.compile()
	checkCells(t, &e, cellCase{"\x01", ""})
}

func TestGeometryAndVector(t *testing.T) {
	checkCells(t, cellColumn(t, wireGeometry, 4), cellCase{"\xe6\x10\x00\x00\x01", `{"srid":4326,"wkb":"AQ=="}`}, cellCase{"\x00\x00\x00", ""})
	checkCells(t, cellColumn(t, wireVector, 4),
		cellCase{"", "[]"}, cellCase{"\x00\x00\xc0\x3f\x00\x00\x00\x40", "[1.5,2]"}, cellCase{"\x00\x00\xc0", ""}, cellCase{"\x00\x00\x80\x7f", ""}, cellCase{"\x00\x00\xc0\x7f", ""})
}
