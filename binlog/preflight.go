package binlog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// Finding is one reason why a server cannot be followed as it is.
type Finding struct {
	// Check is the setting or privilege, such as binlog_row_image.
	Check string
	// Got is what the server has, Want what is needed.
	Got, Want string
	// Fix is the SQL statement or the line of my.cnf that mends it.
	Fix string
}

// checkContinuity is the check of whether every transaction behind a position is
// still there: Got is then a sentence.
const checkContinuity = "continuity"

// PreflightError lists everything that keeps a server from being followed.
type PreflightError struct {
	Shard    string
	Findings []Finding
}

// Error lists every finding, one to a line, each with its way out.
func (e *PreflightError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "shard %s: the server is not ready to be followed:", e.Shard)
	for _, f := range e.Findings {
		if f.Check == checkContinuity {
			fmt.Fprintf(&b, "\n  %s; %s", f.Got, f.Fix)
			continue
		}
		fmt.Fprintf(&b, "\n  %s is %s, want %s: %s", f.Check, f.Got, f.Want, f.Fix)
	}
	return b.String()
}

// Preflight asks the server whether it can be followed, and returns a
// *PreflightError with the complete list when it cannot. It makes one
// connection of its own, and changes nothing. Sessions may override settings,
// so the reader checks every event all the same.
func (r *Reader) Preflight(ctx context.Context) error {
	return r.preflight(ctx, func(*server) error { return nil })
}

// PreflightFrom is Preflight, and in the same list whether the reader can go on
// from a saved position (nil: from Options.Start) without a hole.
func (r *Reader) PreflightFrom(ctx context.Context, position []byte) error {
	return r.preflight(ctx, func(s *server) error {
		_, err := s.resume(&r.o, position)
		return err
	})
}

// End asks the server for the position at the end of its binlog, where a Run
// with the start "latest" would begin. It makes one connection of its own.
func (r *Reader) End(ctx context.Context) (position []byte, err error) {
	defer r.caught(&err)
	c, err := r.o.dial(ctx, r.o.ConnectTimeout)
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", r.o.Shard, err)
	}
	defer c.close()
	srv, err := c.inspect(ctx, r.o.Flavor)
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", r.o.Shard, err)
	}
	p, err := srv.begin(&r.o, start{kind: startLatest})
	if err != nil {
		return nil, err
	}
	return p.Append(nil), nil
}

// preflight collects the findings; resume checks the position.
func (r *Reader) preflight(ctx context.Context, resume func(*server) error) (err error) {
	defer r.caught(&err)
	c, err := r.o.dial(ctx, r.o.ConnectTimeout)
	if err != nil {
		return fmt.Errorf("shard %s: %w", r.o.Shard, err)
	}
	defer c.close()
	vars, err := c.readVariables(ctx, r.o.Flavor)
	if err != nil {
		return fmt.Errorf("shard %s: %w", r.o.Shard, err)
	}
	findings := r.o.flavorFinding(vars)
	if len(findings) > 0 {
		// Whatever else would be found is not about this kind of server.
		return &PreflightError{Shard: r.o.Shard, Findings: findings}
	}
	findings = r.o.settings(vars)
	grants, err := c.grants(ctx, &r.o)
	if err != nil {
		return fmt.Errorf("shard %s: %w", r.o.Shard, err)
	}
	findings = append(findings, grants...)
	if len(findings) == 0 {
		srv, err := c.inspect(ctx, r.o.Flavor)
		if err == nil {
			err = resume(srv)
		}
		var stop *StopError
		if errors.As(err, &stop) {
			findings = append(findings, Finding{Check: checkContinuity, Got: stop.Reason, Want: "every transaction behind the position", Fix: stop.Hint})
		} else if err != nil {
			return fmt.Errorf("shard %s: %w", r.o.Shard, err)
		}
	}
	r.warn(vars)
	if len(findings) > 0 {
		return &PreflightError{Shard: r.o.Shard, Findings: findings}
	}
	return nil
}

// requirement is a setting that must have one value.
type requirement struct{ name, want, fix string }

// requirements are the settings without which rows would be lost or garbled, but
// for binlog_row_image: what an image lacks is missed event by event. A
// setting that a server does not have any more is fixed to the value we need,
// but for binlog_row_metadata, which old servers lack.
var requirements = []requirement{
	{"log_bin", "ON", "in my.cnf, [mysqld]: log_bin=binlog, then restart the server"},
	{"binlog_format", "ROW", "SET PERSIST binlog_format = 'ROW'; and end the sessions that have another"},
	{"binlog_row_metadata", "FULL", "SET PERSIST binlog_row_metadata = 'FULL'"},
}

