package check

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	_ "github.com/go-sql-driver/mysql" // the client of the servers
)

// Tables are the logical tables beside the ledger. Each lane of a shard has a
// physical table of each, such as items_0, and the views have their names.
var Tables = []string{"accounts", "moves", "items"}

// Ledger is the name of the ledger's tables and view.
const Ledger = "ledger"

// Database is where the tables are, on each server.
const Database = "bank"

// Entry is a row of the ledger: one committed transaction.
type Entry struct {
	Shard string
	Lane  int64
	// Seq numbers the transactions of a lane from 1, without gaps.
	Seq int64
	// Rows counts the other rows' changes as events, Digest is that of their
	// lines.
	Rows   int64
	Digest string
	Kind   string
	Cents  int64
	// At is when the ledger's row was inserted, in microseconds.
	At int64
}

// Row is a row of a table that is not the ledger.
type Row struct {
	Lane, ID, N, Ver int64
	Tag              string
	// Body is the SHA-256 of the text in hex digits, empty for NULL.
	Body string
}

// Line is the canonical form of one event of one row; op is c, u or d.
func Line(table, op string, r Row) string {
	b := make([]byte, 0, 64+len(r.Tag)+len(r.Body))
	b = append(append(append(b, table...), '|'), op...)
	for _, n := range [...]int64{r.Lane, r.ID, r.N, r.Ver} {
		b = strconv.AppendInt(append(b, '|'), n, 10)
	}
	b = append(append(b, '|'), r.Tag...)
	return string(append(append(b, '|'), r.Body...))
}

// Digest is the SHA-256 of the sorted lines. It sorts lines in place: the order
// of rows inside a statement is the server's to choose.
func Digest(lines []string) string {
	slices.Sort(lines)
	h := sha256.New()
	for _, l := range lines {
		h.Write([]byte(l))
		h.Write([]byte{'\n'})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// BodyHash is the Body of a row with this text.
func BodyHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Truth is what the servers say was committed.
type Truth struct {
	Entries []Entry
	// Rows are the rows that there are, by where they stand.
	Rows map[Place]Row
}

// Place is the identity of a row over all shards.
type Place struct {
	Table, Shard string
	Lane, ID     int64
}

// ReadServer adds what one server holds; lanes is the number of its lanes.
func (t *Truth) ReadServer(ctx context.Context, shard, dsn string, lanes int) error {
	db, err := sql.Open("mysql", dsn+Database)
	if err != nil {
		return fmt.Errorf("open shard %s: %w", shard, err)
	}
	defer func() { _ = db.Close() }()
	if t.Rows == nil {
		t.Rows = map[Place]Row{}
	}
	for lane := range lanes {
		if err := t.readLedger(ctx, db, shard, lane); err != nil {
			return fmt.Errorf("read the ledger of shard %s, lane %d: %w", shard, lane, err)
		}
		for _, table := range Tables {
			if err := t.readTable(ctx, db, shard, table, lane); err != nil {
				return fmt.Errorf("read table %s of shard %s, lane %d: %w", table, shard, lane, err)
			}
		}
	}
	return nil
}

func (t *Truth) readLedger(ctx context.Context, db *sql.DB, shard string, lane int) error {
	rows, err := db.QueryContext(ctx, fmt.Sprintf(
		"SELECT lane, id, n, digest, kind, cents, CAST(UNIX_TIMESTAMP(at) * 1000000 AS SIGNED) FROM ledger_%d ORDER BY id", lane))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		e := Entry{Shard: shard}
		if err := rows.Scan(&e.Lane, &e.Seq, &e.Rows, &e.Digest, &e.Kind, &e.Cents, &e.At); err != nil {
			return err
		}
		t.Entries = append(t.Entries, e)
	}
	return rows.Err()
}

func (t *Truth) readTable(ctx context.Context, db *sql.DB, shard, table string, lane int) error {
	rows, err := db.QueryContext(ctx, fmt.Sprintf("SELECT lane, id, n, ver, tag, COALESCE(SHA2(body, 256), '') FROM %s_%d", table, lane))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r Row
		if err := rows.Scan(&r.Lane, &r.ID, &r.N, &r.Ver, &r.Tag, &r.Body); err != nil {
			return err
		}
		t.Rows[Place{table, shard, r.Lane, r.ID}] = r
	}
	return rows.Err()
}
