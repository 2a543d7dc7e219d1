package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"tailwater/change"
	"tailwater/internal/config"
	"tailwater/internal/envelope"
	"tailwater/internal/failpoint"
	"tailwater/internal/status"
	"tailwater/internal/view"
	"tailwater/stream"
)

// tableName names a physical table.
type tableName struct{ database, table string }

func (n tableName) String() string { return n.database + "." + n.table }

// captureSet are the tables of one source that become views without being
// named. Its shards share it. What it knows stands among the schemas of the
// stream, before a session writes to a topic or passes over a row: so a restart
// finds every topic that may hold events, and every table that is stopped.
type captureSet struct {
	source, pipeline string
	rule             *view.Capture
	options          config.ResolvedCapture
	maxRecord        int
	log              stream.Log
	logger           *slog.Logger
	// masked finds the masks of a table, which masks has by definition.
	masked *view.Matcher
	masks  map[*view.Definition]map[string]view.Mask

	// joining is held while topics are made, so that one is made once.
	joining sync.Mutex

	mu     sync.Mutex
	tables map[tableName]*capturedTable
	// targets are the topics of captured tables in the order in which they
	// joined; it grows at its end only. Their indexes begin at base.
	targets []*target
	base    int
	// topics are the pipeline's, as Kafka tells them apart, and whose they are.
	topics  map[string]string
	notices notices
}

// capturedTable is the view of a captured table.
type capturedTable struct {
	def *view.Definition
	// target is nil until the topic is made.
	target *target
	// refused says why there can be no topic.
	refused error
}

// newCapture makes the set of a source. named are the topics of the views that
// the configuration names.
func (p *Pipeline) newCapture(src *config.ResolvedSource, base int) (*captureSet, error) {
	c := &captureSet{
		source: src.Name, pipeline: p.cfg.Name, options: *src.Capture, maxRecord: int(p.cfg.Stream.MaxRecord),
		log: p.log, logger: p.logger, base: base,
		masks:  make(map[*view.Definition]map[string]view.Mask),
		tables: make(map[tableName]*capturedTable), topics: make(map[string]string),
	}
	for name, t := range p.topics {
		c.topics[stream.SameInKafka(t.Name)] = "view " + name
	}
	var err error
	if c.rule, err = view.NewCapture(src.Capture.Include, src.Capture.Exclude); err != nil {
		return nil, err
	}
	var defs []*view.Definition
	for _, m := range src.Capture.Masked {
		def := &view.Definition{Name: m.Name, Source: src.Name, Database: m.Database, Table: m.Table}
		c.masks[def] = make(map[string]view.Mask)
		for column, mask := range m.Masking {
			c.masks[def][column] = view.Mask{Kind: mask.Kind, Keep: mask.Keep, Salt: saltOf(mask.Kind, m.Salt)}
		}
		defs = append(defs, def)
	}
	c.masked, err = view.NewMatcher(defs)
	return c, err
}

// saltOf is the salt of a mask that hashes.
func saltOf(kind string, salt config.Secret) view.Salt {
	if kind != "hash" {
		return nil
	}
	return view.Salt(salt.Reveal())
}

// openCaptures makes the sets of the sources that capture, with the tables that
// are known from before.
func (p *Pipeline) openCaptures(ctx context.Context) error {
	if !p.has(Reader) {
		return nil
	}
	for i := range p.cfg.Sources {
		src := &p.cfg.Sources[i]
		if src.Capture == nil {
			continue
		}
		base := 0
		for j := range p.cfg.Views {
			if p.cfg.Views[j].Source == src.Name {
				base++
			}
		}
		c, err := p.newCapture(src, base)
		if err == nil {
			err = c.load(ctx)
		}
		if err != nil {
			return fmt.Errorf("captured tables of source %s: %w", src.Name, err)
		}
		p.captures = append(p.captures, c)
	}
	return nil
}

// captureOf returns what a source captures, or nil.
func (p *Pipeline) captureOf(source string) *captureSet {
	for _, c := range p.captures {
		if c.source == source {
			return c
		}
	}
	return nil
}

// capturedTopics are the topics of captured tables now.
func (p *Pipeline) capturedTopics() []string {
	var out []string
	for _, c := range p.captures {
		for _, t := range c.now() {
			out = append(out, t.topic)
		}
	}
	return out
}

// now returns the targets that there are now.
func (c *captureSet) now() []*target {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clip(c.targets)
}

// tablesRecord is the view under whose name the stream stores, as schemas, which
// tables are captured: the key is schema and table, the one column is called as
// the view, and its Bits are the partitions of the topic. No view is called so.
const tablesRecord = "--captured"

// load takes over the tables that were captured before and still are.
func (c *captureSet) load(ctx context.Context) error {
	records, err := tableRecords(ctx, c.log, c.source, c.rule)
	if err != nil {
		return err
	}
	for _, s := range records {
		if err := c.join(ctx, tableName{s.Key[1], s.Key[2]}, s.Columns[0].Bits); err != nil {
			return err
		}
	}
	return c.notices.load(ctx, c.log, c.source)
}

