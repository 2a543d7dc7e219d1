package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"tailwater/change"
	"tailwater/internal/status"
	"tailwater/stream"
)

// resetsRecord is the view under whose name the stream stores, as schemas, that
// positions were moved: the key is source and shard, the one column is called
// begun or made, its Bits count the shard's resets, and its one member is a
// status.Reset as JSON. One that was begun and never made may have been made or
// not. No view is called so.
const resetsRecord = "--resets"

// The states of a reset's record.
const (
	resetBegun = "begun"
	resetMade  = "made"
)

// resets are those of one shard. It is safe for concurrent use.
type resets struct {
	mu   sync.Mutex
	list []status.Reset
}

// get returns the resets, the oldest first. They must not be changed.
func (r *resets) get() []status.Reset {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list
}

// put stores the state of a reset durably: the next one when it has begun, else
// the last.
func (r *resets) put(ctx context.Context, log stream.Log, state string, reset status.Reset) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.Clone(r.list)
	if state == resetMade {
		list = list[:len(list)-1]
	}
	text, err := json.Marshal(reset)
	if err != nil {
		return err
	}
	err = log.PutSchema(ctx, change.Schema{
		View: resetsRecord, Key: []string{reset.Source, reset.Shard},
		Columns: []change.Column{{Name: state, Type: change.Text, Bits: len(list) + 1, Members: []string{string(text)}}},
	})
	if err != nil {
		return fmt.Errorf("remember that the position of shard %s is moved: %w", reset.Shard, err)
	}
	reset.Unsure = state == resetBegun
	r.list = append(list, reset)
	return nil
}

// Resets returns what a stream remembers of positions that persons have moved,
// sorted by source and shard, each shard's in their order.
func Resets(ctx context.Context, l SchemaReader) ([]status.Reset, error) {
	stored, err := l.Schemas(ctx, resetsRecord)
	if err != nil {
		return nil, fmt.Errorf("moved positions: %w", err)
	}
	type numbered struct {
		status.Reset
		number int
	}
	var all []numbered
	for _, s := range stored {
		n := numbered{}
		if len(s.Key) != 2 || len(s.Columns) != 1 || len(s.Columns[0].Members) != 1 || json.Unmarshal([]byte(s.Columns[0].Members[0]), &n.Reset) != nil {
			return nil, fmt.Errorf("the record %s of moved positions is not as this version writes it: use the Tailwater that wrote it, or a newer one", s.Fingerprint())
		}
		n.number, n.Unsure = s.Columns[0].Bits, s.Columns[0].Name == resetBegun
		all = append(all, n)
	}
	// One that is made comes before its beginning.
	slices.SortFunc(all, func(a, b numbered) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.number, b.number), compareBool(a.Unsure, b.Unsure))
	})
	all = slices.CompactFunc(all, func(a, b numbered) bool {
		return a.Source == b.Source && a.Shard == b.Shard && a.number == b.number
	})
	var out []status.Reset
	for i := range all {
		out = append(out, all[i].Reset)
	}
	return out, nil
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// loadResets tells each shard what the stream remembers of it.
func (p *Pipeline) loadResets(ctx context.Context) error {
	if !p.has(Reader) {
		return nil
	}
	all, err := Resets(ctx, p.log)
	if err != nil {
		return err
	}
	for _, s := range p.allShards() {
		s.resets.take(all, s.source, s.id)
	}
	return nil
}

// readResets reads what the stream remembers of this shard: another process may
// have moved its position, or the process may have had no such shard before.
func (s *shard) readResets(ctx context.Context) error {
	all, err := Resets(ctx, s.log)
	if err == nil {
		s.resets.take(all, s.source, s.id)
	}
	return err
}

// take takes over those of a shard.
func (r *resets) take(all []status.Reset, source, shard string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = slices.DeleteFunc(slices.Clone(all), func(one status.Reset) bool { return one.Source != source || one.Shard != shard })
}
