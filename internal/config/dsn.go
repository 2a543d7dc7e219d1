package config

import (
	"net"
	"strings"
)

// dsn is a data source name as go-sql-driver/mysql writes it:
//
//	[user[:password]@][tcp[(host[:port])]|unix[(path)]]/[database][?parameters]
//
// The last / ends the address and the last @ before it the account, so that
// either may stand in a password.
type dsn struct {
	user, password string
	network, addr  string
	database       string
	params         []param
}

type param struct{ name, value string }

// parseDSN reads a dsn. Its errors never quote the text: a password is in it.
func parseDSN(text string) (dsn, error) {
	const form = "write user:password@tcp(host:3306)/"
	slash := strings.LastIndexByte(text, '/')
	if slash < 0 || strings.HasPrefix(text, "mysql://") {
		return dsn{}, badText("bad-dsn", "this is no dsn: %s", form)
	}
	var d dsn
	head, tail := text[:slash], text[slash+1:]
	if at := strings.LastIndexByte(head, '@'); at >= 0 {
		d.user, d.password, _ = strings.Cut(head[:at], ":")
		head = head[at+1:]
	}
	network, rest, hasAddr := strings.Cut(head, "(")
	d.network = network
	if hasAddr {
		addr, ok := strings.CutSuffix(rest, ")")
		if !ok {
			return dsn{}, badText("bad-dsn", "the dsn's address has no closing parenthesis: %s", form)
		}
		d.addr = addr
	}
	if d.network == "" {
		d.network = "tcp"
	}
	if d.network != "tcp" && d.network != "unix" {
		return dsn{}, badText("bad-dsn", "the dsn has neither tcp(…) nor unix(…) behind the account: %s", form)
	}
	if d.network == "unix" && d.addr == "" {
		return dsn{}, badText("bad-dsn", "the dsn names no socket: write user@unix(/run/mysqld/mysqld.sock)/")
	}
	database, query, _ := strings.Cut(tail, "?")
	d.database = database
	if query != "" {
		for pair := range strings.SplitSeq(query, "&") {
			name, value, _ := strings.Cut(pair, "=")
			d.params = append(d.params, param{name, value})
		}
	}
	return d, nil
}

// hostPort splits host:port, host, [v6]:port and [v6]. An absent port is empty.
func hostPort(addr string) (host, port string) {
	if h, p, err := net.SplitHostPort(addr); err == nil {
		return h, p
	}
	return strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]"), ""
}

// isLoopback reports whether a host is this machine: nothing sent there passes
// a network.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// tlsOf maps the driver's tls parameter to connect.tls.
var tlsOf = map[string]string{"true": "verify", "false": "disable", "skip-verify": "skip"}

// idleParams are parameters of the driver that change nothing for a reader of
// binlogs.
var idleParams = map[string]bool{
	"allowNativePasswords": true, "charset": true, "clientFoundRows": true, "collation": true,
	"columnsWithAlias": true, "interpolateParams": true, "loc": true, "maxAllowedPacket": true,
	"multiStatements": true, "parseTime": true, "rejectReadOnly": true, "timeTruncate": true,
	"timeout": true, "readTimeout": true, "writeTimeout": true, "checkConnLiveness": true,
}
