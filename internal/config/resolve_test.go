package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// load parses a file that must have no error.
func load(t *testing.T, text string) (*Resolved, Findings) {
	t.Helper()
	c, findings := Parse("/etc/tailwater/t.yaml", []byte(text), lookup)
	if c == nil {
		t.Fatalf("got\n%s", findings)
	}
	return c.Resolved(), findings
}

// withServer is a file of one server with these keys, and these of connect.
func withServer(server, connect string) string {
	return fmt.Sprintf(`version: 1
name: shop
state: { dir: state }
sources:
  orders:
    shards: { list: [{ name: a, %s }] }
    server_id: 1
    connect: { %s }
tables: { orders: { from: { source: orders, schema: s, table: t }, key: [id] } }
views: { orders: { from: orders } }
`, server, connect)
}

func TestShard_AddressIsTheDSNsUnlessAKeySaysOtherwise(t *testing.T) {
	for _, c := range []struct{ server, want string }{
		{`dsn: "tw:pw@tcp(db:3307)/"`, "tcp db:3307 tw pw"},
		{`dsn: "tw:pw@tcp(db)/"`, "tcp db:3306 tw pw"},
		{`dsn: "tw:pw@tcp/"`, "tcp 127.0.0.1:3306 tw pw"},
		{`dsn: "tw:pw@tcp([::1])/"`, "tcp [::1]:3306 tw pw"},
		{`dsn: "tw:pw@tcp(db:3307)/", host: other`, "tcp other:3307 tw pw"},
		{`dsn: "tw:pw@tcp(db:3307)/", port: 3308`, "tcp db:3308 tw pw"},
		{`dsn: "tw:pw@tcp(db)/", user: u, password: p`, "tcp db:3306 u p"},
		{`dsn: "tw:pw@tcp(db)/", socket: /run/s`, "unix /run/s tw pw"},
		{`dsn: "tw:pw@unix(/run/s)/"`, "unix /run/s tw pw"},
		{`dsn: "tw:pw@unix(/run/s)/", host: db`, "tcp db:3306 tw pw"},
		{`host: db, user: tw`, "tcp db:3306 tw "},
		{`host: "::1", user: tw, port: 3310`, "tcp [::1]:3310 tw "},
		{`socket: /run/s, user: tw`, "unix /run/s tw "},
	} {
		r, _ := load(t, withServer(c.server, "tls: disable"))
		s := r.Sources[0].Shards[0]
		if got := strings.Join([]string{s.Network, s.Addr, s.User, s.Password.Reveal()}, " "); got != c.want {
			t.Errorf("{ %s } is %q, want %q", c.server, got, c.want)
		}
	}
}

func TestShard_HostSplitsTheAddress(t *testing.T) {
	for _, c := range []struct {
		shard Shard
		host  string
		port  uint16
	}{
		{Shard{Network: "tcp", Addr: "db:3307"}, "db", 3307},
		{Shard{Network: "tcp", Addr: "[::1]:3306"}, "::1", 3306},
		{Shard{Network: "tcp", Addr: "db"}, "db", 0},
		{Shard{Network: "unix", Addr: "/run/s"}, "", 0},
	} {
		if host, port := c.shard.Host(); host != c.host || port != c.port {
			t.Errorf("%s: got %s and %d, want %s and %d", c.shard.Addr, host, port, c.host, c.port)
		}
	}
}

func TestTLS_IsOnByDefaultWhereverANetworkIs(t *testing.T) {
	for _, c := range []struct{ server, connect, mode, warning string }{
		{`host: 127.0.0.1, user: tw, password: p`, "", "disable", ""},
		{`host: localhost, user: tw, password: p`, "", "disable", ""},
		{`socket: /run/s, user: tw, password: p`, "", "disable", ""},
		{`host: db, user: tw, password: p`, "", "verify", ""},
		{`host: db, user: tw, password: p`, "tls: disable", "disable", "plain-password"},
		{`host: db, user: tw`, "tls: disable", "disable", ""},
		{`host: db, user: tw, password: p`, "tls: skip", "skip", "unverified-tls"},
		{`host: db, user: tw, password: p`, "tls: verify-ca, ca: /ca.pem", "verify-ca", ""},
		{`dsn: "tw:p@tcp(db)/?tls=true"`, "", "verify", ""},
		{`dsn: "tw:p@tcp(db)/?tls=false"`, "", "disable", "plain-password"},
		{`dsn: "tw:p@tcp(db)/?tls=skip-verify"`, "", "skip", "unverified-tls"},
		{`dsn: "tw:p@tcp(db)/?tls=false"`, "tls: verify", "verify", ""},
		{`host: "127.0.0.1", user: tw`, "tls: verify, server_name: db", "verify", ""},
	} {
		r, findings := load(t, withServer(c.server, c.connect))
		if got := r.Sources[0].Shards[0].TLS.Mode; got != c.mode {
			t.Errorf("{ %s } with { %s } is %s, want %s", c.server, c.connect, got, c.mode)
		}
		if c.warning == "" && len(findings) > 0 || !strings.Contains(findings.String(), c.warning) {
			t.Errorf("{ %s } with { %s }: want warning %q, got\n%s", c.server, c.connect, c.warning, findings)
		}
	}
}

