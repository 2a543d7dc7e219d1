package shop

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"tailwater/binlog/primary/encode"
)

// savepointName is the name of every savepoint; a later one replaces it.
const savepointName = "shop"

// TxSQL renders a transaction as statements for a real MySQL server, in a
// session whose time_zone is '+00:00' and whose sql_mode keeps backslash
// escapes. The first one back-dates the commit: original_commit_timestamp needs
// the privilege SESSION_VARIABLES_ADMIN or better.
func TxSQL(tx *Tx) []string {
	return txSQL(tx, fmt.Sprintf("SET SESSION original_commit_timestamp = %d", tx.CommitMicros))
}

// MariaDBTxSQL is TxSQL for MariaDB, which back-dates by the session's clock
// and logs whole seconds of it.
func MariaDBTxSQL(tx *Tx) []string {
	return txSQL(tx, fmt.Sprintf("SET SESSION timestamp = %d.%06d", tx.CommitMicros/1e6, tx.CommitMicros%1e6))
}

func txSQL(tx *Tx, date string) []string {
	out := make([]string, 0, len(tx.Ops)+3)
	out = append(out, date, "START TRANSACTION")
	for i := range tx.Ops {
		out = append(out, SQL(&tx.Ops[i]))
	}
	if tx.Rollback {
		return append(out, "ROLLBACK")
	}
	return append(out, "COMMIT")
}

// SQL renders one operation.
func SQL(o *Op) string {
	switch o.Kind {
	case Savepoint:
		return "SAVEPOINT " + savepointName
	case RollbackTo:
		return "ROLLBACK TO SAVEPOINT " + savepointName
	}
	var b strings.Builder
	name := fmt.Sprintf("`%s`.`%s`", o.Table.Database, o.Table.Name)
	switch o.Kind {
	case Create:
		b.WriteString("INSERT INTO " + name + " VALUES (")
		for i, v := range o.After {
			if i > 0 {
				b.WriteString(",")
			}
			b.WriteString(Literal(v))
		}
		b.WriteString(")")
		return b.String()
	case Update:
		b.WriteString("UPDATE " + name + " SET ")
		first := true
		for i, v := range o.After {
			if Literal(v) == Literal(o.Before[i]) {
				continue
			}
			if !first {
				b.WriteString(",")
			}
			first = false
			fmt.Fprintf(&b, "`%s`=%s", o.Table.Columns[i].Name, Literal(v))
		}
	case Delete:
		b.WriteString("DELETE FROM " + name)
	}
	b.WriteString(" WHERE ")
	for n, k := range o.Table.PrimaryKey {
		if n > 0 {
			b.WriteString(" AND ")
		}
		fmt.Fprintf(&b, "`%s`=%s", o.Table.Columns[k].Name, Literal(o.Before[k]))
	}
	return b.String()
}

// AddColumnSQL renders an ALTER TABLE.
func AddColumnSQL(t *encode.Table, c encode.Column) string {
	return fmt.Sprintf("ALTER TABLE `%s`.`%s` ADD COLUMN %s", t.Database, t.Name, c.Definition())
}

// CreateSQL renders the statements that create a table and its database.
func CreateSQL(t *encode.Table) []string {
	return []string{fmt.Sprintf("CREATE DATABASE IF NOT EXISTS `%s`", t.Database), t.CreateSQL()}
}

var escaper = strings.NewReplacer("\\", "\\\\", "'", "''", "\x00", "\\0", "\n", "\\n", "\r", "\\r", "\x1a", "\\Z")

// Literal renders a canonical value.
func Literal(v any) string {
	switch x := v.(type) {
	case nil:
		return "NULL"
	case int64:
		return strconv.FormatInt(x, 10)
	case uint64:
		return strconv.FormatUint(x, 10)
	case float64:
		return strconv.FormatFloat(x, 'e', -1, 64)
	case []byte:
		return "X'" + hex.EncodeToString(x) + "'"
	}
	return "'" + escaper.Replace(fmt.Sprint(v)) + "'"
}
