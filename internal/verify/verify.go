package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tailwater/internal/config"
	"tailwater/internal/objstore"
)

// Options are the options of Run.
type Options struct {
	Config *config.Resolved
	// Only are the parts to compare, of rows, windows and lake; none is all.
	Only []string
	// Timeout bounds how long the pipeline may take to get to where the sources
	// were when the comparison began. 0 is 5 minutes.
	Timeout time.Duration
	// MaxDifferences bounds how many differences are described. 0 is 100.
	MaxDifferences int
	// MaxKeys bounds how many keys of one view are held at once, and with them
	// memory: about 100 bytes each. 0 is 2,000,000.
	MaxKeys int
	// PageRows is how many rows one SELECT reads. 0 is 5,000.
	PageRows int
	// OnProgress, when set, is called every ProgressEvery; 0 is 10 seconds.
	OnProgress    func(Progress)
	ProgressEvery time.Duration
}

const (
	defaultTimeout        = 5 * time.Minute
	defaultMaxDifferences = 100
	defaultMaxKeys        = 2_000_000
	defaultPageRows       = 5000
	// maxAttempts bounds how often a comparison begins again because a table
	// changed its shape under it.
	maxAttempts = 4
)

func (o *Options) fill() error {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxDifferences == 0 {
		o.MaxDifferences = defaultMaxDifferences
	}
	if o.MaxKeys == 0 {
		o.MaxKeys = defaultMaxKeys
	}
	if o.PageRows == 0 {
		o.PageRows = defaultPageRows
	}
	if o.ProgressEvery == 0 {
		o.ProgressEvery = 10 * time.Second
	}
	if o.Config == nil || o.Timeout < 0 || o.MaxDifferences < 0 || o.MaxKeys < 0 || o.PageRows < 0 || o.ProgressEvery < 0 {
		return errors.New("verify: a configuration is needed, and no bound may be negative")
	}
	for _, part := range o.Only {
		if !slices.Contains([]string{"rows", "windows", "lake"}, part) {
			return &UsageError{fmt.Sprintf("%q cannot be compared: choose of rows, windows and lake", part)}
		}
	}
	return nil
}

// UsageError says that an option is wrong.
type UsageError struct{ Problem string }

// Error names the option and what it may be.
func (e *UsageError) Error() string { return e.Problem }

// verifier is one run.
type verifier struct {
	o        Options
	cfg      *config.Resolved
	log      log
	running  *running
	lake     objstore.Store
	findings findings
	progress progress
	result   Result
}

// Run compares, and returns what it found. An error means that it could not be
// compared: an *UnreachableError where something does not answer or does not
// get where it must be.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	started := time.Now()
	v := &verifier{o: o, cfg: o.Config, findings: findings{limit: o.MaxDifferences}}
	if err := v.open(ctx); err != nil {
		return nil, err
	}
	stop := v.report(ctx)
	err := v.run(ctx)
	stop()
	err = errors.Join(err, v.log.Close())
	if err != nil {
		return nil, err
	}
	r := &v.result
	r.Found, r.Differences, r.Notes = v.findings.found, v.findings.list, v.findings.notes
	if r.Differences == nil {
		r.Differences = []Difference{}
	}
	r.Seconds = time.Since(started).Seconds()
	return r, nil
}

// report tells of the progress until the returned function is called.
func (v *verifier) report(ctx context.Context) (stop func()) {
	if v.o.OnProgress == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(v.o.ProgressEvery)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				v.o.OnProgress(v.progress.get())
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (v *verifier) run(ctx context.Context) error {
	if err := v.loadResets(ctx); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{{"rows", v.compareRows}, {"windows", v.compareWindows}, {"lake", v.compareLake}} {
		if !hasPart(v.o.Only, part.name) {
			continue
		}
		if err := v.again(ctx, part.run); err != nil {
			return err
		}
	}
	return nil
}

// again runs a part until nothing changes its shape under it.
func (v *verifier) again(ctx context.Context, run func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		result, list, found := v.result, slices.Clone(v.findings.list), v.findings.found
		err := run(ctx)
		if !errors.Is(err, errAgain) || attempt == maxAttempts {
			return err
		}
		v.result, v.findings.list, v.findings.found = result, list, found
		v.findings.note("a part was read again: %v", err)
	}
}

// openTopic captures a view's part of the stream.
func (v *verifier) openTopic(ctx context.Context, view string) (*topic, error) {
	t, err := openTopic(ctx, v.log, topicName(v.cfg, view))
	if err != nil {
		return nil, err
	}
	return t, t.addHistory(ctx, v.lake, view, v.layouts(view)[0])
}

