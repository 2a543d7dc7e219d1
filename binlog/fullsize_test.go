package binlog

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/internal/testenv"
)

// measured is a Handler that keeps how many rows came and how large the second
// column of each was, for rows of which nobody wants to keep the text.
type measured struct {
	// stopAt ends the reader at that row of a transaction; 0 never.
	stopAt int
	// rows and bytes are those of the transaction at hand, sizes of all rows.
	rows, bytes int
	sizes       []int
	commits     int
	position    []byte
	buf         []byte
}

var errDied = errors.New("the reader dies here")

func (m *measured) Begin(*Transaction) error {
	m.rows, m.bytes = 0, 0
	return nil
}
func (m *measured) Table(*Transaction, *change.TableChange) error { return nil }
func (m *measured) Idle(int64, []byte) error                      { return nil }

func (m *measured) Row(_ *Transaction, r *RowChange) (err error) {
	if m.buf, err = r.After.AppendJSON(m.buf[:0], 1); err != nil {
		return err
	}
	size := len(m.buf) - len(`""`)
	if m.buf[1] != 'x' || m.buf[size] != 'x' {
		return fmt.Errorf("row %d of %d bytes begins with %.8s", m.rows, size, m.buf)
	}
	m.rows++
	m.bytes += size
	m.sizes = append(m.sizes, size)
	if m.rows == m.stopAt {
		return errDied
	}
	return nil
}

func (m *measured) Commit(tx *Transaction, position []byte) error {
	if tx.Rows == 0 {
		return nil
	}
	m.commits++
	m.position = append(m.position[:0], position...)
	return errCommitted
}

// read follows s until the next commit of rows, or until a row of it.
func (m *measured) read(t *testing.T, s *testenv.Server, position []byte) {
	t.Helper()
	r, err := New(Options{Shard: "00", Host: s.Host, Port: uint16(s.Port), User: s.User, Password: s.Password, ReadTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context(), position, m); !errors.Is(err, errCommitted) && !errors.Is(err, errDied) {
		t.Fatal(err)
	}
}

// full takes the second of two sizes in the night.
func full(short, nightly int) int {
	if os.Getenv(nightlyVariable) != "" {
		return nightly
	}
	return short
}

// A transaction passes the end of what a header's 32 bits can say; a reader
// dies inside it, one goes on behind it.
func TestHazard_A7_ATransactionThatPasses4GiB(t *testing.T) {
	const row = 1 << 20
	rows := full(24, 5<<10)
	s := testenv.MySQL(t, 1, "--max-allowed-packet=1G", "--innodb-doublewrite=OFF", "--innodb-redo-log-capacity=512M")[0]
	s.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, b LONGTEXT)", "INSERT INTO d.t VALUES (-1, 'x')",
		"SET SESSION cte_max_recursion_depth=1000000",
		fmt.Sprintf("INSERT INTO d.t WITH RECURSIVE n AS (SELECT 0 AS i UNION ALL SELECT i+1 FROM n WHERE i < %d) SELECT i, REPEAT('x', %d) FROM n", rows-1, row),
		"INSERT INTO d.t VALUES (-2, 'xx')")

	var m measured
	m.read(t, s, nil)
	before := append([]byte(nil), m.position...)
	// It dies in the last quarter, where offsets are above 32 bits.
	m = measured{stopAt: rows - rows/8}
	m.read(t, s, before)
	if m.commits != 0 || m.rows != m.stopAt {
		t.Fatalf("%d rows and %d commits before the reader dies, want %d and 0", m.rows, m.commits, m.stopAt)
	}
	m = measured{}
	m.read(t, s, before)
	if m.rows != rows || m.bytes != rows*row {
		t.Errorf("the next reader gets %d rows of %d bytes, want %d of %d", m.rows, m.bytes, rows, rows*row)
	}
	behind := append([]byte(nil), m.position...)
	m = measured{}
	m.read(t, s, behind)
	if m.rows != 1 || m.bytes != len("xx") {
		t.Errorf("a reader behind it gets %d rows of %d bytes, want the one of two bytes", m.rows, m.bytes)
	}
}

// Packets end at 16 MiB, and the server's own bound is a gigabyte.
func TestHazard_A35_RowsUpToTheServersBound(t *testing.T) {
	sizes := []int{15, 16, 17, full(24, 300), full(40, 900)}
	s := testenv.MySQL(t, 1, "--max-allowed-packet=1G", "--innodb-redo-log-capacity=8G", "--innodb-doublewrite=OFF")[0]
	s.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, b LONGTEXT)")
	var m measured
	var position []byte
	for i, mib := range sizes {
		s.Exec(t, fmt.Sprintf("INSERT INTO d.t VALUES (%d, REPEAT('x', %d))", i, mib<<20))
		m.read(t, s, position)
		position = append(position[:0], m.position...)
	}
	var got []string
	for _, n := range m.sizes {
		got = append(got, fmt.Sprint(n>>20))
	}
	if got, want := strings.Join(got, " "), strings.Trim(fmt.Sprint(sizes), "[]"); got != want {
		t.Errorf("rows of %s MiB, want %s", got, want)
	}
}
