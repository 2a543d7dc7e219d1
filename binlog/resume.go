package binlog

import (
	"fmt"
	"strconv"
	"strings"
)

// server is what a server says about itself and its binlog.
type server struct {
	vars variables
	// sets are MySQL's, domains MariaDB's.
	sets    gtidSets
	domains domainHistory
	files   []binlogFile
	end     place
}

// gtids reports whether every new transaction of the server has a GTID.
func (s *server) gtids(o *Options) bool { return o.Flavor == MariaDB || s.vars["gtid_mode"] == "ON" }

// resume returns where a reader begins on this server: at its saved position,
// or at its start. It refuses, with the missing interval and the choices,
// whatever would leave a hole.
func (s *server) resume(o *Options, saved []byte) (*Position, error) {
	stop := func(hint, format string, args ...any) (*Position, error) {
		return nil, &StopError{Shard: o.Shard, Reason: fmt.Sprintf(format, args...), Hint: hint}
	}
	if o.Position == ByGTID && !s.gtids(o) {
		return stop("SET GLOBAL gtid_mode step by step to ON, or use position: file", "gtid_mode is %q, and the position is kept by GTID", s.vars["gtid_mode"])
	}
	if len(saved) == 0 {
		from, _ := parseStart(o.Start, o.Flavor)
		return s.begin(o, from)
	}
	p, err := ParsePosition(saved)
	if err != nil {
		return stop("restore the position, or remove it to begin at start", "the saved position cannot be read: %v", err)
	}
	if p.Flavor != o.Flavor {
		return stop("give the source type: "+string(p.Flavor)+", or remove the position to begin at start", "the saved position is of a %s server, and the source is of type %s", p.Flavor, o.Flavor)
	}
	if o.Position == ByFile {
		return s.continueFile(o, p, savedPosition)
	}
	if p.GTID == nil && p.Domains == nil {
		return stop("use position: file, or give start: gtid:<set> and remove the position", "the saved position holds no GTID set")
	}
	if err := s.covers(o, p, savedPosition); err != nil {
		return nil, err
	}
	if p.ServerUUID != s.vars["server_uuid"] {
		// Another server: its files are not the ones we know.
		p.ServerUUID, p.File, p.Pos = s.vars["server_uuid"], "", 0
		return p, nil
	}
	if f, ok := s.file(p.File); ok && f.size < p.Pos {
		return s.shorter(o, p, f)
	}
	return p, nil
}

// begin returns the start of a shard without a saved position.
func (s *server) begin(o *Options, from start) (*Position, error) {
	p := &Position{Flavor: o.Flavor, ServerUUID: s.vars["server_uuid"]}
	switch from.kind {
	case startLatest:
		p.File, p.Pos = s.end.file, s.end.pos
	case startFile:
		p.File, p.Pos = from.file, from.pos
		return s.continueFile(o, p, startSetting)
	case startEarliest:
		if err := s.complete(o); err != nil {
			return nil, err
		}
		if o.Position == ByFile {
			p.File, p.Pos = s.files[0].name, firstEvent
		}
	}
	switch {
	case o.Position == ByFile:
		return p, nil
	case o.Flavor == MariaDB:
		return s.beginMariaDB(o, p, from)
	case from.kind == startLatest:
		p.GTID = s.sets.executed.Clone()
	case from.kind == startGTID:
		p.GTID = from.set
		return p, s.covers(o, p, startSetting)
	default:
		p.GTID = &GTIDSet{}
	}
	return p, nil
}

// complete reports whether the server still has its binlogs from the first on.
func (s *server) complete(o *Options) error {
	const choices = "start: latest follows what comes from now on; %s begins with the oldest binlog left; both leave out what was purged"
	if o.Flavor == MySQL && s.gtids(o) && !s.sets.purged.IsEmpty() {
		return &StopError{Shard: o.Shard, Reason: fmt.Sprintf("start: earliest, but the server has purged %v", s.sets.purged),
			Hint: fmt.Sprintf(choices, fmt.Sprintf("start: gtid:%v", s.sets.purged))}
	}
	if len(s.files) == 0 {
		return &StopError{Shard: o.Shard, Reason: "the server lists no binlog", Hint: "start it with log_bin"}
	}
	if o.Flavor == MariaDB {
		return s.completeMariaDB(o)
	}
	if n, ok := fileOrdinal(s.files[0].name); !s.gtids(o) && (!ok || n != 1) {
		return &StopError{Shard: o.Shard, Reason: fmt.Sprintf("start: earliest, but the server has purged the binlogs before %s", s.files[0].name),
			Hint: fmt.Sprintf(choices, fmt.Sprintf("start: file:%s:%d", s.files[0].name, firstEvent))}
	}
	return nil
}

