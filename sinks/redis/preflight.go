package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// minVersion is the oldest major version of Redis whose scripts behave as
// these need: effects are replicated, and memory is checked before the first
// write only.
const minVersion = 7

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
func (s *Store) Preflight(ctx context.Context) (*Preflight, error) {
	if err := s.Ping(ctx); err != nil {
		return nil, err
	}
	p := &Preflight{}
	errs := p.server(s.info(ctx))
	errs = append(errs, p.memory(s.policy(ctx))...)
	if err := errors.Join(errs...); err != nil {
		return p, fmt.Errorf("check redis: %w", err)
	}
	return p, nil
}

func (p *Preflight) warn(format string, args ...any) {
	p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...))
}

// info reads the sections server and replication.
func (s *Store) info(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	for _, section := range []string{"server", "replication"} {
		text, err := s.client.Info(ctx, section).Result()
		if err != nil {
			return out, err
		}
		for line := range strings.Lines(text) {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				out[k] = v
			}
		}
	}
	return out, nil
}

// server judges what INFO said.
func (p *Preflight) server(info map[string]string, err error) (errs []error) {
	p.Version, p.Mode = info["redis_version"], info["redis_mode"]
	if err != nil || p.Version == "" {
		p.warn("The server does not tell its version or role; it must be Redis 7 or newer and a primary.")
	} else if major, _, _ := strings.Cut(p.Version, "."); !atLeast(major, minVersion) {
		errs = append(errs, fmt.Errorf("server is version %s, want %d.0 or newer", p.Version, minVersion))
	}
	if info["role"] == "slave" {
		errs = append(errs, errors.New("server is a replica; give the primary's address"))
	}
	return errs
}

func atLeast(text string, want int) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= want
}

// policy asks for what the server does when its memory is full.
func (s *Store) policy(ctx context.Context) (string, error) {
	v, err := s.client.ConfigGet(ctx, "maxmemory-policy").Result()
	return v["maxmemory-policy"], err
}

// memory judges the eviction policy: evicted keys are lost windows.
func (p *Preflight) memory(policy string, err error) []error {
	switch {
	case err != nil || policy == "":
		p.warn("The server does not tell maxmemory-policy; it must be noeviction, or windows may vanish.")
	case policy != "noeviction":
		return []error{fmt.Errorf("maxmemory-policy is %s, which deletes windows when memory is full; set noeviction", policy)}
	}
	return nil
}
