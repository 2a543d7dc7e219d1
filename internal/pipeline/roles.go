package pipeline

import (
	"fmt"
	"slices"
	"strings"
)

// Role is a part of a pipeline that can run in a process of its own, when the
// stream is one that several processes reach.
type Role string

// The roles. A process without any named has them all.
const (
	// Reader follows the shards and publishes their changes.
	Reader Role = "reader"
	// Windows folds the stream into metrics.
	Windows Role = "windows"
	// Lake writes the stream as Parquet files.
	Lake Role = "lake"
)

// AllRoles are the roles in the order in which rows pass them.
var AllRoles = []Role{Reader, Windows, Lake}

// ParseRoles reads names separated by commas; empty text is all roles.
func ParseRoles(text string) ([]Role, error) {
	if text == "" {
		return AllRoles, nil
	}
	var out []Role
	for name := range strings.SplitSeq(text, ",") {
		r := Role(strings.TrimSpace(name))
		if !slices.Contains(AllRoles, r) {
			return nil, fmt.Errorf("%q is no role: write reader, windows or lake, or several separated by commas", name)
		}
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Role) int { return slices.Index(AllRoles, a) - slices.Index(AllRoles, b) })
	return out, nil
}

// RoleError says that a role cannot run by itself.
type RoleError struct{ Text string }

// Error says why, and what to do.
func (e *RoleError) Error() string { return e.Text }

// has reports whether this process has a role.
func (p *Pipeline) has(r Role) bool { return slices.Contains(p.o.Roles, r) }

// whole reports whether this process has every role.
func (p *Pipeline) whole() bool { return len(p.o.Roles) == len(AllRoles) }

// checkRoles refuses roles that the configuration gives nothing to do, or whose
// stream lives in one process.
func (p *Pipeline) checkRoles() error {
	if p.whole() {
		return nil
	}
	switch {
	case p.cfg.Stream.Type == "embedded":
		return &RoleError{"the embedded stream lives inside one process, so its roles cannot run apart; leave --role out, or set stream.type to kafka"}
	case p.has(Windows) && p.cfg.Windows != nil && p.cfg.Windows.Store.Type == "embedded":
		return &RoleError{"the embedded window store lives inside one process, so that role windows cannot run apart; leave --role out, or set windows.store.type to redis"}
	case p.has(Windows) && p.cfg.Windows == nil:
		return &RoleError{"role windows has nothing to do: the configuration has no windows"}
	case p.has(Lake) && p.cfg.Lake == nil:
		return &RoleError{"role lake has nothing to do: the configuration has no lake"}
	}
	return nil
}

// StateDirOf is the state directory of a process with the given roles: the
// configured one, or a folder in it for a process that has not all of them, so
// that processes of different roles share a machine and a file.
func StateDirOf(dir string, roles []Role) string {
	if len(roles) == len(AllRoles) {
		return dir
	}
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return dir + "/" + strings.Join(names, "-")
}
