package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"

	"tailwater/change"
	"tailwater/internal/config"
)

// querier is a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// query returns the rows of a small result.
func query(ctx context.Context, q querier, text string) ([][]cell, error) {
	rows, err := q.QueryContext(ctx, text)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]cell
	raw := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range raw {
		into[i] = &raw[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]cell, len(columns))
		for i := range raw {
			row[i] = cell{text: raw[i].String, null: !raw[i].Valid}
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// server is the connection to one shard, inside its snapshot. Nothing is ever
// written through it.
type server struct {
	shard config.Shard
	// earliest says that the stream has every row of the shard.
	earliest bool
	mariadb  bool
	db       *sql.DB
	conn     *sql.Conn
	cut      cut
	tables   []*table
}

// UnreachableError says that something that must be looked at cannot be
// reached, or does not get where it must be in time.
type UnreachableError struct {
	What string
	Err  error
}

// Error names what cannot be reached and why.
func (e *UnreachableError) Error() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// connect opens a session in which values have the form that is compared.
func connect(ctx context.Context, src *config.ResolvedSource, s config.Shard) (*server, error) {
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd = s.Network, s.Addr, s.User, s.Password.Reveal()
	c.Timeout, c.ReadTimeout = src.Timeout, 0
	c.Collation = "utf8mb4_bin"
	c.Logger = &mysql.NopLogger{}
	tls, err := s.TLS.Config(s.Addr)
	if err != nil {
		return nil, fmt.Errorf("connect to shard %s: %w", s.ID, err)
	}
	c.TLS = tls
	c.Params = map[string]string{"time_zone": "'+00:00'", "sql_mode": "''"}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("connect to shard %s: %w", s.ID, err)
	}
	out := &server{shard: s, earliest: src.Start.Mode == "earliest", mariadb: src.Type == "mariadb", db: sql.OpenDB(connector)}
	out.db.SetMaxOpenConns(1)
	if out.conn, err = out.db.Conn(ctx); err != nil {
		return nil, errors.Join(&UnreachableError{fmt.Sprintf("shard %s at %s cannot be reached", s.ID, s.Addr), err}, out.close())
	}
	return out, nil
}

// exec runs a statement that returns nothing.
func (s *server) exec(ctx context.Context, text string) error {
	if _, err := s.conn.ExecContext(ctx, text); err != nil {
		return fmt.Errorf("shard %s: %s: %w", s.shard.ID, text, err)
	}
	return nil
}

// snapshot opens the snapshot between two reads of what is executed, and
// describes the tables.
func (s *server) snapshot(ctx context.Context, wanted func(database, name string) bool) error {
	before, err := s.executed(ctx)
	if err != nil {
		return err
	}
	for _, text := range []string{"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", "SAVEPOINT tailwater"} {
		if err := s.exec(ctx, text); err != nil {
			return err
		}
	}
	after, err := s.executed(ctx)
	if err != nil {
		return err
	}
	if s.cut, err = newCut(before, after); err != nil {
		return fmt.Errorf("shard %s: %w", s.shard.ID, err)
	}
	// A table that changes its shape behind the snapshot cannot be read in it
	// any more, so the shapes are read after it.
	s.tables, err = readTables(ctx, s.conn, s.mariadb, wanted)
	if err != nil {
		return fmt.Errorf("shard %s: %w", s.shard.ID, err)
	}
	return nil
}

// release gives up the metadata locks of the tables that were read, and keeps
// the snapshot. A transaction holds them to its end otherwise, and an ALTER
// TABLE that waits for them holds up everybody who wants the table.
func (s *server) release(ctx context.Context) error {
	return s.exec(ctx, "ROLLBACK TO SAVEPOINT tailwater")
}

// executed reads which transactions the server has executed.
func (s *server) executed(ctx context.Context) (place, error) {
	text := "SELECT @@gtid_executed, @@server_uuid, ''"
	if s.mariadb {
		text = "SELECT @@gtid_binlog_state, @@server_id, @@gtid_binlog_pos"
	}
	rows, err := query(ctx, s.conn, text)
	if err != nil || len(rows) != 1 {
		return place{}, fmt.Errorf("shard %s: read what the server has executed: %w", s.shard.ID, err)
	}
	p := place{gtids: rows[0][0].text, uuid: rows[0][1].text, end: rows[0][2].text, mariadb: s.mariadb}
	rows, err = query(ctx, s.conn, "SHOW BINARY LOG STATUS")
	if err != nil {
		rows, err = query(ctx, s.conn, "SHOW MASTER STATUS")
	}
	if err == nil && len(rows) == 1 {
		p.file, p.pos = rows[0][0].text, rows[0][1].text
	}
	if p.gtids == "" && p.file == "" && err != nil {
		return place{}, fmt.Errorf("shard %s: read where its binary log ends: %w", s.shard.ID, err)
	}
	return p, nil
}

// close ends the snapshot and the connection.
func (s *server) close() error {
	var err error
	if s.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, _ = s.conn.ExecContext(ctx, "ROLLBACK") // the connection ends anyway
		err = s.conn.Close()
	}
	err = errors.Join(err, s.db.Close())
	if errors.Is(err, sql.ErrConnDone) {
		return nil
	}
	return err
}

// moved reports whether an error says that a table's shape has changed behind
// the snapshot: another snapshot can read it.
func moved(err error) bool {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Number {
	case 1412, 1054, 1146: // ER_TABLE_DEF_CHANGED, ER_BAD_FIELD_ERROR, ER_NO_SUCH_TABLE
		return true
	}
	return false
}

// scanRow reads a row of the columns into cells.
type scanRow struct {
	columns []change.Column
	raw     []any
	into    []any
	cells   []cell
	// checked are the columns whose bytes stand behind all columns.
	checked []int
}

func newScanRow(columns []change.Column) *scanRow {
	s := &scanRow{columns: columns, cells: make([]cell, len(columns)), checked: checked(columns)}
	s.raw = make([]any, len(columns)+len(s.checked))
	s.into = make([]any, len(s.raw))
	for i := range s.raw {
		s.into[i] = &s.raw[i]
	}
	return s
}

// scan reads the row at hand, of a selectList. The cells are valid until the next scan.
func (s *scanRow) scan(rows *sql.Rows) error {
	if err := rows.Scan(s.into...); err != nil {
		return err
	}
	at := len(s.columns)
	for i := range s.columns {
		c, err := fromServer(&s.columns[i], s.raw[i])
		if err != nil {
			return err
		}
		var digits any
		if len(s.checked) > at-len(s.columns) && s.checked[at-len(s.columns)] == i {
			digits = s.raw[at]
			at++
		}
		if isText(s.columns[i].Type) && !c.null {
			if c, err = textOf(&s.columns[i], c, digits); err != nil {
				return err
			}
		}
		s.cells[i] = c
	}
	return nil
}

// isText reports whether the values of a type are text of a character set.
func isText(t change.Type) bool { return t == change.Text || t == change.Enum || t == change.Set }

// texts reports whether all of some cells of the row are what they seem: a
// server that is asked for the rows behind them finds them by what it sent.
func (s *scanRow) texts(columns []int) bool {
	for _, i := range columns {
		if s.cells[i].raw {
			return false
		}
	}
	return true
}
