package binlog

import (
	"context"
	"fmt"
	"strings"
)

// The targets of a Move that are no place by themselves: "now" is the end of the
// server's binlog, "oldest" the nearest place that the server still has and
// nothing published lies behind.
const (
	TargetNow    = "now"
	TargetOldest = "oldest"
)

// Move says what becomes of a shard whose position a person moves.
type Move struct {
	// From and To are positions; From is nil where none is saved.
	From, To []byte
	// Target names To as a target of Reader.Move, exactly: what "now" was when it
	// was asked, unless only "now" can be.
	Target string
	// Passed are the transactions that nobody will read: a set of GTIDs, or two
	// places. Transactions counts them, 0 where that is not known.
	Passed       string
	Transactions uint64
	// Lost are the transactions before From, or published behind it, that the
	// server does not have.
	Lost string
	// Foreign is the part of Lost that other servers gave their names to, as a
	// set of MySQL's: this server will never give them to others.
	Foreign string
	// Pending are the published ones among the transactions that are still to be
	// read: their events must not be published again.
	Pending []string
	// Notes say what the server cannot tell, a sentence each.
	Notes []string
}

// Nothing reports whether the shard stands at the target already.
func (m *Move) Nothing() bool {
	return len(m.From) > 0 && m.Passed == "" && m.Lost == "" && len(m.Notes) == 0
}

// TargetError says that a position cannot be moved to a target.
type TargetError struct{ Shard, Target, Reason, Hint string }

// Error names shard and target, the reason and the way out.
func (e *TargetError) Error() string {
	return fmt.Sprintf("move shard %s to %s: %s; %s", e.Shard, e.Target, e.Reason, e.Hint)
}

// CheckTarget reports whether Move can understand a target, without a server.
func CheckTarget(target string, flavor Flavor, mode PositionMode) error {
	_, err := parseTarget(target, flavor, mode)
	return err
}

// parseTarget reads "now", "oldest", "gtid:<set>" or "file:<name>:<offset>".
func parseTarget(target string, flavor Flavor, mode PositionMode) (start, error) {
	if target == TargetNow {
		return start{kind: startLatest}, nil
	}
	if target == TargetOldest {
		return start{kind: startEarliest}, nil
	}
	bad := func(text string) (start, error) {
		return start{}, fmt.Errorf("target %q: %s", target, text)
	}
	if !strings.HasPrefix(target, "gtid:") && !strings.HasPrefix(target, "file:") {
		return bad("want now, oldest, gtid:<set> or file:<name>:<offset>")
	}
	s, err := parseStart(target, flavor)
	if err != nil {
		return bad(strings.TrimPrefix(err.Error(), "parse start: "))
	}
	if err := s.fits(mode); err != nil {
		return bad("the source keeps its position by " + string(mode) + ": give a place of that kind, or now or oldest")
	}
	return s, nil
}

// Move asks the server what it means to move the saved position (nil: none) to
// a target. published are the transactions of which events stand in the stream
// behind it. A *TargetError says that the target cannot be, or that rows would
// come twice: what was published lies behind it. It changes nothing.
func (r *Reader) Move(ctx context.Context, saved []byte, published []string, target string) (m *Move, err error) {
	defer r.caught(&err)
	to, err := parseTarget(target, r.o.Flavor, r.o.Position)
	if err != nil {
		return nil, &TargetError{r.o.Shard, target, err.Error(), "tailwater help shard reset shows the forms"}
	}
	c, err := r.o.dial(ctx, r.o.ConnectTimeout)
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", r.o.Shard, err)
	}
	defer c.close()
	srv, err := c.inspect(ctx, r.o.Flavor)
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", r.o.Shard, err)
	}
	return srv.move(&r.o, saved, published, moveTarget{to, target})
}

// moveTarget is a target, and as it was written.
type moveTarget struct {
	start
	text string
}

