package config

import (
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

func TestParseDSN_TakesTheDriversForm(t *testing.T) {
	for _, c := range []struct {
		text string
		want dsn
	}{
		{"tw:pw@tcp(db:3306)/", dsn{user: "tw", password: "pw", network: "tcp", addr: "db:3306"}},
		{"tw@tcp(db)/shop", dsn{user: "tw", network: "tcp", addr: "db", database: "shop"}},
		{"tw:p:w@x/y@tcp([::1]:3306)/", dsn{user: "tw", password: "p:w@x/y", network: "tcp", addr: "[::1]:3306"}},
		{"tw:pw@unix(/run/my sql.sock)/", dsn{user: "tw", password: "pw", network: "unix", addr: "/run/my sql.sock"}},
		{"tw:@tcp/", dsn{user: "tw", network: "tcp"}},
		{"/", dsn{network: "tcp"}},
		{"tw:a(b)c@tcp(db:1)/", dsn{user: "tw", password: "a(b)c", network: "tcp", addr: "db:1"}},
	} {
		got, err := parseDSN(c.text)
		if err != nil || !sameDSN(got, c.want) || len(got.params) != 0 {
			t.Errorf("parseDSN(%q) = %+v, %v; want %+v", c.text, got, err, c.want)
		}
	}
	d, err := parseDSN("tw@tcp(db)/?tls=true&a=b=c&x")
	want := []param{{"tls", "true"}, {"a", "b=c"}, {"x", ""}}
	if err != nil || len(d.params) != 3 || d.params[0] != want[0] || d.params[1] != want[1] || d.params[2] != want[2] {
		t.Errorf("parameters are %v, %v; want %v", d.params, err, want)
	}
}

func sameDSN(a, b dsn) bool {
	return a.user == b.user && a.password == b.password && a.network == b.network && a.addr == b.addr && a.database == b.database
}

func TestParseDSN_ErrorsNeverQuoteIt(t *testing.T) {
	for _, text := range []string{
		"", "hunter2", "tw:hunter2@tcp(db:3306)", "tw:hunter2@tcp(db:3306/", "tw:hunter2@udp(db)/", "tw:hunter2@unix/", "mysql://tw:hunter2@db/", "hunter2(x)/",
	} {
		d, err := parseDSN(text)
		checkText(t, text, err, "bad-dsn", "")
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error shows the password: %v", text, err)
		}
		if err == nil {
			t.Errorf("%q was taken for %+v", text, d)
		}
	}
}

// FuzzParseDSN holds the parser against the driver's own: what both take means
// the same.
func FuzzParseDSN(f *testing.F) {
	for _, s := range []string{"tw:pw@tcp(db:3306)/", "a:b:c@d/e@unix(/x)/db?tls=true", "@/", "tw@tcp([::1])/", "x:(y)@tcp(z:1)/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseDSN(text)
		if err != nil {
			return
		}
		head, _, _ := strings.Cut(text, "?")
		slash := strings.LastIndexByte(text, '/')
		if slash >= len(head) || slash < 0 {
			return // The driver ends the address at the last slash even of a parameter.
		}
		want, err := mysql.ParseDSN(text[:slash+1])
		if err != nil || want.Net != got.network {
			return
		}
		addr := got.addr
		if got.network == "tcp" && addr == "" {
			addr = "127.0.0.1:3306"
		}
		if want.User != got.user || want.Passwd != got.password || !strings.Contains(want.Addr, addr) {
			t.Errorf("%q: got %+v, the driver has user %q, password %q, address %q", text, got, want.User, want.Passwd, want.Addr)
		}
	})
}

func TestIsLoopback_IsThisMachineOnly(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.8.9.1": true, "::1": true, "localhost": true, "LocalHost": true,
		"": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "localhost.example.com": false, "db": false,
	} {
		if got := isLoopback(host); got != want {
			t.Errorf("isLoopback(%q) = %t, want %t", host, got, want)
		}
	}
}
