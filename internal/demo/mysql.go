package demo

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	_ "github.com/go-sql-driver/mysql" // the database/sql driver of the real servers

	"tailwater/binlog/primary/encode"
	"tailwater/binlog/primary/shop"
)

// realServers are MySQL servers that deploy/dev starts.
type realServers struct {
	scripts string
	dir     string
	list    []startedServer
	open    []*sqlTarget
}

// startedServer is a line of mysql-start.
type startedServer struct {
	Port         int    `json:"port"`
	DSN          string `json:"dsn"`
	ReplUser     string `json:"repl_user"`
	ReplPassword string `json:"repl_password"`
	Version      string `json:"version"`
}

// startMySQL starts n servers below dir and connects to each.
func startMySQL(ctx context.Context, n int, dir string, s *screen) (servers, error) {
	scripts, err := findScripts()
	if err != nil {
		return nil, err
	}
	r := &realServers{scripts: scripts, dir: filepath.Join(dir, "mysql")}
	s.say("mysql", fmt.Sprintf("starting %d real servers; the first time their packages are fetched and unpacked, which takes a minute", n))
	cmd := exec.CommandContext(ctx, filepath.Join(scripts, "mysql-start"),
		"--shards", strconv.Itoa(n), "--dir", r.dir, "--owner", strconv.Itoa(os.Getpid()))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, s.w
	if err := cmd.Run(); err != nil {
		return nil, errors.Join(fmt.Errorf("start MySQL servers: %w", err), r.close())
	}
	lines := bufio.NewScanner(&out)
	for lines.Scan() {
		var line startedServer
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Port == 0 {
			return nil, errors.Join(fmt.Errorf("start MySQL servers: unexpected line %q", lines.Text()), r.close())
		}
		r.list = append(r.list, line)
	}
	for i, line := range r.list {
		t, err := connect(ctx, line.DSN)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connect to MySQL server %d: %w", i, err), r.close())
		}
		r.open = append(r.open, t)
	}
	if len(r.list) != n {
		return nil, errors.Join(fmt.Errorf("start MySQL servers: %d of %d came up", len(r.list), n), r.close())
	}
	s.say("mysql", fmt.Sprintf("%d servers, MySQL %s", n, r.list[0].Version))
	return r, nil
}

// findScripts looks for deploy/dev from the working directory and from the
// program upwards.
func findScripts() (string, error) {
	var starts []string
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	for _, dir := range starts {
		for ; ; dir = filepath.Dir(dir) {
			scripts := filepath.Join(dir, "deploy", "dev")
			if _, err := os.Stat(filepath.Join(scripts, "mysql-start")); err == nil {
				return scripts, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", errors.New("--servers mysql needs deploy/dev/mysql-start of a checkout: run it there, for example with make demo-mysql")
}

func (r *realServers) ids() []string { return shardIDs(len(r.list)) }

func (r *realServers) targets() []shop.Target {
	out := make([]shop.Target, len(r.open))
	for i, t := range r.open {
		out[i] = t
	}
	return out
}

func (r *realServers) shards() []shardServer {
	out := make([]shardServer, len(r.list))
	for i, l := range r.list {
		out[i] = shardServer{id: fmt.Sprintf("%02d", i), port: l.Port, user: l.ReplUser, password: l.ReplPassword}
	}
	return out
}

func (r *realServers) tls() string { return "skip" }

func (r *realServers) close() error {
	var errs []error
	for _, t := range r.open {
		errs = append(errs, t.db.Close())
	}
	if _, err := os.Stat(r.dir); err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if out, err := exec.CommandContext(ctx, filepath.Join(r.scripts, "mysql-stop"), r.dir).CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("stop MySQL servers: %w: %s", err, out))
		}
	}
	return errors.Join(errs...)
}

// sqlTarget executes the workload as SQL.
type sqlTarget struct {
	db   *sql.DB
	conn *sql.Conn
}

var _ shop.Target = (*sqlTarget)(nil)

func connect(ctx context.Context, dsn string) (*sqlTarget, error) {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	t := &sqlTarget{db: db, conn: conn}
	if err := t.exec(ctx, "SET SESSION time_zone = '+00:00'", "SET SESSION sql_mode = 'STRICT_TRANS_TABLES'"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return t, nil
}

func (t *sqlTarget) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := t.conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("execute %.60q: %w", s, err)
		}
	}
	return nil
}

// CreateTable creates the table, and its database when it is missing.
func (t *sqlTarget) CreateTable(ctx context.Context, table *encode.Table) error {
	return t.exec(ctx, shop.CreateSQL(table)...)
}

// AddColumn adds a column.
func (t *sqlTarget) AddColumn(ctx context.Context, table *encode.Table, c encode.Column) error {
	return t.exec(ctx, shop.AddColumnSQL(table, c))
}

// Apply executes a transaction under its commit time.
func (t *sqlTarget) Apply(ctx context.Context, tx *shop.Tx) error {
	return t.exec(ctx, shop.TxSQL(tx)...)
}
