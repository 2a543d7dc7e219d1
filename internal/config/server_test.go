package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestServerURL_SaysWhereAndAsWhom(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(secret, []byte("f@i/l?e\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) {
		if name == "PW" {
			return "p@s:s/w?o#r%d", true
		}
		return "", false
	}
	for _, c := range []struct{ url, typ, network, addr, user, password string }{
		{"mysql://tw:pw@db1:3307", "mysql", "tcp", "db1:3307", "tw", "pw"},
		{"mariadb://tw@db1/", "mariadb", "tcp", "db1:3306", "tw", ""},
		{"mysql://tw:${PW}@db1", "mysql", "tcp", "db1:3306", "tw", "p@s:s/w?o#r%d"},
		{"mysql://tw:${file:" + secret + "}@[::1]:3306/", "mysql", "tcp", "[::1]:3306", "tw", "f@i/l?e"},
		{"mysql://tw:${NO:-a@b}@db1", "mysql", "tcp", "db1:3306", "tw", "a@b"},
		{"mysql://a%40b:p%3Fq%2F@db1", "mysql", "tcp", "db1:3306", "a@b", "p?q/"},
		{"mysql://tw:p/a@b@db1", "mysql", "tcp", "db1:3306", "tw", "p/a@b"},
		{"mysql://root@/?socket=/run/my.sock", "mysql", "unix", "/run/my.sock", "root", ""},
		{"mariadb://root:x@localhost/?socket=/run/my.sock", "mariadb", "unix", "/run/my.sock", "root", "x"},
	} {
		src, err := ServerURL(c.url, env)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		s := src.Shards[0]
		got := []string{src.Type, s.Network, s.Addr, s.User, s.Password.Reveal(), s.ID}
		want := []string{c.typ, c.network, c.addr, c.user, c.password, c.addr}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %q, want %q", c.url, got, want)
		}
	}
}

func TestServerURL_MistakesNameTheWayOutAndNoSecret(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"postgres://tw:hunter2@db1", "mysql://user"},
		{"tw:hunter2@tcp(db1:3306)/", "mysql://user"},
		{"mysql://db1:3306", "as whom"},
		{"mysql://:hunter2@db1", "as whom"},
		{"mysql://tw:hunter2@", "neither a host nor a socket"},
		{"mysql://tw:hunter2@db1:99999", "port of 1 to 65535"},
		{"mysql://tw:hunter2@db1:", "port of 1 to 65535"},
		{"mysql://tw:hunter2@db1:port", "port of 1 to 65535"},
		{"mysql://tw:hun?ter2@db1", "the only one"},
		{"mysql://tw:hunter2%zz@db1", "%25"},
		{"mysql://tw:hunter2@db1/shop", "names a database"},
		{"mysql://tw:hunter2@db1/?tls=true", "the only one"},
		{"mysql://tw:hunter2@db1/?socket=/x", "remove one"},
		{"mysql://tw:hunter2${NOT_SET}@db1", "NOT_SET is not set"},
		{"mysql://tw:hunter2${file:/no/such}@db1", "/no/such"},
		{"mysql://tw:hunter2${x y}@db1", "no reference"},
	} {
		_, err := ServerURL(c.url, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.url, err, c.want)
			continue
		}
		if strings.Contains(err.Error(), "hun") {
			t.Errorf("%s: the password is in %q", c.url, err)
		}
	}
}

func TestProtect_AutoIsPlainToThisMachineOnly(t *testing.T) {
	for _, c := range []struct{ url, mode, want string }{
		{"mysql://a@127.0.0.1", "auto", "disable"},
		{"mysql://a@localhost", "", "disable"},
		{"mysql://a@/?socket=/s", "auto", "disable"},
		{"mysql://a@db1", "auto", "verify"},
		{"mysql://a@db1", "skip", "skip"},
	} {
		src, err := ServerURL(c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := src.Shards[0].Protect(TLS{Mode: c.mode})
		if err != nil || got.Mode != c.want {
			t.Errorf("%s with %q: got %q, %v, want %q", c.url, c.mode, got.Mode, err, c.want)
		}
	}
	s := Shard{Addr: "db1:3306"}
	if _, err := s.Protect(TLS{Mode: "on"}); err == nil || !strings.Contains(err.Error(), "verify-ca") {
		t.Errorf("an unknown mode: %v", err)
	}
	if _, err := s.Protect(TLS{Cert: "a"}); err == nil {
		t.Error("a certificate without its key is taken")
	}
}
