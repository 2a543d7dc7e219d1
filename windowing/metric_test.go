package windowing

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tailwater/stream"
)

func TestCompile_NamesEveryMistakeAtOnce(t *testing.T) {
	_, err := Compile(Definition{
		Name: "9 lives", Size: 1500 * time.Millisecond, Aggregate: "sum(rate)", Rows: "some", OnLate: "maybe",
		GroupBy: []string{"nowhere", "city", "city"}, MaxGroups: -1, Shards: []string{"a b", "00", "00"}, Retain: time.Millisecond,
		Lateness: -1, Where: "x",
	}, columns, nil)
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{
		`name "9 lives"`, "size 1.5s", `rows "some"`, `on_late "maybe"`, `no column "nowhere"`, `"city" is named twice`, "max_groups -1",
		`shard "a b"`, `shard "00" is named twice`, "retain 1ms", "number of partitions", "lateness", "view and topic", "sum(rate): column is double", "where:",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

func TestParseAggregate_RefusesWhatIsNotExact(t *testing.T) {
	for text, want := range map[string]string{
		"sum(rate)": "double", "sum(small)": "float", "sum(city)": "want an exact number", "sum(none)": "no column",
		"avg(rate)": "double", "avg(city)": "avg(city): column is text", "min(doc)": "want a number, a date or time, or text", "median(amount)": "unknown function", "count(id)": "takes no column", "count": "want count()", "sum(amount": "want count()",
	} {
		if _, err := ParseAggregate(text, columns); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", text, err, want)
		}
	}
	for _, text := range []string{"count()", " sum( amount ) ", "sum(id)", "avg(amount)", "min(rate)", "max(city)"} {
		if _, err := ParseAggregate(text, columns); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestMetric_GenerationChangesWithWhatTheValuesDependOn(t *testing.T) {
	base := compile(t, nil).Generation()
	for name, edit := range map[string]func(d *Definition){
		"size": func(d *Definition) { d.Size = time.Minute }, "aggregate": func(d *Definition) { d.Aggregate = "count()" },
		"group": func(d *Definition) { d.GroupBy = nil }, "late": func(d *Definition) { d.OnLate = Drop },
		"rows": func(d *Definition) { d.Rows = Inserts }, "time": func(d *Definition) { d.Time = "at" },
		"lateness": func(d *Definition) { d.Lateness = time.Second }, "view": func(d *Definition) { d.View = "v" },
	} {
		if got := compile(t, edit).Generation(); got == base {
			t.Errorf("%s: the generation did not change", name)
		}
	}
	for name, edit := range map[string]func(d *Definition){
		"retain": func(d *Definition) { d.Retain = time.Hour }, "groups": func(d *Definition) { d.MaxGroups = 5 },
		"wait": func(d *Definition) { d.WaitForShards = time.Hour }, "shards": func(d *Definition) { d.Shards = []string{"77"} },
	} {
		if got := compile(t, edit).Generation(); got != base {
			t.Errorf("%s: the generation changed", name)
		}
	}
	// It is stored: a change of the hash rebuilds every metric.
	if got, want := base, "5cb6d74f3d37"; got != want {
		t.Errorf("generation: got %s, want %s", got, want)
	}
}

func TestInt_AgreesWithBigNumbers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		scale := rng.IntN(31)
		sum, want := Int{}, new(big.Int)
		for range 1 + rng.IntN(5) {
			text := randomDecimal(rng, scale)
			var v Int
			if err := v.ParseScaled([]byte(text), scale); err != nil {
				t.Fatalf("parse %s: %v", text, err)
			}
			sum.Add(&v)
			r, _ := new(big.Rat).SetString(text)
			r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
			want.Add(want, r.Num())
		}
		if got := sum.String(); got != want.String() {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func randomDecimal(rng *rand.Rand, scale int) string {
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('0' + rng.IntN(10))
		}
		return string(b)
	}
	text := digits(1 + rng.IntN(MaxDigits-scale))
	if n := rng.IntN(scale + 1); n > 0 {
		text += "." + digits(n)
	}
	if rng.IntN(2) == 0 {
		text = "-" + text
	}
	return text
}

func TestParseScaled_RefusesWhatIsNoExactDecimal(t *testing.T) {
	for _, text := range []string{"", "-", ".", "1.", ".5", "1e3", "NaN", "1.2.3", "--1", "0x10", " 1", "1.234", strings.Repeat("9", 66)} {
		var v Int
		if err := v.ParseScaled([]byte(text), 2); err == nil {
			t.Errorf("%q: got %s, want an error", text, v.String())
		}
	}
	var v Int
	if err := v.ParseScaled([]byte("1.2300"), 2); err != nil || v.String() != "123" {
		t.Errorf("zeros beyond the scale: got %s, %v, want 123", v.String(), err)
	}
}

func TestSum_CanBeTakenBack(t *testing.T) {
	a, err := ParseAggregate("sum(amount)", columns)
	if err != nil {
		t.Fatal(err)
	}
	var c Cell
	for _, sign := range []int{1, -1} {
		for _, v := range []string{"12.50", "null", "-3"} {
			if err := a.Fold(&c, []byte(v), sign); err != nil {
				t.Fatal(err)
			}
		}
	}
	if c != (Cell{}) {
		t.Errorf("cell: got %+v, want it empty", c)
	}
	if got, want := fmt.Sprint(a.AppendDelta(nil, &GroupDelta{Cell: Cell{Rows: 2, Values: -1, Sum: Int{5}}})), "[2 -1 5]"; got != want {
		t.Errorf("delta: got %s, want %s", got, want)
	}
}

func TestWatermarks_LowestCountsAndAnUnheardShardIsNone(t *testing.T) {
	shards := []string{"00", "01"}
	marks := stream.Marks{"00": {Watermark: 7}, "77": {Watermark: 1}}
	if got := WatermarksOf(shards, marks).Low(); got != 0 {
		t.Errorf("with a shard unheard: got %d, want 0", got)
	}
	marks["01"] = stream.Mark{Watermark: 5}
	if got := WatermarksOf(shards, marks).Low(); got != 5 {
		t.Errorf("got %d, want 5", got)
	}
	if got := Low([]Watermarks{{7, 5}, {9, 4}}); got != 4 {
		t.Errorf("metric: got %d, want 4", got)
	}
	if Low(nil) != 0 || (Watermarks{}).Low() != 0 {
		t.Error("nothing has a watermark")
	}
}

func TestMissing_IsDecidedInLogTime(t *testing.T) {
	const end, wait = 100, 10
	for name, c := range map[string]struct {
		partitions []Watermarks
		want       string
	}{
		"nobody is behind":                  {[]Watermarks{{100, 100}, {100, 100}}, "[]"},
		"silent everywhere":                 {[]Watermarks{{111, 50}, {111, 60}}, "[1]"},
		"not long enough":                   {[]Watermarks{{110, 50}, {111, 60}}, "[]"},
		"the worker is behind in one":       {[]Watermarks{{111, 50}, {0, 0}}, "[]"},
		"heard in one, died before another": {[]Watermarks{{111, 100}, {111, 99}}, "[1]"},
		"all are silent":                    {[]Watermarks{{90, 50}, {90, 60}}, "[]"},
		"no partition":                      {nil, "[]"},
		"only one shard":                    {[]Watermarks{{50}}, "[]"},
		"two of three":                      {[]Watermarks{{50, 111, 60}, {50, 111, 60}}, "[0 2]"},
		"one may not be called missing":     {[]Watermarks{{50, 111, 111}, {50, 111, 50}, {50, 111, 100}}, "[0 2]"},
	} {
		if got := fmt.Sprint(Missing(c.partitions, end, wait)); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestExpired_AndGapFloor_AreWindowStarts(t *testing.T) {
	for _, c := range []struct{ watermark, want int64 }{{0, 0}, {60e6, 0}, {129_999_999, 60}, {130e6, 70}} {
		if got := Expired(c.watermark, 60e6, 10); got != c.want {
			t.Errorf("expired at %d: got %d, want %d", c.watermark, got, c.want)
		}
	}
	for _, c := range []struct{ first, want int64 }{{116e6, 130}, {115e6, 130}, {114_999_999, 120}} {
		if got := GapFloor(c.first, 5e6, 10); got != c.want {
			t.Errorf("floor of a gap first heard at %d: got %d, want %d", c.first, got, c.want)
		}
	}
}
