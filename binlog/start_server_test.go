package binlog

import (
	"errors"
	"fmt"
	"strconv"
)

// testStartsAtAnEvent begins by file at places where nothing begins.
func testStartsAtAnEvent(s *shared) {
	s.sql("FLUSH BINARY LOGS", "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	files := s.server.Query(s.T, "SHOW BINARY LOGS")
	file := files[len(files)-1][0]
	var rows, named int
	for _, e := range s.server.Query(s.T, "SHOW BINLOG EVENTS IN '"+file+"'") {
		pos, _ := strconv.Atoi(e[1])
		switch e[2] {
		case "Gtid":
			named = pos
		case "Table_map":
			rows = pos
		}
	}
	at := func(pos int) func(*Options, *journal) {
		return func(o *Options, _ *journal) {
			s.only(o, nil)
			o.Position, o.Start = ByFile, fmt.Sprintf("file:%s:%d", file, pos)
		}
	}
	for _, pos := range []int{named + 1, named + 7, rows + 20} {
		f := follow(s.T, s.server, nil, at(pos))
		f.wantStop(fmt.Sprintf("start: file:%s:%d is not the start of an event", file, pos), "SHOW BINLOG EVENTS IN '"+file+"'")
		var stop *StopError
		if _, err := f.stop(); !errors.As(err, &stop) || !stop.Start {
			s.Errorf("%v is no fault of the start", err)
		}
	}
	follow(s.T, s.server, nil, at(rows)).wantStop(fmt.Sprintf("start: file:%s:%d is inside a transaction", file, rows), "SHOW BINLOG EVENTS IN '"+file+"'")
	f := follow(s.T, s.server, nil, at(named))
	f.await("a row", func(j *journal) bool { return len(j.rows) > 0 })
	f.wantRows(s.row("c", "t", 1, "[1]"))
}