// move is Move with the server's answers.
func (s *server) move(o *Options, saved []byte, published []string, target moveTarget) (*Move, error) {
	refuse := func(reason, hint string) (*Move, error) {
		return nil, &TargetError{o.Shard, target.text, reason, hint}
	}
	m := &Move{From: saved}
	var from *Position
	if len(saved) > 0 {
		var err error
		if from, err = ParsePosition(saved); err != nil {
			return refuse(fmt.Sprintf("the saved position cannot be read, so that nobody can say what was published: %v", err), elsewhere)
		}
		if from.Flavor != o.Flavor {
			return refuse(fmt.Sprintf("the saved position is of a %s server", from.Flavor), elsewhere)
		}
	}
	if o.Position == ByGTID && !s.gtids(o) {
		return refuse(fmt.Sprintf("gtid_mode is %q, and the position is kept by GTID", s.vars["gtid_mode"]), "turn it on, or use position: file")
	}
	var to *Position
	var err error
	switch {
	case o.Position == ByFile:
		to, err = s.moveFile(o, from, m, target)
	case o.Flavor == MariaDB:
		to, err = s.moveDomains(o, from, m, target)
	default:
		to, err = s.moveSets(o, from, m, target)
	}
	if err != nil {
		return nil, err
	}
	m.To, m.Target = to.Append(nil), to.target(o)
	if target.kind == startLatest && (m.Lost != "" || len(m.Notes) > 0) {
		// Its exact name would be refused: only as the end of this server's
		// history can it be taken without comparing what cannot be compared.
		m.Target = TargetNow
	}
	return m, s.settle(to, published, m)
}

// elsewhere is the way to rows that were published already: reading them anew is
// another pipeline's business.
const elsewhere = "read them into another pipeline: another name, or another state directory, with start set to that place"

// target names a position as a person would.
func (p *Position) target(o *Options) string {
	if o.Position == ByFile {
		return fmt.Sprintf("file:%s:%d", p.File, p.Pos)
	}
	return "gtid:" + p.GTIDText()
}

// settle sorts what was published behind the old position: what the new one has
// behind it is done with, what the server lacks is lost.
func (s *server) settle(to *Position, published []string, m *Move) error {
	var lost []string
	done := 0
	for _, id := range published {
		has, err := s.has(id)
		if err != nil {
			return err
		}
		switch {
		case !has:
			lost = append(lost, id)
		case to.has(id):
			done++
		default:
			m.Pending = append(m.Pending, id)
		}
	}
	if done > 0 {
		m.Notes = append(m.Notes, fmt.Sprintf("of %d transactions that are passed over some rows, or all, are published already", done))
	}
	if len(lost) == 0 {
		return nil
	}
	all, err := ParseGTIDSet(strings.Join(append(lost, m.Lost), ","))
	if err != nil { // MariaDB's, or places
		m.Lost = strings.TrimPrefix(m.Lost+","+joinIDs(lost), ",")
		return nil
	}
	m.Lost, m.Foreign = all.String(), all.Minus(all.of(s.vars["server_uuid"])).String()
	return nil
}

// has reports whether a transaction lies before the position.
func (p *Position) has(id string) bool {
	if at, ok := parsePlace(id); ok {
		return p.File != "" && !passed(at, place{p.File, p.Pos})
	}
	if p.Domains != nil {
		g, err := ParseDomainGTID(id)
		last, ok := p.Domains.Find(g.Domain)
		return err == nil && ok && last.Sequence >= g.Sequence
	}
	one, err := ParseGTIDSet(id)
	return err == nil && p.GTID != nil && p.GTID.ContainsSet(one)
}

