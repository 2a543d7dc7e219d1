package binlog

import (
	"strings"
	"testing"
)

func TestPosition_BytesAreFixed(t *testing.T) {
	for _, c := range []struct {
		p    Position
		want string
	}{
		{Position{Flavor: MySQL, ServerUUID: uuidA, GTID: mustSet(t, uuidA+":1-7:9"), File: "binlog.000003", Pos: 1 << 33},
			`{"format":1,"flavor":"mysql","server_uuid":"` + uuidA + `","gtid":"` + uuidA + `:1-7:9","file":"binlog.000003","pos":8589934592}`},
		{Position{Flavor: MySQL, ServerUUID: uuidA, File: "host-bin.1000000", Pos: 4},
			`{"format":1,"flavor":"mysql","server_uuid":"` + uuidA + `","file":"host-bin.1000000","pos":4}`},
		{Position{Flavor: MariaDB, ServerUUID: "101", Domains: mustDomains(t, "0-101-7"), File: "binlog.000003", Pos: 1234, Prepared: []Prepared{
			{XID: "X'61',X'',1", ID: "0-101-5", After: "0-101-4", File: "binlog.000002", Pos: 99}, {XID: "X'62',X'',1", ID: "4-101-1", File: "binlog.000001", Pos: 4, Lost: true}}},
			`{"format":2,"flavor":"mariadb","server_uuid":"101","gtid":"0-101-7","file":"binlog.000003","pos":1234,"prepared":[` +
				`{"xid":"X'61',X'',1","id":"0-101-5","after":"0-101-4","file":"binlog.000002","pos":99},{"xid":"X'62',X'',1","id":"4-101-1","file":"binlog.000001","pos":4,"lost":true}]}`},
		{Position{Flavor: MySQL, GTID: &GTIDSet{}}, `{"format":1,"flavor":"mysql","server_uuid":"","gtid":"","file":"","pos":0}`},
	} {
		if got := c.p.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		back, err := ParsePosition([]byte(c.want))
		if err != nil {
			t.Errorf("%s: %v", c.want, err)
			continue
		}
		if got := back.String(); got != c.want {
			t.Errorf("read back:\n got %s\nwant %s", got, c.want)
		}
	}
}

func TestParsePosition_RefusesWhatItDoesNotKnow(t *testing.T) {
	good := `{"format":1,"flavor":"mysql","server_uuid":"u","gtid":"","file":"binlog.000001","pos":4}`
	for _, c := range []struct{ in, want string }{
		{"", "parse position"},
		{"null", "format 0"},
		{"[]", "parse position"},
		{strings.Replace(good, `"format":1`, `"format":3,"more":true`, 1), "format 3 is newer than this program's 2"},
		{strings.Replace(good, `"format":1`, `"format":2`, 1), "format 2 with 0 prepared transactions"},
		{strings.Replace(good, `4}`, `4,"prepared":[{"xid":"x","id":"y","file":"","pos":0}]}`, 1), "format 1 with 1 prepared transactions"},
		{strings.Replace(strings.Replace(good, `"format":1`, `"format":2`, 1), `4}`, `4,"prepared":[{"xid":"x","id":"","file":"","pos":0}]}`, 1), "prepared transaction 1: it has no xid or no id"},
		{strings.Replace(good, `"format":1`, `"format":0`, 1), "format 0 is not one of ours"},
		{strings.Replace(good, `"pos"`, `"poz"`, 1), "poz"},
		{strings.Replace(good, "mysql", "oracle", 1), `flavor "oracle" is not known`},
		{strings.Replace(good, "binlog.000001", "../x", 1), "not the name of a binlog file"},
		{strings.Replace(good, `"gtid":""`, `"gtid":"x"`, 1), "gtid set"},
		{strings.Replace(good, `"pos":4`, `"pos":-4`, 1), "parse position"},
		{good + good, "parse position"},
		{`{"format":1,"flavor":"mysql","server_uuid":"u","file":"","pos":0}`, "neither a GTID set nor a file"},
	} {
		if _, err := ParsePosition([]byte(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant it to say %q", c.in, err, c.want)
		}
	}
}

func TestParseStart(t *testing.T) {
	for _, good := range []string{"earliest", "latest", "gtid:", "gtid:" + uuidA + ":1-3", "file:binlog.000001:4", "file:a:b.1000000:123"} {
		if _, err := parseStart(good, MySQL); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "now", "gtid:x", "file:", "file:binlog.000001", "file:binlog:4", "file:binlog.000001:x", "file:binlog.000001:-1", "file:b\nx.000001:4"} {
		if _, err := parseStart(bad, MySQL); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestNew_ReportsEveryMistakeAtOnce(t *testing.T) {
	_, err := New(Options{Shard: "07", Flavor: "x", Position: "y", Start: "z", Heartbeat: 1, ReadTimeout: 1, ConnectTimeout: -1, MaxEvent: 1})
	for _, want := range []string{"shard 07", "host and socket", "user is empty", `flavor "x"`, `position "y"`, `"z"`, "heartbeat", "read timeout", "connect timeout", "max event"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v\nwant it to say %q", err, want)
		}
	}
	if _, err := New(Options{Host: "h", User: "u", Start: "file:binlog.000001:4"}); err == nil || !strings.Contains(err.Error(), `needs position "file"`) {
		t.Errorf("a start by file with a position by GTID: %v", err)
	}
	if _, err := New(Options{Host: "h", User: "u"}); err != nil {
		t.Errorf("the least options: %v", err)
	}
}

func TestOptions_Address(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Host: "db.example"}, "tcp db.example:3306"},
		{Options{Host: "::1", Port: 3307}, "tcp [::1]:3307"},
		{Options{Host: "h", Socket: "/run/mysql.sock"}, "unix /run/mysql.sock"},
	} {
		c.o.fill()
		network, address := c.o.address()
		if got := network + " " + address; got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// A saved position that a foreign hand or a bad disk has changed is refused by
// name, or is one: it never panics, and what is read is what would be written.
func TestHazard_B31_AChangedPositionIsRefusedOrIsOne(t *testing.T) {
	for _, good := range []string{
		`{"format":1,"flavor":"mysql","server_uuid":"u","gtid":"` + uuidA + `:1-7:9","file":"binlog.000003","pos":12}`,
		`{"format":1,"flavor":"mariadb","server_uuid":"101","gtid":"0-101-9,3-1-2","file":"binlog.000003","pos":1234}`,
	} {
		check := func(b []byte) {
			p, err := ParsePosition(b)
			if err != nil {
				if !strings.HasPrefix(err.Error(), "parse position: ") {
					t.Errorf("%q: %v, want it to say that a position is parsed", b, err)
				}
				return
			}
			text := p.String()
			if back, err := ParsePosition([]byte(text)); err != nil || back.String() != text {
				t.Errorf("%q is written as %q, which reads back as %v, %v", b, text, back, err)
			}
		}
		for i := range good {
			b := []byte(good)
			for v := range 256 {
				b[i] = byte(v)
				check(b)
			}
			check([]byte(good[:i]))
			check([]byte(good[:i] + good[i/2:]))
		}
	}
}
