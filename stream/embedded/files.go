package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cespare/xxhash/v2"

	"tailwater/internal/failpoint"
)

// fileVersion is the format version of every file that this package writes.
const fileVersion = 1

// The layout of a stored file, big endian:
//
//	magic "TWST" | version 2 | kind 1 | generation 8 | length 4 | payload | XXH64 of all before 8
const (
	fileMagic  = "TWST"
	fileHeader = 4 + 2 + 1 + 8 + 4
	fileSum    = 8
)

// The kinds of stored files.
const (
	kindTopics   = 't'
	kindPosition = 'p'
	kindSchema   = 's'
	kindEnds     = 'e'
)

func encodeFile(kind byte, generation uint64, payload []byte) []byte {
	b := make([]byte, 0, fileHeader+len(payload)+fileSum)
	b = append(b, fileMagic...)
	b = binary.BigEndian.AppendUint16(b, fileVersion)
	b = append(b, kind)
	b = binary.BigEndian.AppendUint64(b, generation)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, payload...)
	return binary.BigEndian.AppendUint64(b, xxhash.Sum64(b))
}

// errNewer says that a file was written by a newer version: falling back to an
// older generation would undo what that version did.
var errNewer = errors.New("written by a newer version of Tailwater: use that one, or give this one another directory")

// decodeFile returns the generation and the payload of what encodeFile wrote;
// b may be longer.
func decodeFile(kind byte, b []byte) (uint64, []byte, error) {
	if len(b) < fileHeader+fileSum || string(b[:4]) != fileMagic {
		return 0, nil, errors.New("damaged: no header")
	}
	if v := binary.BigEndian.Uint16(b[4:]); v > fileVersion {
		return 0, nil, fmt.Errorf("format version %d, this program knows %d: %w", v, fileVersion, errNewer)
	}
	n := int(binary.BigEndian.Uint32(b[15:]))
	if n > len(b)-fileHeader-fileSum {
		return 0, nil, errors.New("damaged: cut off")
	}
	end := fileHeader + n
	if xxhash.Sum64(b[:end]) != binary.BigEndian.Uint64(b[end:]) {
		return 0, nil, errors.New("damaged: wrong checksum")
	}
	if b[6] != kind {
		return 0, nil, fmt.Errorf("a file of kind %q, want %q", b[6], kind)
	}
	return binary.BigEndian.Uint64(b[7:]), b[fileHeader:end], nil
}

// slots stores one value in two files that are written in turn, so that the
// value before the last survives whatever happens to the last.
type slots struct {
	kind byte
	// path is that of the files without their number.
	path string
	// generation is that of the newest file; it lies in slot generation % 2.
	generation uint64
	// disk is where it is written to; nil is the machine's.
	disk disk
}

func (s *slots) file(generation uint64) string {
	return fmt.Sprintf("%s.%d", s.path, generation%2)
}

// load returns the newest value that is whole, and whether there is one.
// damage is not nil when a file was there but could not be used. No value
// where a file was is an error.
func (s *slots) load() (payload []byte, found bool, damage, err error) {
	for i := range uint64(2) {
		b, err := os.ReadFile(s.file(i))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, false, nil, fmt.Errorf("read %s: %w", s.file(i), err)
		}
		generation, value, err := decodeFile(s.kind, b)
		if err == nil && generation%2 != i {
			err = errors.New("damaged: the generation belongs into the other file")
		}
		if errors.Is(err, errNewer) {
			return nil, false, nil, fmt.Errorf("read %s: %w", s.file(i), err)
		}
		if err != nil {
			damage = errors.Join(damage, fmt.Errorf("read %s: %w", s.file(i), err))
			continue
		}
		if !found || generation > s.generation {
			payload, found, s.generation = value, true, generation
		}
	}
	if !found && damage != nil {
		return nil, false, nil, fmt.Errorf("no generation of %s can be read; restore one from a copy of the directory: %s", s.path, strings.ReplaceAll(damage.Error(), "\n", "; "))
	}
	return payload, found, damage, nil
}

// save stores a value over the older of the two files. It is durable when save
// returns; on an error the value before is still there.
func (s *slots) save(payload []byte) error {
	next := s.generation + 1
	d := s.disk
	if d == nil {
		d = osDisk{}
	}
	if err := replaceFile(d, s.file(next), encodeFile(s.kind, next, payload)); err != nil {
		return err
	}
	s.generation = next
	return nil
}

// tempSuffix ends the names of files that are being written.
const tempSuffix = ".tmp"

// disk is what replacing a file needs of a file system. The tests have one that
// forgets what was not synced.
type disk interface {
	// create makes an empty file, or empties it.
	create(path string) (diskFile, error)
	rename(from, to string) error
	// syncDir makes the names in a directory durable.
	syncDir(path string) error
}

// diskFile is a file that is being written.
type diskFile interface {
	io.WriteCloser
	Sync() error
}

// osDisk is the file system of the machine.
type osDisk struct{}

func (osDisk) create(path string) (diskFile, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
}
func (osDisk) rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) syncDir(path string) error    { return syncDir(path) }

// writeFile replaces path by a file of the given bytes.
func writeFile(path string, b []byte) error { return replaceFile(osDisk{}, path, b) }

// replaceFile replaces path by a file of the given bytes: temporary file, fsync,
// rename, fsync of the directory.
func replaceFile(d disk, path string, b []byte) error {
	f, err := d.create(path + tempSuffix)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = failpoint.Err(failpoint.StreamFileWritten, syscall.ENOSPC)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = failpoint.Err(failpoint.StreamFileSynced, syscall.EIO)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = d.rename(path+tempSuffix, path)
	}
	if err == nil {
		err = failpoint.Err(failpoint.StreamFileRenamed, syscall.EIO)
	}
	if err == nil {
		err = d.syncDir(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), removeIfThere(path+tempSuffix))
	}
	failpoint.At(failpoint.StreamDirSynced)
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	err = errors.Join(d.Sync(), d.Close())
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}

// makeDir makes a directory and makes its name durable.
func makeDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	return syncDir(filepath.Dir(path))
}
