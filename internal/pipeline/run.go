package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"tailwater/internal/failpoint"
	"tailwater/internal/standstill"
	"tailwater/internal/status"
)

// UndrainedError says what was left when the time for draining was over.
// Nothing of it is lost: the next start reads it again.
type UndrainedError struct {
	Left []string
	Err  error
}

// Error lists what was left, and why.
func (e *UndrainedError) Error() string {
	left := e.Left
	if e.Err != nil {
		left = append(slices.Clone(left), e.Err.Error())
	}
	if len(left) == 0 {
		left = []string{"stopped before the sinks had stored what they hold"}
	}
	return fmt.Sprintf("not drained: %s; the next start goes on from the stored positions", strings.Join(left, "; "))
}

// Unwrap returns the cause.
func (e *UndrainedError) Unwrap() error { return e.Err }

// Run works until ctx ends, then drains for at most grace:
//
//	readers stop and publish what they have -> sinks catch up with the stream -> sinks store what they hold
//
// Where the readers run in another process there is no end to catch up with,
// and the sinks only store what they hold.
//
// hard ends everything at once. Run returns nil when all was drained.
func (p *Pipeline) Run(ctx, hard context.Context, grace time.Duration) error {
	hard, cancelHard := context.WithCancel(hard)
	defer cancelHard()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(hard, stop)()
	sinks, stopSinks := context.WithCancel(hard)
	defer stopSinks()

	var side, readers, workers sync.WaitGroup
	p.startSide(sinks, &side)
	failed := make(chan error, len(p.windows)+len(p.lakes))
	for _, v := range p.windows {
		workers.Go(func() { failed <- v.run(sinks) })
	}
	for _, w := range p.lakes {
		workers.Go(func() { failed <- w.Run(sinks) })
	}
	owning, leave := context.WithCancel(hard)
	defer leave()
	var group sync.WaitGroup
	group.Go(func() { p.own(owning) })
	p.follow(ctx, hard, &readers)
	failpoint.At(failpoint.DrainBegun)
	p.logger.Info("draining", "grace", grace.String())
	deadline := time.AfterFunc(grace, cancelHard)
	defer deadline.Stop()
	readers.Wait()
	failpoint.At(failpoint.DrainReadersEnded)
	leave() // others take the shards while the sinks go on here
	group.Wait()
	left := p.stopped()
	if p.has(Reader) {
		left = append(left, p.catchUp(hard)...)
	}
	failpoint.At(failpoint.DrainCaughtUp)
	stopSinks()
	workers.Wait()
	failpoint.At(failpoint.DrainSinksEnded)
	side.Wait()
	close(failed)
	var errs []error
	for err := range failed {
		if err != nil && !errors.Is(err, context.Canceled) {
			errs = append(errs, err)
		}
	}
	if hard.Err() != nil || len(left) > 0 || len(errs) > 0 {
		return &UndrainedError{Left: left, Err: errors.Join(errs...)}
	}
	p.logger.Info("drained")
	return nil
}

// startSide starts what runs beside: the HTTP server, retention, the watch over
// open transactions, the minute's totals.
func (p *Pipeline) startSide(ctx context.Context, wg *sync.WaitGroup) {
	wg.Go(func() { p.keepRoom(ctx) })
	wg.Go(func() { p.watchHeld(ctx) })
	wg.Go(func() { p.watchHeadroom(ctx) })
	wg.Go(func() { p.report(ctx) })
	if p.store != nil && p.cfg.Windows.Store.Type != "embedded" {
		wg.Go(func() { p.checkStore(ctx) })
	}
	if p.listener == nil {
		return
	}
	server := status.NewServer(status.ServerOptions{
		Listener: p.listener, Source: p, Token: p.token, Log: p.logger,
		Actions: map[string]status.Action{
			"shards/{shard}/retry":  p.retryShard,
			"shards/{shard}/accept": p.acceptTransaction,
			"shards/{shard}/resume": p.resumeTable,
			"shards/{shard}/reset":  p.resetShard,
			"reload":                p.reloadRequest,
		},
	})
	wg.Go(func() {
		if err := server.Run(ctx); err != nil {
			p.logger.Error("http server ended", "error", err)
		}
	})
}

// checkStore says once what is wrong with the window store's settings, as soon
// as it answers. A store that is down holds the windows back and nothing else.
func (p *Pipeline) checkStore(ctx context.Context) {
	notice := standstill.New(standstill.Options{
		Logger: p.logger, Level: slog.LevelWarn, Stops: "the window store is not as it must be, or does not answer", Moves: "the window store is as it must be",
	})
	for {
		found, err := p.store.Preflight(ctx)
		if err == nil {
			notice.Moves(0)
			for _, w := range found.Warnings {
				p.logger.Warn("window store", "version", found.Version, "warning", w)
			}
			for _, v := range p.windows {
				v.storeDown(nil)
			}
			return
		}
		if ctx.Err() != nil {
			return
		}
		notice.Stands(0, err)
		for _, v := range p.windows {
			v.storeDown(err)
		}
		if !pause(ctx, 5*time.Second) {
			return
		}
	}
}

// retryShard ends the pause of a shard that waits after an error.
func (p *Pipeline) retryShard(r *http.Request) (any, error) {
	s, err := p.shardOf(r)
	if err == nil {
		s.retryNow()
	}
	return nil, err
}

