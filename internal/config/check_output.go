package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tailwater/change"
	"tailwater/internal/view"
	"tailwater/windowing"
)

// DefaultMemory is limits.memory when it is absent and the control group allows.
const DefaultMemory Size = 512 << 20

// viewColumns are the columns that a view is known to have; open means that it
// copies all of a table's, which only the table knows.
type viewColumns struct {
	names []string
	open  bool
}

func columnsOf(defs []view.Definition) map[string]viewColumns {
	all := map[string]viewColumns{}
	for i := range defs {
		c := viewColumns{open: len(defs[i].Select) == 0}
		for _, item := range defs[i].Select {
			c.open = c.open || item.Name == "*"
			c.names = append(c.names, item.Name)
		}
		all[defs[i].Name] = c
	}
	return all
}

// column checks that a view has a column.
func (l *loader) column(at, viewName, column string, all map[string]viewColumns) {
	c, ok := all[viewName]
	if !ok || c.open || column == "" || !l.known(at) {
		return
	}
	if slices.Contains(c.names, column) {
		return
	}
	f := l.at(at, "unknown-reference", "view `%s` has no column `%s`", viewName, column)
	if meant := closest(column, c.names); meant != "" {
		f.Suggestion = "did you mean `" + meant + "`?"
	} else {
		f.Suggestion = "it has " + strings.Join(c.names, ", ")
	}
}

// checkWindows completes every metric.
func (l *loader) checkWindows(c *Config, columns map[string]viewColumns) *ResolvedWindows {
	w := c.Windows
	if w == nil {
		return nil
	}
	l.checkStore(&w.Store)
	r := &ResolvedWindows{Store: w.Store}
	longest, longestAt := w.Defaults.Lateness, "windows.store.retain"
	for name, m := range sorted(w.Metrics) {
		at := "windows.metrics." + name
		l.inherit(at, m, w.Defaults)
		refer(l, at+".view", m.View, "views", c.Views)
		l.column(at+".value", m.View, m.Value.Column, columns)
		for i, g := range m.GroupBy {
			path := fmt.Sprintf("%s.group_by[%d]", at, i)
			l.column(path, m.View, g, columns)
			if slices.Contains(m.GroupBy[:i], g) {
				l.at(path, "duplicate-key", "`%s` is in group_by twice", g)
			}
		}
		if m.Buckets > 1 && len(m.GroupBy) == 0 {
			l.at(at+".buckets", "no-effect", "buckets have no effect: without group_by there is one group")
		}
		l.syntaxOf(at+".where", m.Where)
		l.checkSize(c, at, m)
		l.checkTime(c, at, m, columns)
		if m.Lateness > longest {
			longest, longestAt = m.Lateness, at+".lateness"
		}
		r.Metrics = append(r.Metrics, ResolvedMetric{Name: name, Metric: *m})
	}
	l.checkRetain(c, longest, longestAt)
	return r
}

// checkTime checks what puts the rows of a metric into windows.
func (l *loader) checkTime(c *Config, at string, m *Metric, columns map[string]viewColumns) {
	timeAt := at + ".time"
	if !l.has(timeAt) && l.has("windows.defaults.time") {
		timeAt = "windows.defaults.time"
	}
	if m.Time != windowing.CommitTime {
		l.column(timeAt, m.View, m.Time, columns)
	}
	if windowing.Rows(m.Rows) != windowing.Latest || !l.known(at+".rows") {
		return
	}
	if l.known(timeAt) && m.Time == windowing.CommitTime {
		l.at(at, "missing-key", "rows: latest needs a time column: by the commit, an update would move the row").
			Suggestion = "add time: with a DATE, DATETIME or TIMESTAMP column of the view, such as created_at"
	}
	if lateAt := at + ".on_late"; m.OnLate != string(windowing.Revise) && l.known(lateAt, "windows.defaults.on_late") {
		if !l.has(lateAt) {
			lateAt = at
		}
		l.at(lateAt, "not-one-of", "on_late is %s, and rows: latest takes rows back, which that would break", m.OnLate).Suggestion = "set on_late: revise"
	}
	if v := c.Views[m.View]; v != nil && !v.Metadata.Old {
		l.at(at+".view", "missing-key", "view `%s` has no _old, which rows: latest takes rows back by", m.View).
			Suggestion = "remove old: false from the view's metadata"
	}
}

// maxWindows bounds the windows of one metric that a store keeps at once.
const maxWindows = 100_000

// checkSize compares the length of a metric's windows with how long they are
// kept.
func (l *loader) checkSize(c *Config, at string, m *Metric) {
	at += ".size"
	if !l.has(at) {
		at = "windows.defaults.size"
	}
	if !l.known(at, "windows.store.retain") || m.Size == 0 {
		return
	}
	retain := c.Windows.Store.Retain
	switch {
	case m.Size%time.Second != 0:
		l.at(at, "out-of-range", "size is %s, and windows are whole seconds long", m.Size)
	case retain < m.Size:
		l.at(at, "out-of-range", "size is %s and windows.store.retain %s: a window would be gone before its end", short(m.Size), short(retain)).
			Suggestion = "raise windows.store.retain"
	case retain/m.Size > maxWindows:
		l.at(at, "out-of-range", "windows of %s, kept for %s, are more than %d at once", short(m.Size), short(retain), maxWindows).
			Suggestion = "raise size or lower windows.store.retain"
	}
}

