package pipeline

import (
	"fmt"
	"slices"
	"sync/atomic"

	"tailwater/change"
	"tailwater/internal/envelope"
	"tailwater/internal/view"
)

// target is one view's topic. It is shared by all shards.
type target struct {
	index      int
	view       string
	topic      string
	partitions int
	// foreign says that events have the form of another system, whose consumers
	// know nothing of heartbeats.
	foreign bool
	// tables is the form in which such a view is told of tables that are emptied,
	// dropped or renamed; empty is none. connector goes with it.
	tables    envelope.Kind
	connector string
	// captured says that no configuration names the view. maxRecord bounds its
	// records, in bytes.
	captured  bool
	table     tableName
	maxRecord int
	events    atomic.Uint64
	bytes     atomic.Uint64
}

// viewSet holds the views of one source and where each goes.
type viewSet struct {
	source  string
	matcher *view.Matcher
	targets []*target
	byDef   map[*view.Definition]*target
	// capture are the tables that nobody names, nil for none. targets has their
	// topics behind those of the views, as of the start of a session, and byName
	// finds those.
	capture *captureSet
	byName  map[string]*target
}

// session returns the set with the captured tables that there are now.
func (s *viewSet) session() *viewSet {
	if s.capture == nil {
		return s
	}
	now := *s
	now.byName = make(map[string]*target)
	captured := s.capture.now()
	now.targets = append(slices.Clip(s.targets), captured...)
	for _, t := range captured {
		now.byName[t.view] = t
	}
	return &now
}

// target returns the topic of a captured view, nil when the session has none.
func (s *viewSet) target(view string) *target { return s.byName[view] }

// topics lists the topics of the set.
func (s *viewSet) topics() []string {
	out := make([]string, len(s.targets))
	for i, t := range s.targets {
		out[i] = t.topic
	}
	return out
}

// follows reports whether any view takes a physical table.
func (s *viewSet) follows(shard string) func(database, table string) bool {
	return func(database, table string) bool {
		return len(s.matcher.Match(s.source, shard, database, table)) > 0 || s.capture != nil && s.capture.rule.Takes(database, table)
	}
}

// followsDatabase reports whether any view takes tables of a database.
func (s *viewSet) followsDatabase(database string) bool {
	return len(s.matcher.MatchDatabase(s.source, database)) > 0 || s.capture != nil && s.capture.rule.TakesDatabase(database)
}

// names are what the patterns of databases and tables say.
func (s *viewSet) names() []string {
	out := s.matcher.Names(s.source)
	if s.capture != nil {
		out = slices.Concat(out, s.capture.rule.Names(), s.capture.masked.Names(s.source))
	}
	return out
}

// ofTable returns where the views go that take a table; without its name those
// that take any of its database.
func (s *viewSet) ofTable(shard string, t change.TableName) []*target {
	var out []*target
	if s.capture != nil {
		out = s.capturedTargets(shard, t)
	}
	if t.Name == "" {
		for _, d := range s.matcher.MatchDatabase(s.source, t.Database) {
			out = append(out, s.byDef[d])
		}
		return out
	}
	for _, m := range s.matcher.Match(s.source, shard, t.Database, t.Name) {
		out = append(out, s.byDef[m.Definition])
	}
	return out
}

// capturedTargets returns where the captured views go of a table, or of a
// database, that are published. Who has had no event has nothing to be told.
func (s *viewSet) capturedTargets(shard string, t change.TableName) []*target {
	var out []*target
	for _, to := range s.targets {
		name := to.table
		if to.captured && name.database == t.Database && (t.Name == "" || name.table == t.Name) && s.capture.notices.stopped(noticeKey{shard, name}) == nil {
			out = append(out, to)
		}
	}
	return out
}

// boundPlan is a plan with the topic its events go to.
type boundPlan struct {
	plan   *view.Plan
	target *target
	// stored is set once the plan's schema is durable.
	stored bool
	// notice, when set, is that of a captured table that is stopped: its rows are
	// counted, and plan is nil.
	notice *notice
}

// planCache holds the plans of one shard's tables. A table's shape is known by
// its pointer: the reader makes a new one when the shape changes.
type planCache struct {
	views *viewSet
	plans map[*change.Table][]*boundPlan
}

// maxCachedShapes bounds the cache; a server with more live shapes compiles
// some of them again.
const maxCachedShapes = 4096

// of returns the plans of every view that takes the table. A *haltError says
// that the session is not made for a captured one.
func (c *planCache) of(shard string, t *change.Table) ([]*boundPlan, error) {
	if p, ok := c.plans[t]; ok {
		return p, nil
	}
	if c.plans == nil || len(c.plans) >= maxCachedShapes {
		c.plans = make(map[*change.Table][]*boundPlan)
	}
	var plans []*boundPlan
	for _, m := range c.views.matcher.Match(c.views.source, shard, t.Database, t.Name) {
		plan, err := view.Compile(m.Definition, shard, t, m.Captures)
		if err != nil {
			return nil, fmt.Errorf("shard %s, table %s.%s: %w", shard, t.Database, t.Name, err)
		}
		plans = append(plans, &boundPlan{plan: plan, target: c.views.byDef[m.Definition]})
	}
	if capture := c.views.capture; capture != nil && capture.rule.Takes(t.Database, t.Name) {
		plan, err := c.captured(shard, t)
		if err != nil {
			return nil, err
		}
		plans = append(plans, plan)
	}
	c.plans[t] = plans
	return plans, nil
}
