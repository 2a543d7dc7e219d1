package redis

import "context"

// Preflight is what Store.Preflight found.
type Preflight struct {
	// Version and Mode of the server: "7.0.15", "standalone".
	Version, Mode string
	// Warnings are what works but deserves a look, a sentence each.
	Warnings []string
}

// Preflight checks that the server can keep windows: its version, that it
// evicts nothing, that it is no replica. What a managed server refuses to tell
// is a warning; what would lose values is an error that names all at once.
func (s *Store) Preflight(ctx context.Context) (*Preflight, error) { return s.preflight(ctx) }
