package verify

import (
	"fmt"
	"strconv"
	"strings"

	"tailwater/binlog"
)

// place is what a server had executed at one moment.
type place struct {
	// gtids is MySQL's gtid_executed or MariaDB's gtid_binlog_state.
	gtids, uuid string
	file, pos   string
	// end is MariaDB's gtid_binlog_pos.
	end     string
	mariadb bool
}

// cut is the place in a shard's history at which its snapshot stands: behind
// all of before, and before nothing of after. What lies between may or may not
// be in it.
type cut struct {
	before, after *binlog.GTIDSet
	// MariaDB's, in place of the sets.
	stateBefore, stateAfter *binlog.DomainState
	end                     *binlog.DomainPosition
	// where a server has no GTIDs: the ends of its log.
	fileBefore, fileAfter filePos
	byFile                bool
	// server is the uuid that the files belong to.
	server string
	// last is the transaction that was asked for last: rows of one follow each
	// other.
	last     string
	lastKind side
}

// side says on which side of a cut a transaction lies.
type side uint8

const (
	inside  side = iota // it is in the snapshot
	between             // it may be
	beyond              // it is not
)

// filePos is a place in a binary log. Files are ordered by their number.
type filePos struct {
	file   string
	number uint64
	pos    uint64
}

func parseFilePos(file, pos string) (filePos, error) {
	p, err := strconv.ParseUint(pos, 10, 64)
	if err != nil {
		return filePos{}, fmt.Errorf("position %q of a binary log is no number", pos)
	}
	_, digits, _ := strings.Cut(file, ".")
	if i := strings.LastIndexByte(file, '.'); i >= 0 {
		digits = file[i+1:]
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return filePos{}, fmt.Errorf("binary log %q has no number", file)
	}
	return filePos{file, n, p}, nil
}

func (a filePos) less(b filePos) bool {
	if a.number != b.number {
		return a.number < b.number
	}
	return a.pos < b.pos
}

func newCut(before, after place) (cut, error) {
	var c cut
	var err error
	if after.mariadb {
		err = c.domains(before, after)
	} else {
		err = c.sets(before, after)
	}
	if err != nil {
		return c, err
	}
	c.byFile = after.gtids == ""
	if after.file == "" {
		return c, nil
	}
	c.server = after.uuid
	if c.fileBefore, err = parseFilePos(before.file, before.pos); err != nil {
		return c, err
	}
	c.fileAfter, err = parseFilePos(after.file, after.pos)
	return c, err
}

// sets reads what MySQL has executed.
func (c *cut) sets(before, after place) (err error) {
	if c.before, err = binlog.ParseGTIDSet(before.gtids); err == nil {
		c.after, err = binlog.ParseGTIDSet(after.gtids)
	}
	if err != nil {
		return fmt.Errorf("read gtid_executed: %w", err)
	}
	return nil
}

// domains reads what MariaDB has logged.
func (c *cut) domains(before, after place) (err error) {
	if c.stateBefore, err = binlog.ParseDomainState(before.gtids); err == nil {
		c.stateAfter, err = binlog.ParseDomainState(after.gtids)
	}
	if err == nil {
		c.end, err = binlog.ParseDomainPosition(after.end)
	}
	if err != nil {
		return fmt.Errorf("read gtid_binlog_state: %w", err)
	}
	return nil
}

// side returns on which side a transaction lies: a GTID, or file:pos of its start.
func (c *cut) side(txid string) (side, error) {
	if txid == c.last && txid != "" {
		return c.lastKind, nil
	}
	kind, err := c.decide(txid)
	if err == nil {
		c.last, c.lastKind = txid, kind
	}
	return kind, err
}

func (c *cut) decide(txid string) (side, error) {
	if c.byFile {
		i := strings.LastIndexByte(txid, ':')
		if i < 0 {
			return beyond, fmt.Errorf("transaction %q is no file:pos", txid)
		}
		at, err := parseFilePos(txid[:i], txid[i+1:])
		switch {
		case err != nil:
			return beyond, err
		case at.less(c.fileBefore):
			return inside, nil
		case at.less(c.fileAfter):
			return between, nil
		}
		return beyond, nil
	}
	if c.stateAfter != nil {
		g, err := binlog.ParseDomainGTID(txid)
		switch {
		case err != nil:
			return beyond, err
		case c.stateBefore.Holds(g):
			return inside, nil
		case c.stateAfter.Holds(g):
			return between, nil
		}
		return beyond, nil
	}
	one, err := binlog.ParseGTIDSet(txid)
	if err != nil || one.IsEmpty() {
		return beyond, fmt.Errorf("transaction %q is no GTID", txid)
	}
	switch {
	case c.before.ContainsSet(one):
		return inside, nil
	case c.after.ContainsSet(one):
		return between, nil
	}
	return beyond, nil
}

// reached reports whether a reader's saved position has everything of the cut
// before it, and else what is missing.
func (c *cut) reached(source []byte) (missing string, err error) {
	p, err := binlog.ParsePosition(source)
	if err != nil {
		return "", err
	}
	if c.end != nil && p.Domains != nil {
		if p.Domains.Equal(c.end) {
			return "", nil
		}
		// Behind it is another place too: the files tell.
	} else if !c.byFile && p.GTID != nil {
		if p.GTID.ContainsSet(c.after) {
			return "", nil
		}
		missing = c.after.Minus(p.GTID).String()
	}
	// A reader that follows files may not know the whole set.
	if p.File == "" || c.fileAfter.file == "" || p.ServerUUID != c.server {
		if missing == "" {
			missing = fmt.Sprintf("a place on the server %s: the saved one is of %s", c.server, p.ServerUUID)
		}
		return missing, nil
	}
	at, err := parseFilePos(p.File, strconv.FormatUint(p.Pos, 10))
	if err != nil || !at.less(c.fileAfter) {
		return "", err
	}
	if missing == "" {
		missing = fmt.Sprintf("%s:%d to %s:%d", p.File, p.Pos, c.fileAfter.file, c.fileAfter.pos)
	}
	return missing, nil
}
