package config

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

// String returns the size in the largest unit of 1024 that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits[:4] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// Set reads a size, as the value of a flag.
func (s *Size) Set(text string) error {
	v, err := parseSize(text)
	if err == nil {
		*s = v
	}
	return err
}

// Type is how the help of a flag calls it.
func (s *Size) Type() string { return "size" }

func parseSize(text string) (Size, error) {
	number := strings.TrimRight(text, "BKMGTikmgtb ")
	unit := strings.TrimSpace(text[len(number):])
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || number == "" || strings.ContainsAny(number, "eExXpP_+-") || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, badText("bad-size", "%q is no size: write a number and a unit, such as 128MiB", text)
	}
	if unit == "" {
		return 0, badText("bad-size", "%q has no unit: write B, KiB, MiB, GiB or TiB (or KB, MB, GB, TB) behind it", text)
	}
	for _, u := range sizeUnits {
		if u.name == unit {
			b := v * float64(u.bytes)
			if b >= math.MaxInt64 {
				return 0, badText("bad-size", "%q is too large for a size", text)
			}
			return Size(b), nil
		}
	}
	for _, u := range sizeUnits {
		if strings.EqualFold(u.name, unit) {
			e := badText("bad-size", "%q has no known unit", text)
			e.fix = number + u.name
			return 0, e
		}
	}
	return 0, badText("bad-size", "%q has no known unit: write B, KiB, MiB, GiB or TiB (or KB, MB, GB, TB)", text)
}

const day = 24 * time.Hour

// parseDuration reads what time.ParseDuration reads, and days as d. Signs are
// refused, and so is 0 without a unit.
func parseDuration(text string) (time.Duration, error) {
	bad := func() error {
		return badText("bad-duration", "%q is no duration: write a number and a unit, such as 500ms, 5m, 24h or 14d", text)
	}
	if text == "" || strings.ContainsAny(text, "+-") {
		return 0, bad()
	}
	if strings.Trim(text, "0123456789.") == "" {
		return 0, badText("bad-duration", "%q has no unit: write ms, s, m, h or d behind it", text)
	}
	rest, days := text, time.Duration(0)
	if n, tail, found := strings.Cut(text, "d"); found {
		v, err := strconv.ParseInt(n, 10, 32)
		if err != nil {
			return 0, bad()
		}
		days, rest = time.Duration(v), tail
		if days > math.MaxInt64/day {
			return 0, badText("bad-duration", "%q is too long for a duration", text)
		}
		if rest == "" {
			return days * day, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil {
		return 0, bad()
	}
	if d > math.MaxInt64-days*day {
		return 0, badText("bad-duration", "%q is too long for a duration", text)
	}
	return days*day + d, nil
}
