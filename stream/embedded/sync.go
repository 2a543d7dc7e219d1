package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"tailwater/internal/failpoint"
)

// parallelSyncs is how many files are synced at once. A journaling file system
// joins concurrent syncs into one commit.
const parallelSyncs = 8

// span is a batch that the broker has written: its first offset and the one
// behind it. When the base is unseen, there may be several up to end.
type span struct{ base, end int64 }

const unseen = -1

// segmentFiles follows the files of one partition. The syncer's goroutine owns
// it.
type segmentFiles struct {
	// base is the first offset of the newest file known, -1 when there is
	// none; file is nil until it is needed.
	base int64
	file *os.File
	// next is the end of the last batch seen. A batch that begins elsewhere
	// shows that others were written unseen, maybe to files unseen.
	next int64
}

// syncer makes what the broker has written durable: one round of fsync serves
// every publish that came before the round began (group commit).
//
// A failed fsync leaves the page cache in an unknown state, so it ends the log:
// every later call fails, and only recovery from the disk can go on.
type syncer struct {
	log  *Log
	wake chan struct{}

	mu      sync.Mutex
	pending map[*partition][]span
	waiting []chan error
	failed  error
	// advanced is closed and replaced whenever a synced end has moved.
	advanced chan struct{}
}

func newSyncer(l *Log) *syncer {
	return &syncer{log: l, wake: make(chan struct{}, 1), pending: make(map[*partition][]span), advanced: make(chan struct{})}
}

// err returns why no sync can succeed any more, or nil.
func (s *syncer) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// changed returns a channel that is closed when a synced end moves after the call.
func (s *syncer) changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.advanced
}

// sync waits until the given batches are durable. When ctx ends first, they
// become durable all the same.
func (s *syncer) sync(ctx context.Context, batches map[*partition]span) error {
	done := make(chan error, 1)
	s.mu.Lock()
	if s.failed != nil {
		s.mu.Unlock()
		return s.failed
	}
	for p, b := range batches {
		s.pending[p] = append(s.pending[p], b)
	}
	s.waiting = append(s.waiting, done)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run serves rounds until ctx ends, and then one last.
func (s *syncer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			s.round()
			return
		case <-s.wake:
			s.round()
		}
	}
}

func (s *syncer) round() {
	s.mu.Lock()
	pending, waiting := s.pending, s.waiting
	s.pending, s.waiting = make(map[*partition][]span), nil
	err := s.failed
	s.mu.Unlock()
	var ends map[*partition]int64
	if err == nil {
		ends, err = s.commit(pending)
	}
	s.mu.Lock()
	if err != nil && s.failed == nil {
		s.failed = fmt.Errorf("the embedded stream has failed and must be opened again: %w", err)
	}
	err = s.failed
	for p, end := range ends {
		if err == nil && end > p.synced.Load() {
			p.synced.Store(end)
		}
	}
	close(s.advanced)
	s.advanced = make(chan struct{})
	s.mu.Unlock()
	if len(pending) > 0 {
		failpoint.At(failpoint.StreamAcked)
	}
	for _, w := range waiting {
		w <- err
	}
}

// commit syncs the files of the batches, then the record of the ends.
func (s *syncer) commit(pending map[*partition][]span) (map[*partition]int64, error) {
	failpoint.At(failpoint.StreamSyncing)
	ends := make(map[*partition]int64, len(pending))
	var g errgroup.Group
	g.SetLimit(parallelSyncs)
	for p, batches := range pending {
		slices.SortFunc(batches, func(a, b span) int { return cmp.Compare(a.end, b.end) })
		end := batches[len(batches)-1].end
		if end <= p.synced.Load() {
			continue
		}
		dirty, created, err := p.files.follow(p.dir, batches)
		if err != nil {
			return nil, errors.Join(err, g.Wait())
		}
		ends[p] = end
		newest := p.files.file
		g.Go(func() error { return syncFiles(p.dir, dirty, newest, created) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if len(ends) == 0 {
		return nil, nil
	}
	if err := failpoint.Err(failpoint.StreamSynced, unix.EIO); err != nil {
		return nil, err
	}
	return ends, s.log.ends.save(s.log.topics.all(), ends)
}

// syncFiles syncs and closes the files that are not the newest any more, and
// syncs the newest.
func syncFiles(dir string, sealed []*os.File, newest *os.File, created bool) error {
	for _, f := range append(slices.Clone(sealed), newest) {
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return fmt.Errorf("sync %s: %w", f.Name(), err)
		}
	}
	for _, f := range sealed {
		if err := f.Close(); err != nil {
			return fmt.Errorf("close %s: %w", f.Name(), err)
		}
	}
	if !created {
		return nil
	}
	return errors.Join(syncDir(dir), syncDir(filepath.Dir(dir)))
}

// reset says that the newest file begins at base, or that there is none when
// base is -1, and that everything before next is durable.
func (s *segmentFiles) reset(base, next int64) { s.base, s.next = base, next }

// follow finds the files that the batches, in order, went to. It returns the
// open files that are not the newest any more, and whether there are new names
// in the directory. The broker begins a new file at a batch's first offset.
func (s *segmentFiles) follow(dir string, batches []span) (sealed []*os.File, created bool, err error) {
	if s.file == nil && s.base >= 0 {
		if s.file, err = os.Open(segmentPath(dir, s.base)); err != nil {
			return nil, false, fmt.Errorf("open segment: %w", err)
		}
	}
	for _, b := range batches {
		if b.end <= s.next {
			continue
		}
		bases := []int64{b.base}
		if b.base != s.next {
			if bases, err = listSegments(dir); err != nil {
				return sealed, created, err
			}
		}
		for _, base := range bases {
			if base <= s.base {
				continue
			}
			f, err := os.Open(segmentPath(dir, base))
			if errors.Is(err, fs.ErrNotExist) && base == b.base && b.base == s.next {
				break // the batch went to the file of the one before
			}
			if err != nil {
				return sealed, created, fmt.Errorf("open segment: %w", err)
			}
			if s.file != nil {
				sealed = append(sealed, s.file)
			}
			s.file, s.base, created = f, base, true
		}
		s.next = b.end
	}
	if s.file == nil {
		return nil, false, fmt.Errorf("find segments of %s: there are none", dir)
	}
	return sealed, created, nil
}

func (s *segmentFiles) close() {
	if s.file != nil {
		_ = s.file.Close() // opened for reading
		s.file = nil
	}
}

func segmentPath(dir string, base int64) string {
	return filepath.Join(dir, strconv.FormatInt(base, 10)+".dat")
}

// listSegments returns the first offsets of a partition's files in order. A
// directory that is not there has none.
func listSegments(dir string) ([]int64, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	var bases []int64
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".dat")
		if !ok {
			continue
		}
		if base, err := strconv.ParseInt(name, 10, 64); err == nil && base >= 0 {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	return bases, nil
}
