package primary

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"tailwater/binlog/primary/encode"
)

// record adds recorded files, in order, before the server's own first file. It
// returns the GTIDs that were executed at their end.
func (l *binlog) record(paths []string, executed gtidSet) (gtidSet, error) {
	for i, path := range paths {
		disk, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("open recorded log: %w", err)
		}
		f := &logFile{name: filepath.Base(path), disk: disk, complete: true, previous: executed}
		l.files = append(l.files, f)
		if executed, err = f.scan(executed); err != nil {
			return nil, fmt.Errorf("read recorded log %s: %w", path, err)
		}
		if i == 0 {
			l.purged = f.previous
		}
	}
	return executed, nil
}

// scan reads the headers of all events, and the events that name GTIDs.
func (f *logFile) scan(executed gtidSet) (gtidSet, error) {
	info, err := f.disk.Stat()
	if err != nil {
		return nil, err
	}
	f.size = info.Size()
	head := make([]byte, encode.HeaderSize)
	if _, err := f.disk.ReadAt(head[:4], 0); err != nil || string(head[:4]) != encode.Magic {
		return nil, errors.New("it does not begin with a binary log's magic number")
	}
	for at := int64(4); at < f.size; {
		if _, err := f.disk.ReadAt(head, at); err != nil {
			return nil, fmt.Errorf("event at %d is cut off: %w", at, noEOF(err))
		}
		size := int64(eventSize(head))
		if size < encode.HeaderSize || at+size > f.size {
			return nil, fmt.Errorf("event at %d says that it has %d bytes, the file ends at %d", at, size, f.size)
		}
		switch head[4] {
		case encode.TypeFormatDescription, encode.TypePreviousGTIDs, encode.TypeGTID:
			event := make([]byte, size)
			if _, err := f.disk.ReadAt(event, at); err != nil {
				return nil, fmt.Errorf("event at %d: %w", at, noEOF(err))
			}
			if executed, err = f.scanEvent(event, executed); err != nil {
				return nil, fmt.Errorf("event at %d: %w", at, err)
			}
		}
		at += size
	}
	return executed, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (f *logFile) scanEvent(event []byte, executed gtidSet) (gtidSet, error) {
	body := event[encode.HeaderSize:]
	switch event[4] {
	case encode.TypeFormatDescription:
		if len(body) < 57+5 {
			return nil, errors.New("the format description is too short")
		}
		f.checksum = body[len(body)-5] == 1
		return executed, nil
	case encode.TypePreviousGTIDs:
		set, err := decodeGTIDs(body)
		if err != nil {
			return nil, err
		}
		f.previous = set
		return executed.union(set), nil
	}
	if len(body) < 25 {
		return nil, errors.New("the GTID event is too short")
	}
	gno := int64(binary.LittleEndian.Uint64(body[17:]))
	return executed.add([16]byte(body[1:17]), gtidRange{gno, gno}), nil
}
