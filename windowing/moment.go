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
	days, ok := change.Days(int(n[0]), int(n[1]), int(n[2]))
	if !ok || days < 0 {
		return 0, false, nil
	}
	seconds = int64(days)*86400 + n[3]*3600 + n[4]*60 + n[5]
	return seconds, seconds <= MaxMicros/1_000_000, nil
}
