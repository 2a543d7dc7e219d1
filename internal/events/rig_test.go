package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/internal/config"
	"tailwater/internal/testenv"
)

const uuid = "11111111-2222-3333-4444-555555555555"

// rig is a primary in the process with two tables, things and notes.
type rig struct {
	*testing.T
	server *primary.Server
}

func newRig(t *testing.T, o primary.Options) *rig {
	t.Helper()
	o.UUID, o.User, o.Password = uuid, "tw", "hunter2"
	s, err := primary.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	r := &rig{t, s}
	r.create("things")
	r.create("notes")
	return r
}

func (r *rig) create(name string) {
	r.Helper()
	if err := r.server.CreateTable(encode.Table{Database: "shop", Name: name, PrimaryKey: []int{0}, Columns: []encode.Column{
		{Name: "id", Kind: encode.BigInt}, {Name: "label", Kind: encode.Varchar, Length: 4000, Nullable: true},
	}}); err != nil {
		r.Fatal(err)
	}
}

// commit runs do in a transaction and returns its GTID.
func (r *rig) commit(do func(tx *primary.Tx) error) string {
	r.Helper()
	tx := r.server.Begin()
	if err := do(tx); err != nil {
		r.Fatal(err)
	}
	c, err := tx.Commit(primary.CommitOptions{})
	if err != nil {
		r.Fatal(err)
	}
	return c.GTID
}

// insert commits one transaction with a row for each id.
func (r *rig) insert(table string, ids ...int) string {
	r.Helper()
	return r.commit(func(tx *primary.Tx) error {
		for _, id := range ids {
			if err := tx.Insert("shop", table, encode.Row{int64(id), "x"}); err != nil {
				return err
			}
		}
		return nil
	})
}

// options reach the primary from the beginning of its binlog to its end.
func (r *rig) options() Options {
	r.Helper()
	src, err := config.ServerURL("mysql://tw:hunter2@"+r.server.Addr(), nil)
	if err != nil {
		r.Fatal(err)
	}
	shard := src.Shards[0]
	shard.ID = "a"
	return Options{Source: src, Shard: shard, Start: "earliest", UntilNow: true}
}

// ran is what a run came to.
type ran struct {
	Result
	lines []string
	err   error
	notes string
}

// run runs with the changes that edit makes to the options.
func (r *rig) run(edit func(o *Options)) ran {
	r.Helper()
	return r.runContext(r.Context(), edit)
}

func (r *rig) runContext(ctx context.Context, edit func(o *Options)) ran {
	r.Helper()
	return r.runWith(ctx, r.options(), edit)
}

func (r *rig) runWith(ctx context.Context, o Options, edit func(o *Options)) ran {
	r.Helper()
	// A run that never ends fails here, and not with the whole package.
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the test waits no longer"))
	defer cancel()
	out, notes := new(buffer), new(buffer)
	o.Out = out
	o.Note = func(text string) { fmt.Fprintln(notes, text) }
	if edit != nil {
		edit(&o)
	}
	res, err := Run(ctx, o)
	if context.Cause(ctx) != nil && ctx.Err() == context.DeadlineExceeded {
		r.Fatal("the run did not end by itself")
	}
	return ran{res, out.lines(), err, notes.String()}
}

// buffer is bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// lines returns the whole lines, and fails on half ones by returning them.
func (b *buffer) lines() []string {
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")[:strings.Count(b.String(), "\n")]
}

// ids shows the op and id of each line, and the table if it is not things.
func (r ran) ids() string {
	var out []string
	for _, l := range r.lines {
		text := field(l, `"_op":"`, `"`) + field(l, `"id":`, ",")
		if table := field(l, `"_table":"`, `"`); table != "things" {
			text = table + ":" + text
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func field(line, after, end string) string {
	_, rest, _ := strings.Cut(line, after)
	value, _, _ := strings.Cut(rest, end)
	return value
}

// want compares what was printed, and how the run ended.
func (r *rig) want(what string, got ran, ids string) {
	r.Helper()
	if got.ids() != ids || got.err != nil {
		r.Errorf("%s: got %q and %v, want %q", what, got.ids(), got.err, ids)
	}
}

// await waits until a buffer holds so many lines.
func await(t *testing.T, b *buffer, lines int) {
	t.Helper()
	testenv.Wait(t, 30*time.Second, fmt.Sprintf("%d lines", lines), func() error {
		if n := len(b.lines()); n < lines {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
}
