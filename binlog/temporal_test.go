package binlog

import (
	"testing"
	"time"

	"tailwater/change"
)

// cellColumn makes the column that a TABLE_MAP with this type would.
func cellColumn(t testing.TB, wire byte, meta ...byte) *column {
	t.Helper()
	c, err := newColumn(wire, meta)
	if err != nil {
		t.Fatal(err)
	}
	c.compile()
	return &c
}

// cellCase is one cell of a column; an empty want is an error.
type cellCase struct{ bytes, want string }

func checkCells(t *testing.T, c *column, cases ...cellCase) {
	t.Helper()
	for _, x := range cases {
		got, err := c.append(c, []byte("x"), []byte(x.bytes))
		if x.want == "" {
			if err == nil {
				t.Errorf("type %d scale %d, %x: got %s, want an error", c.wire, c.Scale, x.bytes, got)
			}
			continue
		}
		if string(got) != "x"+x.want || err != nil {
			t.Errorf("type %d scale %d, %x: got %s, %v, want x%s", c.wire, c.Scale, x.bytes, got, err, x.want)
		}
	}
}

func TestTemporal_Date(t *testing.T) {
	for _, wire := range []byte{wireDate, wireNewDate} {
		checkCells(t, cellColumn(t, wire),
			cellCase{"\x74\xd5\x0f", `"2026-11-20"`},
			cellCase{"\x00\x00\x00", `"0000-00-00"`},
			cellCase{"\x21\x00\x00", `"0000-01-01"`},
			cellCase{"\x9f\x1f\x4e", `"9999-12-31"`},
			cellCase{"\xff\xff\xff", ""},
			cellCase{"\xa1\x01\x00", ""}, // month 13
		)
	}
}

func TestTemporal_DateTime(t *testing.T) {
	checkCells(t, cellColumn(t, wireDateTime2, 0),
		cellCase{"\x80\x00\x00\x00\x00", `"0000-00-00 00:00:00"`},
		cellCase{"\x99\xbb\x68\xa2\x8a", `"2026-11-20 10:10:10"`},
		cellCase{"\x00\x00\x00\x00\x00", ""}, // negative
		cellCase{"\xff\xff\xff\xff\xff", ""},
		cellCase{"\x80\x00\x00\x00\x3c", ""}, // second 60
		cellCase{"\x80\x00\x01\x80\x00", ""}, // hour 24
	)
	checkCells(t, cellColumn(t, wireDateTime2, 1), cellCase{"\x99\xbb\x68\xa2\x8a\x5a", `"2026-11-20 10:10:10.9"`}, cellCase{"\x99\xbb\x68\xa2\x8a\x5b", ""})
	checkCells(t, cellColumn(t, wireDateTime2, 2), cellCase{"\x99\xbb\x68\xa2\x8a\x5b", `"2026-11-20 10:10:10.91"`}, cellCase{"\x99\xbb\x68\xa2\x8a\x64", ""})
	checkCells(t, cellColumn(t, wireDateTime2, 3), cellCase{"\x99\xbb\x68\xa2\x8a\x00\x46", `"2026-11-20 10:10:10.007"`}, cellCase{"\x99\xbb\x68\xa2\x8a\x00\x47", ""})
	checkCells(t, cellColumn(t, wireDateTime2, 6), cellCase{"\x99\xbb\x68\xa2\x8a\x00\x00\x01", `"2026-11-20 10:10:10.000001"`}, cellCase{"\x99\xbb\x68\xa2\x8a\x0f\x42\x40", ""})
}

func TestTemporal_Timestamp(t *testing.T) {
	checkCells(t, cellColumn(t, wireTimestamp2, 0),
		cellCase{"\x00\x00\x00\x00", `"0000-00-00 00:00:00"`},
		cellCase{"\x00\x00\x00\x01", `"1970-01-01T00:00:01Z"`},
		cellCase{"\x7f\xff\xff\xff", `"2038-01-19T03:14:07Z"`},
		cellCase{"\xff\xff\xff\xff", `"2106-02-07T06:28:15Z"`}, // MariaDB 11.5
	)
	checkCells(t, cellColumn(t, wireTimestamp2, 3),
		cellCase{"\x00\x00\x00\x00\x00\x00", `"0000-00-00 00:00:00.000"`},
		cellCase{"\x00\x00\x00\x01\x04\xce", `"1970-01-01T00:00:01.123Z"`},
		cellCase{"\x00\x00\x00\x01\xff\xff", ""},
	)
}

func TestTemporal_Time(t *testing.T) {
	checkCells(t, cellColumn(t, wireTime2, 0),
		cellCase{"\x80\x00\x00", `"00:00:00"`},
		cellCase{"\x80\x10\x83", `"01:02:03"`},
		cellCase{"\x7f\xff\xff", `"-00:00:01"`},
		cellCase{"\xb4\x6e\xfb", `"838:59:59"`},
		cellCase{"\x4b\x91\x05", `"-838:59:59"`},
		cellCase{"\xb4\x70\x00", ""}, // hour 839
		cellCase{"\x80\x00\x3c", ""},
		cellCase{"\x00\x00\x00", ""},
	)
	checkCells(t, cellColumn(t, wireTime2, 2),
		cellCase{"\x7f\xff\xff\xff", `"-00:00:00.01"`},
		cellCase{"\x7f\xff\xff\x00", `"-00:00:01.00"`},
		cellCase{"\x7f\xff\xfe\x9d", `"-00:00:01.99"`},
		cellCase{"\x80\x00\x00\x64", ""},
	)
	checkCells(t, cellColumn(t, wireTime2, 1), cellCase{"\x7f\xff\xff\xf6", `"-00:00:00.1"`}, cellCase{"\x7f\xff\xff\xff", ""})
	checkCells(t, cellColumn(t, wireTime2, 4), cellCase{"\x7f\xff\xff\xff\xff", `"-00:00:00.0001"`})
	checkCells(t, cellColumn(t, wireTime2, 6), cellCase{"\x7f\xff\xff\xff\xff\xff", `"-00:00:00.000001"`}, cellCase{"\x80\x10\x83\x00\x00\x00", `"01:02:03.000000"`})
}

func TestTemporal_Year(t *testing.T) {
	checkCells(t, cellColumn(t, wireYear), cellCase{"\x00", "0"}, cellCase{"\x01", "1901"}, cellCase{"\xff", "2155"})
}

func TestTemporal_EveryDayOfTimestampsIsTheCalendars(t *testing.T) {
	const days = 1<<32/86400 + 1
	for day := range uint32(days) {
		year, month, of := civil(day)
		want := time.Unix(int64(day)*86400, 0).UTC()
		if int(year) != want.Year() || int(month) != int(want.Month()) || int(of) != want.Day() {
			t.Fatalf("day %d is %d-%d-%d, want %s", day, year, month, of, want.Format(time.DateOnly))
		}
	}
}

func TestTemporal_TypesStateTheirPrecision(t *testing.T) {
	c := cellColumn(t, wireTime2, 4)
	if c.Type != change.Time || c.Scale != 4 || c.size != 5 {
		t.Errorf("TIME(4) is %s scale %d in %d bytes", c.Type, c.Scale, c.size)
	}
}
