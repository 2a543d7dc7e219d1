package check

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// Rolled begins the tag of every row that is rolled back.
const Rolled = "rolled"

type txnKey struct{ shard, txn string }

type laneKey struct {
	shard string
	lane  int64
}

// Transactions checks that each entry of the ledger is in the stream once, with
// all its rows and no other, in the order of its lane.
func Transactions(truth *Truth, events []Event) Findings {
	var found Findings
	whole := map[txnKey][]int{}
	for i := range events {
		e := &events[i]
		found.Looked++
		if strings.HasPrefix(e.Row.Tag, Rolled) {
			found.add("transaction", "shard %s, table %s, lane %d, id %d: a row that was rolled back is in the stream", e.Shard, e.Table, e.Row.Lane, e.Row.ID)
		}
		k := txnKey{e.Shard, e.Txn}
		whole[k] = append(whole[k], i)
	}
	ledger := map[laneKey][]*Event{}
	for k, at := range whole {
		entry := wholeness(&found, k, events, at)
		if entry != nil {
			lane := laneKey{k.shard, entry.Entry.Lane}
			ledger[lane] = append(ledger[lane], entry)
		}
	}
	want := map[laneKey][]Entry{}
	for _, e := range truth.Entries {
		k := laneKey{e.Shard, e.Lane}
		want[k] = append(want[k], e)
	}
	for k, entries := range want {
		order(&found, k, entries, ledger[k])
		delete(ledger, k)
	}
	for k := range ledger {
		found.add("transaction", "shard %s: the stream has a lane %d, the server none", k.shard, k.lane)
	}
	return found
}

// wholeness checks one transaction of the stream against its own ledger row,
// and returns that.
func wholeness(found *Findings, k txnKey, events []Event, at []int) *Event {
	var entry *Event
	lines := make([]string, 0, len(at))
	for _, i := range at {
		e := &events[i]
		switch {
		case e.Entry == nil:
			lines = append(lines, Line(e.Table, e.Op, e.Row))
		case entry != nil:
			found.add("transaction", "shard %s, transaction %s: two rows of the ledger, numbers %d and %d", k.shard, k.txn, entry.Entry.Seq, e.Entry.Seq)
		case e.Op != "c":
			found.add("transaction", "shard %s, transaction %s: the ledger's row is %s, it is only ever inserted", k.shard, k.txn, e.Op)
		default:
			entry = e
		}
	}
	if entry == nil {
		found.add("transaction", "shard %s, transaction %s: %d events without their ledger row: it is torn, or was never committed", k.shard, k.txn, len(lines))
		return nil
	}
	if got, want := int64(len(lines)), entry.Entry.Rows; got != want {
		found.add("transaction", "shard %s, lane %d, number %d (%s): %d events in the stream, %d were committed",
			k.shard, entry.Entry.Lane, entry.Entry.Seq, entry.Entry.Kind, got, want)
	} else if Digest(lines) != entry.Entry.Digest {
		found.add("transaction", "shard %s, lane %d, number %d (%s): the rows in the stream are not those that were committed",
			k.shard, entry.Entry.Lane, entry.Entry.Seq, entry.Entry.Kind)
	}
	return entry
}

// order checks the entries of one lane.
func order(found *Findings, k laneKey, want []Entry, got []*Event) {
	slices.SortFunc(got, func(a, b *Event) int { return bytes.Compare(a.LSN[:], b.LSN[:]) })
	slices.SortFunc(want, func(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	seen := map[int64]bool{}
	var last int64
	for _, e := range got {
		switch seq := e.Entry.Seq; {
		case seen[seq]:
			found.add("transaction", "shard %s, lane %d: number %d stands twice in the stream", k.shard, k.lane, seq)
		case seq < last:
			found.add("order", "shard %s, lane %d: number %d comes after %d", k.shard, k.lane, seq, last)
		default:
			last = seq
		}
		seen[e.Entry.Seq] = true
	}
	byNumber := map[int64]*Event{}
	for _, e := range got {
		byNumber[e.Entry.Seq] = e
	}
	for i, w := range want {
		e := byNumber[w.Seq]
		if e == nil {
			found.add("transaction", "shard %s, lane %d: number %d (%s) was committed and is not in the stream", k.shard, k.lane, w.Seq, w.Kind)
			continue
		}
		delete(byNumber, w.Seq)
		if *e.Entry != w {
			found.add("transaction", "shard %s, lane %d, number %d: the stream has the ledger row %+v, the server %+v", k.shard, k.lane, w.Seq, *e.Entry, w)
		}
		// It was committed after its row was inserted, and before the next one's was.
		if e.TS < w.At || i+1 < len(want) && e.TS > want[i+1].At {
			found.add("transaction", "shard %s, lane %d, number %d: commit time %d, but its row was inserted at %d", k.shard, k.lane, w.Seq, e.TS, w.At)
		}
	}
	for seq := range byNumber {
		found.add("transaction", "shard %s, lane %d: number %d is in the stream and was not committed", k.shard, k.lane, seq)
	}
}
