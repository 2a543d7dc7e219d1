package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tailwater/binlog"
	"tailwater/internal/config"
	"tailwater/internal/status"
	"tailwater/internal/view"
	"tailwater/sinks/parquet"
	"tailwater/sinks/redis"
	redisembedded "tailwater/sinks/redis/embedded"
	"tailwater/windowing"
)

// openWindows opens the window store and prepares the metrics of each view.
func (p *Pipeline) openWindows(ctx context.Context) error {
	w := p.cfg.Windows
	if w == nil || len(w.Metrics) == 0 || !p.has(Windows) {
		return nil
	}
	o, err := storeOptions(&w.Store)
	if err != nil {
		return err
	}
	if w.Store.Type == "embedded" {
		listen, err := p.address("windows.store.listen", w.Store.Listen)
		if err != nil {
			return err
		}
		if p.mini, err = redisembedded.Start(listen); err != nil {
			return err
		}
		o.URL, o.Dial = p.mini.URL(), p.mini.Dial
	}
	if p.store, err = redis.Open(o); err != nil {
		return err
	}
	byView := make(map[string]*viewWindows)
	for i := range w.Metrics {
		m := &w.Metrics[i]
		v := byView[m.View]
		if v == nil {
			topic := p.topics[m.View]
			v = &viewWindows{
				log: p.log, store: p.store, view: m.View, topic: topic, share: p.shareOf("windows", m.View, topic),
				partitions: p.unshared(), logger: p.logger, observe: p.delivered, redefined: make(chan struct{}, 1),
			}
			byView[m.View] = v
			p.windows = append(p.windows, v)
		}
		v.defs = append(v.defs, p.metric(m))
	}
	return nil
}

// storeOptions says how the window store is reached.
func storeOptions(s *config.WindowStore) (redis.Options, error) {
	o := redis.Options{
		URL: s.URL.Reveal(), User: s.User, Password: s.Password.Reveal(), DB: s.DB, Prefix: s.Prefix, Timeout: s.Timeout,
	}
	if c := s.Sentinel; c != nil {
		o.Sentinel = &redis.Sentinel{Addresses: c.Addresses, Primary: c.Master, User: c.User, Password: c.Password.Reveal()}
	}
	if c := s.Cluster; c != nil {
		o.Cluster = &redis.Cluster{Addresses: c.Addresses}
	}
	var err error
	o.TLS, err = s.TLS.Config()
	return o, err
}

// metric makes the definition of a metric.
func (p *Pipeline) metric(m *config.ResolvedMetric) windowing.Definition {
	topic := p.topics[m.View]
	return windowing.Definition{
		Name: m.Name, View: m.View, Topic: topic.Name, Size: m.Size, Aggregate: m.Value.String(),
		Rows: windowing.Rows(m.Rows), Time: m.Time, Where: string(m.Where), GroupBy: m.GroupBy, MaxGroups: m.MaxGroups, Buckets: m.Buckets,
		OnLate: windowing.OnLate(m.OnLate), Lateness: m.Lateness, WaitForShards: m.WaitForShards,
		Retain: p.cfg.Windows.Store.Retain, Shards: p.shardsOf(m.View), Partitions: topic.Partitions,
	}
}

// shardsOf lists the shards that may write to a view.
func (p *Pipeline) shardsOf(name string) []string {
	var out []string
	for i := range p.cfg.Views {
		if p.cfg.Views[i].Name != name {
			continue
		}
		for _, src := range p.allSources() {
			if src.Name == p.cfg.Views[i].Source {
				for _, s := range src.Shards {
					out = append(out, s.ID)
				}
			}
		}
	}
	return out
}

// delivered counts how long events took from their commit to the window store.
func (p *Pipeline) delivered(_ string, commits []int64, at time.Time) {
	since := p.o.LagSince.UnixMicro()
	for _, c := range commits {
		if c >= since {
			p.deliveryLag.Observe(at.Sub(time.UnixMicro(c)), 1)
		}
	}
}

// openLake opens the object store and prepares a worker for each layout.
func (p *Pipeline) openLake(ctx context.Context) error {
	l := p.cfg.Lake
	if l == nil || !p.has(Lake) {
		return nil
	}
	store, err := OpenLakeStore(ctx, l)
	if err != nil {
		return &LakeError{err}
	}
	if err := probeLake(ctx, store, p.logger); err != nil {
		return err
	}
	for i := range l.Layouts {
		rl := &l.Layouts[i]
		layout, err := layoutOf(rl)
		if err != nil {
			return err
		}
		topic := p.topics[rl.View]
		o := parquet.Options{
			Log: p.log, Store: store, View: rl.View, Topic: topic, Layout: layout,
			RollBytes: int(l.File.RollSize), RollRows: l.File.RollRows, RollEvery: l.File.RollEvery,
			MemoryBytes: p.budget.lake, Codec: parquet.Codec{Compression: l.File.Compression}, Logger: p.logger,
		}
		p.lakes = append(p.lakes, newLakeTable(o, p.shareOf("lake", rl.View+"."+layout.Name, topic), p.unshared()))
	}
	return nil
}

