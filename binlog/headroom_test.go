package binlog

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tailwater/binlog/primary"
)

func TestHeadroom_LowBelowATenthOrAnHour(t *testing.T) {
	for _, c := range []struct {
		h    Headroom
		want bool
	}{
		{Headroom{}, false},
		{Headroom{Retention: 30 * 24 * time.Hour, Left: 3*24*time.Hour + time.Second}, false},
		{Headroom{Retention: 30 * 24 * time.Hour, Left: 3*24*time.Hour - time.Second}, true},
		{Headroom{Retention: 4 * time.Hour, Left: 59 * time.Minute}, true},
		{Headroom{Retention: 4 * time.Hour, Left: 61 * time.Minute}, false},
		{Headroom{Retention: time.Hour, Left: 7 * time.Minute}, false},
		{Headroom{Retention: time.Hour, Left: 5 * time.Minute}, true},
		{Headroom{Retention: time.Hour, Left: -time.Minute}, true},
		{Headroom{MostBytes: 1000, Behind: 900}, false},
		{Headroom{MostBytes: 1000, Behind: 901}, true},
	} {
		if got := c.h.Low(); got != c.want {
			t.Errorf("%+v: low is %v, want %v", c.h, got, c.want)
		}
	}
}

func TestHeadroom_RetentionIsWhatTheServersSettingsSay(t *testing.T) {
	for _, c := range []struct {
		vars variables
		want time.Duration
	}{
		{variables{}, 0},
		{variables{"binlog_expire_logs_seconds": "3600"}, time.Hour},
		{variables{"binlog_expire_logs_seconds": "0", "expire_logs_days": "0.5"}, 12 * time.Hour},
		{variables{"expire_logs_days": "2"}, 48 * time.Hour},
		{variables{"binlog_expire_logs_seconds": "3600", "binlog_expire_logs_auto_purge": "OFF"}, 0},
		{variables{"binlog_expire_logs_seconds": "3600", "binlog_expire_logs_auto_purge": "ON"}, time.Hour},
	} {
		if got := c.vars.retention(); got != c.want {
			t.Errorf("%v: got %v, want %v", c.vars, got, c.want)
		}
	}
}

func TestHeadroom_IsCountedFromTheNextBinlogsBeginning(t *testing.T) {
	var seconds atomic.Int64
	seconds.Store(1_700_000_000)
	s := newSource(t, primary.Options{Now: func() time.Time { return time.Unix(seconds.Load(), 0) }, Variables: map[string]string{"binlog_expire_logs_seconds": "36000"}})
	s.insert(1)
	f := s.follow(nil)
	f.wantIDs(1, 1)
	early, _ := f.stop()
	ask := func(position []byte) Headroom {
		t.Helper()
		h, err := f.r.Headroom(t.Context(), position)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if h := ask(early); h.Left != 10*time.Hour || h.Behind != 0 || h.Method != methodLast || h.Low() {
		t.Errorf("at the end: got %+v, want all of the retention", h)
	}
	seconds.Add(3600)
	s.Rotate() // the file of the position is written to no more
	seconds.Add(2 * 3600)
	s.insert(2)
	h := ask(early)
	if h.Left != 8*time.Hour || h.Behind == 0 || h.Method != methodNext || h.Low() {
		t.Errorf("two hours behind the rotation: got %+v, want eight hours left", h)
	}
	seconds.Add(7*3600 + 1)
	if h := ask(early); h.Left != time.Hour-time.Second || !h.Low() {
		t.Errorf("nine hours behind it: got %+v, want it to be low", h)
	}
	p, err := ParsePosition(early)
	if err != nil {
		t.Fatal(err)
	}
	p.File = "binlog.000000"
	if h := ask(p.Append(nil)); h.Method != methodPurged || h.Left != 0 || !h.Low() || h.Behind == 0 {
		t.Errorf("of a binlog that is gone: got %+v", h)
	}
	p.File = ""
	if _, err := f.r.Headroom(t.Context(), p.Append(nil)); err == nil || !strings.Contains(err.Error(), "names no binlog yet") {
		t.Errorf("without a file: got %v", err)
	}
	p.File, p.ServerUUID = "binlog.000001", uuidB
	if _, err := f.r.Headroom(t.Context(), p.Append(nil)); !errors.Is(err, errOtherServer) {
		t.Errorf("of another server: got %v", err)
	}
}
