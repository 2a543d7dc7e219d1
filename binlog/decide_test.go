package binlog

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
)

func TestClassify_Errors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Class
	}{
		{io.EOF, Retry},
		{io.ErrUnexpectedEOF, Retry},
		{net.ErrClosed, Retry},
		{syscall.ECONNRESET, Retry},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, Retry},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, Retry},
		{os.ErrDeadlineExceeded, Retry},
		{context.DeadlineExceeded, Retry},
		{mysql.ErrBadConn, Retry},
		{errStreamEnded, Retry},
		{errConnectTimeout, Retry},
		{errOtherServer, Retry},
		{mysql.NewError(1040, "Too many connections"), Retry},
		{mysql.NewError(1053, "shutdown"), Retry},
		{mysql.NewError(1317, "interrupted"), Retry},
		{mysql.NewError(1236, "purged"), Stop},
		{mysql.NewError(1045, "denied"), Stop},
		{mysql.NewError(1227, "denied"), Stop},
		{x509.UnknownAuthorityError{}, Stop},
		{&net.OpError{Op: "read", Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"}}, Stop},
		{&StopError{Reason: "r", Err: io.EOF}, Stop},
		{&PreflightError{}, Stop},
		{&HandlerError{Err: io.EOF}, Stop},
		{&PanicError{Value: io.EOF}, Stop},
		{&errChecksum{}, Stop},
		{errors.New("anything"), Stop},
	} {
		if got := Classify(fmt.Errorf("shard 00: %w", c.err)); got != c.want {
			t.Errorf("%T %v: got %v, want %v", c.err, c.err, got, c.want)
		}
	}
	if got := fmt.Sprint(Retry, Stop, Class(9)); got != "retry stop class(9)" {
		t.Errorf("classes are called %s", got)
	}
}

func TestBackoff_DoublesUpToItsCapWithJitter(t *testing.T) {
	b := Backoff{Min: 100 * time.Millisecond, Max: time.Second, Rand: func() float64 { return 1 }}
	for i, want := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		if got := b.Next(Retry); got != want*time.Millisecond {
			t.Errorf("pause %d is %v, want %v", i, got, want*time.Millisecond)
		}
	}
	b.Rand = func() float64 { return 0 }
	if got := b.Next(Retry); got != 500*time.Millisecond {
		t.Errorf("the shortest pause is %v, want half the cap", got)
	}
	if got := b.Next(Stop); got != time.Minute {
		t.Errorf("the pause after a stop is %v, want a minute", got)
	}
	if got := b.Attempts(); got != 7 {
		t.Errorf("%d attempts, want 7", got)
	}
	b.Reset()
	if got := b.Next(Retry); got != 50*time.Millisecond {
		t.Errorf("the pause after a reset is %v, want 50ms", got)
	}
	var zero Backoff
	for range 200 {
		if got := zero.Next(Retry); got < 125*time.Millisecond || got > 30*time.Second {
			t.Fatalf("a pause of %v", got)
		}
	}
}

func TestIdle_AsksWhenQuietAndBelievesWhatIsPassed(t *testing.T) {
	start := time.Unix(1e9, 0)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	end := place{"binlog.000009", 500}
	i := idle{margin: idleMargin}
	i.event(at(0))
	if i.due(at(0.5)) {
		t.Error("asked after half a second")
	}
	// Heartbeats may come a little early.
	if !i.due(at(0.95)) {
		t.Error("not asked after a second")
	}
	i.answer(at(1), 7_000_000, end)
	for _, p := range []place{{"binlog.000009", 499}, {"binlog.000008", 9999}, {"", 0}} {
		if w, ok := i.watermark(p); ok {
			t.Errorf("watermark %d at %v, which is before the end", w, p)
		}
	}
	if i.due(at(1.5)) {
		t.Error("asked twice in a second")
	}
	if w, ok := i.watermark(place{"binlog.000009", 500}); !ok || w != 6_000_000 {
		t.Errorf("watermark %d, %v at the end, want the server's clock less a second", w, ok)
	}
	if _, ok := i.watermark(place{"binlog.000010", 4}); ok {
		t.Error("one answer gave two watermarks")
	}
	// Every second in the first minute, every five later.
	asked := 0
	for s := 2.0; s < 120; s++ {
		if i.due(at(s)) {
			asked++
			i.answer(at(s), int64(s*1e6), end)
		}
	}
	if asked != 59+11 {
		t.Errorf("asked %d times in two minutes, want 70", asked)
	}
	i.event(at(121))
	if i.due(at(121.5)) {
		t.Error("asked half a second after an event")
	}
	// A higher ordinal is past, whatever its text.
	if !passed(place{"binlog.1000000", 4}, place{"binlog.999999", 100}) || passed(place{"x", 4}, place{"binlog.999999", 100}) {
		t.Error("files are compared as text")
	}
}

// resumeCase is one server and position, and where the reader begins.
type resumeCase struct {
	name, saved, start string
	mode               PositionMode
	change             func(*server)
	want               string
}

