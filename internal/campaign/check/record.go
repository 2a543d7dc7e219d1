package check

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// LSN is the order key of docs/format/stream.md, the 16 bytes of it.
type LSN [16]byte

func (l LSN) epoch() uint32 { return binary.BigEndian.Uint32(l[:4]) }

// identity is what the headers of a record say.
type identity struct {
	// kind is ev, hb or fence.
	kind  string
	lsn   LSN
	n     uint64
	shard string
	// txn is the transaction's id.
	txn string
}

// identify reads the headers tw and tw.id.
func identify(r *kgo.Record) (identity, error) {
	var id identity
	var body []byte
	for _, h := range r.Headers {
		switch h.Key {
		case "tw":
			id.kind = string(h.Value)
		case "tw.id":
			body = h.Value
		}
	}
	if id.kind != "ev" && id.kind != "hb" && id.kind != "fence" {
		return id, fmt.Errorf("header tw is %q, want ev, hb or fence", id.kind)
	}
	if len(body) < 18 || body[0] != 1 {
		return id, errors.New("header tw.id is not of version 1")
	}
	copy(id.lsn[:], body[1:17])
	rest := body[17:]
	number := func() (v uint64) {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			rest = nil
			return 0
		}
		rest = rest[n:]
		return v
	}
	text := func() string {
		n := number()
		if uint64(len(rest)) < n {
			rest = nil
			return ""
		}
		s := string(rest[:n])
		rest = rest[n:]
		return s
	}
	id.n = number()
	number() // the watermark
	number() // the row
	id.shard, id.txn = text(), text()
	if rest == nil || len(rest) != 0 || id.shard == "" {
		return id, errors.New("header tw.id ends too early or too late")
	}
	return id, nil
}

// mark is where a (shard, partition) stands.
type mark struct {
	lsn LSN
	n   uint64
}

type partOf struct {
	shard     string
	partition int32
}

// acceptance is the rule of docs/format/stream.md, "Which records count", for
// one topic.
type acceptance map[partOf]mark

// accept says whether a record counts; the error says that records are missing.
func (a acceptance) accept(id identity, partition int32) (bool, error) {
	at := partOf{id.shard, partition}
	m, known := a[at]
	above, same := string(id.lsn[:]) > string(m.lsn[:]), id.lsn == m.lsn
	if known && !above && (id.kind == "ev" || !same) {
		return false, nil
	}
	last := m.n
	if id.lsn.epoch() != m.lsn.epoch() {
		last = 0
	}
	var err error
	switch {
	case !known, id.kind == "fence":
	case id.kind == "ev" && id.n != last+1, id.kind == "hb" && id.n > last:
		err = fmt.Errorf("shard %s: event number %d comes after %d", id.shard, id.n, last)
	}
	a[at] = mark{id.lsn, id.n}
	return true, err
}