// layouts names the layouts of a view in the lake, the first first.
func (v *verifier) layouts(view string) []string {
	var out []string
	if v.cfg.Lake != nil {
		for i := range v.cfg.Lake.Layouts {
			if l := &v.cfg.Lake.Layouts[i]; l.View == view {
				out = append(out, l.Name)
			}
		}
	}
	if len(out) == 0 {
		out = append(out, "default")
	}
	return out
}

// compareRows holds the sources against the stream.
func (v *verifier) compareRows(ctx context.Context) (err error) {
	servers, err := v.snapshots(ctx)
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.close())
		}
	}()
	if err != nil {
		return err
	}
	if err := v.await(ctx, servers); err != nil {
		return err
	}
	for _, s := range servers {
		v.result.Tables += len(s.tables)
	}
	for i := range v.cfg.Views {
		if def := &v.cfg.Views[i]; !def.Envelope.IsFlat() {
			if err := v.checkForeign(ctx, def); err != nil {
				return err
			}
			continue
		}
		r, err := v.newRows(ctx, &v.cfg.Views[i], servers)
		if err != nil {
			return err
		}
		if err := r.run(ctx); err != nil {
			return err
		}
		v.result.Views++
		v.result.RowsCompared += r.compared.Load()
		v.result.ColumnsCompared += r.columns.Load()
		v.result.Unseen += r.unseen.Load()
		v.result.UnseenRows += r.unseenRows.Load()
		v.result.Busy += r.busy.Load()
		v.result.Events += r.events.Load()
	}
	return v.checkCaptured(ctx)
}

// snapshots opens a snapshot on every shard.
func (v *verifier) snapshots(ctx context.Context) ([]*server, error) {
	v.progress.begin("opening snapshots", 0)
	var out []*server
	for i := range v.cfg.Sources {
		src := &v.cfg.Sources[i]
		wanted, err := v.wanted(src.Name)
		if err != nil {
			return out, err
		}
		for _, shard := range src.Shards {
			s, err := connect(ctx, src, shard)
			if err != nil {
				return out, err
			}
			s.earliest = s.earliest && v.findings.passed[shard.ID] == ""
			out = append(out, s)
			if err := s.snapshot(ctx, wanted); err != nil {
				return out, &UnreachableError{fmt.Sprintf("shard %s at %s cannot be read", shard.ID, shard.Addr), err}
			}
		}
	}
	return out, nil
}

// wanted tells which tables of a source any view takes.
func (v *verifier) wanted(source string) (func(database, name string) bool, error) {
	var all []names
	for i := range v.cfg.Views {
		if v.cfg.Views[i].Source != source {
			continue
		}
		n, err := newNames(&v.cfg.Views[i])
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return func(database, name string) bool {
		return slices.ContainsFunc(all, func(n names) bool {
			_, ok := n.match(database, name)
			return ok
		})
	}, nil
}

// await waits until the position of every shard has its snapshot behind it.
func (v *verifier) await(ctx context.Context, servers []*server) error {
	v.progress.begin("waiting for the readers", int64(len(servers)))
	limit, cancel := context.WithTimeout(ctx, v.o.Timeout)
	defer cancel()
	for _, s := range servers {
		for try := 0; ; try++ {
			missing, err := v.behind(ctx, s)
			if err != nil {
				return fmt.Errorf("shard %s: %w", s.shard.ID, err)
			}
			if missing == "" {
				break
			}
			if v.running == nil {
				return &UnreachableError{What: fmt.Sprintf("shard %s: the stream lacks %s, and no pipeline runs that could read it: start it, or stop the writes before it drains", s.shard.ID, missing)}
			}
			if try%10 == 0 {
				if err := v.stopped(ctx, servers); err != nil {
					return err
				}
			}
			if !pause(limit, 50*time.Millisecond) {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				return &UnreachableError{What: fmt.Sprintf("shard %s: the stream lacks %s after %s; %s", s.shard.ID, missing, v.o.Timeout, v.shardState(ctx, s.shard.ID))}
			}
		}
		v.progress.add(1)
	}
	return nil
}

// behind says what a shard's position lacks; empty is nothing.
func (v *verifier) behind(ctx context.Context, s *server) (string, error) {
	p, ok, err := v.log.SavedPosition(ctx, s.shard.ID)
	if err != nil {
		return "", err
	}
	if !ok {
		return "everything: no position is saved", nil
	}
	return s.cut.reached(p.Source)
}

// pause waits, and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
