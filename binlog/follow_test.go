package binlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/internal/testenv"
)

// journal is a Handler that writes down what it is told, and checks that the
// calls come in the legal sequence.
type journal struct {
	// onRow may fail or block a row.
	onRow func(row string) error
	// see takes the rows in place of rows and all.
	see func(*RowChange)

	mu   sync.Mutex
	more *sync.Cond
	// open is the transaction that has begun and not committed.
	open *Transaction
	// rows are those of committed transactions; pending of the open one.
	rows, pending []string
	// all has every call as text.
	all          []string
	transactions []Transaction
	position     []byte
	watermarks   []int64
	ended        bool
	problem      string
}

func newJournal() *journal {
	j := &journal{}
	j.more = sync.NewCond(&j.mu)
	return j
}

var _ Handler = (*journal)(nil)

func (j *journal) lock() func() {
	j.mu.Lock()
	return func() { j.more.Broadcast(); j.mu.Unlock() }
}

func (j *journal) Begin(tx *Transaction) error {
	defer j.lock()()
	if j.open != nil {
		j.problem = "Begin inside a transaction"
	}
	j.open, j.pending = tx, nil
	j.all = append(j.all, "begin")
	return nil
}

func (j *journal) Row(tx *Transaction, r *RowChange) error {
	if j.see != nil {
		j.see(r)
		return nil
	}
	line := rowText(r)
	if j.onRow != nil {
		if err := j.onRow(line); err != nil {
			return err
		}
	}
	defer j.lock()()
	if j.open != tx || r.Row != tx.Rows {
		j.problem = fmt.Sprintf("Row %d outside its transaction, or counted as %d", r.Row, tx.Rows)
	}
	j.pending = append(j.pending, line)
	j.all = append(j.all, line)
	return nil
}

func (j *journal) Table(tx *Transaction, c *change.TableChange) error {
	defer j.lock()()
	if j.open != tx || c.Row != tx.Rows {
		j.problem = fmt.Sprintf("Table %d outside its transaction, or counted as %d", c.Row, tx.Rows)
	}
	line := tableText(c)
	j.pending = append(j.pending, line)
	j.all = append(j.all, line)
	return nil
}

// tableText is "t db.table#row ddl [to db.table] [from db.table]".
func tableText(c *change.TableChange) string {
	text := fmt.Sprintf("t %s#%d %s", c.Table, c.Row, c.DDL)
	if !c.To.IsZero() {
		text += " to " + c.To.String()
	}
	if !c.From.IsZero() {
		text += " from " + c.From.String()
	}
	return text
}

func (j *journal) Commit(tx *Transaction, position []byte) error {
	defer j.lock()()
	if j.open != tx {
		j.problem = "Commit outside its transaction"
	}
	j.rows = append(j.rows, j.pending...)
	j.open, j.pending = nil, nil
	j.transactions = append(j.transactions, *tx)
	j.position = bytes.Clone(position)
	j.all = append(j.all, "commit")
	return nil
}

func (j *journal) Idle(watermark int64, position []byte) error {
	defer j.lock()()
	if j.open != nil {
		j.problem = "Idle inside a transaction"
	}
	j.watermarks = append(j.watermarks, watermark)
	j.position = bytes.Clone(position)
	return nil
}

// rowText is "u db.table#row [old] [new]".
func rowText(r *RowChange) string {
	b := fmt.Appendf(nil, "%v %s.%s#%d", r.Op, r.Table.Database, r.Table.Name, r.Row)
	for _, image := range []change.Row{r.Before, r.After} {
		if image == nil {
			continue
		}
		b = append(b, " ["...)
		for i := range r.Table.Columns {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = image.AppendJSON(b, i); err != nil {
				b = append(b, err.Error()...)
			}
		}
		b = append(b, ']')
	}
	return string(b)
}

