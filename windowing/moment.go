package windowing

import "tailwater/change"

// timed are the types of the columns that can put rows into windows.
var timed = map[change.Type]bool{change.Date: true, change.DateTime: true, change.Timestamp: true}

// moment reads the raw JSON of a DATE, DATETIME or TIMESTAMP as seconds since
// the Unix epoch, in UTC; a fraction is cut. ok is false for what names no
// moment between 1970 and 2255: NULL, zero, partial and impossible dates, and
// whatever lies outside.
func moment(raw []byte) (seconds int64, ok bool, err error) {
	if isNull(raw) {
		return 0, false, nil
	}
	text := inside(raw)
	n, valid := [6]int64{}, len(text) >= len("2006-01-02")
	for i, at := range [6]int{0, 5, 8, 11, 14, 17} {
		width := 2
		if i == 0 {
			width = 4
		}
		if valid && i > 2 && len(text) == len("2006-01-02") {
			break // a DATE is its midnight
		}
		if valid = valid && len(text) >= at+width; !valid {
			break
		}
		for _, c := range text[at : at+width] {
			valid = valid && c >= '0' && c <= '9'
			n[i] = 10*n[i] + int64(c-'0')
		}
	}
	if !valid {
		return 0, false, errNotMoment
	}
	year, month, day := n[0], n[1], n[2]
	if year < 1970 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false, nil
	}
	seconds = daysUntil(year, month, day)*86400 + n[3]*3600 + n[4]*60 + n[5]
	return seconds, seconds <= MaxMicros/1_000_000, nil
}

func leap(year int64) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func daysIn(year, month int64) int64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if leap(year) {
			return 29
		}
		return 28
	}
	return 31
}

// daysUntil returns the days from 1970-01-01 to a date. The year begins in
// March, so that the leap day is its last.
func daysUntil(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468
}
