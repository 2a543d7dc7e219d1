package parquet

import (
	"fmt"
	"testing"

	"tailwater/stream/codec"
)

const headPrint = "822be25f95069fa6"

// headEvent is an event with the metadata of docs/format/event.md.
func headEvent(op string, ts int64, lsn, gtid, tail string) string {
	return fmt.Sprintf(`{"_op":"%s","_shard":"03","_ts_us":%d,"_lsn":"%s","_db":"shop","_table":"orders","_gtid":"%s","_schema":"%s}`, op, ts, lsn, gtid, tail)
}

const (
	lsn1 = "0000000100000002d093000000010000"
	lsn2 = "0000000100000002d093000000020000"
)

// learned returns a head that has learned the event.
func learned(t *testing.T, event string) *head {
	t.Helper()
	raw := make([][]byte, 2)
	value := append(make([]byte, 0, len(event)+100), event...)
	if err := codec.NewPicker([]string{"_ts_us", "_schema"}).Pick(value, raw); err != nil {
		t.Fatal(err)
	}
	h := &head{}
	h.learn(value, raw[0], raw[1], headPrint)
	return h
}

func TestHead_ReadsWhatAPickerReads(t *testing.T) {
	h := learned(t, headEvent("c", 1763633410123456, lsn1, "a:1", headPrint+`","id":1`))
	for _, e := range []string{
		headEvent("c", 1763633410123456, lsn1, "a:1", headPrint+`","id":1`),
		headEvent("u", 1, lsn2, "a:1", headPrint+`","id":2,"_old":{"id":1}`),
		headEvent("d", 999999999999999999, lsn2, "a:1", headPrint+`"`),
	} {
		raw := make([][]byte, 2)
		if err := codec.NewPicker([]string{"_ts_us", "_schema"}).Pick([]byte(e), raw); err != nil {
			t.Fatal(err)
		}
		micros, print, ok := h.read([]byte(e))
		if got := fmt.Sprintf("%d %q", micros, print); !ok || got != fmt.Sprintf("%s %s", raw[0], raw[1]) {
			t.Errorf("%s: got %s, %v", e, got, ok)
		}
	}
}

// Whatever is not as it was is left to the picker.
func TestHead_RefusesWhatItHasNotSeen(t *testing.T) {
	h := learned(t, headEvent("c", 5, lsn1, "a:1", headPrint+`"`))
	whole := headEvent("c", 5, lsn1, "a:1", headPrint+`"`)
	for name, e := range map[string]string{
		"another transaction": headEvent("c", 5, lsn1, "a:2", headPrint+`"`),
		"another schema":      headEvent("c", 5, lsn1, "a:1", `0000000000000000"`),
		"a longer schema":     headEvent("c", 5, lsn1, "a:1", headPrint+`0"`),
		"a time below zero":   headEvent("c", -5, lsn1, "a:1", headPrint+`"`),
		"a time of 19 digits": headEvent("c", 1234567890123456789, lsn1, "a:1", headPrint+`"`),
		"a short lsn":         headEvent("c", 5, lsn1[:31], "a:1", headPrint+`"`),
		"no time":             `{"_op":"c","_shard":"03","_ts_us":,"_lsn":"` + lsn1 + `"`,
		"another shard":       `{"_op":"c","_shard":"04"` + whole[24:],
		"a word as operation": `{"_op":"create"` + whole[10:],
		"nothing":             "",
		"an object":           "{}",
	} {
		if micros, print, ok := h.read([]byte(e)); ok {
			t.Errorf("%s: got %d %s", name, micros, print)
		}
	}
	for n := range whole {
		if _, _, ok := h.read([]byte(whole[:n])); ok {
			t.Errorf("the first %d bytes are read", n)
		}
	}
}

func TestHead_LearnsNothingOfAnotherOrder(t *testing.T) {
	for name, e := range map[string]string{
		"no schema":     `{"_op":"c","_shard":"03","_ts_us":5,"_lsn":"` + lsn1 + `"}`,
		"lsn elsewhere": `{"_op":"c","_lsn":"` + lsn1 + `","_ts_us":5,"_schema":"` + headPrint + `"}`,
		"schema first":  `{"_op":"c","_schema":"` + headPrint + `","_ts_us":5,"_lsn":"` + lsn1 + `"}`,
		"time first":    `{"_ts_us":5,"_op":"c","_lsn":"` + lsn1 + `","_schema":"` + headPrint + `"}`,
	} {
		if _, _, ok := learned(t, e).read([]byte(e)); ok {
			t.Errorf("%s: it was learned", name)
		}
	}
}
