package stream

import (
	"errors"
	"maps"
	"math/rand/v2"
	"testing"

	"tailwater/change"
)

func lsn(epoch uint32, txn uint64, row uint32) change.LSN {
	return change.LSN{Epoch: epoch, Txn: txn, Row: row}
}

func event(l change.LSN, n uint64) Record {
	return Record{Topic: "t", Partition: 3, Kind: Event, Shard: "a", LSN: l, N: n, Watermark: int64(l.Txn)}
}

func heartbeat(l change.LSN, n uint64, watermark int64) Record {
	return Record{Topic: "t", Partition: 3, Kind: Heartbeat, Shard: "a", LSN: l, N: n, Watermark: watermark}
}

func fence(epoch uint32) Record {
	return Record{Topic: "t", Partition: 3, Kind: Fence, Shard: "a", LSN: lsn(epoch, 0, 0)}
}

// accept runs records through marks and returns the letters of those accepted,
// with "-" for each that was not.
func accept(t *testing.T, m Marks, records ...Record) string {
	t.Helper()
	var got []byte
	for i := range records {
		ok, err := m.Accept(&records[i])
		switch {
		case err != nil:
			t.Fatalf("record %d: %v", i, err)
		case ok:
			got = append(got, byte(records[i].Kind))
		default:
			got = append(got, '-')
		}
	}
	return string(got)
}

func TestAccept_TakesAnEventOnlyAboveTheMark(t *testing.T) {
	m := Marks{}
	got := accept(t, m, fence(1), event(lsn(1, 1, 1), 1), event(lsn(1, 1, 1), 1), event(lsn(1, 1, 2), 2), event(lsn(1, 1, 1), 1), event(lsn(1, 2, 1), 3))
	if want := "fe-e-e"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if want := (Mark{LSN: lsn(1, 2, 1), N: 3, Watermark: 2}); m["a"] != want {
		t.Errorf("got mark %+v, want %+v", m["a"], want)
	}
}

// With > in place of >=, an idle shard's watermark never moves, and its
// windows never close.
func TestAccept_TakesAHeartbeatAndAFenceAtTheMark(t *testing.T) {
	m := Marks{}
	got := accept(t, m, fence(1), fence(1), event(lsn(1, 5, 1), 1), heartbeat(lsn(1, 5, 1), 1, 900), heartbeat(lsn(1, 5, 1), 1, 901))
	if want := "ffehh"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := m["a"].Watermark, int64(901); got != want {
		t.Errorf("got watermark %d, want %d", got, want)
	}
}

// What has the same lsn in two epochs need not be the same event: a new epoch
// may count transactions in another way. Dropping by lsn without the epoch
// loses events, and taking both epochs' events doubles them; the fence is what
// makes everything of the old epoch stale.
func TestAccept_ComparesWithinOneEpochOnly(t *testing.T) {
	m := Marks{}
	got := accept(t, m, fence(1), event(lsn(1, 7, 1), 1), fence(2), event(lsn(2, 3, 1), 1), event(lsn(2, 7, 1), 2), event(lsn(1, 9, 1), 2), event(lsn(2, 7, 1), 2))
	if want := "fefee--"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAccept_StaleHeartbeatMovesNeitherWatermarkNorCount(t *testing.T) {
	m := Marks{}
	got := accept(t, m, fence(1), event(lsn(1, 1, 1), 1), event(lsn(1, 2, 1), 2), heartbeat(lsn(1, 1, 1), 1, 999_999))
	if want := "fee-"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if want := (Mark{LSN: lsn(1, 2, 1), N: 2, Watermark: 2}); m["a"] != want {
		t.Errorf("got mark %+v, want %+v", m["a"], want)
	}
	if got := accept(t, m, event(lsn(1, 3, 1), 3)); got != "e" {
		t.Errorf("the event behind a stale heartbeat: got %s, want e", got)
	}
}

func TestAccept_GapStopsBeforeAnythingIsApplied(t *testing.T) {
	tests := []struct {
		name        string
		before      []Record
		found       Record
		last, shows uint64
	}{
		{"an event is missing", []Record{fence(1), event(lsn(1, 1, 1), 1)}, event(lsn(1, 3, 1), 3), 1, 3},
		{"a heartbeat shows it", []Record{fence(1), event(lsn(1, 1, 1), 1)}, heartbeat(lsn(1, 2, 1), 2, 5), 1, 2},
		{"the first of an epoch is missing", []Record{fence(1), event(lsn(1, 1, 1), 1), fence(2)}, event(lsn(2, 2, 1), 2), 0, 2},
		{"the fence and the first are missing", []Record{fence(1), event(lsn(1, 1, 1), 1)}, event(lsn(2, 2, 1), 2), 0, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := Marks{}
			accept(t, m, tt.before...)
			before := m.Clone()
			tt.found.Offset = 77
			ok, err := m.Accept(&tt.found)
			var gap *GapError
			if ok || !errors.As(err, &gap) {
				t.Fatalf("got %v, %v, want a gap", ok, err)
			}
			want := GapError{Topic: "t", Partition: 3, Offset: 77, Shard: "a", Epoch: tt.found.LSN.Epoch, Last: tt.last, Found: tt.shows}
			if *gap != want {
				t.Errorf("got %+v, want %+v", *gap, want)
			}
			if !maps.Equal(m, before) {
				t.Errorf("got marks %v, want them as they were: %v", m, before)
			}
		})
	}
}

