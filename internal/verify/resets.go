package verify

import (
	"context"
	"fmt"
	"time"

	"tailwater/internal/pipeline"
)

// loadResets notes which positions a person has moved: rows that were passed
// over are no fault of the pipeline, and must not look like one.
func (v *verifier) loadResets(ctx context.Context) error {
	all, err := pipeline.Resets(ctx, v.log)
	if err != nil {
		return err
	}
	v.findings.passed = make(map[string]string)
	for i := range all {
		r := &all[i]
		if !v.hasShard(r.Source, r.Shard) {
			continue
		}
		did := "moved"
		if r.Unsure {
			did = "perhaps moved"
		}
		text := fmt.Sprintf("its position was %s at %s", did, r.At.Format(time.RFC3339))
		if r.Passed != "" {
			text += ", which passed over " + r.Passed
		}
		if r.Lost != "" {
			text += "; published and lost by its server: " + r.Lost
		}
		for _, note := range r.Notes {
			text += "; " + note
		}
		v.findings.note("shard %s: %s; rows without an event count as unseen", r.Shard, text)
		if before := v.findings.passed[r.Shard]; before != "" {
			text = before + "; " + text
		}
		v.findings.passed[r.Shard] = text
	}
	return nil
}

// hasShard reports whether the configuration has a shard.
func (v *verifier) hasShard(source, shard string) bool {
	for i := range v.cfg.Sources {
		for _, s := range v.cfg.Sources[i].Shards {
			if v.cfg.Sources[i].Name == source && s.ID == shard {
				return true
			}
		}
	}
	return false
}
