package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// fixture is a recorded binlog: what a real MySQL server wrote for rows that
// follow from a seed.
type fixture struct {
	name, what string
	// rows are those of a measurement, quick those of -quick.
	rows, quick int
	// create is the table's definition, perInsert the rows of one statement
	// and transaction.
	create    string
	perInsert int
	// values appends the SQL text of one row.
	values func(dst []byte, rng *rand.Rand, id int) []byte
}

// database and table are where the rows of every fixture are.
const (
	database = "shop_00"
	table    = "orders"
)

const createOrders = `CREATE TABLE orders (
	id BIGINT NOT NULL PRIMARY KEY,
	customer INT NOT NULL,
	status ENUM('new','paid','sent','void') NOT NULL,
	amount DECIMAL(12,2) NOT NULL,
	city CHAR(20) NOT NULL,
	note VARCHAR(200) NULL,
	payload JSON NOT NULL,
	made DATETIME(3) NOT NULL,
	seen TIMESTAMP(3) NOT NULL) CHARACTER SET utf8mb4`

const createDocuments = `CREATE TABLE orders (
	id BIGINT NOT NULL PRIMARY KEY,
	amount DECIMAL(12,2) NOT NULL,
	city VARCHAR(20) NOT NULL,
	payload JSON NOT NULL,
	made DATETIME(3) NOT NULL) CHARACTER SET utf8mb4`

// fixtures are all of them, by the letters that the method gives them.
func fixtures() []*fixture {
	return []*fixture{
		{name: "a", what: "9 columns of about 140 bytes in the binlog, 1,000 rows to a transaction", rows: 1_000_000, quick: 2000,
			create: createOrders, perInsert: 1000, values: orderValues},
		{name: "b", what: "the same rows, each a transaction of its own", rows: 200_000, quick: 500,
			create: createOrders, perInsert: 1, values: orderValues},
		{name: "g", what: "5 columns, one a nested JSON document of about 600 bytes, 500 rows to a transaction", rows: 200_000, quick: 1000,
			create: createDocuments, perInsert: 500, values: documentValues},
	}
}

var (
	statuses = []string{"new", "paid", "sent", "void"}
	cities   = []string{"Pune", "Oslo", "Rome", "Quito", "Hanoi", "Zürich", "São Paulo", "Delhi"}
	words    = []string{"leave", "at", "the", "door", "ring", "twice", "call", "before", "ünten", "rear", "\\\"gate\\\"", "basket"}
)

func sentence(dst []byte, rng *rand.Rand, n int) []byte {
	for i := range n {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, words[rng.IntN(len(words))]...)
	}
	return dst
}

func moment(dst []byte, rng *rand.Rand) []byte {
	return fmt.Appendf(dst, `"2026-%02d-%02d %02d:%02d:%02d.%03d"`, 1+rng.IntN(12), 1+rng.IntN(28), rng.IntN(24), rng.IntN(60), rng.IntN(60), rng.IntN(1000))
}

func orderValues(dst []byte, rng *rand.Rand, id int) []byte {
	dst = fmt.Appendf(dst, `(%d,%d,"%s",%d.%02d,"%s",`, 1_000_000+id, rng.IntN(100_000), statuses[rng.IntN(4)], rng.IntN(5000), rng.IntN(100), cities[rng.IntN(8)])
	if rng.IntN(5) == 0 {
		dst = append(dst, "NULL"...)
	} else {
		dst = append(sentence(append(dst, '"'), rng, 8), '"')
	}
	dst = fmt.Appendf(dst, `,'{"ship": {"city": "%s", "zip": %d}, "gift": %v}',`, cities[rng.IntN(8)], rng.IntN(99999), rng.IntN(2) == 0)
	dst = append(moment(dst, rng), ',')
	return append(moment(dst, rng), ')')
}

func documentValues(dst []byte, rng *rand.Rand, id int) []byte {
	dst = fmt.Appendf(dst, `(%d,%d.%02d,"%s",'{"customer": {"id": %d, "tier": "%s", "verified": %v}, "lines": [`, 1_000_000+id, rng.IntN(5000), rng.IntN(100),
		cities[rng.IntN(8)], rng.IntN(100_000), statuses[rng.IntN(4)], rng.IntN(2) == 0)
	for i := range 5 {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = fmt.Appendf(dst, `{"sku": "SKU-%05d", "qty": %d, "weight": %d.5, "tags": ["%s", "%s"]}`, rng.IntN(99999), 1+rng.IntN(9), rng.IntN(300), words[rng.IntN(8)], words[rng.IntN(8)])
	}
	dst = fmt.Appendf(dst, `], "ship": {"city": "%s", "zip": %d, "geo": [%d.25, %d.75]}, "note": null, "source": "%s"}',`,
		cities[rng.IntN(8)], rng.IntN(99999), rng.IntN(90), rng.IntN(180), words[rng.IntN(8)])
	return append(moment(dst, rng), ')')
}

