package embedded

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"tailwater/internal/failpoint"
	"tailwater/stream"
	"tailwater/stream/internal/position"
)

// shard is one shard's place in the position store. Every change of it goes
// through swap, so that a session which has lost its claim changes nothing.
type shard struct {
	name string
	mu   sync.Mutex
	file slots
	pos  *position.Position
}

// positionStore is the directory of positions.
type positionStore struct {
	dir string
	mu  sync.Mutex
	all map[string]*shard
}

const positionPrefix = "s-"

// openPositions reads every position in the directory.
func openPositions(dir string, warn func(msg string, args ...any)) (*positionStore, error) {
	s := &positionStore{dir: dir, all: make(map[string]*shard)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read positions: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), tempSuffix) {
			if err := removeIfThere(filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
			continue
		}
		escaped, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())), positionPrefix)
		name, err := url.PathUnescape(escaped)
		if !ok || err != nil {
			continue
		}
		if _, done := s.all[name]; done {
			continue
		}
		sh := s.newShard(name)
		damage, err := sh.load()
		if err != nil {
			return nil, fmt.Errorf("read position of shard %s: %w", name, err)
		}
		if damage != nil {
			warn("a position file is damaged; the generation before it is used", "shard", name, "error", damage)
		}
		s.all[name] = sh
	}
	return s, nil
}

func (s *positionStore) newShard(name string) *shard {
	return &shard{name: name, file: slots{kind: kindPosition, path: filepath.Join(s.dir, positionPrefix+url.PathEscape(name))}}
}

// shard returns the shard's place, which is made when it is new.
func (s *positionStore) shard(name string) *shard {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, ok := s.all[name]
	if !ok {
		sh = s.newShard(name)
		s.all[name] = sh
	}
	return sh
}

func (s *positionStore) shards() []*shard {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*shard, 0, len(s.all))
	for _, sh := range s.all {
		all = append(all, sh)
	}
	return all
}

func (sh *shard) load() (damage, err error) {
	b, found, damage, err := sh.file.load()
	if err != nil || !found {
		return damage, err
	}
	sh.pos, err = position.Decode(b)
	if err != nil {
		return damage, err
	}
	if damage != nil {
		// A session may have come after the one that wrote this generation.
		sh.pos.Clean = false
	}
	return damage, nil
}

// get returns the stored position, or nil when there is none. It must not be
// changed.
func (sh *shard) get() *position.Position {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.pos
}

// update replaces the position by what change makes of the stored one, which is
// nil when there is none and must not be changed. It is durable when update
// returns, and nothing comes in between: claims and saves rest on this.
func (sh *shard) update(change func(*position.Position) (*position.Position, error)) error {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	next, err := change(sh.pos)
	if err != nil || next == sh.pos {
		return err
	}
	failpoint.At(failpoint.StreamPositionStoring)
	if err := sh.file.save(next.Append(nil)); err != nil {
		return fmt.Errorf("store position of shard %s: %w", sh.name, err)
	}
	failpoint.At(failpoint.StreamPositionStored)
	sh.pos = next
	return nil
}

// swap stores a position if the claimed epoch is the one given: a session that
// has lost its claim changes nothing.
func (sh *shard) swap(epoch uint32, make func(*position.Position) *position.Position) error {
	return sh.update(func(stored *position.Position) (*position.Position, error) {
		if stored == nil {
			stored = &position.Position{Topics: map[string]position.Topic{}}
		}
		if stored.Epoch != epoch {
			return nil, fmt.Errorf("shard %s: epoch %d is claimed, this session has %d: %w", sh.name, stored.Epoch, epoch, stream.ErrFenced)
		}
		return make(stored.Clone()), nil
	})
}

// epoch returns the claimed epoch.
func (sh *shard) epoch() uint32 {
	if p := sh.get(); p != nil {
		return p.Epoch
	}
	return 0
}