// tableRecords are the stored records of the tables that a source captures.
func tableRecords(ctx context.Context, l SchemaReader, source string, rule *view.Capture) ([]change.Schema, error) {
	stored, err := l.Schemas(ctx, tablesRecord)
	if err != nil {
		return nil, err
	}
	var records []change.Schema
	for _, s := range stored {
		if len(s.Key) != 3 || len(s.Columns) != 1 {
			return nil, fmt.Errorf("the record %s of captured tables is not as this version writes it: use the Tailwater that wrote it, or a newer one", s.Fingerprint())
		}
		if s.Key[0] == source && rule.Takes(s.Key[1], s.Key[2]) {
			records = append(records, s)
		}
	}
	slices.SortFunc(records, func(a, b change.Schema) int {
		return cmp.Or(cmp.Compare(a.Columns[0].Name, b.Columns[0].Name), cmp.Compare(a.Columns[0].Bits, b.Columns[0].Bits))
	})
	return records, nil
}

// join makes the topics of tables that are not known yet, and remembers them.
// Several shards may meet one table at the same time: the second finds it made.
// A table whose topic there cannot be is refused, which is no error here.
func (c *captureSet) join(ctx context.Context, name tableName, partitions int) error {
	c.joining.Lock()
	defer c.joining.Unlock()
	t := c.table(name)
	c.mu.Lock()
	topic := stream.TopicName(c.pipeline, t.def.Name)
	known, same := t.target != nil || t.refused != nil, stream.SameInKafka(topic)
	if owner, taken := c.topics[same]; !known && taken {
		t.refused = fmt.Errorf("its topic %s differs from that of %s in . and _ only, which Kafka takes for one: exclude one of the two", topic, owner)
		known = true
	}
	c.mu.Unlock()
	if known {
		return nil
	}
	// What may hold events is remembered before it is there.
	err := c.log.PutSchema(ctx, change.Schema{
		View: tablesRecord, Key: []string{c.source, name.database, name.table},
		Columns: []change.Column{{Name: t.def.Name, Type: change.Text, Bits: partitions}},
	})
	if err != nil {
		return fmt.Errorf("remember captured table %s: %w", name, err)
	}
	failpoint.At(failpoint.CaptureRemembered)
	made, err := c.log.EnsureTopic(ctx, stream.TopicSpec{Name: topic, Partitions: partitions, MaxRecord: c.maxRecord})
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, stream.ErrTopicRefused) {
		t.refused = err
		return nil
	}
	if err != nil {
		return fmt.Errorf("topic of captured table %s: %w", name, err)
	}
	failpoint.At(failpoint.CaptureTopicMade)
	t.target = &target{
		index: c.base + len(c.targets), view: t.def.Name, topic: made.Name, partitions: made.Partitions,
		foreign: !t.def.Envelope.IsFlat(), captured: true, table: name, maxRecord: c.maxRecord,
	}
	c.targets = append(c.targets, t.target)
	c.topics[same] = "captured table " + name.String()
	return nil
}

// table returns the view of a table, and makes it when it is seen first.
func (c *captureSet) table(name tableName) *capturedTable {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tables[name]
	if t == nil {
		t = &capturedTable{def: c.definition(name)}
		c.tables[name] = t
	}
	return t
}

// definition is the view that captures a table: every column as it is, unless a
// table of the configuration masks it.
func (c *captureSet) definition(name tableName) *view.Definition {
	def := &view.Definition{
		Name: stream.CapturedView(c.pipeline, name.database, name.table), Source: c.source,
		WholeRow: true, ShardKey: c.options.ShardKey,
		Envelope: envelope.Kind(c.options.Envelope), Connector: c.options.Connector,
	}
	for _, m := range c.masked.Match(c.source, "", name.database, name.table) {
		for column, mask := range c.masks[m.Definition] {
			if def.Masking == nil {
				def.Masking = make(map[string]view.Mask)
			}
			def.Masking[column] = mask
		}
	}
	return def
}

// refusal says why a table has no topic and will have none.
func (c *captureSet) refusal(t *capturedTable) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return t.refused
}

// status adds the captured views to a snapshot, and returns the rest.
func (c *captureSet) status(s *status.Snapshot) status.Capture {
	targets := c.now()
	for _, t := range targets {
		s.Views = append(s.Views, status.View{
			View: t.view, Topic: t.topic, Partitions: t.partitions, Events: t.events.Load(), Bytes: t.bytes.Load(), Captured: true,
		})
	}
	// What befell a shard that is another process's, that one knows.
	others := make(map[string]bool)
	for i := range s.Shards {
		others[s.Shards[i].Shard] = !s.Shards[i].State.Owned()
	}
	out := status.Capture{Source: c.source, Tables: len(targets)}
	out.Notices = slices.DeleteFunc(c.notices.list(), func(m status.TableNotice) bool { return others[m.Shard] })
	for i := range out.Notices {
		out.Skipped += out.Notices[i].Skipped
		if out.Notices[i].State == noticeStopped {
			out.Stopped++
		}
	}
	return out
}
