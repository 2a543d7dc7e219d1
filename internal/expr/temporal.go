package expr

import (
	"fmt"
	"strings"
	"time"

	"tailwater/change"
)

// parseTimeConst reads a text constant that is compared with a column of a
// temporal type, and returns it in the form of the column's own text.
//
//	DATE, DATETIME  2026-11-20, 2026-11-20 10:10:10.123; also zero and partial dates
//	TIMESTAMP       2026-11-20T10:10:10.123Z, 2026-11-20T15:40:10.123+05:30
//	TIME            -838:59:59.000
func parseTimeConst(t change.Type, text string) (timeVal, error) {
	switch t {
	case change.Timestamp:
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return timeVal{}, fmt.Errorf("a TIMESTAMP is compared with an RFC 3339 time that names its zone, such as '2026-01-01T00:00:00Z'")
		}
		return timeVal{typ: t, text: at.UTC().Format("2006-01-02T15:04:05.999999999Z")}, nil
	case change.Time:
		if _, ok := durationOf(text); !ok {
			return timeVal{}, fmt.Errorf("a TIME is compared with a text such as '-12:30:00.5'")
		}
		return timeVal{typ: t, text: text}, nil
	}
	text = strings.Replace(text, "T", " ", 1)
	if !isCivil(text) {
		return timeVal{}, fmt.Errorf("a DATE or DATETIME is compared with a text such as '2026-11-20' or '2026-11-20 10:10:10.123'")
	}
	return timeVal{typ: t, text: text}, nil
}

// isCivil reports whether text is a date, or a date and a time of day.
func isCivil(text string) bool {
	const form = "0000-00-00 00:00:00."
	if len(text) != 10 && len(text) < 19 || len(text) == 20 || len(text) > 29 {
		return false
	}
	for i := range len(text) {
		want := byte('0')
		if i < len(form) {
			want = form[i]
		}
		if c := text[i]; want == '0' && (c < '0' || c > '9') || want != '0' && c != want {
			return false
		}
	}
	return text[5:7] <= "12" && text[8:10] <= "31" &&
		(len(text) == 10 || text[11:13] <= "23" && text[14:16] <= "59" && text[17:19] <= "59")
}

// civil reports whether a temporal type has a date.
func hasDate(t change.Type) bool {
	return t == change.Date || t == change.DateTime || t == change.Timestamp
}

// comparableTimes reports whether two temporal types compare: a DATE is a
// DATETIME at midnight, a TIMESTAMP has a zone and a DATETIME has none.
func comparableTimes(a, b change.Type) bool {
	return a == b || hasDate(a) && hasDate(b) && a != change.Timestamp && b != change.Timestamp
}

// text is what both strings and slices can do here.
type text interface{ ~string | ~[]byte }

// cmpTime compares two texts of comparable temporal types.
func cmpTime[A, B text](t change.Type, a A, b B) int {
	if t == change.Time {
		x, _ := durationOf(a)
		y, _ := durationOf(b)
		return cmpInt(x, y)
	}
	return cmpDigits(a, b)
}

// cmpDigits compares dates digit by digit: every field has a fixed width and
// the largest comes first. What one text lacks is zeros, so a DATE is midnight
// and 10:10:10 equals 10:10:10.000.
func cmpDigits[A, B text](a A, b B) int {
	i, j := 0, 0
	for {
		for i < len(a) && (a[i] < '0' || a[i] > '9') {
			i++
		}
		for j < len(b) && (b[j] < '0' || b[j] > '9') {
			j++
		}
		if i >= len(a) && j >= len(b) {
			return 0
		}
		x, y := byte('0'), byte('0')
		if i < len(a) {
			x = a[i]
			i++
		}
		if j < len(b) {
			y = b[j]
			j++
		}
		if x != y {
			return cmpInt(int64(x), int64(y))
		}
	}
}

// durationOf reads the text of a TIME, [-]HH:MM:SS[.ffffff] with two or three
// digits of hours, as nanoseconds.
func durationOf[T text](s T) (ns int64, ok bool) {
	i, neg := 0, false
	if len(s) > 0 && s[0] == '-' {
		i, neg = 1, true
	}
	var fields [3]int64
	for f := range fields {
		start := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' && i-start < 3 {
			fields[f] = fields[f]*10 + int64(s[i]-'0')
			i++
		}
		if i == start || f > 0 && (i-start != 2 || fields[f] > 59) {
			return 0, false
		}
		if f < 2 {
			if i >= len(s) || s[i] != ':' {
				return 0, false
			}
			i++
		}
	}
	ns = ((fields[0]*60+fields[1])*60 + fields[2]) * int64(time.Second)
	if i < len(s) {
		if s[i] != '.' || len(s)-i > 10 {
			return 0, false
		}
		unit := int64(time.Second) / 10
		for i++; i < len(s); i++ {
			if s[i] < '0' || s[i] > '9' {
				return 0, false
			}
			ns += int64(s[i]-'0') * unit
			unit /= 10
		}
	}
	if neg {
		ns = -ns
	}
	return ns, true
}
