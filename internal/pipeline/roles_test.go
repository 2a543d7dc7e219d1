package pipeline

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"tailwater/internal/config"
)

func TestParseRoles_NamesInAnyOrderAndEachOnce(t *testing.T) {
	for text, want := range map[string][]Role{
		"": AllRoles, "lake": {Lake}, "lake, reader": {Reader, Lake}, "windows,windows": {Windows}, "lake,windows,reader": AllRoles,
	} {
		got, err := ParseRoles(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("ParseRoles(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"writer", "reader,", "Reader", "reader windows"} {
		if got, err := ParseRoles(text); err == nil || !strings.Contains(err.Error(), "reader, windows or lake") {
			t.Errorf("ParseRoles(%q) = %v, %v, want an error that lists the roles", text, got, err)
		}
	}
}

func TestStateDirOf_ProcessesOfDifferentRolesHaveDifferentDirectories(t *testing.T) {
	for want, roles := range map[string][]Role{"/s": AllRoles, "/s/lake": {Lake}, "/s/reader-lake": {Reader, Lake}} {
		if got := StateDirOf("/s", roles); got != want {
			t.Errorf("StateDirOf(/s, %v) = %s, want %s", roles, got, want)
		}
	}
}

// Whoever asks for a role that cannot work is told why before anything is opened.
func TestOpen_RefusesRolesThatCannotRunApart(t *testing.T) {
	dir := t.TempDir()
	kafka := config.ResolvedStream{Stream: config.Stream{Type: "kafka", Brokers: []string{"127.0.0.1:1"}}}
	for name, c := range map[string]struct {
		cfg   config.Resolved
		roles []Role
		want  string
	}{
		"embedded": {config.Resolved{Stream: config.ResolvedStream{Stream: config.Stream{Type: "embedded"}}}, []Role{Reader}, "set stream.type to kafka"},
		"embedded store": {config.Resolved{Stream: kafka, Windows: &config.ResolvedWindows{Store: config.WindowStore{Type: "embedded"}}}, []Role{Windows},
			"set windows.store.type to redis"},
		"no windows": {config.Resolved{Stream: kafka, Lake: &config.ResolvedLake{}}, []Role{Windows}, "no windows"},
		"no lake":    {config.Resolved{Stream: kafka, Windows: &config.ResolvedWindows{}}, []Role{Reader, Lake}, "no lake"},
	} {
		c.cfg.Name, c.cfg.StateDir = "shop", dir
		_, err := Open(t.Context(), Options{Config: &c.cfg, Roles: c.roles, Logger: slog.New(slog.DiscardHandler)})
		var role *RoleError
		if !errors.As(err, &role) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Open = %v, want a RoleError with %q", name, err, c.want)
		}
	}
}
