package primary

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"tailwater/binlog/primary/encode"
)

// binlog is the sequence of log files. Bytes that were appended never change,
// so readers use them without a lock.
type binlog struct {
	w       encode.Writer
	opts    *Options
	version uint32

	mu      sync.Mutex
	files   []*logFile
	next    int           // number of the next file
	grown   chan struct{} // closed and replaced when something is appended
	purged  gtidSet
	scratch []byte
	closed  bool
	// spillErr is why files are in memory that belong on disk.
	spillErr error
}

// logFile is one file. The last one grows; the others are complete.
type logFile struct {
	name     string
	previous gtidSet
	checksum bool
	data     []byte   // nil when the file is on disk
	disk     *os.File // nil when the file is in memory
	owned    bool     // disk is ours to remove
	made     *maker   // makes what is behind data up to tail, nil for an ordinary file
	tail     []byte   // of a file with made: what was appended behind it
	size     int64
	complete bool
	readers  int
}

// readChunk is how much of a file on disk is read at once.
const readChunk = 256 << 10

// open starts the next file; executed is what its PREVIOUS_GTIDS says.
func (l *binlog) open(now time.Time, executed gtidSet, started bool) {
	f := &logFile{name: fmt.Sprintf("binlog.%06d", l.next), previous: executed, checksum: l.w.Checksum}
	l.next++
	at := uint32(now.Unix())
	created := uint32(0)
	if started {
		created = at
	}
	b := append(make([]byte, 0, 64<<10), encode.Magic...)
	end := uint32(len(b) + encode.FormatDescriptionSize)
	b = l.w.AppendFormatDescription(b, encode.Header{Timestamp: at, EndPos: end}, l.opts.Version, created)
	body := executed.encode()
	b = l.w.Append(b, encode.Header{Timestamp: at, Type: encode.TypePreviousGTIDs, EndPos: end + uint32(l.w.Size(len(body)))}, body)
	f.data, f.size = b, int64(len(b))
	l.files = append(l.files, f)
}

// current is the file that grows. The caller holds mu.
func (l *binlog) current() *logFile { return l.files[len(l.files)-1] }

// append adds sealed events to the current file and wakes the followers. The
// caller holds mu.
func (l *binlog) append(events []byte) {
	f := l.current()
	f.add(events)
	close(l.grown)
	l.grown = make(chan struct{})
}

// add appends to a file in memory.
func (f *logFile) add(events []byte) {
	if f.made != nil {
		f.tail = append(f.tail, events...)
	} else {
		f.data = append(f.data, events...)
	}
	f.size += int64(len(events))
}

// rotate ends the current file and starts the next. The caller holds mu.
func (l *binlog) rotate(now time.Time, executed gtidSet, started bool) {
	f := l.current()
	body := encode.Rotate(fmt.Sprintf("binlog.%06d", l.next), 4)
	l.scratch = l.w.Append(l.scratch[:0], encode.Header{
		Timestamp: uint32(now.Unix()), Type: encode.TypeRotate, EndPos: uint32(f.size) + uint32(l.w.Size(len(body))),
	}, body)
	f.add(l.scratch)
	f.complete = true
	l.open(now, executed, started)
	close(l.grown)
	l.grown = make(chan struct{})
	l.spill(f)
	l.expire()
}

// spill moves a complete file to Options.Dir. When that fails its bytes stay in
// memory, nothing is lost, and Close reports it.
func (l *binlog) spill(f *logFile) {
	if l.opts.Dir == "" || f.made != nil {
		return
	}
	disk, err := os.Create(filepath.Join(l.opts.Dir, f.name))
	if err == nil {
		_, err = disk.Write(f.data)
	}
	if err != nil {
		l.spillErr = errors.Join(l.spillErr, fmt.Errorf("spill %s: %w", f.name, err))
		return
	}
	f.disk, f.owned, f.data = disk, true, nil
}

// expire purges the oldest files until the rest fits KeepBytes.
func (l *binlog) expire() {
	var total int64
	for _, f := range l.files[:len(l.files)-1] {
		total += f.kept()
	}
	for total > l.opts.KeepBytes && len(l.files) > 1 && l.files[0].readers == 0 {
		total -= l.files[0].kept()
		l.drop()
	}
}

