package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"tailwater/internal/failpoint"
)

// endsFile remembers the synced end of every partition: whoever was told of a
// record can rely on its offset, and a recovery that ends below it knows.
//
// It has two regions that are written in turn, in place, so that the cost is
// one small write and one fdatasync without a change of metadata. The payload
// of a region is, for each partition, topic id 4 | partition 4 | end 8.
type endsFile struct {
	path       string
	f          *os.File
	region     int64
	generation uint64
	buf        []byte
}

// minRegion holds 250 partitions.
const minRegion = 4096

type partitionID struct {
	topic     uint32
	partition int32
}

// openEnds opens or creates the file, and returns what it says.
func openEnds(path string) (*endsFile, map[partitionID]int64, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		e := &endsFile{path: path}
		return e, nil, e.create(minRegion)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read ends: %w", err)
	}
	e := &endsFile{path: path, region: int64(len(b) / 2)}
	var payload []byte
	var damage error
	found := false
	for i := range int64(2) {
		generation, p, err := decodeFile(kindEnds, b[i*e.region:(i+1)*e.region])
		if errors.Is(err, errNewer) {
			return nil, nil, fmt.Errorf("read %s: %w", path, err)
		}
		if err != nil {
			damage = err
		} else if !found || generation > e.generation {
			found, e.generation, payload = true, generation, p
		}
	}
	if !found {
		return nil, nil, fmt.Errorf("no region of %s can be read; restore the directory from a copy: %w", path, damage)
	}
	ends := parseEnds(payload)
	e.f, err = os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open ends: %w", err)
	}
	return e, ends, nil
}

// parseEnds reads the payload of a region.
func parseEnds(payload []byte) map[partitionID]int64 {
	ends := make(map[partitionID]int64)
	for ; len(payload) >= 16; payload = payload[16:] {
		id := partitionID{binary.BigEndian.Uint32(payload), int32(binary.BigEndian.Uint32(payload[4:]))}
		ends[id] = int64(binary.BigEndian.Uint64(payload[8:]))
	}
	return ends
}

// create writes a new file with room for regions of the given size. Both carry
// what was written last, so that a crash finds it.
func (e *endsFile) create(region int64) error {
	b := make([]byte, 2*region)
	copy(b, encodeFile(kindEnds, e.generation, e.buf))
	copy(b[region:], encodeFile(kindEnds, e.generation, e.buf))
	if err := writeFile(e.path, b); err != nil {
		return err
	}
	f, err := os.OpenFile(e.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open ends: %w", err)
	}
	if e.f != nil {
		_ = e.f.Close() // the file it was is gone
	}
	e.f, e.region = f, region
	return nil
}

// save makes the synced ends of the topics durable, with those of next where
// it has one.
func (e *endsFile) save(topics []*topic, next map[*partition]int64) error {
	e.buf = e.buf[:0]
	for _, t := range topics {
		for i, p := range t.partitions {
			e.buf = binary.BigEndian.AppendUint32(e.buf, t.id)
			e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(i))
			e.buf = binary.BigEndian.AppendUint64(e.buf, uint64(max(p.synced.Load(), next[p])))
		}
	}
	e.generation++
	b := encodeFile(kindEnds, e.generation, e.buf)
	if int64(len(b)) > e.region {
		return e.create(2*int64(len(b))/minRegion*minRegion + minRegion)
	}
	failpoint.At(failpoint.StreamEndsWriting)
	if _, err := e.f.WriteAt(b, int64(e.generation%2)*e.region); err != nil {
		return fmt.Errorf("write ends: %w", err)
	}
	if err := failpoint.Err(failpoint.StreamEndsWritten, unix.EIO); err != nil {
		return fmt.Errorf("sync ends: %w", err)
	}
	if err := unix.Fdatasync(int(e.f.Fd())); err != nil {
		return fmt.Errorf("sync ends: %w", err)
	}
	return nil
}

func (e *endsFile) close() error {
	if e.f == nil {
		return nil
	}
	return e.f.Close()
}
