package embedded

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// LossError says that the disk has lost records that somebody was told are
// durable.
type LossError struct {
	// Path is the file or directory where they were.
	Path string
	// What says what is missing.
	What string
}

// Error names the place and the choices.
func (e *LossError) Error() string {
	return fmt.Sprintf("%s: %s. Choices: restore the directory from a copy that has them, or accept the loss "+
		"and go on with what is there; then read again what is missing, or start the shards from an older position", e.Path, e.What)
}

// recovered is what recovery found in a partition.
type recovered struct {
	first, next int64
	// newest is the first offset of the newest file, -1 without one.
	newest int64
	// changed is set when something was cut off or removed.
	changed bool
}

// recovery brings the files of one partition into a state that the broker
// loads as it is. The broker's own recovery is not used, for it would take a
// file with a damaged middle for two halves of a log, would begin an empty
// partition at offset 0, and would hold the whole partition in memory.
type recovery struct {
	dir string
	// first is where retention has said that the partition begins.
	first  int64
	accept bool
}

// run checks every batch, cuts off what is torn at the end, removes what
// retention was about to remove, and makes the result durable. Clean says that
// the broker was closed in order: then its own notes are trusted.
func (r recovery) run(clean bool) (recovered, error) {
	if clean {
		if got, ok := r.trust(); ok {
			return got, nil
		}
	}
	bases, err := listSegments(r.dir)
	if err != nil {
		return recovered{}, err
	}
	if bases, err = r.sweep(bases); err != nil {
		return recovered{}, err
	}
	if len(bases) == 0 {
		if r.first > 0 && !r.accept {
			return recovered{}, &LossError{r.dir, fmt.Sprintf("the partition has no file left, it began at offset %d", r.first)}
		}
		return recovered{first: 0, next: 0, newest: -1, changed: r.first > 0}, nil
	}
	if bases[0] > r.first && !r.accept {
		return recovered{}, &LossError{r.dir, fmt.Sprintf("the partition begins at offset %d, it began at %d", bases[0], r.first)}
	}
	got, snap, err := r.scan(bases)
	if err != nil {
		return recovered{}, err
	}
	snap.LogStart = got.first
	return got, snap.write(r.dir)
}