// settings returns the findings about settings.
func (o *Options) settings(vars variables) []Finding {
	var out []Finding
	wanted := requirements
	if o.Flavor == MariaDB {
		wanted = mariadbRequirements
	}
	for _, q := range wanted {
		got, ok := vars[q.name]
		switch {
		case ok && strings.EqualFold(got, q.want):
		case ok:
			out = append(out, Finding{q.name, orEmpty(got), q.want, q.fix})
		case q.name == "binlog_row_metadata":
			out = append(out, Finding{q.name, "unknown to version " + vars["version"], q.want, "upgrade the server to MySQL 8.0.1 or MariaDB 10.5, or later, then " + q.fix})
		}
	}
	if o.Flavor == MySQL && o.Position == ByGTID && vars["gtid_mode"] != "ON" {
		out = append(out, Finding{"gtid_mode", orEmpty(vars["gtid_mode"]), "ON",
			"SET PERSIST enforce_gtid_consistency = ON; then SET PERSIST gtid_mode = OFF_PERMISSIVE, ON_PERMISSIVE and ON, one after the other; or use position: file"})
	}
	out = append(out, o.capitals(vars)...)
	if _, err := ParseUUID(vars["server_uuid"]); err != nil && o.Flavor == MySQL {
		out = append(out, Finding{"server_uuid", orEmpty(vars["server_uuid"]), "a uuid", "remove auto.cnf from the data directory and restart the server"})
	}
	switch id := vars.number("server_id"); {
	case id == 0:
		fix := "SET PERSIST server_id = 1"
		if o.Flavor == MariaDB {
			fix = "SET GLOBAL server_id = 1, and in my.cnf"
		}
		out = append(out, Finding{"server_id", "0", "a number that no other server has", fix})
	case id == uint64(o.ServerID):
		out = append(out, Finding{"server_id", fmt.Sprint(id) + ", the reader's own", "another than the reader's", "give the source another range of server_id"})
	}
	return out
}

// capitals returns the finding about names that no table of the server can have.
func (o *Options) capitals(vars variables) []Finding {
	if vars.number("lower_case_table_names") == 0 {
		return nil
	}
	var write []string
	for _, name := range o.Names {
		if lower := strings.ToLower(name); lower != name {
			write = append(write, fmt.Sprintf("%q in place of %q", lower, name))
		}
	}
	if len(write) == 0 {
		return nil
	}
	return []Finding{{"lower_case_table_names", vars["lower_case_table_names"] + ", so that names of databases and tables are in lower case", "patterns without capitals, for others take nothing",
		"write " + strings.Join(write, ", ")}}
}

// orEmpty shows an empty value.
func orEmpty(s string) string {
	if s == "" {
		return "empty"
	}
	return s
}

// grants returns the findings about privileges. They are found by trying what
// they allow, because roles and partial revokes make a list of grants say less
// than it seems.
func (c *conn) grants(ctx context.Context, o *Options) ([]Finding, error) {
	if o.Flavor == MariaDB {
		return c.mariadbGrants(ctx, o)
	}
	account := c.account(ctx, o.User)
	var out []Finding
	for _, p := range []struct {
		privilege  string
		statements []string
	}{
		{"REPLICATION SLAVE", []string{sqlReplicas, sqlReplicaOld}},
		{"REPLICATION CLIENT", []string{sqlStatus, sqlStatusOld}},
	} {
		_, err := c.either(ctx, p.statements...)
		switch serverCode(err) {
		case 0:
			if err != nil {
				return nil, err
			}
		case mysql.ER_SPECIFIC_ACCESS_DENIED_ERROR, mysql.ER_ACCESS_DENIED_ERROR:
			out = append(out, Finding{"privilege " + p.privilege, "missing", "granted", "GRANT " + p.privilege + " ON *.* TO " + account})
		case mysql.ER_PARSE_ERROR, mysql.ER_NOT_SUPPORTED_YET:
			// It does not serve the statement: the dump will tell.
		default:
			return nil, err
		}
	}
	return out, nil
}

// account returns the account that the server took user for, as GRANT names it.
func (c *conn) account(ctx context.Context, user string) string {
	if r, err := c.query(ctx, sqlUser); err == nil && r.RowNumber() == 1 {
		if text, err := r.GetString(0, 0); err == nil {
			name, host, _ := cutLast(text, "@")
			return "'" + name + "'@'" + host + "'"
		}
	}
	return "'" + user + "'"
}

// warn logs what does not keep the reader from following, but may hurt.
func (r *Reader) warn(vars variables) {
	if v, ok := vars["binlog_row_image"]; ok && !strings.EqualFold(v, "FULL") {
		// Every image is checked for the columns that a view takes, as any session
		// may have this setting. It is no warning about an accident, but about
		// what will happen.
		fix := "SET PERSIST binlog_row_image = 'FULL'; and end the sessions that have another"
		if r.o.Flavor == MariaDB {
			fix = "SET GLOBAL binlog_row_image = 'FULL', and in my.cnf; then end the sessions that have another"
		}
		r.o.Logger.Error("row images lack columns: the first change of a row that lacks one which a view takes stops the shard; an update may carry no more than what it changes, and not the key",
			"shard", r.o.Shard, "binlog_row_image", v, "want", "FULL", "fix", fix)
	}
	if v, ok := vars["sync_binlog"]; ok && v != "1" {
		r.o.Logger.Warn("a crash of the server can take back what was read", "shard", r.o.Shard, "sync_binlog", v, "want", "1")
	}
	if r.o.Flavor == MariaDB && vars["gtid_strict_mode"] != "ON" {
		r.o.Logger.Warn("the numbers of transactions may go back, and a fail-over then leads to a hole", "shard", r.o.Shard, "gtid_strict_mode", vars["gtid_strict_mode"], "want", "ON")
	}
	for _, name := range []string{"log_replica_updates", "log_slave_updates"} {
		if v, ok := vars[name]; ok && v != "ON" {
			r.o.Logger.Warn("as a replica, this server would not log what it is sent", "shard", r.o.Shard, name, v, "want", "ON")
		}
	}
}
