package embedded

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"tailwater/change"
	"tailwater/stream"
)

// A record of 64 MiB passes through 8 MiB of memory for buffers, because one
// record is always let through, alone.
func TestLargeRecord_PassesASmallMemory(t *testing.T) {
	l, err := Open(Options{Dir: filepath.Join(t.TempDir(), "log"), Name: "suite", Logger: quiet(), MemoryBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if _, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: topic1, Partitions: 2, MaxRecord: 65 << 20}); err != nil {
		t.Fatal(err)
	}
	s, err := l.OpenShard(t.Context(), stream.ShardOptions{Shard: "a", Topics: []string{topic1}})
	if err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte("0123456789abcdef"), 4<<20)
	records := sampleRecords(3, 10)
	for i := range records {
		records[i].Shard = "a"
	}
	records[1].Value = value
	if err := s.Publish(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	got := readAll(t, l, topic1)
	large := slices.IndexFunc(got, func(r stream.Record) bool { return len(r.Value) > 1<<20 })
	if len(got) != 5 || large < 0 || !bytes.Equal(got[large].Value, value) {
		t.Errorf("got %d records, want the large one among 5", len(got))
	}
}

// Twelve shards publish at once to one log; the group commit serves them, and
// no partition mixes up what belongs to whom.
func TestManyShards_ShareTheLog(t *testing.T) {
	l := openDir(t, filepath.Join(t.TempDir(), "log"))
	const shards, publishes, each, parts = 12, 20, 30, 4
	if _, err := l.EnsureTopic(t.Context(), stream.TopicSpec{Name: topic1, Partitions: parts}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range shards {
		wg.Go(func() {
			s, err := l.OpenShard(t.Context(), stream.ShardOptions{Shard: fmt.Sprint("s", i), Topics: []string{topic1}})
			if err != nil {
				t.Error(err)
				return
			}
			for n := range publishes {
				records := sampleRecords(each, 500)
				for k := range records {
					records[k].Shard, records[k].Partition = fmt.Sprint("s", i), int32(k%parts)
					records[k].LSN = change.LSN{Epoch: s.Epoch(), Txn: uint64(n*each + k + 1), Row: 1}
				}
				if err := s.Publish(t.Context(), records); err != nil {
					t.Error(err)
					return
				}
				if err := s.Save(t.Context(), stream.SourcePosition{Source: []byte("x")}); err != nil {
					t.Error(err)
					return
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	marks := map[int32]stream.Marks{}
	count := map[string]int{}
	for _, r := range readAll(t, l, topic1) {
		if marks[r.Partition] == nil {
			marks[r.Partition] = stream.Marks{}
		}
		ok, err := marks[r.Partition].Accept(&r)
		if err != nil {
			t.Fatal(err)
		}
		if ok && r.Kind == stream.Event {
			count[r.Shard]++
		}
	}
	for i := range shards {
		if got, want := count[fmt.Sprint("s", i)], publishes*each; got != want {
			t.Errorf("shard %d: got %d events, want %d", i, got, want)
		}
	}
}
