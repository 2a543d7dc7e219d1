package config

import (
	"slices"

	"tailwater/internal/envelope"
	"tailwater/internal/view"
)

// envelope is the form of a view's events: its own, or that of the stream.
// Options of flat events have no place beside another one.
func (l *loader) envelope(c *Config, at string, v *View) envelope.Kind {
	kind := envelope.Kind(v.Envelope)
	if kind == "" {
		kind = envelope.Kind(c.Stream.Envelope)
	}
	if kind.IsFlat() {
		if path := at + ".table_events"; l.has(path) {
			l.at(path, "no-effect", "table_events has no effect: flat events always tell of tables").Suggestion = "remove it, or give the view another envelope"
		}
		return kind
	}
	for _, key := range []string{"metadata", "quote_big"} {
		if path := at + "." + key; l.has(path) {
			l.at(path, "no-effect", "%s has no effect: it is about flat events, and envelope is %s", key, kind)
		}
	}
	return kind
}

// envelopeAt is where the envelope of a view stands.
func (l *loader) envelopeAt(name string) string {
	if at := "views." + name + ".envelope"; l.has(at) {
		return at
	}
	return "stream.envelope"
}

// checkReaders refuses to have metrics or layouts read what is not flat.
func (l *loader) checkReaders(c *Config, defs []view.Definition) {
	for i := range defs {
		def := &defs[i]
		if def.Envelope.IsFlat() || !l.known(l.envelopeAt(def.Name)) {
			continue
		}
		refuse := func(at, what string) {
			l.at(at, "bad-envelope", "%s, and view `%s` has the envelope %s", what, def.Name, def.Envelope).
				Suggestion = "make another view of table `" + c.Views[def.Name].From + "` with envelope: flat, and name that"
		}
		if c.Windows != nil {
			for name, m := range sorted(c.Windows.Metrics) {
				if m.View == def.Name {
					refuse("windows.metrics."+name+".view", "metrics read flat events")
				}
			}
		}
		own := "views." + def.Name + ".layouts"
		if l.has(own) && l.has("lake") {
			refuse(own, "the lake is made of flat events")
		}
		if c.Lake != nil && c.Lake.Layouts[def.Name] != nil {
			refuse("lake.layouts."+def.Name, "the lake is made of flat events")
		}
	}
	if c.Lake != nil && len(defs) > 0 && !slices.ContainsFunc(defs, func(d view.Definition) bool { return d.Envelope.IsFlat() }) {
		l.warn("lake", "unused", "the lake has no view: the envelope of none is flat")
	}
}

// flatOnly leaves out the layouts of views whose events are not flat.
func flatOnly(layouts []ResolvedLayout, defs []view.Definition) []ResolvedLayout {
	return slices.DeleteFunc(layouts, func(layout ResolvedLayout) bool {
		return slices.ContainsFunc(defs, func(d view.Definition) bool { return d.Name == layout.View && !d.Envelope.IsFlat() })
	})
}
