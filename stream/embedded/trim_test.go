package embedded

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"tailwater/stream"
)

var everything = map[stream.TopicPartition]int64{{Topic: topic1}: math.MaxInt64}

// age makes all files of the partition older.
func (o *log1) age(d time.Duration) {
	o.t.Helper()
	for _, base := range o.segments() {
		then := time.Now().Add(-d)
		if err := os.Chtimes(segmentPath(o.dir(), base), then, then); err != nil {
			o.t.Fatal(err)
		}
	}
}

func (o *log1) trim(keep map[stream.TopicPartition]int64) Trimmed {
	o.t.Helper()
	got, err := o.Trim(o.t.Context(), keep)
	if err != nil {
		o.t.Fatal(err)
	}
	return got
}

func TestTrim_NeverPassesASinkAndNeverEmptiesAPartition(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(60, 500_000)
	one.save()
	bases := one.segments()
	if len(bases) < 4 {
		t.Fatalf("got %d segments, want at least 4", len(bases))
	}
	if got := one.trim(everything); got.Files != 0 || got.Held != 0 || got.Kept < 30_000_000 {
		t.Errorf("young and small: got %+v, want nothing removed", got)
	}
	one.age(25 * time.Hour)
	if got := one.trim(nil); got.Files != 0 || got.Held == 0 {
		t.Errorf("no sink known: got %+v, want everything held", got)
	}
	if got := one.trim(map[stream.TopicPartition]int64{{Topic: topic1}: bases[1] + 1}); got.Files != 1 || one.bounds().First != bases[1] {
		t.Errorf("a sink in the second file: got %+v, first %d, want the first file removed", got, one.bounds().First)
	}
	one.trim(everything)
	if got, want := one.bounds().First, bases[len(bases)-1]; got != want {
		t.Errorf("got first offset %d, want that of the newest file %d", got, want)
	}
	if got := one.segments(); len(got) != 1 {
		t.Errorf("got the files %v, want one", got)
	}
	// The first offset survives an orderly stop and a kill.
	first := one.bounds().First
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	one.open()
	if got := one.bounds(); got.First != first || got.Next != 61 {
		t.Errorf("after an orderly stop: got %+v, want %d to 61", got, first)
	}
	one.kill()
	one.open()
	if got := one.bounds(); got.First != first || got.Next != 61 {
		t.Errorf("after a kill: got %+v, want %d to 61", got, first)
	}
	one.start()
	if rec := one.s.Recovered(); !rec.Found || len(rec.Skip) != 0 {
		t.Errorf("got %+v", rec)
	}
}

func TestTrim_BySizeRemovesTheOldest(t *testing.T) {
	one := newLog1(t)
	one.o.Retention.MaxBytes = 20_000_000
	one.start()
	one.publish(60, 500_000)
	one.save()
	got := one.trim(everything)
	if got.Files == 0 || got.Kept > 20_000_000 || got.Kept < 10_000_000 || one.bounds().First == 0 {
		t.Errorf("got %+v from %d, want at most 20 MB kept", got, one.bounds().First)
	}
	if got := one.trim(everything); got.Files != 0 {
		t.Errorf("again: got %+v, want nothing to do", got)
	}
}

// Killed between the note of the new first offset and the removal of the
// files: recovery removes them.
func TestTrim_KilledHalfWay(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(40, 500_000)
	one.save()
	bases := one.segments()
	one.kill()
	// The topics file names the second file's offset, the first is still there.
	one.open()
	tp, err := one.topics.get(topic1)
	if err != nil {
		t.Fatal(err)
	}
	tp.partitions[0].first.Store(bases[1])
	if err := one.topics.save(nil); err != nil {
		t.Fatal(err)
	}
	one.kill()
	one.open()
	if got := one.bounds().First; got != bases[1] {
		t.Errorf("got first offset %d, want %d", got, bases[1])
	}
	if got := one.segments(); got[0] != bases[1] {
		t.Errorf("got the files %v, want none before %d", got, bases[1])
	}
}

// A shard that was killed and does not come back must not hold the log, nor
// lose what it has behind its position: its skip list takes it over.
func TestTrim_CarriesTheTailOfAShardThatIsAway(t *testing.T) {
	one := newLog1(t)
	one.start()
	one.publish(2, 100)
	one.save()
	one.publish(40, 500_000)
	one.kill()
	one.open()
	one.age(25 * time.Hour)
	if got := one.trim(everything); got.Files == 0 {
		t.Fatalf("got %+v, want files removed", got)
	}
	if one.bounds().First <= 3 {
		t.Fatalf("got first offset %d, want it above the position", one.bounds().First)
	}
	one.start()
	rec := one.s.Recovered()
	if !rec.Found || len(rec.Skip) != 40 || rec.Skip[0].TxID != "g3" || rec.Skip[39].TxID != "g42" {
		t.Errorf("got %d events behind the position, want g3 to g42", len(rec.Skip))
	}
}

// A position below the first offset, when the session did not end in order:
// what it published may be gone, and would be published twice.
func TestOpenShard_RefusesAPositionBelowTheFirstOffset(t *testing.T) {
	for _, orderly := range []bool{false, true} {
		one := newLog1(t)
		one.start()
		one.publish(20, 500_000)
		one.save()
		if orderly {
			if err := one.s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		restore := one.store.CopyPositions(t)
		if orderly {
			one.shard = "b" // what follows is another shard's
		}
		one.start()
		one.publish(30, 500_000)
		one.save()
		one.age(25 * time.Hour)
		one.trim(everything)
		one.kill()
		restore()
		one.open()
		_, err := one.OpenShard(t.Context(), stream.ShardOptions{Shard: "a", Topics: []string{topic1}})
		switch {
		case orderly && err != nil:
			t.Errorf("after an orderly end: got %v, want none", err)
		case !orderly && (err == nil || !strings.Contains(err.Error(), "Choices") || !strings.Contains(err.Error(), topic1)):
			t.Errorf("got %v, want an error that names the choices", err)
		}
	}
}
