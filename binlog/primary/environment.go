package primary

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"tailwater/binlog/primary/minisql"
)

// environment answers what expressions ask of the server.
type environment struct {
	se   *session
	args []any
}

var _ minisql.Env = (*environment)(nil)

// Column fails: outside a row there are no columns.
func (e *environment) Column(name string) (any, error) {
	return nil, mysql.NewError(mysql.ER_BAD_FIELD_ERROR, fmt.Sprintf("Unknown column '%s'", name))
}

// UserVariable returns what SET @name stored.
func (e *environment) UserVariable(name string) any {
	if v, ok := e.se.vars[name]; ok {
		return v
	}
	return nil
}

// Param returns an argument of a prepared statement.
func (e *environment) Param(n int) (any, error) {
	if n >= len(e.args) {
		return nil, fmt.Errorf("placeholder %d has no value", n+1)
	}
	return e.args[n], nil
}

// SystemVariable returns a variable as SELECT prints it: 1 and 0 for switches.
func (e *environment) SystemVariable(name string) (any, error) {
	if v, ok := e.se.system[name]; ok {
		return v, nil
	}
	v, ok := e.se.variables()[name]
	if !ok {
		return nil, mysql.NewError(mysql.ER_UNKNOWN_SYSTEM_VARIABLE, fmt.Sprintf("Unknown system variable '%s'", name))
	}
	if switches[name] {
		switch v {
		case "ON":
			return int64(1), nil
		case "OFF":
			return int64(0), nil
		}
	}
	if n, err := strconv.ParseInt(v, 10, 64); err == nil && !strings.Contains(name, "version") {
		return n, nil
	}
	return v, nil
}

// Call computes the functions that depend on the server.
func (e *environment) Call(name string, args []any) (any, error) {
	now := e.se.s.opts.Now().UTC()
	switch name {
	case "NOW", "CURRENT_TIMESTAMP", "SYSDATE", "UTC_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP":
		return formatNow(now, args)
	case "UNIX_TIMESTAMP":
		return unixTimestamp(now, args)
	case "VERSION":
		return e.se.s.opts.Version, nil
	case "DATABASE", "SCHEMA":
		if e.se.database == "" {
			return nil, nil
		}
		return e.se.database, nil
	case "USER", "CURRENT_USER", "SESSION_USER", "SYSTEM_USER":
		return e.se.s.opts.User + "@localhost", nil
	case "CONNECTION_ID":
		return int64(e.se.conn.ConnectionID()), nil
	case "GTID_SUBSET", "GTID_SUBTRACT":
		return gtidFunction(name, args)
	}
	return nil, mysql.NewError(mysql.ER_SP_DOES_NOT_EXIST, fmt.Sprintf("FUNCTION %s is not served with %d arguments", name, len(args)))
}

const timeLayout = "2006-01-02 15:04:05"

// formatNow prints the time with the digits of the fraction that args ask for.
func formatNow(now time.Time, args []any) (any, error) {
	digits := int64(0)
	if len(args) == 1 {
		digits, _ = args[0].(int64)
	}
	if digits < 0 || digits > 6 {
		return nil, mysql.NewError(mysql.ER_TOO_BIG_PRECISION, fmt.Sprintf("precision %d is above 6", digits))
	}
	if digits == 0 {
		return now.Format(timeLayout), nil
	}
	return now.Format(timeLayout + "." + "000000"[:digits]), nil
}

// unixTimestamp returns seconds, with the fraction that the argument has.
func unixTimestamp(now time.Time, args []any) (any, error) {
	if len(args) == 0 {
		return now.Unix(), nil
	}
	text := minisql.Text(args[0])
	at, err := time.Parse(timeLayout, text) // takes a fraction, too
	if err != nil {
		return int64(0), nil // as MySQL does
	}
	_, frac, ok := strings.Cut(text, ".")
	if !ok {
		return at.Unix(), nil
	}
	return minisql.Decimal(fmt.Sprintf("%d.%s", at.Unix(), frac)), nil
}

