package events

import (
	"errors"
	"fmt"
	"testing"

	"tailwater/binlog"
)

// place is a position of a server without GTIDs.
func place(file string, pos uint64) []byte {
	p := binlog.Position{Flavor: binlog.MySQL, ServerUUID: uuid, File: file, Pos: pos}
	return p.Append(nil)
}

func TestUntil_AnEndIsPassedInItsFileOrALaterOne(t *testing.T) {
	u := until{server: uuid, file: "binlog.999999", pos: 400}
	for _, c := range []struct {
		file string
		pos  uint64
		want bool
	}{
		{"binlog.999999", 399, false}, {"binlog.999999", 400, true}, {"binlog.1000000", 4, true}, {"binlog.999998", 900, false},
	} {
		if got, err := u.quiet(place(c.file, c.pos)); got != c.want || err != nil {
			t.Errorf("%s:%d: got %v and %v, want %v", c.file, c.pos, got, err, c.want)
		}
		tx := &binlog.Transaction{File: c.file, Pos: c.pos}
		if got := u.before(tx); got != c.want {
			t.Errorf("a transaction at %s:%d is behind the end: %v, want %v", c.file, c.pos, got, c.want)
		}
	}
	if got, err := u.committed(&binlog.Transaction{File: u.file, Pos: 300}, place(u.file, 400)); !got || err != nil {
		t.Errorf("the last transaction: got %v and %v, want the end", got, err)
	}
	if _, err := u.begin(beginning{server: "another"}); err == nil {
		t.Error("another server is taken for the one that was asked")
	}
}

func TestPrinter_TakesNothingBehindTheEnd(t *testing.T) {
	p := &printer{o: &Options{}, until: until{server: uuid, file: "binlog.000002", pos: 157}}
	if err := p.Begin(&binlog.Transaction{File: "binlog.000001", Pos: 900}); err != nil {
		t.Errorf("in front of the end: %v", err)
	}
	if err := p.Begin(&binlog.Transaction{File: "binlog.000002", Pos: 157}); !errors.Is(err, errDone) {
		t.Errorf("at the end: got %v, want %v", err, errDone)
	}
}

func TestPrinter_TakesNothingOnceTheBeginningHasEndedIt(t *testing.T) {
	var ended error
	p := &printer{o: &Options{Note: func(string) {}}, end: func(err error) { ended = err }}
	var err error
	if p.until, err = untilGTID(binlog.MySQL, uuid+":1-3"); err != nil {
		t.Fatal(err)
	}
	p.began(beginning{server: uuid, gtid: uuid + ":1-7"})
	if !errors.Is(ended, errDone) {
		t.Errorf("the reader was ended with %v, want %v", ended, errDone)
	}
	if err := p.Begin(&binlog.Transaction{ID: uuid + ":8"}); !errors.Is(err, errDone) {
		t.Errorf("what was read already: got %v, want %v", err, errDone)
	}
}

func TestUntil_DomainsAreReachedByTheirOwnTransaction(t *testing.T) {
	u, err := untilGTID(binlog.MariaDB, "0-101-7,3-102-5")
	if err != nil {
		t.Fatal(err)
	}
	if done, err := u.begin(beginning{gtid: "0-101-2,3-102-4"}); done || err != nil {
		t.Fatalf("the beginning: %v and %v", done, err)
	}
	for _, c := range []struct {
		id   string
		want bool
	}{
		{"0-101-6", false}, {"3-102-5", false}, {"0-103-9", false}, {"9-101-70", false}, {"0-101-7", true},
	} {
		if got, err := u.committed(&binlog.Transaction{ID: c.id}, nil); got != c.want || err != nil {
			t.Errorf("behind %s: got %v and %v, want %v", c.id, got, err, c.want)
		}
	}
}

func TestUntil_WhatTheBeginningHoldsIsReached(t *testing.T) {
	for _, c := range []struct {
		flavor    binlog.Flavor
		set, from string
		want      bool
	}{
		{binlog.MariaDB, "0-101-7", "0-102-8", true},
		{binlog.MariaDB, "0-101-7", "0-101-6", false},
		{binlog.MariaDB, "0-101-7,1-101-1", "0-101-7", false},
		{binlog.MariaDB, "0-101-7", "", false},
		{binlog.MySQL, uuid + ":1-7", uuid + ":1-9", true},
		{binlog.MySQL, uuid + ":1-7", uuid + ":1-5:7-9", false},
		{binlog.MySQL, uuid + ":1-7", "", false},
	} {
		u, err := untilGTID(c.flavor, c.set)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := u.begin(beginning{gtid: c.from}); got != c.want || err != nil {
			t.Errorf("%s from %q: got %v and %v, want %v", c.set, c.from, got, err, c.want)
		}
	}
	for _, text := range []string{"", "x", fmt.Sprint(uuid, ":0")} {
		if _, err := untilGTID(binlog.MySQL, text); err == nil {
			t.Errorf("%q is taken for a set", text)
		}
	}
	if _, err := untilGTID(binlog.MariaDB, ""); err == nil {
		t.Error("no domain is taken for a position")
	}
}