func TestAccept_FenceResetsTheNumbers(t *testing.T) {
	m := Marks{}
	got := accept(t, m, fence(1), event(lsn(1, 1, 1), 1), event(lsn(1, 2, 1), 2), fence(3), heartbeat(lsn(3, 0, 0), 0, 1), event(lsn(3, 1, 1), 1))
	if want := "feefhe"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAccept_TakesTheFirstRecordItSeesAsItIs(t *testing.T) {
	for _, first := range []Record{event(lsn(4, 9, 9), 17), heartbeat(lsn(4, 9, 9), 17, 1)} {
		m := Marks{}
		if got := accept(t, m, first, event(lsn(4, 10, 1), 18)); got != string([]byte{byte(first.Kind), 'e'}) {
			t.Errorf("from the middle of a partition: got %s", got)
		}
	}
}

// Shards share a partition and must not see each other's marks.
func TestAccept_KeepsShardsApart(t *testing.T) {
	m := Marks{}
	other := event(lsn(1, 1, 1), 1)
	other.Shard = "b"
	if got := accept(t, m, fence(1), event(lsn(1, 9, 1), 1), other, event(lsn(1, 9, 2), 2)); got != "feee" {
		t.Errorf("got %s, want feee", got)
	}
}

// Whoever starts at a saved offset with the marks saved there decides as
// somebody who read everything: acceptance is a function of the log alone.
func TestAccept_IsAPureFunctionOfTheLog(t *testing.T) {
	for seed := range uint64(200) {
		log := randomLog(rand.New(rand.NewPCG(seed, 1)))
		all := make([]bool, len(log))
		saved := make([]Marks, len(log)+1)
		m := Marks{}
		for i := range log {
			saved[i] = m.Clone()
			all[i], _ = m.Accept(&log[i])
		}
		for start := range log {
			m := saved[start]
			for i := start; i < len(log); i++ {
				if ok, _ := m.Accept(&log[i]); ok != all[i] {
					t.Fatalf("seed %d: started at %d, record %d: got %v, want %v", seed, start, i, ok, all[i])
				}
			}
		}
	}
}

// randomLog is what two shards with restarts, zombies and repeated batches
// leave in a partition.
func randomLog(rng *rand.Rand) []Record {
	var log []Record
	epoch := map[string]uint32{}
	next := map[string]uint64{}
	for range 40 {
		shard := string(rune('a' + rng.IntN(2)))
		switch rng.IntN(6) {
		case 0:
			epoch[shard]++
			next[shard] = 0
			f := fence(epoch[shard])
			f.Shard = shard
			log = append(log, f)
		case 1:
			if len(log) > 0 {
				at := rng.IntN(len(log))
				log = append(log, log[at:min(len(log), at+1+rng.IntN(3))]...)
			}
		case 2:
			h := heartbeat(lsn(epoch[shard], next[shard], 1), next[shard], int64(rng.IntN(100)))
			h.Shard = shard
			log = append(log, h)
		default:
			next[shard]++
			e := event(lsn(epoch[shard], next[shard], 1), next[shard])
			e.Shard = shard
			log = append(log, e)
		}
	}
	return log
}

func TestMarks_CloneSharesNothing(t *testing.T) {
	m := Marks{"a": {N: 1}}
	c := m.Clone()
	c["a"], c["b"] = Mark{N: 2}, Mark{}
	if got := m["a"].N; got != 1 || len(m) != 1 {
		t.Errorf("got %v, want the original unchanged", m)
	}
}