func TestLint_KnowsTheFormOfADSNWithReferences(t *testing.T) {
	for dsn, code := range map[string]string{
		"${DSN}":                                "",
		"${ACCOUNT}@tcp(db)/":                   "",
		"tw:${PW}@tcp(${HOST}:${PORT})/":        "",
		"tw:${PW}@${ADDRESS}/":                  "",
		"tw:${file:/run/secrets/pw}@tcp(db)/":   "",
		"tw:${PW}@tcp(db)/?tls=${TLS}":          "",
		"tw:${PW}@tcp(db)/?tls=false":           "plain-password",
		"tw:${PW:-x}@udp(db)/":                  "bad-dsn",
		"tw:${PW}@tcp(db:0)/":                   "out-of-range",
		"tw:${PW}@tcp(${HOST}:0)/":              "out-of-range",
		"tw:${PW}@tcp(db)/${DATABASE}?loc=UTC&": "no-effect",
	} {
		findings := LintBytes("t.yaml", []byte(withServer(`dsn: "`+dsn+`"`, "")))
		if code == "" && len(findings) > 0 || !strings.Contains(findings.String(), code) {
			t.Errorf("%s: want %q, got\n%s", dsn, code, findings)
		}
	}
}

func TestResolved_RelativePathsStartAtTheFile(t *testing.T) {
	r, _ := load(t, withServer("host: db, user: tw", "tls: verify, ca: certs/ca.pem, cert: ../c.pem, key: /k.pem")+"lake: { url: file://./lake }\n")
	s := r.Sources[0].Shards[0].TLS
	got := strings.Join([]string{r.StateDir, s.CA, s.Cert, s.Key, r.Lake.Dir}, " ")
	want := "/etc/tailwater/state /etc/tailwater/certs/ca.pem /etc/c.pem /k.pem /etc/tailwater/lake"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestResolved_ViewsTakeTheTablesKeyUnderTheirOwnNames(t *testing.T) {
	r, _ := load(t, `version: 1
name: shop
state: { dir: state }
sources: { orders: { shards: { list: [{ name: a, host: 127.0.0.1, user: tw }] }, server_id: 1 } }
tables: { orders: { from: { source: orders, schema: s, table: t }, key: [shard, ID] } }
views:
  all: { from: orders }
  copied: { from: orders, select: { "*": [city, id] } }
  own: { from: orders, select: { city: city }, key: [city] }
  renamed: { from: orders, select: { order_id: id, city: city } }
  same: { from: orders, select: { Id: , city: city } }
  star: { from: orders, select: { city: payload.city, "*": "*" } }
`)
	want := map[string]string{"all": "shard ID", "copied": "shard id", "own": "city", "renamed": "shard order_id", "same": "shard Id", "star": "shard ID"}
	for _, v := range r.Views {
		if got := strings.Join(v.Key, " "); got != want[v.Name] {
			t.Errorf("the key of %s is %s, want %s", v.Name, got, want[v.Name])
		}
	}
	if len(r.Views) != len(want) {
		t.Errorf("%d views, want %d", len(r.Views), len(want))
	}
}

func TestResolved_MasksOfTableAndViewAddUp(t *testing.T) {
	r, _ := load(t, `version: 1
name: shop
state: { dir: state }
sources: { orders: { shards: { list: [{ name: a, host: 127.0.0.1, user: tw }] }, server_id: 1 } }
tables:
  orders:
    from: { source: orders, schema: s, table: t }
    key: [id]
    masking: { email: hash, phone: drop }
    masking_salt: table-salt-0123456789
views:
  a: { from: orders, masking: { city: hash } }
  b: { from: orders, masking: { city: hash, zip: truncate(2) }, masking_salt: view-salt-0123456789 }
`)
	for i, want := range []map[string]string{
		{"email": "hash table-salt-0123456789", "phone": "drop ", "city": "hash table-salt-0123456789"},
		{"email": "hash table-salt-0123456789", "phone": "drop ", "city": "hash view-salt-0123456789", "zip": "truncate "},
	} {
		got := r.Views[i].Masking
		if len(got) != len(want) {
			t.Errorf("view %s masks %d columns, want %d", r.Views[i].Name, len(got), len(want))
		}
		for column, m := range want {
			if text := got[column].Kind + " " + string(got[column].Salt); text != m {
				t.Errorf("view %s: %s is %s, want %s", r.Views[i].Name, column, text, m)
			}
		}
	}
}

func TestResolved_MetricsTakeTheDefaultsThatTheyDoNotSay(t *testing.T) {
	r, _ := load(t, withServer("socket: /s, user: tw", "")+`windows:
  defaults: { size: 1m, lateness: 3s, on_late: drop, wait_for_shards: 4s }
  metrics:
    a: { view: orders, value: count() }
    b: { view: orders, value: count(), size: 2m, lateness: 0s, on_late: revise, wait_for_shards: 0s }
`)
	for i, want := range []Metric{
		{Size: time.Minute, Lateness: 3 * time.Second, OnLate: "drop", WaitForShards: 4 * time.Second},
		{Size: 2 * time.Minute, OnLate: "revise"},
	} {
		got := r.Windows.Metrics[i]
		if got.Size != want.Size || got.Lateness != want.Lateness || got.OnLate != want.OnLate || got.WaitForShards != want.WaitForShards || got.MaxGroups != 100_000 {
			t.Errorf("metric %s is %+v, want %+v", got.Name, got.Metric, want)
		}
	}
}

func TestParse_WithoutWindowsAndLakeThereAreNone(t *testing.T) {
	r, findings := load(t, withServer("socket: /s, user: tw", ""))
	if r.Windows != nil || r.Lake != nil || len(findings) != 0 {
		t.Errorf("got %+v, %+v and\n%s", r.Windows, r.Lake, findings)
	}
}
