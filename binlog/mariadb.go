package binlog

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// The statements that a reader sends to MariaDB alone.
const (
	// gtid_binlog_pos and not gtid_current_pos: what a replica has applied
	// without logging it is in no binlog of its.
	sqlDomains = "SELECT @@GLOBAL.gtid_binlog_state, @@GLOBAL.gtid_binlog_pos"
	// The place where a file begins, as GTIDs.
	sqlFirstDomains = "SELECT BINLOG_GTID_POS('%s', 4)"
)

// domainHistory is what a MariaDB server has logged: all of it, the place at
// its end, and the place where its oldest binlog begins.
type domainHistory struct {
	state      *DomainState
	end, first *DomainPosition
}

// isMariaDB reports whether a server says that it is a MariaDB.
func (v variables) isMariaDB() bool {
	return strings.Contains(strings.ToLower(v["version"]), "mariadb")
}

// inspectMariaDB asks a server about its binlog. The end comes before the
// GTIDs, as in inspect.
func (c *conn) inspectMariaDB(ctx context.Context, srv *server) error {
	var err error
	if srv.end, err = c.readEnd(ctx); err != nil {
		return err
	}
	if srv.files, err = c.readBinlogs(ctx); err != nil {
		return err
	}
	srv.domains = domainHistory{first: &DomainPosition{}}
	r, err := c.query(ctx, sqlDomains)
	if err != nil {
		return err
	}
	var texts [2]string
	for i := range texts {
		if texts[i], err = r.GetString(0, i); err != nil {
			return fmt.Errorf("read gtid_binlog_state: %w", err)
		}
	}
	if srv.domains.state, err = ParseDomainState(texts[0]); err != nil {
		return fmt.Errorf("read gtid_binlog_state: %w", err)
	}
	if srv.domains.end, err = ParseDomainPosition(texts[1]); err != nil {
		return fmt.Errorf("read gtid_binlog_pos: %w", err)
	}
	if len(srv.files) == 0 {
		return nil
	}
	srv.domains.first, err = c.readFirstDomains(ctx, srv.files[0].name)
	return err
}