// covers reports whether a reader that has the set of p can go on at this
// server: purged ⊆ set ⊆ executed.
func (s *server) covers(o *Options, p *Position, what string) error {
	if o.Flavor == MariaDB {
		return s.coversDomains(o, p.Domains, what)
	}
	set := p.GTID
	if extra := set.Minus(s.sets.executed); !extra.IsEmpty() {
		return s.neverHad(o, what, extra.String(), "executed")
	}
	if missing := s.sets.purged.Minus(set); !missing.IsEmpty() {
		return &StopError{Shard: o.Shard, Reason: fmt.Sprintf("server %s has purged %v, which %s does not hold", s.vars["server_uuid"], missing, what),
			Hint: "point the shard to a server that still has them, or restore the binlogs, or leave them out: " + o.leaveOut(what, "gtid:<set>")}
	}
	return nil
}

// The words for where a set of transactions comes from.
const (
	savedPosition = "the saved position"
	startSetting  = "start"
	streamsTail   = "the stream, behind the saved position,"
	resetTarget   = "the target"
)

// neverHad refuses a server that lacks transactions.
func (s *server) neverHad(o *Options, what, extra, done string) error {
	hint := "point the shard to a server that has them"
	if what != startSetting && what != resetTarget {
		logs := "log_replica_updates"
		if o.Flavor == MariaDB {
			logs = "log_slave_updates"
		}
		hint = "the server was reset or restored, does not log what it replicates (" + logs + "), or a fail-over lost transactions that are already in the stream: " +
			hint + ", or give them up: " + o.moveTo("now") + " goes on with what this server commits from then on, and shows first what is left out"
	}
	return &StopError{Shard: o.Shard, Reason: fmt.Sprintf("%s holds %s, which server %s has never %s", what, extra, s.vars["server_uuid"], done), Hint: hint}
}

// moveTo is the command that moves the shard's position.
func (o *Options) moveTo(target string) string {
	return "tailwater shard reset " + o.Shard + " --to " + target
}

// leaveOut says how to go on behind what is missing: a saved position is moved,
// without one the start is another.
func (o *Options) leaveOut(what, exact string) string {
	if what == startSetting {
		return "start: latest, or start: " + exact
	}
	return o.moveTo("oldest") + " goes on with the oldest binlog left, --to now or --to " + exact + " behind a place; each shows first what is left out"
}

// agrees holds the server against what is known beside the position.
func (s *server) agrees(o *Options, p *Position, known Known) error {
	if err := s.holds(o, known.Published); err != nil {
		return err
	}
	if p.GTID == nil {
		return nil
	}
	for _, text := range known.GivenUp {
		set, err := ParseGTIDSet(text)
		if err != nil {
			return &StopError{Shard: o.Shard, Reason: "the transactions that a reset gave up cannot be read", Err: err, Hint: hintReport}
		}
		if back := set.And(s.sets.executed).Minus(p.GTID); !back.IsEmpty() {
			all := p.GTID.Clone()
			all.Union(back)
			return &StopError{Shard: o.Shard, Reason: fmt.Sprintf("server %s has %v, which was published and then given up as lost: its rows would come twice", s.vars["server_uuid"], back),
				Hint: o.moveTo("gtid:"+all.String()) + " passes over them"}
		}
	}
	return nil
}

