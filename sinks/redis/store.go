package redis

import (
	"context"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// DefaultPrefix begins every key unless Options says otherwise.
const DefaultPrefix = "tw:"

// Store reads and writes the windows of metrics. It is safe for concurrent use.
type Store struct {
	client goredis.UniversalClient
	prefix string
	owned  bool
}

// Open returns a store over a client of its own. It does not connect: the
// first command does.
//
// The client never sends a command to a single server twice by itself. That of
// a cluster follows redirections, and with them repeats what was cut off; both
// are harmless, for a merge that has counted finds another position than the
// one it starts from and is refused: the worker then loads what is stored.
func Open(o Options) (*Store, error) {
	// The library logs lines of its own about connections; what matters comes
	// back as an error.
	goredis.SetLogger(silent{})
	client, err := o.client()
	if err != nil {
		return nil, err
	}
	s := NewStore(client, o.Prefix)
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