func TestServer_Resume(t *testing.T) {
	gtid := func(set string, pos int) string {
		return fmt.Sprintf(`{"format":1,"flavor":"mysql","server_uuid":"%s","gtid":"%s","file":"binlog.000003","pos":%d}`, uuidA, set, pos)
	}
	file := func(uuid, name string, pos int) string {
		return fmt.Sprintf(`{"format":1,"flavor":"mysql","server_uuid":"%s","file":"%s","pos":%d}`, uuid, name, pos)
	}
	noGTID := func(s *server) { s.vars["gtid_mode"] = "OFF" }
	for _, c := range []resumeCase{
		{"continues", gtid(uuidA+":1-50", 100), "", ByGTID, nil, gtid(uuidA+":1-50", 100)},
		{"gap above what is purged", gtid(uuidA+":1-20:30", 100), "", ByGTID, nil, gtid(uuidA+":1-20:30", 100)},
		{"purged", gtid(uuidA+":1-5", 100), "", ByGTID, nil, "has purged " + uuidA + ":6-10"},
		{"purged inside a gap", gtid(uuidA+":1-3:5-50", 100), "", ByGTID, nil, "has purged " + uuidA + ":4, which"},
		{"ahead", gtid(uuidA+":1-101", 100), "", ByGTID, nil, "holds " + uuidA + ":101, which server"},
		{"file shorter", gtid(uuidA+":1-50", 1001), "", ByGTID, nil, "ends at 1000, before the saved position"},
		{"file gone", strings.Replace(gtid(uuidA+":1-50", 9999), "000003", "000001", 1), "", ByGTID, nil, "binlog.000001"},
		{"another server", strings.Replace(gtid(uuidA+":1-50", 9999), uuidA, uuidB, 1), "", ByGTID, nil, `"server_uuid":"` + uuidA + `","gtid":"` + uuidA + `:1-50","file":"","pos":0`},
		{"no set", file(uuidA, "binlog.000003", 4), "", ByGTID, nil, "holds no GTID set"},
		{"gtid_mode off", gtid(uuidA+":1-50", 100), "", ByGTID, noGTID, `gtid_mode is "OFF"`},
		{"unreadable", "{}", "", ByGTID, nil, "cannot be read"},
		{"file continues", file(uuidA, "binlog.000003", 1000), "", ByFile, nil, file(uuidA, "binlog.000003", 1000)},
		{"file of another server", file(uuidB, "binlog.000003", 4), "", ByFile, nil, "belongs to server " + uuidB},
		{"file purged", file(uuidA, "binlog.000001", 4), "", ByFile, nil, "its oldest is binlog.000002"},
		{"file too short", file(uuidA, "binlog.000003", 1001), "", ByFile, nil, "ends at 1000"},
		{"earliest", "", "earliest", ByGTID, nil, "start: earliest, but the server has purged " + uuidA + ":1-10; start: latest"},
		{"earliest of a whole server", "", "earliest", ByGTID, func(s *server) { s.sets.purged = &GTIDSet{} }, `"gtid":"","file":"","pos":0`},
		{"earliest by file", "", "earliest", ByFile, func(s *server) { s.sets.purged = &GTIDSet{} }, `"file":"binlog.000002","pos":4`},
		{"earliest by file, purged", "", "earliest", ByFile, noGTID, "has purged the binlogs before binlog.000002"},
		{"earliest without files", "", "earliest", ByFile, func(s *server) { noGTID(s); s.files = nil }, "lists no binlog"},
		{"latest", "", "latest", ByGTID, nil, `"gtid":"` + uuidA + `:1-100","file":"binlog.000003","pos":900`},
		{"latest by file", "", "latest", ByFile, nil, file(uuidA, "binlog.000003", 900)},
		{"gtid", "", "gtid:" + uuidA + ":1-10", ByGTID, nil, `"gtid":"` + uuidA + `:1-10"`},
		{"file", "", "file:binlog.000002:77", ByFile, nil, file(uuidA, "binlog.000002", 77)},
		{"file too far", "", "file:binlog.000002:5000", ByFile, nil, "ends at 2000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := &server{
				vars:  variables{"server_uuid": uuidA, "gtid_mode": "ON"},
				sets:  gtidSets{executed: mustSet(t, uuidA+":1-100"), purged: mustSet(t, uuidA+":1-10")},
				files: []binlogFile{{"binlog.000002", 2000}, {"binlog.000003", 1000}}, end: place{"binlog.000003", 900},
			}
			if c.change != nil {
				c.change(srv)
			}
			o := Options{Shard: "00", Host: "h", User: "u", Position: c.mode, Start: c.start}
			o.fill()
			var saved []byte
			if c.saved != "" {
				saved = []byte(c.saved)
			}
			p, err := srv.resume(&o, saved)
			got := fmt.Sprint(err)
			if err == nil {
				got = p.String()
			} else if Classify(err) != Stop {
				t.Errorf("%v is of class %v, want stop", err, Classify(err))
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant …%s…", got, c.want)
			}
		})
	}
}
