package binlog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// The statements that a reader sends, all of them: whoever plays a server for
// it must answer these. Of those in pairs the second is for servers that do
// not know the first.
const (
	sqlVariables = "SHOW GLOBAL VARIABLES WHERE Variable_name IN (" + variableNames + ")"
	// The sets do not fit the 1,024 characters of a row of SHOW VARIABLES.
	sqlGTIDs      = "SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged"
	sqlClock      = "SELECT UTC_TIMESTAMP(6)"
	sqlBinlogs    = "SHOW BINARY LOGS"
	sqlStatus     = "SHOW BINARY LOG STATUS"
	sqlStatusOld  = "SHOW MASTER STATUS"
	sqlReplicas   = "SHOW REPLICAS"
	sqlReplicaOld = "SHOW SLAVE HOSTS"
	sqlUser       = "SELECT CURRENT_USER()"
	sqlServer     = "SELECT @@GLOBAL.server_uuid"
	sqlServerID   = "SELECT @@GLOBAL.server_id"
	sqlChecksum   = "SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32'"
)

// variableNames are the settings that matter, as a list for SQL.
const variableNames = "'version','server_uuid','server_id','log_bin','binlog_format','binlog_row_image','binlog_row_metadata'," +
	"'gtid_mode','lower_case_table_names','sync_binlog','log_replica_updates','log_slave_updates','gtid_strict_mode'," +
	"'binlog_expire_logs_seconds','expire_logs_days','binlog_expire_logs_auto_purge','max_binlog_total_size'"

// variables are settings by name; a server that does not know one leaves it out.
type variables map[string]string

// readVariables asks for the settings. On MariaDB server_uuid is its server_id.
func (c *conn) readVariables(ctx context.Context, flavor Flavor) (variables, error) {
	r, err := c.query(ctx, sqlVariables)
	if err != nil {
		return nil, err
	}
	v := variables{}
	for i := range r.RowNumber() {
		name, err := r.GetString(i, 0)
		if err != nil {
			return nil, fmt.Errorf("read variables: %w", err)
		}
		value, err := r.GetString(i, 1)
		if err != nil {
			return nil, fmt.Errorf("read variable %s: %w", name, err)
		}
		v[strings.ToLower(name)] = value
	}
	if flavor == MariaDB {
		// It has no uuid; the server_id must be unique among all that follow
		// each other.
		v["server_uuid"] = v["server_id"]
	}
	return v, nil
}

// gtidSets are what a server has executed, and of it what its binlogs no
// longer hold.
type gtidSets struct{ executed, purged *GTIDSet }

// readGTIDs asks for both sets.
func (c *conn) readGTIDs(ctx context.Context) (gtidSets, error) {
	r, err := c.query(ctx, sqlGTIDs)
	if err != nil {
		return gtidSets{}, err
	}
	var sets [2]*GTIDSet
	for i := range sets {
		text, err := r.GetString(0, i)
		if err != nil {
			return gtidSets{}, fmt.Errorf("read gtid sets: %w", err)
		}
		if sets[i], err = ParseGTIDSet(text); err != nil {
			return gtidSets{}, fmt.Errorf("read gtid sets: %w", err)
		}
	}
	return gtidSets{executed: sets[0], purged: sets[1]}, nil
}

// binlogFile is one file that the server still has.
type binlogFile struct {
	name string
	size uint64
}

// readBinlogs asks for the files, oldest first.
func (c *conn) readBinlogs(ctx context.Context) ([]binlogFile, error) {
	r, err := c.query(ctx, sqlBinlogs)
	if err != nil {
		return nil, err
	}
	files := make([]binlogFile, r.RowNumber())
	for i := range files {
		if files[i].name, err = r.GetString(i, 0); err == nil {
			files[i].size, err = r.GetUint(i, 1)
		}
		if err != nil {
			return nil, fmt.Errorf("read list of binlogs: %w", err)
		}
	}
	return files, nil
}

// either runs the first statement that the server knows.
func (c *conn) either(ctx context.Context, statements ...string) (*mysql.Result, error) {
	var r *mysql.Result
	var err error
	for _, s := range statements {
		if r, err = c.query(ctx, s); serverCode(err) != mysql.ER_PARSE_ERROR {
			break
		}
	}
	return r, err
}

// serverCode returns the number of a server's error, or 0.
func serverCode(err error) uint16 {
	var e *mysql.MyError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// place is an offset in a file.
type place struct {
	file string
	pos  uint64
}

// readEnd asks where the binlog ends.
func (c *conn) readEnd(ctx context.Context) (place, error) {
	r, err := c.either(ctx, sqlStatus, sqlStatusOld)
	if err != nil {
		return place{}, err
	}
	if r.RowNumber() == 0 {
		return place{}, &StopError{Reason: "the server writes no binlog", Hint: "start it with log_bin"}
	}
	var p place
	if p.file, err = r.GetString(0, 0); err == nil {
		p.pos, err = r.GetUint(0, 1)
	}
	if err != nil {
		return place{}, fmt.Errorf("read end of the binlog: %w", err)
	}
	return p, nil
}

// readClock asks for the server's time, in microseconds.
func (c *conn) readClock(ctx context.Context) (int64, error) {
	r, err := c.query(ctx, sqlClock)
	if err != nil {
		return 0, err
	}
	text, err := r.GetString(0, 0)
	if err != nil {
		return 0, fmt.Errorf("read the server's clock: %w", err)
	}
	t, err := time.Parse("2006-01-02 15:04:05.999999", text)
	if err != nil {
		return 0, fmt.Errorf("read the server's clock: %w", err)
	}
	return t.UnixMicro(), nil
}

// errOtherServer is two connections to one address that reached two servers: an
// address moves, or several servers stand behind it. It passes by itself, or
// never ends and shows as retries.
var errOtherServer = errors.New("the address led to another server than a moment ago")

// isServer checks that the connection leads to the server with that uuid: what
// one server said about its binlog means nothing for another's.
func (c *conn) isServer(ctx context.Context, flavor Flavor, uuid string) error {
	question := sqlServer
	if flavor == MariaDB {
		question = sqlServerID
	}
	r, err := c.query(ctx, question)
	if err != nil {
		return err
	}
	got, err := r.GetString(0, 0)
	if err != nil {
		return fmt.Errorf("read who the server is: %w", err)
	}
	if !strings.EqualFold(got, uuid) {
		return fmt.Errorf("%w: it is %s, and was %s", errOtherServer, got, uuid)
	}
	return nil
}

// number returns a setting as a number, 0 where it is absent.
func (v variables) number(name string) uint64 {
	n, _ := strconv.ParseUint(v[name], 10, 64)
	return n
}