// moveSets is move by the sets of MySQL.
func (s *server) moveSets(o *Options, from *Position, m *Move, target moveTarget) (*Position, error) {
	have := &GTIDSet{}
	if from != nil {
		if from.GTID == nil && target.kind != startLatest {
			return nil, &TargetError{o.Shard, target.text, "the saved position holds no GTID set, so that nobody can say which rows would come twice", "give --to now, or " + elsewhere}
		} else if from.GTID == nil {
			m.Notes = append(m.Notes, "the saved position holds no GTID set: which transactions are passed over cannot be said")
		} else {
			have = from.GTID
		}
	}
	held := have.And(s.sets.executed)
	lost := have.Minus(s.sets.executed)
	to := &Position{Flavor: o.Flavor, ServerUUID: s.vars["server_uuid"]}
	switch target.kind {
	case startLatest:
		to.GTID = s.sets.executed.Clone()
	case startEarliest:
		to.GTID = s.sets.purged.Clone()
		to.GTID.Union(held)
	default:
		to.GTID = target.set
		if err := s.covers(o, to, resetTarget); err != nil {
			return nil, err
		}
	}
	if to.GTID.Equal(s.sets.executed) {
		to.File, to.Pos = s.end.file, s.end.pos
	}
	if twice := held.Minus(to.GTID); !twice.IsEmpty() {
		all := to.GTID.Clone()
		all.Union(held)
		return nil, &TargetError{o.Shard, target.text, fmt.Sprintf("the rows of %v are published, and would come twice", twice),
			fmt.Sprintf("give --to gtid:%v, or %s", all, elsewhere)}
	}
	passedOver := to.GTID.Minus(have)
	m.Passed, m.Transactions, m.Lost = passedOver.String(), passedOver.Count(), lost.String()
	if from != nil && from.ServerUUID == to.ServerUUID && to.GTID.Equal(have) {
		to.File, to.Pos = from.File, from.Pos
	}
	own := lost.of(s.vars["server_uuid"])
	if !own.IsEmpty() {
		m.Notes = append(m.Notes, fmt.Sprintf("%v bear this server's own name: its history was reset or restored, and it may have given numbers up to there to other transactions, which are passed over as well", own))
	}
	m.Foreign = lost.Minus(own).String()
	return to, nil
}

// moveFile is move by file and offset, which mean something on their own server
// only.
func (s *server) moveFile(o *Options, from *Position, m *Move, target moveTarget) (*Position, error) {
	refuse := func(reason, hint string) (*Position, error) {
		return nil, &TargetError{o.Shard, target.text, reason, hint}
	}
	if len(s.files) == 0 {
		return refuse("the server lists no binlog", "start it with log_bin")
	}
	oldest := place{s.files[0].name, firstEvent}
	at := oldest
	comparable := from == nil || from.File != "" && from.ServerUUID == s.vars["server_uuid"]
	if from != nil && comparable {
		at = place{from.File, from.Pos}
		f, ok := s.file(at.file)
		if gone := s.sameHistory(o, from, savedPosition) != nil; gone || !passed(s.end, at) || ok && f.size < at.pos {
			m.Lost = fmt.Sprintf("%s:%d to %s:%d", s.end.file, s.end.pos, at.file, at.pos)
			if gone {
				m.Lost = "its history before " + fmt.Sprintf("%s:%d", at.file, at.pos)
			}
			comparable = false
		}
	}
	if !comparable && target.kind != startLatest {
		return refuse("the saved position is of another server, or of a history that this one has no more: places there and here cannot be compared, and nobody can say which rows would come twice", "give --to now, or "+elsewhere)
	}
	to := &Position{Flavor: o.Flavor, ServerUUID: s.vars["server_uuid"], File: s.end.file, Pos: s.end.pos}
	switch target.kind {
	case startFile:
		to.File, to.Pos = target.file, target.pos
		if _, err := s.continueFile(o, to, resetTarget); err != nil {
			return nil, err
		}
	case startEarliest:
		if to.File, to.Pos = oldest.file, oldest.pos; passed(at, oldest) {
			to.File, to.Pos = at.file, at.pos
		}
	}
	if !comparable {
		m.Passed = fmt.Sprintf("whatever this server committed before %s:%d and was not read elsewhere", to.File, to.Pos)
		m.Notes = append(m.Notes, "places of two servers, or of two histories, cannot be compared: which rows are passed over cannot be said, and what a replica has yet to replicate may come twice")
		return to, nil
	}
	if !passed(place{to.File, to.Pos}, at) {
		return refuse(fmt.Sprintf("what lies between it and %s:%d is published, and would come twice", at.file, at.pos), "give a place at or behind that one, or "+elsewhere)
	}
	if to.File != at.file || to.Pos != at.pos {
		m.Passed = fmt.Sprintf("%s:%d to %s:%d", at.file, at.pos, to.File, to.Pos)
	} else if from != nil {
		to = from
	}
	return to, nil
}
