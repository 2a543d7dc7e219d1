package view

import (
	"strconv"

	"tailwater/change"
	"tailwater/internal/jsontext"
)

// TableChange is one change of a table as a whole, as the reader hands it over.
type TableChange struct {
	*change.TableChange
	Shard string
	// TSMicros is the commit time in microseconds since the Unix epoch.
	TSMicros int64
	// LSN numbers the event: its part is the partition that it goes to.
	LSN  change.LSN
	GTID string
}

// AppendTableEvent appends the JSON of the event of a change of a table as a
// whole. It is the same for every view that takes the table, whatever metadata
// the view shows, for nothing else says which rows it speaks of.
func AppendTableEvent(dst []byte, c *TableChange) []byte {
	dst = append(dst, `{"_op":"t","_shard":`...)
	dst = appendText(dst, c.Shard)
	dst = strconv.AppendInt(append(dst, `,"_ts_us":`...), c.TSMicros, 10)
	dst = append(c.LSN.Append(append(dst, `,"_lsn":"`...)), '"')
	dst = appendText(append(dst, `,"_db":`...), c.Table.Database)
	dst = append(dst, `,"_table":`...)
	if c.Table.Name == "" {
		dst = append(dst, "null"...)
	} else {
		dst = appendText(dst, c.Table.Name)
	}
	dst = appendText(append(dst, `,"_gtid":`...), c.GTID)
	dst = appendText(append(dst, `,"_ddl":`...), string(c.DDL))
	dst = appendTable(dst, `,"_to":`, c.To)
	dst = appendTable(dst, `,"_from":`, c.From)
	return append(dst, '}')
}

// appendTable appends a member that names another table, if there is one.
func appendTable(dst []byte, member string, t change.TableName) []byte {
	if t.IsZero() {
		return dst
	}
	dst = appendText(append(append(dst, member...), '['), t.Database)
	return append(appendText(append(dst, ','), t.Name), ']')
}

func appendText(dst []byte, text string) []byte { return jsontext.AppendQuoted(dst, []byte(text)) }
