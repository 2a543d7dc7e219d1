package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// What of an event's header a split needs: its length, and where type, size and
// end position are.
const (
	eventHeader = 19
	eventType   = 4
	eventSize   = 9
	eventEnd    = 13
)

// The types of event between which a recording is cut.
const (
	typeStop   = 3
	typeRotate = 4
	typeGTID   = 33
)

// binlogParts are the pieces of a recorded file.
type binlogParts struct {
	// head is the magic number and what comes before the first transaction, tail
	// what ends the file.
	head, tail   []byte
	transactions [][]byte
}

// cut finds the transactions of a recorded file, each from its GTID event on.
func cut(b []byte) (*binlogParts, error) {
	if len(b) < 4 || string(b[:4]) != "\xfebin" {
		return nil, errors.New("it is no binary log")
	}
	p := &binlogParts{}
	began, inside := 0, false
	piece := func(at int) {
		if inside {
			p.transactions = append(p.transactions, b[began:at])
		} else {
			p.head = b[:at]
		}
		began, inside = at, true
	}
	for at := 4; at < len(b); {
		size, err := sizeOf(b[at:])
		if err != nil {
			return nil, fmt.Errorf("offset %d: %w", at, err)
		}
		switch b[at+eventType] {
		case typeGTID:
			piece(at)
		case typeRotate, typeStop:
			piece(at)
			p.tail = b[at:]
			return p, nil
		}
		at += size
	}
	piece(len(b))
	return p, nil
}

// sizeOf is the size of the event with which b begins.
func sizeOf(b []byte) (int, error) {
	if len(b) < eventHeader {
		return 0, errors.New("an event is cut off")
	}
	size := int(binary.LittleEndian.Uint32(b[eventSize:]))
	if size < eventHeader+crc32.Size || size > len(b) {
		return 0, fmt.Errorf("an event of %d bytes, %d are left", size, len(b))
	}
	return size, nil
}

// split writes a recorded file as n files, each with as many of its transactions
// as the others, in their order, and returns their paths below dir. Transactions
// keep their GTIDs: what the other files have is a gap in each.
func split(path, dir string, n int) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p, err := cut(b)
	if err != nil {
		return nil, fmt.Errorf("split %s: %w", path, err)
	}
	paths := make([]string, n)
	for i := range paths {
		out := append([]byte(nil), p.head...)
		for _, tx := range p.transactions[i*len(p.transactions)/n : (i+1)*len(p.transactions)/n] {
			out = move(out, tx)
		}
		out = move(out, p.tail)
		paths[i] = filepath.Join(dir, fmt.Sprintf("%02d", i), recordedName)
		if err := os.MkdirAll(filepath.Dir(paths[i]), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(paths[i], out, 0o600); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// move appends events, which cut has looked at, as they are at the end of dst:
// their end positions and checksums are of there.
func move(dst, events []byte) []byte {
	for len(events) > 0 {
		size := int(binary.LittleEndian.Uint32(events[eventSize:]))
		at := len(dst)
		dst = append(dst, events[:size]...)
		e := dst[at:]
		binary.LittleEndian.PutUint32(e[eventEnd:], uint32(len(dst)))
		binary.LittleEndian.PutUint32(e[size-crc32.Size:], crc32.ChecksumIEEE(e[:size-crc32.Size]))
		events = events[size:]
	}
	return dst
}
