package check

// Fold checks that the events of each key follow each other in one partition,
// and that what they come to is what the servers show.
func Fold(truth *Truth, events []Event) Findings {
	var found Findings
	keys := map[Place]*folded{}
	lsns := map[string]map[partOf]LSN{}
	for i := range events {
		e := &events[i]
		if lsns[e.Table] == nil {
			lsns[e.Table] = map[partOf]LSN{}
		}
		in := partOf{e.Shard, e.Partition}
		if last := lsns[e.Table][in]; string(e.LSN[:]) <= string(last[:]) {
			found.add("order", "table %s, shard %s, partition %d, offset %d: lsn %x comes after %x", e.Table, e.Shard, e.Partition, e.Offset, e.LSN, last)
		}
		lsns[e.Table][in] = e.LSN
		if e.Entry != nil {
			continue
		}
		found.Looked++
		p := Place{e.Table, e.Shard, e.Row.Lane, e.Row.ID}
		s := keys[p]
		if s == nil {
			s = &folded{partition: e.Partition}
			keys[p] = s
		}
		s.add(&found, p, e)
	}
	found.rows(truth, keys)
	return found
}

// folded is what the events of one key come to.
type folded struct {
	row       Row
	partition int32
	live      bool
	lsn       LSN
}

// add folds one more event.
func (s *folded) add(found *Findings, p Place, e *Event) {
	if s.partition != e.Partition {
		found.add("key", "%+v is in the partitions %d and %d", p, s.partition, e.Partition)
	}
	switch {
	case e.Op == "c" && s.live:
		found.add("key", "%+v at lsn %x: inserted while it is there since %x", p, e.LSN, s.lsn)
	case e.Op != "c" && !s.live:
		found.add("key", "%+v at lsn %x: %s of a row that is not there", p, e.LSN, e.Op)
	case e.Op == "u" && e.Row.Ver != s.row.Ver+1:
		found.add("key", "%+v at lsn %x: version %d comes after %d", p, e.LSN, e.Row.Ver, s.row.Ver)
	case e.Op == "d" && e.Row != s.row:
		found.add("key", "%+v at lsn %x: deleted as %+v, it was %+v", p, e.LSN, e.Row, s.row)
	}
	s.row, s.live, s.lsn = e.Row, e.Op != "d", e.LSN
}

// rows holds the folded keys against the rows of the servers.
func (f *Findings) rows(truth *Truth, keys map[Place]*folded) {
	for p, want := range truth.Rows {
		s := keys[p]
		switch {
		case s == nil || !s.live:
			f.add("fold", "%+v is in the server and not in the stream", p)
		case s.row != want:
			f.add("fold", "%+v: the stream comes to %+v, the server has %+v", p, s.row, want)
		}
		delete(keys, p)
	}
	for p, s := range keys {
		if s.live {
			f.add("fold", "%+v is in the stream and not in the server", p)
		}
	}
}
