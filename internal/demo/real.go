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

// realServers are MySQL or MariaDB servers that deploy/dev starts.
type realServers struct {
	// flavor is mysql or mariadb, label what people call it.
	flavor, label string
	scripts       string
	dir           string
	list          []startedServer
	open          []*sqlTarget
}

// startedServer is a line of mysql-start or mariadb-start.
type startedServer struct {
	Port         int    `json:"port"`
	DSN          string `json:"dsn"`
	ReplUser     string `json:"repl_user"`
	ReplPassword string `json:"repl_password"`
	Version      string `json:"version"`
}

// startReal starts n servers below dir and connects to each.
func startReal(ctx context.Context, flavor string, n int, dir string, s *screen) (servers, error) {
	scripts, err := findScripts(flavor)
	if err != nil {
		return nil, err
	}
	r := &realServers{flavor: flavor, label: labels[flavor], scripts: scripts, dir: filepath.Join(dir, flavor)}
	s.say(flavor, fmt.Sprintf("starting %d real servers; the first time their packages are fetched and unpacked, which takes a minute", n))
	cmd := exec.CommandContext(ctx, filepath.Join(scripts, flavor+"-start"),
		"--shards", strconv.Itoa(n), "--dir", r.dir, "--owner", strconv.Itoa(os.Getpid()))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, s.w
	if err := cmd.Run(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s servers: %w", r.label, err), r.close())
	}
	lines := bufio.NewScanner(&out)
	for lines.Scan() {
		var line startedServer
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Port == 0 {
			return nil, errors.Join(fmt.Errorf("start %s servers: unexpected line %q", r.label, lines.Text()), r.close())
		}
		r.list = append(r.list, line)
	}
	for i, line := range r.list {
		t, err := connect(ctx, flavor, line.DSN)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connect to %s server %d: %w", r.label, i, err), r.close())
		}
		r.open = append(r.open, t)
	}
	if len(r.list) != n {
		return nil, errors.Join(fmt.Errorf("start %s servers: %d of %d came up", r.label, len(r.list), n), r.close())
	}
	s.say(flavor, fmt.Sprintf("%d servers, %s %s", n, r.label, r.list[0].Version))
	return r, nil
}

// labels are what people call the flavors.
var labels = map[string]string{"mysql": "MySQL", "mariadb": "MariaDB"}

// findScripts looks for deploy/dev from the working directory and from the
// program upwards.
func findScripts(flavor string) (string, error) {
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
			if _, err := os.Stat(filepath.Join(scripts, flavor+"-start")); err == nil {
				return scripts, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", fmt.Errorf("--servers %[1]s needs deploy/dev/%[1]s-start of a checkout: run it there, for example with make demo-%[1]s", flavor)
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

func (r *realServers) kind() string { return r.flavor }

func (r *realServers) close() error {
	var errs []error
	for _, t := range r.open {
		errs = append(errs, t.db.Close())
	}
	if _, err := os.Stat(r.dir); err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if out, err := exec.CommandContext(ctx, filepath.Join(r.scripts, r.flavor+"-stop"), r.dir).CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("stop %s servers: %w: %s", r.label, err, out))
		}
	}
	return errors.Join(errs...)
}

// sqlTarget executes the workload as SQL.
type sqlTarget struct {
	db   *sql.DB
	conn *sql.Conn
	// render writes a transaction as the flavor's SQL.
	render func(*shop.Tx) []string
}

var _ shop.Target = (*sqlTarget)(nil)

func connect(ctx context.Context, flavor, dsn string) (*sqlTarget, error) {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	t := &sqlTarget{db: db, conn: conn, render: shop.TxSQL}
	if flavor == "mariadb" {
		t.render = shop.MariaDBTxSQL
	}
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
	return t.exec(ctx, t.render(tx)...)
}
