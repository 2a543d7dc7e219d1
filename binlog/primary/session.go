package primary

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/server"
)

// session is one client connection. It implements server.Handler; its methods
// are called one after the other, by the connection's own goroutine.
type session struct {
	s        *Server
	conn     *server.Conn
	net      net.Conn
	database string
	vars     map[string]string // user variables, by lower-case name
	system   map[string]any    // system variables that were set, by lower-case name
	snapshot *state            // of the open transaction, or nil
	dumping  atomic.Bool

	inTransaction bool
}

var _ server.Handler = (*session)(nil)

// UseDB handles COM_INIT_DB. Any name will do, as there may be no tables yet.
func (se *session) UseDB(name string) error {
	se.database = strings.Clone(name)
	return nil
}

// HandleFieldList refuses COM_FIELD_LIST, which MySQL has deprecated.
func (se *session) HandleFieldList(string, string) ([]*mysql.Field, error) {
	return nil, mysql.NewError(mysql.ER_NOT_SUPPORTED_YET, "COM_FIELD_LIST is not served; use SHOW COLUMNS")
}

// HandleOtherCommand handles the replication commands, which the library would
// otherwise serve without heartbeats and without an end.
func (se *session) HandleOtherCommand(cmd byte, data []byte) error {
	switch cmd {
	case mysql.COM_REGISTER_SLAVE, mysql.COM_SET_OPTION:
		return nil
	case mysql.COM_BINLOG_DUMP:
		return se.dumpByPosition(data)
	case mysql.COM_BINLOG_DUMP_GTID:
		return se.dumpByGTID(data)
	case mysql.COM_PROCESS_KILL:
		if len(data) < 4 {
			return mysql.NewDefaultError(mysql.ER_MALFORMED_PACKET)
		}
		return se.s.kill(binary.LittleEndian.Uint32(data))
	case 0x1f: // COM_RESET_CONNECTION
		clear(se.vars)
		se.endTransaction()
		return nil
	}
	return mysql.NewError(mysql.ER_UNKNOWN_COM_ERROR, fmt.Sprintf("command %d is not served", cmd))
}

// dumpByPosition reads position 4, flags 2, server id 4, file name.
func (se *session) dumpByPosition(data []byte) error {
	if len(data) < 10 {
		return mysql.NewDefaultError(mysql.ER_MALFORMED_PACKET)
	}
	return se.dump(&dump{
		pos: int64(binary.LittleEndian.Uint32(data)), nonBlock: data[4]&flagNonBlock != 0, name: string(data[10:]),
	})
}

// dumpByGTID reads flags 2, server id 4, name length 4, name, position 8, set
// length 4, set.
func (se *session) dumpByGTID(data []byte) error {
	malformed := mysql.NewDefaultError(mysql.ER_MALFORMED_PACKET)
	if len(data) < 10 {
		return malformed
	}
	flags := data[0]
	name := int64(binary.LittleEndian.Uint32(data[6:]))
	data = data[10:]
	if int64(len(data)) < name+12 {
		return malformed
	}
	data = data[name+8:]
	if n := int64(binary.LittleEndian.Uint32(data)); int64(len(data)) < 4+n {
		return malformed
	}
	set, err := decodeGTIDs(data[4:])
	if err != nil {
		return fatal(err)
	}
	return se.dump(&dump{byGTID: true, have: set, nonBlock: flags&flagNonBlock != 0})
}

// dump runs a replication stream, the last thing that the connection does.
func (se *session) dump(d *dump) error {
	d.s, d.se, d.w = se.s, se, se.s.log.w
	var known bool
	for _, name := range []string{"source_binlog_checksum", "master_binlog_checksum"} {
		if v, ok := se.vars[name]; ok {
			known, d.w.Checksum = true, strings.EqualFold(v, "CRC32")
		}
	}
	if !known {
		if se.s.log.w.Checksum {
			return mysql.NewError(errorCode, "Replica can not handle replication events with the checksum "+
				"that source is configured to log; set @source_binlog_checksum first")
		}
		d.w.Checksum = false
	}
	for _, name := range []string{"source_heartbeat_period", "master_heartbeat_period"} {
		var ns int64
		if _, err := fmt.Sscan(se.vars[name], &ns); err == nil && ns > 0 {
			d.heartbeat = time.Duration(ns)
		}
	}
	se.dumping.Store(true)
	return d.run()
}
