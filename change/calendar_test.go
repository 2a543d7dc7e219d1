package change

import (
	"testing"
	"time"
)

// Every day of the years that a DATE can hold, and what is none.
func TestDays_AreThoseOfTheStandardLibrary(t *testing.T) {
	for at := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 10_000; at = at.AddDate(0, 0, 1) {
		if got, ok := Days(at.Year(), int(at.Month()), at.Day()); !ok || int64(got)*86400 != at.Unix() {
			t.Fatalf("%s: got %d, %v, want %d", at.Format(time.DateOnly), got, ok, at.Unix()/86400)
		}
	}
	for _, d := range [][3]int{{-1, 1, 1}, {0, 0, 0}, {2023, 0, 15}, {2023, 15, 0}, {2023, 2, 29}, {1900, 2, 29}, {2024, 2, 30}, {2023, 4, 31}, {2023, 1, 32}, {2023, 13, 1}} {
		if got, ok := Days(d[0], d[1], d[2]); ok {
			t.Errorf("%v: got %d, want none", d, got)
		}
	}
}
