package pipeline_test

import (
	"fmt"
	"strings"
	"testing"

	"tailwater/binlog/primary/encode"
	"tailwater/internal/status"
)

// poison is a document that ends inside its string.
var poison = []byte{0x0c, 9, 'c', 'a', 'f'}

// documents makes a table with a column of documents.
func (r *captureRig) documents(shard int, name string) {
	r.t.Helper()
	err := r.servers[shard].CreateTable(encode.Table{Database: "shop", Name: name, PrimaryKey: []int{0}, Columns: []encode.Column{
		{Name: "id", Kind: encode.BigInt}, {Name: "v", Kind: encode.JSON},
	}})
	if err != nil {
		r.t.Fatal(err)
	}
}

// A row that cannot be rendered stops a captured table from its transaction on,
// and nothing else: neither the shard nor the other rows of that transaction.
func TestHazard_B10_APoisonRowStopsItsCapturedTableAlone(t *testing.T) {
	r := newCapture(t, 2, "{ tables: all }", "")
	good, bad := place{"shop", "t_000"}, place{"shop", "bad"}
	for shard := range r.servers {
		r.table(shard, "shop", "t_000")
		r.documents(shard, "bad")
		r.insert(shard, 1, `"x"`, 0, good, bad)
	}
	r.start()
	r.insert(0, 2, `"x"`, 0, bad)
	r.insert(0, 3, poison, 0, bad)
	r.insert(0, 4, `"x"`, 0, bad, good)
	r.insert(1, 5, `"x"`, 0, bad, good)
	r.settle(100)
	r.crash()
	r.start()
	r.insert(0, 6, "x", 0, good)
	r.settle(101)
	s := r.pipe.Snapshot()
	c := s.Captures[0]
	if c.Stopped != 1 || len(c.Notices) != 1 {
		t.Fatalf("captures are %+v, want one table stopped", c)
	}
	if m := c.Notices[0]; m.Shard != "00" || m.Table != "bad" || m.Since == "" || !strings.Contains(m.Reason, "column v") || strings.Contains(m.Reason, "caf") {
		t.Errorf("the mark is %+v, want shard 00, table bad, column v and no value", m)
	}
	for i := range s.Shards {
		if s.Shards[i].State != status.Streaming {
			t.Errorf("shard %s is %s: %s", s.Shards[i].Shard, s.Shards[i].State, s.Shards[i].Error)
		}
	}
	for _, row := range []string{"00/3", "00/4"} {
		delete(r.want["shop.bad"], row)
	}
	r.compare()
}

// A row that cannot be rendered stops the shard of a view that names its table,
// by name, before its position moves, and again each time that it is tried.
func TestHazard_B10_APoisonRowStopsTheShardOfANamedView(t *testing.T) {
	r := newCapture(t, 2, "{ tables: all }", "tables:\n  named: { from: { source: s, schema: shop, table: named }, key: [id] }\nviews:\n  named: { from: named }\n")
	good, named := place{"shop", "t_000"}, place{"shop", "named"}
	for shard := range r.servers {
		r.table(shard, "shop", "t_000")
		r.documents(shard, "named")
		r.insert(shard, 1, `"x"`, 0, good, named)
	}
	r.start()
	r.settle(100)
	r.insert(0, 2, poison, 0, named)
	r.await("stopped", func(s status.Snapshot) bool { return s.Shards[0].State == status.Stopped })
	at := r.shard(0)
	for _, want := range []string{"shard 00", "shop.named", "column v", "transaction ", "binlog.000001:", "row 1"} {
		if !strings.Contains(at.Error, want) {
			t.Errorf("the shard says %q, want %q in it", at.Error, want)
		}
	}
	if strings.Contains(at.Error, "caf") {
		t.Errorf("the shard says %q, which has the value", at.Error)
	}
	r.insert(1, 3, `"x"`, 0, good, named)
	post(r.shopRig, fmt.Sprintf("shards/%s/retry", at.Shard))
	r.await("stopped again", func(s status.Snapshot) bool {
		return s.Shards[0].State == status.Stopped && s.Shards[0].Epoch > at.Epoch
	})
	if now := r.shard(0); now.GTID != at.GTID || now.Events != at.Events {
		t.Errorf("the stopped shard moved from %s to %s", at.GTID, now.GTID)
	}
	r.await("the other shard's row", func(s status.Snapshot) bool {
		return s.Shards[1].State == status.Streaming && r.rows("shop.t_000")["01/3"] == 1
	})
}