// kept is how much of KeepBytes a file takes.
func (f *logFile) kept() int64 {
	if f.made != nil {
		return int64(len(f.data) + len(f.tail))
	}
	return f.size
}

// drop purges the first file.
func (l *binlog) drop() {
	f := l.files[0]
	l.files = slices.Delete(l.files, 0, 1)
	l.purged = l.files[0].previous
	f.remove()
}

// remove releases what the file holds.
func (f *logFile) remove() {
	f.data, f.tail = nil, nil
	if f.disk == nil {
		return
	}
	name := f.disk.Name()
	_ = f.disk.Close()
	if f.owned {
		_ = os.Remove(name)
	}
	f.disk = nil
}

// close releases every file.
func (l *binlog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	close(l.grown)
	l.grown = make(chan struct{})
	for _, f := range l.files {
		f.remove()
	}
	return l.spillErr
}

// purgeTo drops the files before the one called name.
func (l *binlog) purgeTo(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.IndexFunc(l.files, func(f *logFile) bool { return f.name == name })
	if at < 0 {
		return fmt.Errorf("purge binary logs to %s: there is no such file", name)
	}
	for range at {
		if l.files[0].readers > 0 {
			return nil // as MySQL does: up to the file that is being read
		}
		l.drop()
	}
	return nil
}

var errLogClosed = errors.New("read binary log: the server is closed")

// acquire finds where a follower starts and keeps the file from being purged. Its
// errors have MySQL's own words, which readers match.
// With a name it is that file; else the newest file that starts inside have.
func (l *binlog) acquire(name string, have gtidSet) (*logFile, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found *logFile
	switch {
	case l.closed:
		return nil, errLogClosed
	case name != "":
		for _, f := range l.files {
			if f.name == name {
				found = f
			}
		}
		if found == nil {
			return nil, mysql.NewError(errorCode, "Could not find first log file name in binary log index file")
		}
	case !have.covers(l.purged):
		return nil, mysql.NewError(errorCode, "Cannot replicate because the source purged required binary logs. "+
			"Replicate the missing transactions from elsewhere, or provision a new replica from backup.")
	default:
		found = l.files[0]
		for _, f := range l.files {
			if have.covers(f.previous) {
				found = f
			}
		}
	}
	found.readers++
	return found, nil
}

// first acquires the oldest file.
func (l *binlog) first() *logFile {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files[0].readers++
	return l.files[0]
}

// release ends what acquire began.
func (l *binlog) release(f *logFile) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.readers--
	if !l.closed {
		l.expire()
	}
}

// following releases f and acquires the file after it.
func (l *binlog) following(f *logFile) *logFile {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.files[slices.Index(l.files, f)+1]
	next.readers++
	f.readers--
	if !l.closed {
		l.expire()
	}
	return next
}

// read returns bytes of f from off, at least need of them when the file has as
// many. When there are none: wait is closed once there may be; a nil wait says
// that the file is complete.
func (l *binlog) read(f *logFile, off int64, need int) (b []byte, wait <-chan struct{}, err error) {
	l.mu.Lock()
	data, tail, made, disk, size, complete, grown, closed := f.data, f.tail, f.made, f.disk, f.size, f.complete, l.grown, l.closed
	l.mu.Unlock()
	switch {
	case closed:
		return nil, nil, errLogClosed
	case off >= size && complete:
		return nil, nil, nil
	case off >= size:
		return nil, grown, nil
	case made != nil && off >= size-int64(len(tail)):
		return tail[off-size+int64(len(tail)):], nil, nil
	case off < int64(len(data)):
		return data[off:len(data):len(data)], nil, nil
	}
	var src io.ReaderAt = disk
	if made != nil {
		src, size = made, size-int64(len(tail))
	}
	b = make([]byte, min(int64(max(readChunk, need)), size-off))
	if _, err := src.ReadAt(b, off); err != nil {
		return nil, nil, fmt.Errorf("read %s at %d: %w", f.name, off, err)
	}
	return b, nil, nil
}