// inherit fills what a metric leaves to the defaults.
func (l *loader) inherit(at string, m *Metric, d WindowDefaults) {
	for key, fill := range map[string]func(){
		".size":            func() { m.Size = d.Size },
		".lateness":        func() { m.Lateness = d.Lateness },
		".on_late":         func() { m.OnLate = d.OnLate },
		".wait_for_shards": func() { m.WaitForShards = d.WaitForShards },
		".time":            func() { m.Time = d.Time },
	} {
		if !l.has(at + key) {
			fill()
		}
	}
}

// checkRetain refuses what a lost store could not be rebuilt from.
func (l *loader) checkRetain(c *Config, lateness time.Duration, latenessAt string) {
	const retain, age = "windows.store.retain", "stream.retention.age"
	if !l.known(retain, age, latenessAt, "windows.defaults.lateness") {
		return
	}
	need := c.Windows.Store.Retain + lateness + windowing.DefaultWriteDelay
	if need <= c.Stream.Retention.Age {
		return
	}
	at := age
	if l.has(retain) {
		at = retain
	} else if l.has(latenessAt) {
		at = latenessAt
	}
	l.at(at, "out-of-range", "windows are kept for %s, stay open for %s more and may be written %s late, and the stream keeps %s: a lost store could not be rebuilt",
		short(c.Windows.Store.Retain), short(lateness), short(windowing.DefaultWriteDelay), short(c.Stream.Retention.Age)).
		Suggestion = fmt.Sprintf("raise stream.retention.age to %s or lower windows.store.retain", short(need))
}

// short is d without the zero units at its end: 12h, not 12h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// checkLake resolves where files go, and the layouts of every view.
func (l *loader) checkLake(c *Config, columns map[string]viewColumns) *ResolvedLake {
	for name, v := range sorted(c.Views) {
		if at := "views." + name + ".layouts"; len(v.Layouts) > 0 && !l.has("lake") {
			l.at(at, "no-effect", "layouts have no effect: the file has no lake")
		}
	}
	if c.Lake == nil {
		return nil
	}
	r := &ResolvedLake{File: c.Lake.File}
	if c.Lake.URL != "" {
		l.lakeURL(c.Lake, r)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Lake.Layouts)) {
		if c.Views == nil {
			break
		}
		at := "lake.layouts." + name
		if refer(l, at, name, "views", c.Views) && c.Views[name] != nil && l.has("views."+name+".layouts") {
			l.at(at, "exactly-one", "view `%s` has layouts of its own: remove one", name)
		}
	}
	for name, v := range sorted(c.Views) {
		at, layouts := "lake.layouts."+name, c.Lake.Layouts[name]
		if len(v.Layouts) > 0 {
			at, layouts = "views."+name+".layouts", v.Layouts
		}
		r.Layouts = append(r.Layouts, l.layouts(at, name, layouts, columns)...)
	}
	return r
}

// alwaysThere are the members of every event that a layout may go by.
var alwaysThere = []string{"_op", "_shard"}

// layouts resolves the layouts of one view.
func (l *loader) layouts(at, viewName string, layouts []Layout, columns map[string]viewColumns) []ResolvedLayout {
	if len(layouts) == 0 {
		return []ResolvedLayout{{View: viewName, Name: "default", By: []Level{{Func: "dt"}, {Func: "hr"}}}}
	}
	var all []ResolvedLayout
	for i, layout := range layouts {
		path := fmt.Sprintf("%s[%d]", at, i)
		name := layout.Name
		if name == "" && l.known(path+".name") {
			if name = "default"; i > 0 {
				l.at(path, "missing-key", "the layout needs a name: only the first goes without").Suggestion = "add name"
			}
		}
		if slices.ContainsFunc(all, func(o ResolvedLayout) bool { return change.EqualFold(o.Name, name) }) && layout.Name != "" {
			l.at(path+".name", "name-clash", "the view has a layout `%s` already", name)
		}
		for j, level := range layout.By {
			by := fmt.Sprintf("%s.by[%d]", path, j)
			if !slices.Contains(alwaysThere, level.Column) {
				l.column(by, viewName, level.Column, columns)
			}
			if level != (Level{}) && slices.ContainsFunc(layout.By[:j], func(o Level) bool { return strings.EqualFold(o.directory(), level.directory()) }) {
				l.at(by, "duplicate-key", "two levels would be called `%s`", level.directory())
			}
		}
		all = append(all, ResolvedLayout{View: viewName, Name: name, By: layout.By})
	}
	return all
}
