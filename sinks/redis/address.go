package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Sentinel names a primary that Redis Sentinel watches.
type Sentinel struct {
	// Addresses are host:port of sentinels; one that answers is enough.
	Addresses []string
	// Primary is the name that the sentinels know it by.
	Primary string
	// User and Password are the sentinels' own.
	User, Password string
}

// Cluster names a Redis Cluster.
type Cluster struct {
	// Addresses are host:port of nodes; one that answers names the others.
	Addresses []string
}

// Options are the options of Open. Exactly one of URL, Sentinel and Cluster
// says where the server is.
type Options struct {
	// URL is redis://user:password@host:port/db, rediss:// for TLS, or
	// unix:///path?db=0.
	URL      string
	Sentinel *Sentinel
	Cluster  *Cluster
	// Dial, when set, makes the connections to a URL's server, in place of TCP.
	Dial func(ctx context.Context) (net.Conn, error)
	// User and Password are the account behind Sentinel or Cluster, DB the
	// database behind Sentinel. A URL holds its own.
	User, Password string
	DB             int
	// TLS protects connections, those to sentinels too; nil is plain text. For
	// a rediss:// URL, nil trusts the system's authorities.
	TLS *tls.Config
	// Prefix begins every key. "" is DefaultPrefix. Pipelines that share a
	// server need different ones.
	Prefix string
	// Timeout bounds making a connection, and each read and write. 0 is 5 seconds.
	Timeout time.Duration
}

// client makes the client that the options describe. It does not connect.
func (o *Options) client() (goredis.UniversalClient, error) {
	timeout := o.Timeout
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	switch {
	case o.Sentinel != nil && o.Cluster == nil && o.URL == "":
		return goredis.NewFailoverClient(&goredis.FailoverOptions{
			SentinelAddrs: o.Sentinel.Addresses, MasterName: o.Sentinel.Primary,
			SentinelUsername: o.Sentinel.User, SentinelPassword: o.Sentinel.Password,
			Username: o.User, Password: o.Password, DB: o.DB, TLSConfig: o.TLS, ClientName: clientName,
			MaxRetries: -1, DialerRetries: 1, DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, ContextTimeoutEnabled: true,
		}), nil
	case o.Cluster != nil && o.Sentinel == nil && o.URL == "":
		return goredis.NewClusterClient(&goredis.ClusterOptions{
			Addrs: o.Cluster.Addresses, Username: o.User, Password: o.Password, TLSConfig: o.TLS, ClientName: clientName,
			ClusterStateReloadInterval: askCluster,
			MaxRetries:                 -1, DialerRetries: 1, DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, ContextTimeoutEnabled: true,
		}), nil
	case o.Cluster != nil || o.Sentinel != nil:
		return nil, errors.New("open redis store: want exactly one of URL, Sentinel and Cluster")
	}
	opt, err := goredis.ParseURL(o.URL)
	if err != nil {
		// The cause may quote the URL, which holds the password.
		return nil, errors.New("open redis store: the URL is not redis://user:password@host:port/db, rediss://… or unix:///path")
	}
	if o.TLS != nil {
		if opt.TLSConfig == nil {
			return nil, errors.New("open redis store: TLS is set and the URL is plain; write rediss://")
		}
		opt.TLSConfig = o.TLS
	}
	if o.Dial != nil {
		opt.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) { return o.Dial(ctx) }
	}
	opt.MaxRetries, opt.DialerRetries = -1, 1
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = timeout, timeout, timeout
	opt.ContextTimeoutEnabled = true
	opt.ClientName = clientName
	return goredis.NewClient(opt), nil
}

// askCluster is how often the nodes of a cluster in use are asked who serves
// what. A primary that is dead tells nobody that its replica took over, and the
// client does not ask for that reason alone; by itself it asks once a minute.
const askCluster = 2 * time.Second

// clientName is what CLIENT LIST shows.
const clientName = "tailwater"