// readFirstDomains asks where a file begins.
func (c *conn) readFirstDomains(ctx context.Context, file string) (*DomainPosition, error) {
	if !validFileName(file) || strings.ContainsAny(file, `'\`) {
		return nil, fmt.Errorf("read where the oldest binlog begins: %q is not the name of a binlog file", file)
	}
	r, err := c.query(ctx, fmt.Sprintf(sqlFirstDomains, file))
	if err != nil {
		return nil, err
	}
	null, err := r.IsNull(0, 0)
	if err == nil && null {
		// It was purged since the list was read, or its head cannot be read.
		err = fmt.Errorf("the server does not say where %s begins", file)
	}
	if err != nil {
		return nil, fmt.Errorf("read where the oldest binlog begins: %w", err)
	}
	text, err := r.GetString(0, 0)
	if err != nil {
		return nil, fmt.Errorf("read where the oldest binlog begins: %w", err)
	}
	return ParseDomainPosition(text)
}

// capabilityGTID says that we understand GTID events as they are
// (MARIA_SLAVE_CAPABILITY_GTID); to others a server sends BEGIN in their place.
const capabilityGTID = 4

// requestMariaDB sends what turns a connection into a dump. By GTID the server
// looks for the file itself. In strict mode it refuses a GTID that it does not
// have, where else it would begin at the next one.
func (c *conn) requestMariaDB(ctx context.Context, o *Options, from *Position) error {
	statements := []string{fmt.Sprintf("SET @mariadb_slave_capability = %d", capabilityGTID)}
	if o.Position == ByGTID {
		statements = append(statements,
			fmt.Sprintf("SET @slave_connect_state = '%s'", from.Domains),
			"SET @slave_gtid_strict_mode = 1",
			"SET @slave_gtid_ignore_duplicates = 0")
	}
	for _, s := range statements {
		if _, err := c.query(ctx, s); err != nil {
			return err
		}
	}
	file, pos := from.File, uint32(from.Pos)
	if o.Position == ByGTID {
		file, pos = "", firstEvent
	}
	return c.command(dumpFile(o.ServerID, 0, file, pos))
}

// beginMariaDB is begin for a start by GTID, at the end or at the beginning.
func (s *server) beginMariaDB(o *Options, p *Position, from start) (*Position, error) {
	switch from.kind {
	case startLatest:
		p.Domains = s.domains.end.Clone()
	case startGTID:
		p.Domains = from.domains
		return p, s.coversDomains(o, p.Domains, startSetting)
	default:
		p.Domains = &DomainPosition{}
	}
	return p, nil
}

// completeMariaDB reports whether the server still has its binlogs from the
// first transaction on.
func (s *server) completeMariaDB(o *Options) error {
	if first := s.domains.first; !first.IsEmpty() {
		return &StopError{Shard: o.Shard, Reason: fmt.Sprintf("start: earliest, but the server has purged everything up to %v", first),
			Hint: fmt.Sprintf("start: latest follows what comes from now on; start: gtid:%v, or with position: file start: file:%s:%d, begins with the oldest binlog left; all leave out what was purged",
				first, s.files[0].name, firstEvent)}
	}
	return nil
}

// coversDomains is covers for MariaDB. Of a domain whose oldest transaction
// left was logged by another server than the position's, the numbers say
// nothing for sure; there the server itself refuses to begin in a hole.
func (s *server) coversDomains(o *Options, p *DomainPosition, what string) error {
	for _, g := range p.last {
		if !s.domains.state.Holds(g) {
			return s.neverHad(o, what, g.String(), "logged")
		}
	}
	for _, g := range s.domains.first.last {
		mine, ok := p.Find(g.Domain)
		if !ok || mine.Server == g.Server && mine.Sequence < g.Sequence {
			return &StopError{Shard: o.Shard, Reason: fmt.Sprintf("server %s has purged transactions up to %v, and %s is at %q", s.vars["server_uuid"], g, what, p.String()),
				Hint: "point the shard to a server that still has them, or restore the binlogs, or leave them out: " + o.leaveOut(what, "gtid:<position>")}
		}
	}
	return nil
}

// mariadbRequirements are requirements for MariaDB, which keeps settings over
// a restart in my.cnf only.
var mariadbRequirements = []requirement{
	{"log_bin", "ON", "in my.cnf, [mariadbd]: log_bin=binlog, then restart the server"},
	{"binlog_format", "ROW", "SET GLOBAL binlog_format = 'ROW', and in my.cnf; then end the sessions that have another"},
	{"binlog_row_metadata", "FULL", "SET GLOBAL binlog_row_metadata = 'FULL', and in my.cnf"},
}

// flavorFinding returns the finding about a server of the other kind.
func (o *Options) flavorFinding(vars variables) []Finding {
	if is := vars.isMariaDB(); is == (o.Flavor == MariaDB) {
		return nil
	} else if is {
		return []Finding{{"version", vars["version"], "MySQL", "give the source type: mariadb"}}
	}
	return []Finding{{"version", vars["version"], "MariaDB", "give the source type: mysql"}}
}

// mariadbGrants returns the findings about privileges, found by trying them.
// What lists replicas needs another privilege here than what is one, so that
// the reader registers as one.
func (c *conn) mariadbGrants(ctx context.Context, o *Options) ([]Finding, error) {
	account := c.account(ctx, o.User)
	var out []Finding
	missing := func(privilege string, err error) error {
		switch serverCode(err) {
		case mysql.ER_SPECIFIC_ACCESS_DENIED_ERROR, mysql.ER_ACCESS_DENIED_ERROR:
			out = append(out, Finding{"privilege " + privilege, "missing", "granted", "GRANT " + privilege + " ON *.* TO " + account})
			return nil
		}
		return err
	}
	if _, err := c.either(ctx, sqlStatusOld); missing("BINLOG MONITOR", err) != nil {
		return nil, err
	}
	err := c.command(registerReplica(o.ServerID))
	if err == nil {
		_, err = c.ReadOKPacket()
	}
	if err := missing("REPLICATION SLAVE", err); err != nil {
		return nil, fmt.Errorf("register as a replica: %w", err)
	}
	return out, nil
}

// mariadbIdleMargin is idleMargin for MariaDB, whose binlog has whole seconds.
const mariadbIdleMargin = 2 * idleMargin

// longHeartbeat reads an offset above 4 GiB, which MariaDB puts before the name
// of the file in a HEARTBEAT, where there is one.
func longHeartbeat(body []byte) (pos uint64, name []byte, ok bool) {
	if len(body) <= 8 || validFileName(string(body)) {
		return 0, body, false
	}
	return binary.LittleEndian.Uint64(body), body[8:], true
}
