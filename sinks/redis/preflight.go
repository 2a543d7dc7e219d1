package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"
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

// Preflight checks that the server, or every primary of a cluster, can keep
// windows: its version, that it evicts nothing, that it is no replica, that it
// is reached the way it wants. What a managed server refuses to tell is a
// warning; what would lose values is an error that names all at once.
func (s *Store) Preflight(ctx context.Context) (*Preflight, error) {
	p := &Preflight{}
	var mu sync.Mutex
	err := s.eachPrimary(ctx, func(ctx context.Context, c *goredis.Client) error {
		if err := c.Ping(ctx).Err(); err != nil {
			return s.explainPing(ctx, c.Options(), err)
		}
		info, infoErr := info(ctx, c)
		policy, policyErr := policy(ctx, c, info)
		mu.Lock()
		defer mu.Unlock()
		errs := p.server(info, infoErr)
		errs = append(errs, p.mode(s.cluster())...)
		errs = append(errs, p.memory(policy, policyErr)...)
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("check redis at %s: %w", c.Options().Addr, err)
		}
		return nil
	})
	return p, err
}

// explainPing is explain with what only the connection's options tell.
func (s *Store) explainPing(ctx context.Context, o *goredis.Options, err error) error {
	switch {
	case strings.HasPrefix(err.Error(), "NOPERM"):
		user := o.Username
		if user == "" {
			user = "default"
		}
		return fmt.Errorf("ping redis: %w (let an administrator run: %s)", err, ACL(user, s.prefix))
	case o.TLSConfig != nil && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		// A plain server waits for the end of a line that never comes.
		return fmt.Errorf("ping redis: %w (where the server speaks plain text at this port, use redis:// or leave tls out)", err)
	}
	return explain("ping redis", err)
}

// eachPrimary calls f for the server, or at the same time for every primary of
// a cluster.
func (s *Store) eachPrimary(ctx context.Context, f func(ctx context.Context, c *goredis.Client) error) error {
	switch c := s.client.(type) {
	case *goredis.ClusterClient:
		if err := c.ForEachMaster(ctx, f); err != nil {
			return explain("ask the cluster", err)
		}
		return nil
	case *goredis.Client:
		return f(ctx, c)
	}
	return fmt.Errorf("check redis: a %T cannot be checked", s.client)
}

// cluster reports whether the store speaks to a cluster.
func (s *Store) cluster() bool {
	_, ok := s.client.(*goredis.ClusterClient)
	return ok
}

func (p *Preflight) warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(p.Warnings, text) {
		p.Warnings = append(p.Warnings, text)
	}
}

// info reads what INFO tells of the server, its role and its memory.
func info(ctx context.Context, c *goredis.Client) (map[string]string, error) {
	out := map[string]string{}
	for _, section := range []string{"server", "replication", "memory"} {
		text, err := c.Info(ctx, section).Result()
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
		of := ""
		if host := info["master_host"]; host != "" {
			of = " of " + net.JoinHostPort(host, info["master_port"])
		}
		errs = append(errs, fmt.Errorf("server is a replica%s and takes no writes; %s", of, toPrimary))
	}
	return errs
}

func atLeast(text string, want int) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= want
}

// mode compares how the server is reached with what it is.
func (p *Preflight) mode(cluster bool) []error {
	switch {
	case p.Mode == "cluster" && !cluster:
		return []error{errors.New("server is a node of a cluster and reached as a single one; set windows.store.cluster: { addresses: [host:port] } in place of url")}
	case p.Mode == "sentinel":
		return []error{errors.New("server is a sentinel; set windows.store.sentinel: { addresses: [host:port], master: name } in place of url")}
	}
	return nil
}

// policy asks for what the server does when its memory is full. Managed servers
// refuse CONFIG, and tell it in INFO.
func policy(ctx context.Context, c *goredis.Client, info map[string]string) (string, error) {
	if v := info["maxmemory_policy"]; v != "" {
		return v, nil
	}
	v, err := c.ConfigGet(ctx, "maxmemory-policy").Result()
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