// holds reports whether the server has the transactions of which rows stand in
// the stream behind the saved position: a fail-over may have lost them too.
func (s *server) holds(o *Options, published []string) error {
	var missing []string
	for _, id := range published {
		if ok, err := s.has(id); err != nil {
			return &StopError{Shard: o.Shard, Reason: "what the stream holds behind the saved position cannot be compared with the server", Err: err, Hint: hintReport}
		} else if !ok {
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	done := "executed"
	if o.Flavor == MariaDB {
		done = "logged"
	}
	return s.neverHad(o, streamsTail, joinIDs(missing), done)
}

// mostIDs is how many transactions an error lists.
const mostIDs = 10

// joinIDs lists transactions, the first ones of many.
func joinIDs(ids []string) string {
	if len(ids) <= mostIDs {
		return strings.Join(ids, ",")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(ids[:mostIDs], ","), len(ids)-mostIDs)
}

// has reports whether the server has one transaction: a GTID, or file:pos of
// its start, which is of this server where positions are by file.
func (s *server) has(id string) (bool, error) {
	if at, ok := parsePlace(id); ok {
		return !passed(at, s.end), nil
	}
	if s.domains.state != nil {
		g, err := ParseDomainGTID(id)
		return err == nil && s.domains.state.Holds(g), err
	}
	one, err := ParseGTIDSet(id)
	return err == nil && s.sets.executed.ContainsSet(one), err
}

// parsePlace reads file:pos.
func parsePlace(id string) (place, bool) {
	name, offset, ok := cutLast(id, ":")
	pos, err := strconv.ParseUint(offset, 10, 64)
	if !ok || err != nil || !validFileName(name) {
		return place{}, false
	}
	return place{name, pos}, true
}

// file returns the named file of the server.
func (s *server) file(name string) (binlogFile, bool) {
	for _, f := range s.files {
		if f.name == name {
			return f, true
		}
	}
	return binlogFile{}, false
}

// continueFile checks a position by file: it means something on its own server
// only, while the file is there and at least as long.
func (s *server) continueFile(o *Options, p *Position, what string) (*Position, error) {
	stop := func(hint, format string, args ...any) (*Position, error) {
		return nil, &StopError{Shard: o.Shard, File: p.File, Pos: p.Pos, Reason: fmt.Sprintf(format, args...), Hint: hint}
	}
	if p.ServerUUID != s.vars["server_uuid"] {
		return stop("point the shard to the server that it followed, or use position: gtid, or "+o.moveTo("now")+" goes on at the end of this one's",
			"the position belongs to server %s, and this is %s: a file of the same name there holds something else", p.ServerUUID, s.vars["server_uuid"])
	}
	if p.File == "" {
		return stop("use position: gtid, or remove the position and give start: file:<name>:<offset>", "the saved position holds no file")
	}
	if err := s.sameHistory(o, p, what); err != nil {
		return nil, err
	}
	f, ok := s.file(p.File)
	if !ok {
		oldest := "none"
		if len(s.files) > 0 {
			oldest = s.files[0].name
		}
		return stop("restore the binlogs, or leave out what is missing: "+o.leaveOut(what, "file:<name>:<offset>"), "the server no longer has that file; its oldest is %s", oldest)
	}
	if f.size < p.Pos {
		return s.shorter(o, p, f)
	}
	return p, nil
}

// sameHistory looks, where a position by file knows its transactions too, whether
// the server still has them: files of a server that was reset begin with the
// same names, and may be as long.
func (s *server) sameHistory(o *Options, p *Position, what string) error {
	if p.GTID != nil {
		if extra := p.GTID.Minus(s.sets.executed); !extra.IsEmpty() {
			return s.neverHad(o, what, extra.String(), "executed")
		}
	}
	if p.Domains != nil && s.domains.state != nil {
		for _, g := range p.Domains.last {
			if !s.domains.state.Holds(g) {
				return s.neverHad(o, what, g.String(), "logged")
			}
		}
	}
	return nil
}

// shorter refuses a file that ends before the saved position.
func (s *server) shorter(o *Options, p *Position, f binlogFile) (*Position, error) {
	return nil, &StopError{Shard: o.Shard, File: p.File, Pos: p.Pos,
		Reason: fmt.Sprintf("the server's file ends at %d, before the saved position: it lost the end of its binlog in a crash, or was reset", f.size),
		Hint:   "set sync_binlog=1; compare the tables, because rows in the stream may no longer exist; then " + o.moveTo("now")}
}
