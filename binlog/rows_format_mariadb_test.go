package binlog

import (
	"errors"
	"strings"
	"testing"

	"tailwater/change"
)

// mariadbFormats are tests of what MariaDB logs in its own way.
var mariadbFormats = map[string]func(*testing.T, *logSession){
	"Hazard_A42_CompressedColumnsAreRefusedByName": mariaA42,
	"Hazard_A46_TheHashOfALongKeyIsNotShown":       mariaA46,
	"Hazard_A70_OldTemporalTypesAreRefusedByName":  mariaA70,
	"SystemVersionedRows":                          mariaVersions,
}

func mariaA42(t *testing.T, s *logSession) {
	events := s.logged(t, "CREATE TABLE t (id INT PRIMARY KEY, a TEXT COMPRESSED, b VARCHAR(20) COMPRESSED, z INT, w VARCHAR(9) CHARACTER SET gbk, x BLOB COMPRESSED, y TEXT CHARACTER SET sjis)",
		"INSERT INTO t VALUES (1,'x','y',3,'中','x','日')")
	m := events[0].parse(t)
	err := m.rows(events[0].kind, events[0].body, func(_ change.Op, _, after change.Row) error {
		if text, err := after.AppendJSON(nil, 3); string(text) != "3" || err != nil {
			t.Errorf("the column behind: %s, %v, want 3", text, err)
		}
		for col, want := range map[int]string{4: `"中"`, 6: `"日"`} {
			if text, err := after.AppendJSON(nil, col); string(text) != want || err != nil {
				t.Errorf("column %d: %s, %v, want %s", col, text, err, want)
			}
		}
		for col, name := range map[int]string{1: "column a: a COMPRESSED column", 2: "column b: a COMPRESSED column", 5: "column x: a COMPRESSED column"} {
			if text, err := after.AppendJSON(nil, col); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("a compressed column renders as %s, %v, want an error with %q", text, err, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func mariaA46(t *testing.T, s *logSession) {
	wantRows(t, decoded(t, s.logged(t, "CREATE TABLE t (id INT PRIMARY KEY, t TEXT, z INT, UNIQUE (t))", "INSERT INTO t VALUES (1,'hello',2)",
		"ALTER TABLE t ADD COLUMN y INT", "UPDATE t SET y=5")),
		`c - -> id=1 t="hello" z=2`,
		`u id=1 t="hello" z=2 y=null -> id=1 t="hello" z=2 y=5`)
	events := s.logged(t, "CREATE TABLE k (t TEXT NOT NULL, UNIQUE (t))", "INSERT INTO k VALUES ('x')")
	wantRows(t, decoded(t, events), `c - -> t="x"`)
	if got := events[0].parse(t).Table().PrimaryKey; got != nil {
		t.Errorf("primary key %v, want none", got)
	}
}

func mariaA70(t *testing.T, s *logSession) {
	defer s.exec(t, "SET GLOBAL mysql56_temporal_format=ON")
	for _, definition := range []string{"TIME", "TIME(3)", "DATETIME", "DATETIME(6)", "TIMESTAMP NULL", "TIMESTAMP(2) NULL"} {
		events := s.logged(t, "SET GLOBAL mysql56_temporal_format=OFF", "DROP TABLE IF EXISTS o",
			"CREATE TABLE o (id INT PRIMARY KEY, at "+definition+")", "INSERT INTO o VALUES (1,'2026-11-20 10:10:10')")
		_, err := parseTableMap(events[0].tableMap, MariaDB)
		if !errors.Is(err, errOldTemporal) || !strings.Contains(err.Error(), "d.o, column at") {
			t.Errorf("%s: error %v, want errOldTemporal naming d.o and at", definition, err)
		}
	}
}

func mariaVersions(t *testing.T, s *logSession) {
	events := s.logged(t, "SET time_zone='+00:00'", "SET timestamp=1763632210.123456",
		"CREATE TABLE t (id INT PRIMARY KEY, a INT) WITH SYSTEM VERSIONING", "INSERT INTO t (id,a) VALUES (1,1)")
	end := "2106-02-07T06:28:15.999999Z"
	if strings.HasPrefix(s.server.Version, "10.") {
		end = "2038-01-19T03:14:07.999999Z"
	}
	wantRows(t, decoded(t, events), `c - -> id=1 a=1 row_start="2025-11-20T09:50:10.123456Z" row_end="`+end+`"`)
}
