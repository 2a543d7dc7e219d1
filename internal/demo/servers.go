package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/shop"
)

// servers are the shards' servers.
type servers interface {
	ids() []string
	targets() []shop.Target
	shards() []shardServer
	// tls is the connect.tls of the configuration.
	tls() string
	// kind is the type of the configuration's source.
	kind() string
	close() error
}

// shardServer says how to reach one server.
type shardServer struct {
	id             string
	port           int
	user, password string
}

// startServers starts the servers that the options ask for.
func startServers(ctx context.Context, o *Options, dir string, s *screen) (servers, error) {
	if o.Shards < 1 || o.Shards > 99 {
		return nil, &UsageError{fmt.Sprintf("--shards %d: want 1 to 99", o.Shards)}
	}
	switch o.Servers {
	case "builtin":
		return startBuiltin(o.Shards)
	case "mysql", "mariadb":
		return startReal(ctx, o.Servers, o.Shards, dir, s)
	}
	return nil, &UsageError{fmt.Sprintf("--servers %q: use builtin, mysql or mariadb", o.Servers)}
}

// UsageError says that an option is wrong.
type UsageError struct{ Problem string }

// Error names the option and what it may be.
func (e *UsageError) Error() string { return e.Problem }

func shardIDs(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%02d", i)
	}
	return out
}

// builtin are primaries in this process, which speak the real protocol.
type builtin struct {
	servers []*primary.Server
}

func startBuiltin(n int) (servers, error) {
	b := new(builtin)
	for i := range n {
		s, err := primary.Start(primary.Options{ServerID: uint32(i + 1), User: "tailwater", Password: "demo"})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start primary %d: %w", i, err), b.close())
		}
		b.servers = append(b.servers, s)
	}
	return b, nil
}

func (b *builtin) ids() []string { return shardIDs(len(b.servers)) }

func (b *builtin) targets() []shop.Target {
	out := make([]shop.Target, len(b.servers))
	for i, s := range b.servers {
		out[i] = shop.OnPrimary(s)
	}
	return out
}

func (b *builtin) shards() []shardServer {
	out := make([]shardServer, len(b.servers))
	for i, s := range b.servers {
		_, port, _ := net.SplitHostPort(s.Addr())
		n, _ := strconv.Atoi(port)
		out[i] = shardServer{id: fmt.Sprintf("%02d", i), port: n, user: "tailwater", password: "demo"}
	}
	return out
}

func (b *builtin) tls() string { return "disable" }

func (b *builtin) kind() string { return "mysql" }

func (b *builtin) close() error {
	var errs []error
	for _, s := range b.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
