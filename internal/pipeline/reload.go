package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"tailwater/internal/config"
	"tailwater/internal/status"
)

// RestartError says that a configuration differs from the one that runs in more
// than the shards of its sources. Nothing of it was taken.
type RestartError struct{ Keys []string }

// Error names the keys, and the way out.
func (e *RestartError) Error() string {
	return fmt.Sprintf("these keys take effect at a restart only: %s; a running process takes other shards of a source and nothing else: "+
		"change the shards alone, or restart", strings.Join(e.Keys, "; "))
}

// errNoLoad says that there is no file to read again.
var errNoLoad = errors.New("this process has no configuration file to read again")

// Reload reads the configuration again, begins the shards that are new, and
// drains and stops those that are gone. Anything else that is another, or wrong,
// refuses all of it: a *RestartError, or what Options.Load says. It must not be
// called before Run, and waits for it.
func (p *Pipeline) Reload(ctx context.Context) error {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	if p.o.Load == nil {
		return errNoLoad
	}
	next, err := p.o.Load()
	if err != nil {
		return err
	}
	was := *p.cfg
	was.Sources = p.allSources()
	if keys := was.Restart(next); len(keys) > 0 {
		return &RestartError{keys}
	}
	fresh, err := p.freshShards(next)
	if err != nil {
		return err
	}
	select {
	case p.added <- fresh:
	case <-ctx.Done():
		return fmt.Errorf("reload: the process is stopping: %w", context.Cause(ctx))
	}
	gone := p.take(next.Sources, fresh)
	for _, s := range gone {
		s.tenure.set(removed, "")
	}
	p.tellOwners()
	p.redefine()
	p.logger.Info("configuration is read again", "added", idsOf(fresh), "removed", idsOf(gone))
	return nil
}

// freshShards prepares the shards that this process does not have yet. One that
// was removed and is still being drained is not to be had at the same time.
func (p *Pipeline) freshShards(next *config.Resolved) ([]*shard, error) {
	if !p.has(Reader) {
		return nil, nil
	}
	have := make(map[string]possession)
	for _, s := range p.allShards() {
		have[s.id], _ = s.tenure.now()
	}
	p.budget.batch = newBudget(next).batch
	var fresh []*shard
	for i := range next.Sources {
		src := &next.Sources[i]
		for _, c := range src.Shards {
			is, known := have[c.ID]
			if known && is == removed {
				return nil, fmt.Errorf("shard %s is still drained since it was removed: reload again once it is no longer in the status", c.ID)
			}
			if known {
				continue
			}
			s, err := p.shard(src, c, p.viewSets[src.Name])
			if err != nil {
				return nil, fmt.Errorf("shard %s: %w", c.ID, err)
			}
			fresh = append(fresh, s)
		}
	}
	return fresh, nil
}

// take makes the sources those of now, and returns the shards that are in none.
func (p *Pipeline) take(sources []config.ResolvedSource, fresh []*shard) []*shard {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sources = sources
	p.shards = slices.Concat(p.shards, fresh)
	var gone []*shard
	for _, s := range p.shards {
		if !slices.ContainsFunc(sources, func(src config.ResolvedSource) bool {
			return slices.ContainsFunc(src.Shards, func(c config.Shard) bool { return c.ID == s.id })
		}) {
			gone = append(gone, s)
		}
	}
	return gone
}

// redefine tells the metrics which shards to wait for.
func (p *Pipeline) redefine() {
	for _, v := range p.windows {
		v.redefine(p.shardsOf(v.view))
	}
}

func idsOf(shards []*shard) []string {
	out := make([]string, len(shards))
	for i, s := range shards {
		out[i] = s.id
	}
	return out
}

// reloadRequest reads the configuration again for the API.
func (p *Pipeline) reloadRequest(r *http.Request) (any, error) {
	err := p.Reload(r.Context())
	var restart *RestartError
	switch {
	case err == nil:
		return nil, nil
	case errors.As(err, &restart):
		return nil, &status.Problem{Status: http.StatusConflict, Title: "a restart is needed", Code: "restart_needed", Detail: err.Error(),
			Suggestion: "nothing was changed: change the shards of a source alone, or restart"}
	}
	return nil, &status.Problem{Status: http.StatusUnprocessableEntity, Title: "the configuration is not taken", Code: "bad_configuration", Detail: err.Error(),
		Suggestion: "nothing was changed: tailwater lint names every mistake of the file"}
}
