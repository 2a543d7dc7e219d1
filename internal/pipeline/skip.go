package pipeline

import (
	"fmt"

	"tailwater/internal/view"
	"tailwater/stream"
)

// skipList holds the events that stand in the log behind the position a
// session started from. They must not be published again, event by event: a
// transaction lies across partitions and may be half written.
type skipList struct {
	txs map[string]*skipTx
	// events counts those of all transactions.
	events int
}

// skipTx holds the events of one source transaction. An entry stays until the
// transaction is complete, so that a list made in between still has it.
type skipTx struct {
	events map[skipKey]uint64
}

type skipKey struct {
	topic string
	row   uint32
	part  uint16
}

func newSkipList(published []stream.Published) *skipList {
	l := &skipList{txs: make(map[string]*skipTx)}
	for _, p := range published {
		t := l.txs[p.TxID]
		if t == nil {
			t = &skipTx{events: make(map[skipKey]uint64)}
			l.txs[p.TxID] = t
		}
		t.events[skipKey{p.Topic, p.Row, p.Part}] = p.KeyHash
	}
	for _, t := range l.txs {
		l.events += len(t.events)
	}
	return l
}

// transactions names the transactions that events stand in the log of, each once.
func transactions(published []stream.Published) []string {
	var out []string
	seen := make(map[string]bool)
	for i := range published {
		if id := published[i].TxID; !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

// transaction returns what stands in the log of transaction id, or nil.
func (l *skipList) transaction(id string) *skipTx { return l.txs[id] }

// done forgets a transaction that is complete.
func (l *skipList) done(id string) {
	if t := l.txs[id]; t != nil {
		l.events -= len(t.events)
		delete(l.txs, id)
	}
}

// list returns what is left, for a position.
func (l *skipList) list() []stream.Published {
	var out []stream.Published
	for id, t := range l.txs {
		for k, hash := range t.events {
			out = append(out, stream.Published{Topic: k.topic, TxID: id, Row: k.row, Part: k.part, KeyHash: hash})
		}
	}
	return out
}

// take reports whether an event stands in the log. With compare set, another
// key under the same name is an error: the server numbers the rows of the
// transaction differently, and what it has cannot be told from what is there.
func (t *skipTx) take(topic string, e view.Event, compare bool) (bool, error) {
	hash, known := t.events[skipKey{topic, e.LSN.Row, e.LSN.Part}]
	if !known {
		return false, nil
	}
	if compare && hash != stream.KeyHash(e.Key) {
		return false, fmt.Errorf("row %d has another key on this server than the one already published to %s: "+
			"the servers disagree on the order of rows inside the transaction; go back to the server that was read before", e.LSN.Row, topic)
	}
	return true, nil
}