// following is a reader that runs beside a test.
type following struct {
	t      testing.TB
	j      *journal
	r      *Reader
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// follow starts a reader of server from position. change may be nil.
func follow(t testing.TB, server *testenv.Server, position []byte, change func(*Options, *journal)) *following {
	t.Helper()
	j := newJournal()
	o := Options{Shard: "00", Host: server.Host, Port: uint16(server.Port), User: server.User, Password: server.Password, Start: "latest",
		ReadTimeout: 20 * time.Second, Flavor: Flavor(server.Kind)}
	if change != nil {
		change(&o, j)
	}
	return followWith(t, o, j, position)
}

// followWith starts a reader with all its options.
func followWith(t testing.TB, o Options, j *journal, position []byte) *following {
	t.Helper()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &following{t: t, j: j, r: r, cancel: cancel, done: make(chan struct{})}
	go func() {
		f.err = r.Run(ctx, position, j)
		defer j.lock()()
		j.ended = true
		close(f.done)
	}()
	t.Cleanup(func() {
		f.stop()
		if j.problem != "" {
			t.Errorf("illegal sequence of calls: %s", j.problem)
		}
	})
	return f
}

// patience bounds every wait of the tests here.
const patience = 30 * time.Second

// await waits until the journal is as wanted, or the reader has ended.
func (f *following) await(what string, ok func(*journal) bool) {
	f.t.Helper()
	j := f.j
	over := false
	timer := time.AfterFunc(patience, func() {
		defer j.lock()()
		over = true
	})
	defer timer.Stop()
	j.mu.Lock()
	defer j.mu.Unlock()
	for !ok(j) {
		if j.ended {
			f.t.Fatalf("wait for %s: the reader ended: %v\n%s", what, f.err, strings.Join(j.all, "\n"))
		}
		if over {
			f.t.Fatalf("wait for %s: nothing for %v; position %s\n%s", what, patience, j.position, strings.Join(tail(j.all, 50), "\n"))
		}
		j.more.Wait()
	}
}

func tail(s []string, n int) []string { return s[max(0, len(s)-n):] }

// ready waits until the reader has begun, so that what follows is seen.
func (f *following) ready() *following {
	f.t.Helper()
	testenv.Wait(f.t, patience, "the reader to follow", func() error {
		select {
		case <-f.done:
			return nil
		default:
		}
		if !f.r.Status().Connected {
			return errors.New("not connected")
		}
		return nil
	})
	return f
}

// upTo waits until everything that the server has executed was handed over.
func (f *following) upTo(server *testenv.Server) {
	f.t.Helper()
	if server.Kind == "mariadb" {
		want := server.Query(f.t, "SELECT @@GLOBAL.gtid_binlog_pos")[0][0]
		place, err := ParseDomainPosition(want)
		if err != nil {
			f.t.Fatal(err)
		}
		f.await("transactions "+want, func(j *journal) bool {
			p, err := ParsePosition(j.position)
			return err == nil && p.Domains != nil && p.Domains.Equal(place)
		})
		return
	}
	want, err := ParseGTIDSet(server.Query(f.t, "SELECT @@GLOBAL.gtid_executed")[0][0])
	if err != nil {
		f.t.Fatal(err)
	}
	f.await("transactions "+want.String(), func(j *journal) bool {
		p, err := ParsePosition(j.position)
		return err == nil && p.GTID != nil && p.GTID.ContainsSet(want)
	})
}

// wait returns the error with which the reader ends by itself.
func (f *following) wait() error {
	f.t.Helper()
	select {
	case <-f.done:
		return f.err
	case <-time.After(patience):
		f.t.Fatalf("the reader did not end within %v", patience)
		return nil
	}
}

// stop ends the reader and returns the last position and error.
func (f *following) stop() ([]byte, error) {
	f.cancel()
	<-f.done
	defer f.j.lock()()
	return f.j.position, f.err
}

// rows returns the committed rows so far.
func (f *following) rows() []string {
	defer f.j.lock()()
	return slices.Clone(f.j.rows)
}

// position returns the last position so far.
func (f *following) position() []byte {
	defer f.j.lock()()
	return f.j.position
}

// wantRows compares the committed rows.
func (f *following) wantRows(want ...string) {
	f.t.Helper()
	if got := f.rows(); !slices.Equal(got, want) {
		f.t.Errorf("rows:\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// wantStop waits for a stop whose text has all the parts.
func (f *following) wantStop(parts ...string) {
	f.t.Helper()
	err := f.wait()
	if Classify(err) != Stop {
		f.t.Errorf("error %v is of class %v, want stop", err, Classify(err))
	}
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			f.t.Errorf("error %v\nwant it to say %q", err, part)
		}
	}
}
