package config

import (
	"fmt"
	"reflect"
	"strings"

	"tailwater/internal/view"
)

// checkNamed reports a file that names no table or view, and captures none.
func (l *loader) checkNamed(c *Config) {
	for _, s := range c.Sources {
		if s != nil && s.Capture != nil {
			// References to what is not there are dangling then.
			if c.Tables == nil {
				c.Tables = map[string]*Table{}
			}
			if c.Views == nil {
				c.Views = map[string]*View{}
			}
			return
		}
	}
	root := sectionOf(reflect.TypeFor[Config]())
	for _, key := range []string{"tables", "views"} {
		if !l.has(key) && l.known(key) {
			line, column := l.doc.near("")
			l.report(place{key, line, column}, "missing-key", "`%s` is missing in the file", key).Suggestion = root.byKey[key].doc
		}
	}
}

// checkCapture looks at what sources capture, and resolves it.
func (l *loader) checkCapture(c *Config, sources []ResolvedSource) {
	first := ""
	for i := range sources {
		r := &sources[i]
		capture, at := c.Sources[r.Name].Capture, "sources."+r.Name+".capture"
		if capture == nil {
			continue
		}
		if first != "" {
			l.at(at, "name-clash", "source `%s` captures its tables too, and tables of the same name would meet in one topic", first).
				Suggestion = "capture one source in a pipeline: give the other a file with another name"
		} else {
			first = r.Name
		}
		l.checkCapturePatterns(at+".include", capture.Include)
		l.checkCapturePatterns(at+".exclude", capture.Exclude)
		r.Capture = &ResolvedCapture{
			Include: capture.Include, Exclude: capture.Exclude, Partitions: capture.Partitions, ShardKey: capture.ShardKey,
			Envelope: c.Stream.Envelope, Connector: r.Type,
		}
		for name, t := range sorted(c.Tables) {
			if t.From.Source == r.Name && len(t.Masking) > 0 {
				r.Capture.Masked = append(r.Capture.Masked, MaskedTable{Name: name, Database: t.From.Schema, Table: t.From.Table, Masking: t.Masking, Salt: t.MaskingSalt})
			}
		}
	}
	if first == "" {
		return
	}
	if at := "sources." + first + ".capture"; c.Lake != nil {
		l.warn(at, "not-in-lake", "captured tables go to the stream only: the lake has the views that the file names").
			Suggestion = "name a table under tables and views to have it in the lake; it is captured as well"
	}
	if c.Lake != nil && len(c.Views) == 0 {
		l.at("lake", "no-effect", "lake has no effect: the file names no view").Suggestion = "name the tables for the lake under tables and views, or remove lake"
	}
	if c.Windows != nil && len(c.Views) == 0 && len(c.Windows.Metrics) == 0 {
		l.at("windows", "no-effect", "windows has no effect: the file names no view").Suggestion = "name the tables for metrics under tables and views, or remove windows"
	}
}

// checkCapturePatterns reports patterns that are none, or stand twice.
func (l *loader) checkCapturePatterns(at string, patterns []string) {
	for i, p := range patterns {
		path := fmt.Sprintf("%s[%d]", at, i)
		if !l.known(path) || p == "" && !l.has(path) {
			continue
		}
		if err := view.CheckCapturePattern(p); err != nil {
			f := l.at(path, "bad-pattern", "%s", err.Error())
			if !strings.ContainsAny(p, ".") && p != "" {
				f.Suggestion = "for a table of every schema write *." + p + ", for every table of a schema " + p + ".*"
			}
			continue
		}
		for _, other := range patterns[:i] {
			if other == p {
				l.at(path, "duplicate-key", "`%s` is here a second time", p)
				break
			}
		}
	}
}
