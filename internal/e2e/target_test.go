package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"tailwater/binlog"
	"tailwater/binlog/primary/encode"
	"tailwater/binlog/primary/shop"
	"tailwater/internal/testenv"
)

// target executes the workload on a server that may be killed at any moment. A
// COMMIT whose answer never came has an outcome all the same: every transaction
// is given its GTID beforehand, and the server is asked for it when it is back.
//
//	SET gtid_next -> statements -> COMMIT -> connection lost -> connect again -> executed? done : the whole again
type target struct {
	db   *sql.DB
	conn *sql.Conn
	// uuid is the origin of the GTIDs, next the number of the next one.
	uuid string
	next int
	// mariadb is the server_id in the GTIDs of MariaDB, 0 on MySQL.
	mariadb int
	// patience is how long a server may be gone.
	patience time.Duration
	// asked counts outcomes that had to be asked for, found those that turned
	// out to be committed.
	asked, found *atomic.Int64
}

var _ shop.Target = (*target)(nil)

// newTarget returns a target on a server. origin makes its GTIDs.
func newTarget(t testing.TB, s *testenv.Server, origin int) *target {
	t.Helper()
	// Lost connections are what the tests are about.
	_ = mysql.SetLogger(&mysql.NopLogger{})
	// One text for all statements: a transaction costs one round trip.
	db, err := sql.Open("mysql", s.DSN+"?multiStatements=true&timeout=5s&readTimeout=60s&time_zone=%27%2B00%3A00%27&sql_mode=%27STRICT_TRANS_TABLES%27")
	if err != nil {
		t.Fatal(err)
	}
	tg := &target{
		db: db, uuid: fmt.Sprintf("e2e00000-0000-4000-8000-%012d", origin), next: 1, patience: 2 * time.Minute,
		asked: new(atomic.Int64), found: new(atomic.Int64),
	}
	if s.Kind == "mariadb" {
		tg.mariadb = 5000 + origin
	}
	t.Cleanup(func() { _ = tg.db.Close() })
	return tg
}

func (g *target) CreateTable(ctx context.Context, t *encode.Table) error {
	for _, s := range shop.CreateSQL(t) {
		if err := g.once(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (g *target) AddColumn(ctx context.Context, t *encode.Table, c encode.Column) error {
	return g.once(ctx, shop.AddColumnSQL(t, c))
}

func (g *target) Apply(ctx context.Context, tx *shop.Tx) error {
	statements := shop.TxSQL(tx)
	if g.mariadb != 0 {
		statements = shop.MariaDBTxSQL(tx)
	}
	text := strings.Join(statements, ";\n")
	if tx.Rollback {
		// Nothing of it stays, so that any number of attempts is one.
		return g.retry(ctx, func(ctx context.Context) error { return g.exec(ctx, text) })
	}
	return g.once(ctx, text)
}

// once executes a transaction or a DDL statement exactly once.
func (g *target) once(ctx context.Context, text string) error {
	doubt := false
	err := g.retry(ctx, func(ctx context.Context) error {
		if doubt {
			g.asked.Add(1)
			if executed, err := g.executed(ctx); err != nil {
				return err
			} else if executed {
				g.found.Add(1)
				return nil
			}
		}
		doubt = true
		if g.mariadb != 0 {
			return g.exec(ctx, fmt.Sprintf("SET SESSION server_id = %d, gtid_seq_no = %d;\n", g.mariadb, g.next)+text)
		}
		return g.exec(ctx, "SET gtid_next = '"+g.gtid()+"';\n"+text+";\nSET gtid_next = AUTOMATIC")
	})
	if err == nil {
		g.next++
	}
	return err
}

// gtid is the name of the next transaction.
func (g *target) gtid() string {
	if g.mariadb != 0 {
		return fmt.Sprintf("0-%d-%d", g.mariadb, g.next)
	}
	return fmt.Sprintf("%s:%d", g.uuid, g.next)
}

// executed asks the server whether it has the next transaction already.
func (g *target) executed(ctx context.Context) (executed bool, err error) {
	if g.mariadb == 0 {
		err = g.conn.QueryRowContext(ctx, "SELECT GTID_SUBSET(?, @@GLOBAL.gtid_executed)", g.gtid()).Scan(&executed)
		return executed, err
	}
	var state string
	if err := g.conn.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_binlog_state").Scan(&state); err != nil {
		return false, err
	}
	seen, err := binlog.ParseDomainState(state)
	if err != nil {
		return false, err
	}
	id, err := binlog.ParseDomainGTID(g.gtid())
	return err == nil && seen.Holds(id), err
}

func (g *target) exec(ctx context.Context, text string) error {
	_, err := g.conn.ExecContext(ctx, text)
	return err
}

// retry calls do with a connection, and again with another one for as long as
// the server is gone.
func (g *target) retry(ctx context.Context, do func(context.Context) error) error {
	over := time.Now().Add(g.patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := g.connect(ctx)
		if err == nil {
			if err = do(ctx); err == nil {
				return nil
			}
			g.drop()
		}
		var refused *mysql.MySQLError
		if errors.As(err, &refused) && refused.Number != 1053 && refused.Number != 1317 {
			return err // the server is there and says no
		}
		if time.Now().After(over) {
			return fmt.Errorf("the server is gone for %v: %w", g.patience, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (g *target) connect(ctx context.Context) (err error) {
	if g.conn == nil {
		g.conn, err = g.db.Conn(ctx)
	}
	return err
}

// drop ends the connection: what its session had open must not go on.
func (g *target) drop() {
	_ = g.conn.Raw(func(any) error { return errors.New("the session is done with") })
	_ = g.conn.Close()
	g.conn = nil
}

// move makes the next transaction go to another server that has all of the
// first: a promoted replica.
func (g *target) move(t testing.TB, s *testenv.Server) {
	t.Helper()
	to := newTarget(t, s, 0)
	if g.conn != nil {
		g.drop()
	}
	_ = g.db.Close()
	g.db = to.db
}