// sweep removes temporary files, the broker's index files, which hold nothing
// that the segments do not, and segments below the first offset.
func (r recovery) sweep(bases []int64) ([]int64, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("recover partition: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".idx") || strings.HasSuffix(e.Name(), tempSuffix) {
			if err := removeIfThere(filepath.Join(r.dir, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	for len(bases) > 1 && bases[1] <= r.first {
		if err := removeIfThere(segmentPath(r.dir, bases[0])); err != nil {
			return nil, err
		}
		bases = bases[1:]
	}
	return bases, nil
}

// scan reads the segments in order and cuts the log at the first byte that is
// not a batch in its place.
func (r recovery) scan(bases []int64) (recovered, *snapshot, error) {
	got := recovered{first: max(bases[0], r.first), next: bases[0], newest: -1}
	snap := &snapshot{Version: 1, MaxTimestamp: -1}
	for i, base := range bases {
		path := segmentPath(r.dir, base)
		seg := segmentScan{next: got.next}
		if base == got.next {
			if err := seg.run(path); err != nil {
				return got, nil, err
			}
		}
		last := i == len(bases)-1
		if !last && !r.accept && (base != got.next || seg.good < seg.size) {
			return got, nil, &LossError{path, fmt.Sprintf("damaged at byte %d, offset %d, and other files follow", seg.good, seg.next)}
		}
		if base != got.next || seg.good == 0 {
			// Nothing of this file follows the file before it.
			got.changed = true
			if err := removeIfThere(path); err != nil {
				return got, nil, err
			}
			continue
		}
		if err := settle(path, seg); err != nil {
			return got, nil, err
		}
		got.changed = got.changed || seg.good < seg.size
		got.next, got.newest = seg.next, base
		snap.Segments = append(snap.Segments, snapshotSegment{Base: base, Size: seg.good})
		snap.MaxTimestamp = max(snap.MaxTimestamp, seg.time)
	}
	got.first = min(got.first, got.next)
	snap.HighWatermark, snap.LastStable = got.next, got.next
	return got, snap, nil
}

// settle cuts off what is torn, and syncs: what a killed process wrote may be
// in the page cache only.
func settle(path string, seg segmentScan) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("recover segment: %w", err)
	}
	if seg.good < seg.size {
		err = f.Truncate(seg.good)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("recover %s: %w", path, err)
	}
	return nil
}

// segmentScan is the result of reading one file.
type segmentScan struct {
	// next is the offset behind the last good batch, good its end in bytes.
	next, good, size int64
	time             int64
	head             [batchHeader]byte
}

// run reads the file in bounded memory. It fails only when the file cannot be
// read: what is wrong in it is told by good < size.
func (s *segmentScan) run(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("recover segment: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("recover segment: %w", err)
	}
	s.size, s.time = info.Size(), -1
	b := bufio.NewReaderSize(f, 256<<10)
	for {
		ok, err := s.batch(b)
		if err != nil {
			return fmt.Errorf("recover %s: %w", path, err)
		}
		if !ok {
			return nil
		}
	}
}

// batch reads one batch and reports whether it is whole and in its place.
func (s *segmentScan) batch(b *bufio.Reader) (bool, error) {
	if _, err := io.ReadFull(b, s.head[:]); err != nil {
		return false, ignoreEOF(err)
	}
	h, err := parseHeader(s.head[:])
	if err != nil || h.base != s.next || s.good+int64(h.size) > s.size {
		return false, nil //nolint:nilerr // damage is a result, not a failure
	}
	sum := crc32.New(castagnoli)
	_, _ = sum.Write(s.head[batchAttrs:]) // a hash never fails
	if _, err := io.CopyN(sum, b, int64(h.size-batchHeader)); err != nil {
		return false, ignoreEOF(err)
	}
	want := uint32(s.head[batchCRC])<<24 | uint32(s.head[batchCRC+1])<<16 | uint32(s.head[batchCRC+2])<<8 | uint32(s.head[batchCRC+3])
	if sum.Sum32() != want {
		return false, nil
	}
	s.next, s.time = h.next, max(s.time, h.time)
	s.good += int64(h.size)
	return true, nil
}

// segmentSizes returns the sizes of a partition's files by their first offsets.
func segmentSizes(dir string) (map[int64]int64, error) {
	bases, err := listSegments(dir)
	if err != nil {
		return nil, err
	}
	sizes := make(map[int64]int64, len(bases))
	for _, base := range bases {
		info, err := os.Stat(segmentPath(dir, base))
		if err != nil {
			return nil, fmt.Errorf("recover segment: %w", err)
		}
		sizes[base] = info.Size()
	}
	return sizes, nil
}

// untouched compares a partition with what it was before the broker read it:
// the broker cuts a file off where it finds damage, and serves what is left.
// After an orderly close nobody has looked for damage before it.
func (p *partition) untouched(end int64) error {
	sizes, err := segmentSizes(p.dir)
	if err != nil {
		return err
	}
	for base, size := range p.sizes {
		if have := sizes[base]; have != size {
			return &LossError{segmentPath(p.dir, base), fmt.Sprintf("damaged at byte %d of %d", have, size)}
		}
	}
	if end != p.synced.Load() {
		return &LossError{p.dir, fmt.Sprintf("the broker reads it up to offset %d, and it ended at %d", end, p.synced.Load())}
	}
	return nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// snapshot is the broker's note about a partition. When it agrees with the
// files, the broker takes it as it is, instead of guessing the first offset
// and holding every batch in memory.
type snapshot struct {
	Version       int               `json:"version"`
	HighWatermark int64             `json:"high_watermark"`
	LastStable    int64             `json:"last_stable_offset"`
	LogStart      int64             `json:"log_start_offset"`
	Epoch         int32             `json:"epoch"`
	MaxTimestamp  int64             `json:"max_timestamp"`
	CreatedAt     time.Time         `json:"created_at"`
	Segments      []snapshotSegment `json:"segments"`
}

type snapshotSegment struct {
	Base int64 `json:"base_offset"`
	Size int64 `json:"size"`
}

const snapshotName = "snapshot.json"

func (s *snapshot) write(dir string) error {
	s.CreatedAt = time.Now()
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode snapshot: %w", err)
	}
	return writeFile(filepath.Join(dir, snapshotName), b)
}

// trust reads the broker's note of an orderly close and checks that the files
// are those it speaks of.
func (r recovery) trust() (recovered, bool) {
	b, err := os.ReadFile(filepath.Join(r.dir, snapshotName))
	if err != nil {
		return recovered{}, false
	}
	var s snapshot
	if err := json.Unmarshal(b, &s); err != nil || s.Version != 1 {
		return recovered{}, false
	}
	bases, err := listSegments(r.dir)
	if err != nil || len(bases) != len(s.Segments) || len(bases) == 0 || s.LogStart != r.first {
		return recovered{}, false
	}
	for i, seg := range s.Segments {
		info, err := os.Stat(segmentPath(r.dir, seg.Base))
		if err != nil || seg.Base != bases[i] || info.Size() != seg.Size || seg.Size == 0 {
			return recovered{}, false
		}
	}
	return recovered{first: s.LogStart, next: s.HighWatermark, newest: bases[len(bases)-1]}, true
}
