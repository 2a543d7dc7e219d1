package pipeline_test

import (
	"strings"
	"testing"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/internal/status"
)

// The row is in a table that nobody follows: it must be read all the same.
func TestPipeline_AnEventAboveItsPartOfTheMemoryStopsItsShardAndNamesTheSetting(t *testing.T) {
	t.Parallel()
	r := newShop(t, 2, 100)
	memory := "64MiB"
	r.edit = func(text string) string { return text + "limits: { memory: " + memory + " }\n" }
	r.start()
	r.caughtUp()
	s := r.servers[1]
	err := s.CreateTable(encode.Table{Database: "archive", Name: "files", PrimaryKey: []int{0},
		Columns: []encode.Column{{Name: "id", Kind: encode.Int}, {Name: "body", Kind: encode.Text, Length: 1 << 25}}})
	if err != nil {
		t.Fatal(err)
	}
	tx := s.Begin()
	if err := tx.Insert("archive", "files", encode.Row{int64(1), strings.Repeat("x", 17<<20)}); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(primary.CommitOptions{}); err != nil {
		t.Fatal(err)
	}
	r.await("stopped", func(s status.Snapshot) bool { return s.Shards[1].State == status.Stopped })
	at := r.shard(1)
	for _, want := range []string{"shard 01", "WRITE_ROWS of 1782", "larger than the bound of 16777216 bytes", "raise limits.memory"} {
		if !strings.Contains(at.Error, want) {
			t.Errorf("%q does not say %q", at.Error, want)
		}
	}
	if got := r.shard(0).State; got != status.Streaming {
		t.Errorf("shard 00 is %s, want it to go on", got)
	}
	r.stop()
	if err := <-r.done; err == nil {
		t.Error("a drain with a stopped shard is called a success")
	}
	r.close()
	memory = "256MiB"
	r.start()
	r.drainAndCompare()
}