// acceptTransaction lets a stopped shard pass over the transaction it stopped at.
func (p *Pipeline) acceptTransaction(r *http.Request) (any, error) {
	s, err := p.shardOf(r)
	if err != nil {
		return nil, err
	}
	id := r.URL.Query().Get("transaction")
	if err := s.accept(id); errors.Is(err, errNotStoppedThere) {
		return nil, &status.Problem{Status: http.StatusConflict, Title: err.Error(), Code: "not_stopped_there", Detail: id,
			Suggestion: "give transaction= the id that the shard's error asks to accept: GET /api/v1/status shows it"}
	} else if err != nil {
		return nil, err
	}
	return nil, nil
}

// resumeTable lets a captured table go on that is stopped, or forgets what is
// noted of it.
func (p *Pipeline) resumeTable(r *http.Request) (any, error) {
	s, err := p.shardOf(r)
	if err != nil {
		return nil, err
	}
	name := tableName{r.URL.Query().Get("schema"), r.URL.Query().Get("table")}
	if err := s.resume(r.Context(), name); errors.Is(err, errNotMarked) {
		return nil, &status.Problem{Status: http.StatusConflict, Title: err.Error(), Code: "not_marked", Detail: name.String(),
			Suggestion: "give schema= and table= as GET /api/v1/status shows them under captures"}
	} else if err != nil {
		return nil, err
	}
	return nil, nil
}

// shardOf returns the shard that a request's path names.
func (p *Pipeline) shardOf(r *http.Request) (*shard, error) {
	for _, s := range p.allShards() {
		if s.id != r.PathValue("shard") {
			continue
		}
		if state, owner, _ := s.tenure.away(); !s.tenure.held() {
			return nil, &status.Problem{Status: http.StatusConflict, Title: "the shard is not this process's", Code: "elsewhere",
				Detail: fmt.Sprintf("shard %s is %s %s", s.id, state, owner), Suggestion: "ask the process that has it: GET /api/v1/status names it"}
		}
		return s, nil
	}
	return nil, &status.Problem{Status: http.StatusNotFound, Title: "no such shard", Code: "no_shard",
		Detail: r.PathValue("shard"), Suggestion: "GET /api/v1/status lists the shards"}
}

// stopped names the shards that wait for a person: what they have not read is
// not drained.
func (p *Pipeline) stopped() []string {
	var out []string
	for _, s := range p.allShards() {
		if s.left != nil {
			out = append(out, fmt.Sprintf("shard %s is stopped: %v", s.id, s.left))
		}
	}
	return out
}

// catchUp waits until every sink has all that the stream holds, and returns
// what is behind when hard ends.
func (p *Pipeline) catchUp(hard context.Context) []string {
	// Readers of other processes go on: the end moves away from who waits for it.
	var ends map[string][]int64
	for {
		var err error
		if ends == nil {
			ends, err = p.ends(hard)
		}
		left := []string{fmt.Sprintf("stream: %v", err)}
		if err == nil {
			left = p.behind(hard, ends)
		}
		if len(left) == 0 || !pause(hard, 20*time.Millisecond) {
			return left
		}
	}
}

// ends are the ends of the stream's partitions by view.
func (p *Pipeline) ends(ctx context.Context) (map[string][]int64, error) {
	ends := make(map[string][]int64)
	for name, t := range p.topics {
		bounds, err := p.log.Bounds(ctx, t.Name)
		if err != nil {
			return nil, err
		}
		for _, b := range bounds {
			ends[name] = append(ends[name], b.Next)
		}
	}
	return ends, nil
}

// behind names the sinks that have not read the stream to the given ends.
func (p *Pipeline) behind(ctx context.Context, ends map[string][]int64) []string {
	var left []string
	for _, v := range p.windows {
		if v.hasNothing(ctx) {
			continue
		}
		if !v.hasShare() {
			left = append(left, fmt.Sprintf("windows of view %s: this process has not been told its partitions", v.view))
			continue
		}
		if n := missing(ends[v.view], v.saved()); n > 0 {
			left = append(left, fmt.Sprintf("windows of view %s: %d records", v.view, n))
		}
	}
	for _, w := range p.lakes {
		st := w.Status()
		if !w.hasShare() {
			left = append(left, fmt.Sprintf("lake of view %s: this process has not been told its partitions", st.View))
			continue
		}
		at := st.Read
		if st.Err != nil {
			at = st.Saved // what a worker in error has read, it reads again
		}
		if n := missing(ends[st.View], at); n > 0 {
			left = append(left, fmt.Sprintf("lake of view %s: %d records", st.View, n))
		}
	}
	return left
}

// missing counts the records between two sets of offsets. A partition at -1 is
// another process's.
func missing(ends, at []int64) (n int64) {
	for i, end := range ends {
		switch {
		case i >= len(at):
			n += end
		case at[i] >= 0:
			n += max(0, end-at[i])
		}
	}
	return n
}

// CaughtUp reports whether every sink has all that the stream holds now.
func (p *Pipeline) CaughtUp(ctx context.Context) bool {
	ends, err := p.ends(ctx)
	return err == nil && len(p.behind(ctx, ends)) == 0
}

// report logs the totals once a minute.
func (p *Pipeline) report(ctx context.Context) {
	for pause(ctx, time.Minute) {
		s := p.Snapshot()
		var rows, events, lake uint64
		for i := range s.Shards {
			rows += s.Shards[i].Rows
			events += s.Shards[i].Events
		}
		for i := range s.Lake {
			lake += s.Lake[i].Rows
		}
		p.logger.Info("totals", "verdict", s.Verdict, "rows", rows, "events", events, "lake_rows", lake,
			"stream_bytes", s.Stream.Bytes, "rss_bytes", s.Process.RSSBytes,
			"stream_lag_p99_ms", s.Process.StreamLag.P99, "lag_p99_ms", s.Process.DeliveryLag.P99)
	}
}
