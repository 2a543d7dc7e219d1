package redis

import (
	"context"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// DefaultPrefix begins every key unless Options says otherwise.
const DefaultPrefix = "tw:"

// Options are the options of Open.
type Options struct {
	// URL is redis://user:password@host:port/db, rediss:// for TLS, or
	// unix:///path?db=0.
	URL string
	// Prefix begins every key. "" is DefaultPrefix. Pipelines that share a
	// server need different ones.
	Prefix string
	// Timeout bounds one command. 0 is 5 seconds.
	Timeout time.Duration
}

// Store reads and writes the windows of metrics. It is safe for concurrent use.
type Store struct {
	client goredis.UniversalClient
	prefix string
	owned  bool
}

// Open returns a store over a client of its own. It does not connect: the
// first command does.
//
// The client never sends a command twice by itself. A merge whose reply was
// lost would only be refused the second time, but then nobody would know that
// the first had counted.
func Open(o Options) (*Store, error) {
	opt, err := goredis.ParseURL(o.URL)
	if err != nil {
		// The cause may quote the URL, which holds the password.
		return nil, fmt.Errorf("open redis store: the URL is not redis://user:password@host:port/db, rediss://… or unix:///path")
	}
	timeout := o.Timeout
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	// The library logs lines of its own about connections; what matters comes
	// back as an error.
	goredis.SetLogger(silent{})
	opt.MaxRetries = -1
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = timeout, timeout, timeout
	opt.ContextTimeoutEnabled = true
	opt.ClientName = "tailwater"
	s := NewStore(goredis.NewClient(opt), o.Prefix)
	s.owned = true
	return s, nil
}

// NewStore returns a store over a client of the caller's, who closes it. The
// client must read from primaries only. prefix "" is DefaultPrefix.
func NewStore(client goredis.UniversalClient, prefix string) *Store {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	return &Store{client: client, prefix: prefix}
}

// Close closes the client if the store opened it. It is idempotent.
func (s *Store) Close() error {
	if !s.owned {
		return nil
	}
	if err := s.client.Close(); err != nil && !strings.Contains(err.Error(), "closed") {
		return fmt.Errorf("close redis store: %w", err)
	}
	return nil
}

// Ping reports whether the server answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.client.Ping(ctx).Err(); err != nil {
		return explain("ping redis", err)
	}
	return nil
}

// silent is a logger of the library that says nothing.
type silent struct{}

// Printf says nothing.
func (silent) Printf(context.Context, string, ...any) {}
