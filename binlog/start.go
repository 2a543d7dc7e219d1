package binlog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// startKind says where a shard without a saved position begins.
type startKind int

const (
	startEarliest startKind = iota
	startLatest
	startGTID
	startFile
)

// start is a parsed Options.Start.
type start struct {
	kind startKind
	// set or domains go with startGTID.
	set     *GTIDSet
	domains *DomainPosition
	file    string
	pos     uint64
}

// parseStart reads "earliest", "latest", "gtid:<set>" or "file:<name>:<offset>".
func parseStart(s string, flavor Flavor) (start, error) {
	switch {
	case s == "earliest":
		return start{kind: startEarliest}, nil
	case s == "latest":
		return start{kind: startLatest}, nil
	case strings.HasPrefix(s, "gtid:"):
		from := start{kind: startGTID}
		var err error
		if flavor == MariaDB {
			from.domains, err = ParseDomainPosition(strings.TrimPrefix(s, "gtid:"))
		} else {
			from.set, err = ParseGTIDSet(strings.TrimPrefix(s, "gtid:"))
		}
		if err != nil {
			return start{}, fmt.Errorf("parse start: %w", err)
		}
		return from, nil
	case strings.HasPrefix(s, "file:"):
		name, offset, ok := cutLast(strings.TrimPrefix(s, "file:"), ":")
		pos, err := strconv.ParseUint(offset, 10, 64)
		if !ok || err != nil || !validFileName(name) {
			return start{}, fmt.Errorf("parse start %q: want file:<name>:<offset>, for example file:binlog.000042:4", s)
		}
		return start{kind: startFile, file: name, pos: max(pos, firstEvent)}, nil
	}
	return start{}, fmt.Errorf("parse start %q: want earliest, latest, gtid:<set> or file:<name>:<offset>", s)
}

// fits reports whether a reader of the given mode can begin there.
func (s start) fits(mode PositionMode) error {
	if s.kind == startGTID && mode == ByFile {
		return fmt.Errorf("start gtid:… needs position %q, not %q", ByGTID, mode)
	}
	if s.kind == startFile && mode == ByGTID {
		return fmt.Errorf("start file:… needs position %q, not %q", ByFile, mode)
	}
	return nil
}

// startFault says of the error with which a reader ended before it read any
// transaction that it was told to begin at a place in a file where nothing can.
func (o *Options) startFault(err error) error {
	from, _ := parseStart(o.Start, o.Flavor)
	var stop *StopError
	known := errors.As(err, &stop) && (stop.Hint == hintReport || stop.Err != nil)
	if from.kind != startFile || from.pos <= firstEvent || !known && serverCode(err) != badBinlog {
		return err
	}
	fault := &StopError{Start: true, File: from.file, Pos: from.pos, Reason: "start: " + o.Start + " is not the start of an event, or that event is damaged", Err: err,
		Hint: fmt.Sprintf("SHOW BINLOG EVENTS IN '%s' LIMIT 100 lists the offsets of events as Pos: begin at that of a transaction's first event (Gtid), or at start: file:%s:%d", from.file, from.file, firstEvent)}
	if stop != nil {
		// Its place and hint are those of an event that is none.
		fault.Err = errors.New(stop.Reason)
		if stop.Err != nil {
			fault.Err = fmt.Errorf("%s: %w", stop.Reason, stop.Err)
		}
	}
	if stop != nil && stop.sequence {
		fault.Reason, fault.Err = "start: "+o.Start+" is inside a transaction", nil
	}
	return fault
}

// badBinlog is the code of all that a server has against sending its binlog.
const badBinlog = mysql.ER_MASTER_FATAL_ERROR_READING_BINLOG

// cutLast cuts s around the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// firstEvent is the offset of a binlog file's first event, behind its magic.
const firstEvent = 4

// validFileName reports whether name can be a binlog file's: printable ASCII,
// a dot and at least six digits. A fake ROTATE event with garbage behind its
// name is found out by it.
func validFileName(name string) bool {
	base, ordinal, ok := cutLast(name, ".")
	if !ok || base == "" || len(ordinal) < 6 || len(name) > 512 {
		return false
	}
	for i := range len(base) {
		if base[i] <= ' ' || base[i] > '~' {
			return false
		}
	}
	for i := range len(ordinal) {
		if ordinal[i] < '0' || ordinal[i] > '9' {
			return false
		}
	}
	return true
}

// fileOrdinal returns the number of a binlog file. Names compare by it, never
// as text: binlog.1000000 follows binlog.999999.
func fileOrdinal(name string) (uint64, bool) {
	_, ordinal, ok := cutLast(name, ".")
	n, err := strconv.ParseUint(ordinal, 10, 64)
	return n, ok && err == nil
}