// layoutOf makes the layout that the configuration states.
func layoutOf(rl *config.ResolvedLayout) (parquet.Layout, error) {
	if len(rl.By) == 0 {
		return parquet.CommitTime(), nil
	}
	by := make([]string, len(rl.By))
	for i, lv := range rl.By {
		by[i] = lv.String()
	}
	l, err := parquet.ParseLayout(rl.Name, by)
	if err != nil {
		return l, fmt.Errorf("lake layout of view %s: %w", rl.View, err)
	}
	return l, nil
}

// openShards prepares a reader and its supervisor for each shard.
func (p *Pipeline) openShards(context.Context) error {
	if !p.has(Reader) {
		return nil
	}
	var errs []error
	for i := range p.cfg.Sources {
		src := &p.cfg.Sources[i]
		views, err := p.viewsOf(src.Name)
		if err != nil {
			return err
		}
		p.viewSets[src.Name] = views
		for _, s := range src.Shards {
			sh, err := p.shard(src, s, views)
			if err != nil {
				errs = append(errs, fmt.Errorf("shard %s: %w", s.ID, err))
				continue
			}
			p.shards = append(p.shards, sh)
		}
	}
	return errors.Join(errs...)
}

// viewsOf collects the views of a source.
func (p *Pipeline) viewsOf(source string) (*viewSet, error) {
	s := &viewSet{source: source, byDef: make(map[*view.Definition]*target), capture: p.captureOf(source)}
	var defs []*view.Definition
	for i := range p.cfg.Views {
		if def := &p.cfg.Views[i]; def.Source == source {
			p.targets[i].index = len(s.targets)
			defs = append(defs, def)
			s.byDef[def] = p.targets[i]
			s.targets = append(s.targets, p.targets[i])
		}
	}
	var err error
	if s.matcher, err = view.NewMatcher(defs); err != nil {
		return nil, fmt.Errorf("views of source %s: %w", source, err)
	}
	return s, nil
}

// shard makes the supervisor of one shard.
func (p *Pipeline) shard(src *config.ResolvedSource, s config.Shard, views *viewSet) (*shard, error) {
	sh := &shard{}
	o := binlog.Options{
		Shard: s.ID, User: s.User, Password: s.Password.Reveal(), ServerID: s.ServerID,
		Flavor: binlog.Flavor(src.Type), Position: binlog.PositionMode(src.Position), Start: src.Start.String(), Heartbeat: src.Heartbeat.Every,
		ReadTimeout: src.ReadTimeout, ConnectTimeout: src.Timeout, Filter: views.follows(s.ID),
		FollowsDatabase: views.followsDatabase, Names: views.names(), Logger: p.logger,
		MaxEvent: p.budget.event, MaxEventSetting: "limits.memory, of which an event may take a quarter", Room: p.room,
	}
	if views.capture != nil {
		o.Tolerate = views.tolerate(s.ID)
		o.Began = func(position []byte, version string) { sh.began(position, version) }
	}
	if s.Network == "unix" {
		o.Socket = s.Addr
	} else {
		o.Host, o.Port = s.Host()
		var err error
		if o.TLS, err = s.TLS.Config(s.Addr); err != nil {
			return nil, err
		}
	}
	r, err := binlog.New(o)
	if err != nil {
		return nil, err
	}
	*sh = shard{
		source: src.Name, id: s.ID, addr: s.Addr, stallAfter: src.Heartbeat.StallAfter, options: o, log: p.log, views: views, saved: p.savedSource,
		batchBytes: p.budget.batch, saveEvery: time.Second, gate: &p.gate, retry: src.Retry,
		counters: &counters{since: p.o.LagSince.UnixMicro(), lag: &p.streamLag, state: status.Connecting, at: p.started},
		logger:   p.logger, wake: make(chan struct{}, 1), now: time.Now, tenure: p.newTenure(),
		asks: make(chan resetAsk), headroom: newHeadroom(p.logger, src.Name, s.ID),
	}
	sh.reader.Store(r)
	return sh, nil
}

// savedSource returns the source position that a shard has saved, nil without one.
func (p *Pipeline) savedSource(ctx context.Context, id string) ([]byte, error) {
	pos, found, err := p.log.SavedPosition(ctx, id)
	if err != nil || !found {
		return nil, err
	}
	return pos.Source, nil
}
