package embedded

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/stream"
)

// attachedLog is an open log with one topic and one shard's session, and
// somebody who looks at it.
func attachedLog(t *testing.T) (*Log, stream.Session, *Attached) {
	t.Helper()
	l, err := Open(Options{Dir: t.TempDir(), Name: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if _, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: "tw.shop.v", Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	s, err := l.OpenShard(t.Context(), stream.ShardOptions{Source: "src", Shard: "a", Topics: []string{"tw.shop.v"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	a, err := Attach(t.Context(), l.dir, l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return l, s, a
}

func publishOne(t *testing.T, s stream.Session, txn uint64) {
	t.Helper()
	r := stream.Record{Topic: "tw.shop.v", Partition: 1, Kind: stream.Event, Shard: "a", LSN: change.LSN{Epoch: s.Epoch(), Txn: txn, Row: 1},
		TxID: "t", Row: 1, Key: []byte(`["1"]`), Value: []byte(`{}`)}
	if err := s.Publish(t.Context(), []stream.Record{r}); err != nil {
		t.Fatal(err)
	}
}

func TestAttach_SeesWhatIsPublishedAndNothingElse(t *testing.T) {
	l, s, a := attachedLog(t)
	before := entriesOf(t, l.dir)
	topic, err := a.Topic(t.Context(), "tw.shop.v")
	if want, _ := l.Topic(t.Context(), "tw.shop.v"); err != nil || topic != want {
		t.Errorf("got %+v, want %+v", topic, want)
	}
	if _, err := a.Topic(t.Context(), "tw.shop.none"); !errors.Is(err, stream.ErrUnknownTopic) {
		t.Error("a topic that is not there")
	}
	c, err := a.NewConsumer(t.Context(), stream.ConsumerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Assign(map[stream.TopicPartition]int64{{Topic: "tw.shop.v", Partition: 1}: 0}); err != nil {
		t.Fatal(err)
	}
	var got []uint64
	for txn := uint64(1); txn <= 3; txn++ {
		publishOne(t, s, txn)
		want, err := l.Bounds(t.Context(), "tw.shop.v")
		if err != nil {
			t.Fatal(err)
		}
		if b, err := a.Bounds(t.Context(), "tw.shop.v"); err != nil || !slices.Equal(b, want) {
			t.Errorf("bounds: got %v and %v, want %v", b, err, want)
		}
		for len(got) < int(txn) {
			records, err := c.Poll(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for i := range records {
				if records[i].Kind == stream.Event {
					got = append(got, records[i].LSN.Txn)
				}
			}
		}
	}
	if !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Errorf("got transactions %v", got)
	}
	if after := entriesOf(t, l.dir); !slices.Equal(before, after) {
		t.Errorf("looking changes the directory: %v became %v", before, after)
	}
}

// entriesOf lists the files at the top of a directory.
func entriesOf(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestAttach_ReadsPositionsAndSchemas(t *testing.T) {
	l, s, a := attachedLog(t)
	for _, x := range []interface {
		SavedPosition(ctx context.Context, shard string) (stream.SourcePosition, bool, error)
	}{l, a} {
		if p, ok, err := x.SavedPosition(t.Context(), "a"); ok || err != nil {
			t.Errorf("before the first save: got %+v, %t and %v", p, ok, err)
		}
		if _, ok, err := x.SavedPosition(t.Context(), "never"); ok || err != nil {
			t.Errorf("an unknown shard: got %t and %v", ok, err)
		}
	}
	for i, source := range []string{"one", "two"} {
		want := stream.SourcePosition{Source: []byte(source), LSN: change.LSN{Epoch: s.Epoch(), Txn: uint64(i)}}
		if err := s.Save(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		for _, x := range []interface {
			SavedPosition(ctx context.Context, shard string) (stream.SourcePosition, bool, error)
		}{l, a} {
			if p, ok, err := x.SavedPosition(t.Context(), "a"); !ok || err != nil || string(p.Source) != source || p.LSN != want.LSN {
				t.Errorf("%T: got %+v, %t and %v, want %+v", x, p, ok, err, want)
			}
		}
	}
	schema := change.Schema{View: "v", Columns: []change.Column{{Name: "id", Type: change.Int}}, Key: []string{"id"}}
	if err := l.PutSchema(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Schemas(t.Context(), "v"); err != nil || len(got) != 1 || got[schema.Fingerprint()].View != "v" {
		t.Errorf("schemas: got %v and %v", got, err)
	}
	damage := filepath.Join(l.dir, "positions", "s-a.0")
	for _, name := range []string{damage, strings.TrimSuffix(damage, "0") + "1"} {
		if err := os.WriteFile(name, []byte("garbage"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if p, ok, err := a.SavedPosition(t.Context(), "a"); err == nil {
		t.Errorf("damaged positions: got %+v and %t, want an error", p, ok)
	}
}

func TestAttach_RefusesWhatIsNotThere(t *testing.T) {
	l, _, _ := attachedLog(t)
	other, err := Open(Options{Dir: t.TempDir(), Name: "another"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	for _, c := range []struct {
		ctx             context.Context
		dir, addr, want string
	}{
		{t.Context(), l.dir, other.Addr(), "does not serve tailwater-shop"},
		{t.Context(), l.dir, "127.0.0.1:1", "connect to the embedded stream"},
		{short, l.dir, silent.Addr().String(), "Metadata"},
		{t.Context(), t.TempDir(), l.Addr(), "does not serve tailwater-"},
	} {
		a, err := Attach(c.ctx, c.dir, c.addr)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v and %v, want %q", c.addr, a, err, c.want)
		}
	}
}

func TestAttach_EndsWithTheLog(t *testing.T) {
	l, s, a := attachedLog(t)
	publishOne(t, s, 1)
	c, err := a.NewConsumer(t.Context(), stream.ConsumerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Assign(map[stream.TopicPartition]int64{{Topic: "tw.shop.v", Partition: 1}: 99}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Poll(t.Context()); !errors.Is(err, stream.ErrOffsetOutOfRange) {
		t.Errorf("beyond the end: got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Assign(map[stream.TopicPartition]int64{{Topic: "tw.shop.v", Partition: 1}: 0}); err != nil {
		t.Fatal(err)
	}
	if records, err := c.Poll(t.Context()); err == nil {
		t.Errorf("behind the end of the process: got %d records, want an error", len(records))
	}
	if err := errors.Join(a.Close(), a.Close()); err != nil {
		t.Error(err)
	}
	if _, err := a.NewConsumer(t.Context(), stream.ConsumerOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("when closed: got %v, want ErrClosed", err)
	}
}