func gtidFunction(name string, args []any) (any, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("%s wants two sets", name)
	}
	if args[0] == nil || args[1] == nil {
		return nil, nil
	}
	a, err := parseGTIDs(minisql.Text(args[0]))
	if err != nil {
		return nil, err
	}
	b, err := parseGTIDs(minisql.Text(args[1]))
	if err != nil {
		return nil, err
	}
	if name == "GTID_SUBTRACT" {
		return a.subtract(b).String(), nil
	}
	if b.covers(a) {
		return int64(1), nil
	}
	return int64(0), nil
}

// switches are the system variables that SELECT prints as 1 or 0.
var switches = map[string]bool{
	"autocommit": true, "binlog_transaction_compression": true, "log_bin": true, "log_replica_updates": true,
	"log_slave_updates": true, "offline_mode": true, "read_only": true, "super_read_only": true,
	"transaction_read_only": true, "binlog_encryption": true, "performance_schema": true, "skip_networking": true,
	"foreign_key_checks": true, "unique_checks": true,
}

// variables returns the system variables as SHOW VARIABLES prints them.
func (se *session) variables() map[string]string {
	o := &se.s.opts
	onOff := map[bool]string{true: "ON", false: "OFF"}
	_, port, _ := strings.Cut(se.s.Addr(), ":")
	se.s.log.mu.Lock()
	purged := se.s.log.purged.String()
	se.s.log.mu.Unlock()
	v := map[string]string{
		"autocommit": "ON", "auto_increment_increment": "1", "auto_increment_offset": "1", "binlog_checksum": "CRC32",
		"binlog_encryption": "OFF", "binlog_expire_logs_seconds": "2592000", "binlog_format": "ROW",
		"binlog_row_event_max_size": strconv.Itoa(maxRowsEvent), "binlog_row_image": "FULL", "binlog_row_metadata": "FULL",
		"binlog_row_value_options": "", "binlog_rows_query_log_events": "OFF",
		"binlog_transaction_compression": onOff[o.Compress], "character_set_client": "utf8mb4",
		"character_set_connection": "utf8mb4", "character_set_database": "utf8mb4", "character_set_results": "utf8mb4",
		"character_set_server": "utf8mb4", "collation_connection": "utf8mb4_0900_ai_ci",
		"collation_database": "utf8mb4_0900_ai_ci", "collation_server": "utf8mb4_0900_ai_ci",
		"default_storage_engine": "InnoDB", "enforce_gtid_consistency": "ON", "foreign_key_checks": "ON",
		"gtid_executed": se.s.state.Load().executed.String(), "gtid_mode": "ON", "gtid_next": "AUTOMATIC",
		"gtid_purged": purged, "hostname": "localhost", "init_connect": "", "innodb_flush_log_at_trx_commit": "1",
		"interactive_timeout": "28800", "license": "GPL", "log_bin": "ON", "log_bin_basename": "binlog",
		"log_replica_updates": "ON", "log_slave_updates": "ON", "lower_case_table_names": "0",
		"max_allowed_packet": "1073741824", "max_binlog_size": strconv.FormatInt(o.FileBytes, 10),
		"net_buffer_length": "16384", "net_read_timeout": "30", "net_write_timeout": "60", "offline_mode": "OFF",
		"performance_schema": "OFF", "port": port, "read_only": "OFF", "server_id": strconv.FormatUint(uint64(o.ServerID), 10),
		"server_uuid": formatUUID(se.s.uuid), "skip_networking": "OFF", "sql_mode": "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
		"super_read_only": "OFF", "sync_binlog": "1", "system_time_zone": "UTC", "time_zone": "+00:00",
		"transaction_isolation": "REPEATABLE-READ", "transaction_read_only": "OFF", "tx_isolation": "REPEATABLE-READ",
		"unique_checks": "ON", "version": o.Version, "version_comment": "in-process primary",
		"version_compile_os": "Linux", "wait_timeout": "28800", "warning_count": "0",
	}
	if o.NoChecksum {
		v["binlog_checksum"] = "NONE"
	}
	if o.MinimalMetadata {
		v["binlog_row_metadata"] = "MINIMAL"
	}
	for name, value := range o.Variables {
		v[name] = value
	}
	return v
}
