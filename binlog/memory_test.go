package binlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"tailwater/change"
	"testing"
	"time"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/internal/testenv"
)

// followVariable makes the test binary a process that follows one server until
// the first commit of rows, and says how much memory that took.
const followVariable = "TAILWATER_TEST_FOLLOW"

// nightlyVariable asks for transactions of the full size.
const nightlyVariable = "TAILWATER_NIGHTLY"

func TestMain(m *testing.M) {
	if options := os.Getenv(followVariable); options != "" {
		if err := followOnce(options); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// weighed is what followOnce says.
type weighed struct {
	// Rows were handed over before the commit, Bytes is the size of their JSON.
	Rows  int   `json:"rows"`
	Bytes int64 `json:"bytes"`
	// Runtime is what the Go runtime has taken of the system, RSS the largest
	// resident size. The race detector has memory of its own beside the runtime's.
	Runtime uint64 `json:"runtime"`
	RSS     int64  `json:"rss"`
}

var errCommitted = errors.New("committed")

// scales is a Handler that renders every row and keeps none.
type scales struct {
	weighed
	buf []byte
}

func (s *scales) Begin(*Transaction) error                      { return nil }
func (s *scales) Idle(int64, []byte) error                      { return nil }
func (s *scales) Table(*Transaction, *change.TableChange) error { return nil }
func (s *scales) Commit(tx *Transaction, _ []byte) error {
	if int(tx.Rows) != s.Rows {
		return fmt.Errorf("%d rows at the commit, %d handed over", tx.Rows, s.Rows)
	}
	if s.Rows == 0 {
		return nil
	}
	return errCommitted
}

func (s *scales) Row(_ *Transaction, r *RowChange) (err error) {
	s.buf = s.buf[:0]
	for i := range r.Table.Columns {
		if s.buf, err = r.After.AppendJSON(s.buf, i); err != nil {
			return err
		}
	}
	if id := fmt.Appendf(nil, "%d\"", s.Rows); string(s.buf[:len(id)]) != string(id) {
		return fmt.Errorf("row %d begins with %.20s", s.Rows, s.buf)
	}
	s.Rows++
	s.Bytes += int64(len(s.buf))
	return nil
}

func followOnce(options string) error {
	var o Options
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		return err
	}
	r, err := New(o)
	if err != nil {
		return err
	}
	s := &scales{}
	if err := r.Run(context.Background(), nil, s); !errors.Is(err, errCommitted) {
		return err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.Runtime, s.RSS = m.Sys, highWater()
	return json.NewEncoder(os.Stdout).Encode(s.weighed)
}

// highWater is VmHWM of the process in bytes, 0 where there is no /proc.
func highWater() int64 {
	b, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kb, _ := strconv.ParseInt(strings.TrimSpace(strings.SplitN(rest, "kB", 2)[0]), 10, 64)
	return kb << 10
}

// weigh follows a server in a process of its own, whose memory is the reader's
// alone. What o says of functions is left out.
func weigh(t *testing.T, o Options) weighed {
	t.Helper()
	options, err := json.Marshal(map[string]any{"Shard": o.Shard, "Flavor": o.Flavor, "Host": o.Host, "Port": o.Port,
		"User": o.User, "Password": o.Password, "ReadTimeout": o.ReadTimeout})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), followVariable+"="+string(options))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var w weighed
	if err == nil {
		err = json.Unmarshal(out, &w)
	}
	if err != nil {
		t.Fatalf("follow in a process of its own: %v", err)
	}
	return w
}

// largeRows are rows of d.t of 1 KiB, of which a sixteenth cannot be compressed.
func largeRows(n int, compress bool) primary.Large {
	filler := strings.Repeat("all the rest of a row ", 50)
	row := func(i int) (encode.Row, error) {
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		text := fmt.Sprintf("%016x%016x%016x%016x%s", rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64(), filler)
		return encode.Row{int64(i), text[:1014]}, nil
	}
	return primary.Large{Database: "d", Table: "t", Rows: n, Row: row, Compress: compress}
}

func TestHazard_A34_A40_MemoryDoesNotDependOnTheTransactionsSize(t *testing.T) {
	const mib = 1 << 20
	// Both bounds are far below the transaction, as a buffer of all of it would not be.
	plain, payload, bound := 64, 256, uint64(60*mib)
	if os.Getenv(nightlyVariable) != "" {
		plain, payload, bound = 2048, 2048, 256*mib
	}
	for _, test := range []struct {
		name     string
		mib      int
		compress bool
	}{{"rows", plain, false}, {"payload", payload, true}} {
		t.Run(test.name, func(t *testing.T) {
			s := newSource(t, primary.Options{})
			rows := test.mib << 10
			done, err := s.InsertLarge(largeRows(rows, test.compress))
			if err != nil {
				t.Fatal(err)
			}
			w := weigh(t, s.options())
			t.Logf("%d MiB of rows in %d MiB of log: runtime %d MiB, resident %d MiB", test.mib, (done.End-done.Pos)/mib, w.Runtime/mib, w.RSS/mib)
			if w.Rows != rows || w.Bytes < int64(rows)*1014 {
				t.Errorf("%d rows of %d bytes, want %d", w.Rows, w.Bytes, rows)
			}
			if w.Runtime > bound {
				t.Errorf("the runtime has taken %d bytes, want at most %d", w.Runtime, bound)
			}
			if test.compress && (done.End-done.Pos)*10 > uint64(test.mib)*mib {
				t.Errorf("the payload has %d bytes: it hardly compresses, and proves nothing", done.End-done.Pos)
			}
			if os.Getenv(nightlyVariable) != "" && w.RSS > int64(bound) {
				t.Errorf("%d bytes resident, want at most %d", w.RSS, bound)
			}
		})
	}
}

// MariaDB compresses each event by itself, never a transaction.
func TestHazard_A34_MemoryOfMariaDBsTransactions(t *testing.T) {
	const rows, bound = 80_000, 60 << 20
	s := testenv.MariaDB(t)
	s.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, s TEXT)")
	for _, compress := range []string{"OFF", "ON"} {
		t.Run("log_bin_compress="+compress, func(t *testing.T) {
			s.Exec(t, "TRUNCATE d.t", "RESET MASTER", "SET GLOBAL log_bin_compress="+compress,
				fmt.Sprintf("INSERT INTO d.t SELECT seq, REPEAT(SHA2(seq, 512), 8) FROM d.seq_0_to_%d", rows-1))
			w := weigh(t, Options{Shard: "00", Flavor: MariaDB, Host: s.Host, Port: uint16(s.Port), User: s.User, Password: s.Password, ReadTimeout: 20 * time.Second})
			t.Logf("%d MiB of rows: runtime %d MiB, resident %d MiB", w.Bytes>>20, w.Runtime>>20, w.RSS>>20)
			if w.Rows != rows || w.Bytes < rows*1024 {
				t.Errorf("%d rows of %d bytes, want %d", w.Rows, w.Bytes, rows)
			}
			if w.Runtime > bound {
				t.Errorf("the runtime has taken %d bytes, want at most %d", w.Runtime, bound)
			}
		})
	}
}
