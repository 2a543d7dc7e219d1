package config

import (
	"testing"
	"time"
)

func TestParseSize_NeedsNumberAndUnit(t *testing.T) {
	for _, c := range []struct {
		text string
		want Size
		code string
		fix  string
	}{
		{text: "0B", want: 0},
		{text: "512B", want: 512},
		{text: "64KiB", want: 64 << 10},
		{text: "128MiB", want: 128 << 20},
		{text: "10GiB", want: 10 << 30},
		{text: "1.5TiB", want: 3 << 39},
		{text: "10 GB", want: 10e9},
		{text: "2TB", want: 2e12},
		{text: "3KB", want: 3000},
		{text: "7MB", want: 7e6},
		{text: "16", code: "bad-size"},
		{text: "", code: "bad-size"},
		{text: "MiB", code: "bad-size"},
		{text: "-1MiB", code: "bad-size"},
		{text: "+1MiB", code: "bad-size"},
		{text: "1e3MiB", code: "bad-size"},
		{text: "0x1MiB", code: "bad-size"},
		{text: "1_000MiB", code: "bad-size"},
		{text: "NaN", code: "bad-size"},
		{text: "99999999999TiB", code: "bad-size"},
		{text: "10gib", code: "bad-size", fix: "10GiB"},
		{text: "10kb", code: "bad-size", fix: "10KB"},
		{text: "1M", code: "bad-size"},
		{text: "1GiBiB", code: "bad-size"},
	} {
		got, err := parseSize(c.text)
		checkText(t, c.text, err, c.code, c.fix)
		if err == nil && got != c.want {
			t.Errorf("parseSize(%q) = %d, want %d", c.text, got, c.want)
		}
	}
}

// checkText compares the error of a parser of text with a code and a fix.
func checkText(t *testing.T, text string, err error, code, fix string) {
	t.Helper()
	if (err != nil) != (code != "") {
		t.Errorf("%q: got error %v, want code %q", text, err, code)
		return
	}
	if err == nil {
		return
	}
	e, ok := err.(*textError)
	if !ok || e.code != code || e.fix != fix || e.msg == "" {
		t.Errorf("%q: got %#v, want code %q and fix %q", text, err, code, fix)
	}
}

func TestSizeString_ReadsBack(t *testing.T) {
	for _, s := range []Size{0, 1, 1023, 1024, 1536, 1 << 20, 10 << 30, 3 << 40, 1e9} {
		got, err := parseSize(s.String())
		if err != nil || got != s {
			t.Errorf("%s read back as %d, %v; want %d", s, got, err, s)
		}
	}
}

func TestParseDuration_NeedsNumberAndUnit(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
		code string
	}{
		{text: "0s"},
		{text: "500ms", want: 500 * time.Millisecond},
		{text: "5m", want: 5 * time.Minute},
		{text: "1h30m", want: 90 * time.Minute},
		{text: "14d", want: 14 * day},
		{text: "1d12h", want: 36 * time.Hour},
		{text: "1.5h", want: 90 * time.Minute},
		{text: "0", code: "bad-duration"},
		{text: "5", code: "bad-duration"},
		{text: "1.5", code: "bad-duration"},
		{text: "", code: "bad-duration"},
		{text: "-5m", code: "bad-duration"},
		{text: "+5m", code: "bad-duration"},
		{text: "5 m", code: "bad-duration"},
		{text: "5min", code: "bad-duration"},
		{text: "5M", code: "bad-duration"},
		{text: "d", code: "bad-duration"},
		{text: "1.5d", code: "bad-duration"},
		{text: "1d1d", code: "bad-duration"},
		{text: "110000d", code: "bad-duration"},
		{text: "106751d24h", code: "bad-duration"},
		{text: "99999999999h", code: "bad-duration"},
	} {
		got, err := parseDuration(c.text)
		checkText(t, c.text, err, c.code, "")
		if err == nil && got != c.want {
			t.Errorf("parseDuration(%q) = %v, want %v", c.text, got, c.want)
		}
	}
}

func TestShort_LeavesOutZeroUnitsAtTheEnd(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Minute: "1m", 12 * time.Hour: "12h", 90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", 10 * time.Second: "10s",
	} {
		if got := short(d); got != want {
			t.Errorf("short(%v) = %q, want %q", d, got, want)
		}
	}
}
