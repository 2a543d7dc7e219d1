package config

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// check finds what is wrong between sections, and resolves what is right.
// Values that are not known are left out of every comparison.
func (l *loader) check(c *Config) {
	r := &Resolved{
		Name: c.Name, HTTP: c.HTTP, Log: c.Telemetry.Log, Limits: c.Limits, file: c,
	}
	if c.State.Dir != "" {
		r.StateDir = l.doc.abs(c.State.Dir)
	}
	l.checkNamed(c)
	r.Sources = l.checkSources(c)
	l.checkCapture(c, r.Sources)
	l.checkTables(c)
	r.Views = l.checkViews(c)
	columns := columnsOf(r.Views)
	r.Windows = l.checkWindows(c, columns)
	r.Lake = l.checkLake(c, columns)
	l.checkReaders(c, r.Views)
	if r.Lake != nil {
		r.Lake.Layouts = flatOnly(r.Lake.Layouts, r.Views)
	}
	r.Stream = l.checkStream(c)
	l.checkLimits(c)
	l.checkListeners(c)
	c.resolved = r
}

// has reports whether the file has a key.
func (l *loader) has(path string) bool { return l.doc.marks[path].value != nil }

// known reports whether the values of all paths can be compared: they and the
// sections around them stand in the file without a mistake, or are defaults.
func (l *loader) known(paths ...string) bool {
	return !slices.ContainsFunc(paths, func(p string) bool {
		for !l.doc.unknown[p] {
			i := strings.LastIndexAny(p, ".[")
			if i < 0 {
				return false
			}
			p = p[:i]
		}
		return true
	})
}

// sorted yields the entries of a map that decoded, by name.
func sorted[T any](m map[string]*T) iter.Seq2[string, *T] {
	return func(yield func(string, *T) bool) {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if m[name] != nil && !yield(name, m[name]) {
				return
			}
		}
	}
}

// refer checks that name is one of the entries of a section. A section that is
// missing altogether is a finding of its own.
func refer[T any](l *loader, at, name, sectionName string, entries map[string]*T) bool {
	if name == "" || !l.known(at) || entries == nil {
		return false
	}
	if _, ok := entries[name]; ok {
		return true
	}
	f := l.at(at, "unknown-reference", "no %s is called `%s`", strings.TrimSuffix(sectionName[strings.LastIndexByte(sectionName, '.')+1:], "s"), name)
	if meant := closest(name, slices.Sorted(maps.Keys(entries))); meant != "" {
		f.Fix, f.Suggestion = meant, "did you mean `"+meant+"`?"
	} else if len(entries) > 0 && len(entries) <= 20 {
		f.Suggestion = "known are " + strings.Join(slices.Sorted(maps.Keys(entries)), ", ")
	}
	return false
}

// checkLimits compares what may be used with what one record needs.
func (l *loader) checkLimits(c *Config) {
	if l.known("limits.memory", "stream.max_record") {
		memory := c.Limits.Memory
		if memory == 0 {
			memory = DefaultMemory
		}
		if c.Stream.MaxRecord > memory/4 {
			l.at("stream.max_record", "out-of-range", "a record of %s does not fit into a quarter of limits.memory, which is %s", c.Stream.MaxRecord, memory).
				Suggestion = "raise limits.memory or lower stream.max_record"
		}
	}
	if l.known("limits.disk", "stream.retention.bytes", "stream.type") && c.Stream.Type == "embedded" && c.Limits.Disk != 0 && c.Limits.Disk < c.Stream.Retention.Bytes {
		l.at("limits.disk", "out-of-range", "limits.disk is %s and the stream alone may keep %s", c.Limits.Disk, c.Stream.Retention.Bytes).
			Suggestion = "raise limits.disk or lower stream.retention.bytes"
	}
}

// checkListeners finds addresses used twice, and those that answer everybody.
func (l *loader) checkListeners(c *Config) {
	type listener struct {
		path, address string
		open          bool
	}
	all := []listener{{"http.listen", c.HTTP.Listen, false}}
	if c.Stream.Type == "embedded" {
		all = append(all, listener{"stream.listen", c.Stream.Listen, true})
	}
	if c.Windows != nil && c.Windows.Store.Type == "embedded" {
		all = append(all, listener{"windows.store.listen", c.Windows.Store.Listen, true})
	}
	for i, a := range all {
		if !l.known(a.path) {
			continue
		}
		host, port := hostPort(a.address)
		if a.open && !isLoopback(host) {
			l.warn(a.path, "open-listener", "%s answers whoever can reach this machine, and asks nobody for a password", a.address).
				Suggestion = "listen at 127.0.0.1, or keep others out by a firewall"
		}
		for _, b := range all[:i] {
			if port != "0" && l.known(b.path) && a.address == b.address {
				l.at(a.path, "address-clash", "%s is also %s", a.address, b.path)
			}
		}
	}
}