// recording is a fixture's file.
type recording struct {
	*fixture
	path  string
	count int
}

// bytes is the size of the file.
func (r *recording) bytes() int64 {
	info, err := os.Stat(r.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func defaultCache() string {
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "tailwater", "benchmarks")
	}
	return filepath.Join(os.TempDir(), "tailwater-benchmarks")
}

// recordings returns the wanted fixtures, and records those that the cache has
// not. rows are the sizes of those that are not as the fixture says.
func recordings(ctx context.Context, s *settings, rows map[string]int) ([]*recording, error) {
	var out []*recording
	var server *mysqlServer
	defer func() {
		if server != nil {
			server.stop()
		}
	}()
	for _, f := range fixtures() {
		if s.fixture != "" && !strings.Contains(s.fixture, f.name) {
			continue
		}
		r := &recording{fixture: f, count: f.rows}
		if n := rows[f.name]; n > 0 {
			r.count = n
		}
		if s.quick {
			r.count = f.quick
		}
		// The name of a binary log: a reader wants one. It changes with what a
		// fixture is made of, so that an old one is not taken for it.
		r.path = filepath.Join(s.cache, fmt.Sprintf("%s-%d-v1", f.name, r.count), recordedName)
		out = append(out, r)
		if _, err := os.Stat(r.path); err == nil {
			continue
		}
		fmt.Fprintf(s.log, "recording fixture %s: %d rows\n", f.name, r.count)
		var err error
		if server == nil {
			if server, err = startMySQL(ctx); err != nil {
				return nil, err
			}
		}
		if err := r.record(ctx, server); err != nil {
			return nil, fmt.Errorf("record fixture %s: %w", f.name, err)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("-fixture %s is not known: use a, b or g", s.fixture)
	}
	return out, nil
}

// recordedName is the name of every recorded file.
const recordedName = "binlog.000001"

func record(ctx context.Context, s *settings) error {
	all, err := recordings(ctx, s, nil)
	for _, r := range all {
		fmt.Fprintf(s.out, "%s  %d rows  %d bytes\n", r.path, r.count, r.bytes())
	}
	return err
}

// record writes the rows to the server and takes its binlog.
func (r *recording) record(ctx context.Context, server *mysqlServer) error {
	if err := r.fill(ctx, server.DSN); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.path), 0o755); err != nil {
		return err
	}
	// Whoever finds the name finds all of the file.
	partial := r.path + ".partial"
	if err := copyFile(partial, filepath.Join(server.DataDir, recordedName)); err != nil {
		return err
	}
	return os.Rename(partial, r.path)
}

// fill writes the rows into a binlog that has nothing else.
func (r *recording) fill(ctx context.Context, dsn string) error {
	db, err := sql.Open("mysql", dsn+"?multiStatements=true&maxAllowedPacket=0")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	exec := func(text string) error {
		if _, err := c.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("execute %.60q: %w", text, err)
		}
		return nil
	}
	for _, text := range []string{"SET time_zone='+00:00'", "DROP DATABASE IF EXISTS " + database,
		"CREATE DATABASE " + database, "USE " + database, r.create, "RESET BINARY LOGS AND GTIDS"} {
		if err := exec(text); err != nil {
			return err
		}
	}
	rng := rand.New(rand.NewPCG(1, uint64(r.count)))
	var text []byte
	for id := 0; id < r.count; {
		text = append(text[:0], "INSERT INTO "+table+" VALUES "...)
		for i := range min(r.perInsert, r.count-id) {
			if i > 0 {
				text = append(text, ',')
			}
			text = r.values(text, rng, id+i)
		}
		if err := exec(string(text)); err != nil {
			return err
		}
		id += r.perInsert
	}
	return exec("FLUSH BINARY LOGS")
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

// root is the repository's top folder: the nearest one above that holds go.mod.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if b, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && strings.HasPrefix(string(b), "module tailwater\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod of tailwater above the working directory: run it in the repository")
		}
		dir = filepath.Dir(dir)
	}
}
