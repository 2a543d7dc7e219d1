package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"tailwater/internal/status"
)

// shards asks the running pipeline how its shards are. It is false where that
// cannot be known.
func (v *verifier) shards(ctx context.Context) ([]status.Shard, bool) {
	if v.running == nil || v.running.HTTP == "" {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.running.HTTP+"/api/v1/status", nil)
	if err != nil {
		return nil, false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, false
	}
	defer resp.Body.Close()
	var s status.Snapshot
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(&s); err != nil {
		return nil, false
	}
	return s.Shards, true
}

// shardState says what the running pipeline tells of a shard.
func (v *verifier) shardState(ctx context.Context, shard string) string {
	const hint = "wait longer with --timeout"
	shards, ok := v.shards(ctx)
	if !ok {
		return hint
	}
	for i := range shards {
		if sh := &shards[i]; sh.Shard == shard && sh.Error != "" {
			return fmt.Sprintf("the pipeline says that it is %s: %s", sh.State, sh.Error)
		} else if sh.Shard == shard {
			return fmt.Sprintf("the pipeline says that it is %s, %.0f s behind: %s", sh.State, sh.LagSeconds, hint)
		}
	}
	return "the pipeline that runs does not have this shard"
}

// stopped returns an error where a shard is stopped of which the stream lacks
// something: no waiting helps then, and a person must know why.
func (v *verifier) stopped(ctx context.Context, servers []*server) error {
	shards, _ := v.shards(ctx)
	var out []string
	for i := range shards {
		if shards[i].State != status.Stopped {
			continue
		}
		for _, s := range servers {
			if s.shard.ID != shards[i].Shard {
				continue
			}
			missing, err := v.behind(ctx, s)
			if err != nil {
				return fmt.Errorf("shard %s: %w", s.shard.ID, err)
			}
			if missing != "" {
				out = append(out, fmt.Sprintf("shard %s is stopped, and the stream lacks %s: %s", s.shard.ID, missing, shards[i].Error))
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return &UnreachableError{What: strings.Join(out, "\n") + "\nit is tried again once a minute, or at once by a POST to /api/v1/shards/ID/retry; verify again when it goes on"}
}
