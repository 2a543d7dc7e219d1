package events

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tailwater/internal/envelope"
	"tailwater/internal/testenv"
)

func TestRealMariaDB_WhatNoServerCanTakeIsSaid(t *testing.T) {
	t.Parallel()
	s := testenv.MariaDB(t, "--lower-case-table-names=1")
	s.Exec(t, "CREATE DATABASE `My.Db`", "CREATE TABLE `My.Db`.Orders (id INT PRIMARY KEY)", "INSERT INTO `My.Db`.Orders VALUES (1)")
	for tables, want := range map[string]string{
		"`My.Db`.orders": `write "my.db" in place of "My.Db"`,
		"`my.db`.Ord*":   `write "ord*" in place of "Ord*"`,
	} {
		got := runOn(t, s, func(o *Options) { o.Tables = []string{tables} })
		var unreachable *UnreachableError
		if !errors.As(got.err, &unreachable) || !strings.Contains(got.err.Error(), want) {
			t.Errorf("--table %s: %v, want %q", tables, got.err, want)
		}
	}
	got := runOn(t, s, func(o *Options) { o.Tables = []string{"`my.db`.ord*"} })
	if got.err != nil || len(got.lines) != 1 {
		t.Errorf("%v and %q, want one line", got.err, got.lines)
	}
	file := s.Query(t, "SHOW MASTER STATUS")[0][0]
	got = runOn(t, s, func(o *Options) { o.Start = fmt.Sprintf("file:%s:301", file) })
	var usage *UsageError
	if !errors.As(got.err, &usage) || !strings.Contains(got.err.Error(), "--start file:"+file+":301 is not the start of an event") || !strings.Contains(got.err.Error(), "SHOW BINLOG EVENTS") {
		t.Errorf("a start inside an event: %v, want a mistake in the options", got.err)
	}
}

// A server may have any binlog_row_image: a view that needs columns which no
// image lacks goes on, and another stops and names the column.
func TestRealMariaDB_SmallImagesEndARunAtTheColumnThatIsMissing(t *testing.T) {
	t.Parallel()
	s := testenv.MariaDB(t)
	s.Exec(t, "SET GLOBAL binlog_row_image=MINIMAL")
	// The sessions that are open already have the other one.
	s.Exec(t, "SET SESSION binlog_row_image=MINIMAL", "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, v INT, w INT DEFAULT 7)",
		"INSERT INTO d.t (id) VALUES (1),(2)", "UPDATE d.t SET id=3 WHERE id=1", "DELETE FROM d.t WHERE id=2")
	keys := func(o *Options) { o.Drop = []string{"d.t.v", "d.t.w"} }
	got := runOn(t, s, keys)
	if got.err != nil || len(got.lines) != 5 || !strings.Contains(got.notes, "row images lack columns") {
		t.Errorf("of the key alone: %q, %v, notes %q, want two rows, one that moves, the end of one, and what the setting means", got.lines, got.err, got.notes)
	}
	for _, form := range []envelope.Kind{envelope.Flat, envelope.Debezium, envelope.Maxwell, envelope.Canal} {
		got = runOn(t, s, func(o *Options) { o.Drop, o.Envelope = []string{"d.t.v"}, form })
		if got.err == nil || !strings.Contains(got.err.Error(), "d.t") || !strings.Contains(got.err.Error(), "no column w") {
			t.Errorf("%s: %v, want the column that the images lack", form, got.err)
		}
	}
	// An update that leaves the key as it is.
	s.Exec(t, "SET SESSION binlog_row_image=MINIMAL", "UPDATE d.t SET v=1")
	if got = runOn(t, s, keys); got.err == nil || !strings.Contains(got.err.Error(), "no column id") {
		t.Errorf("an update without its key: %v, want the column", got.err)
	}
}
