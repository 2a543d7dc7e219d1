package pipeline_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"tailwater/internal/status"
	"tailwater/internal/testenv"
)

// capturedStatements are made of a server that nobody has told Tailwater about:
// before the start, and while it runs.
var capturedStatements = [2][]string{
	{
		"CREATE DATABASE shop CHARACTER SET utf8mb4", "CREATE DATABASE `we.ird-db` CHARACTER SET utf8mb4",
		"CREATE TABLE shop.t_000 (id BIGINT PRIMARY KEY, v TEXT)", "INSERT INTO shop.t_000 VALUES (1,'x'),(2,'y')",
		"CREATE TABLE shop.nokey (v VARCHAR(10), n INT)", "INSERT INTO shop.nokey VALUES ('a',1),('b',2),(NULL,3)", "UPDATE shop.nokey SET n=4 WHERE n=3",
		"CREATE TABLE `we.ird-db`.`tab le ü` (id INT PRIMARY KEY)", "INSERT INTO `we.ird-db`.`tab le ü` VALUES (7)",
		"CREATE TABLE shop.bad (id INT PRIMARY KEY, _rev INT)", "INSERT INTO shop.bad VALUES (1,1),(2,2)",
	},
	{
		"CREATE TABLE shop.later AS SELECT 5 AS id", "INSERT INTO shop.later VALUES (6)",
		"ALTER TABLE shop.t_000 ADD COLUMN w INT", "INSERT INTO shop.t_000 VALUES (3,'z',1)",
		// An online schema change: the copies in the shadow table are nobody's.
		"CREATE TABLE shop._t_000_gho LIKE shop.t_000", "INSERT INTO shop._t_000_gho SELECT * FROM shop.t_000",
		"RENAME TABLE shop.t_000 TO shop._t_000_del, shop._t_000_gho TO shop.t_000", "DROP TABLE shop._t_000_del",
		"TRUNCATE shop.later", "INSERT INTO shop.later VALUES (8)", "DROP TABLE shop.later",
		"INSERT INTO shop.bad VALUES (3,3)", "INSERT INTO shop.t_000 VALUES (4,'last',2)",
	},
}

// captureOf follows a real server and holds what is captured against what its
// statements wrote; stopped are the notices of tables that cannot be published.
func captureOf(t *testing.T, server *testenv.Server, flavor string, stopped ...string) {
	t.Helper()
	r := &captureRig{shopRig: &shopRig{t: t, dir: t.TempDir()}}
	r.edit = func(text string) string {
		head, _, _ := strings.Cut(text, "tables:\n")
		head = strings.Replace(head, "    type: mysql\n", "    type: "+flavor+"\n    capture: { tables: all }\n", 1)
		return head + fmt.Sprintf("        - { name: \"00\", host: %s, port: %d, user: %q, password: %q }\nhttp: { listen: 127.0.0.1:0 }\n", server.Host, server.Port, server.ReplUser, server.ReplPassword)
	}
	t.Cleanup(r.close)
	server.Exec(t, capturedStatements[0]...)
	r.start()
	r.await("the first rows", func(status.Snapshot) bool { return len(r.rows("shop.t_000")) == 2 })
	server.Exec(t, capturedStatements[1]...)
	r.await("the last row", func(status.Snapshot) bool { return r.rows("shop.t_000")["00/4"] > 0 })
	for view, want := range map[string]string{
		"shop.t_000": "00/1:1 00/2:1 00/3:1 00/4:1",
		// The last part of the whole row: the update is a d and a c.
		"shop.nokey": "00/1:1 00/2:1 00/3:2 00/4:1", "we-2eird-2ddb.tab-20le-20-c3-bc": "00/7:1", "shop.later": "00/5:1 00/6:1 00/8:1 00/t:2",
	} {
		rows := r.rows(view)
		var got []string
		for _, row := range slices.Sorted(maps.Keys(rows)) {
			got = append(got, fmt.Sprintf("%s:%d", row, rows[row]))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s has the rows %s, want %s", view, got, want)
		}
	}
	c := r.pipe.Snapshot().Captures[0]
	if c.Tables != 3+len(stopped) || len(c.Notices) != len(stopped) || c.Stopped != len(stopped) || c.Skipped < 3 {
		t.Errorf("captures are %+v, want %d tables and %d stopped", c, 3+len(stopped), len(stopped))
	}
	var got []string
	for _, m := range c.Notices {
		got = append(got, m.State+" "+m.Table)
		if m.State == "stopped" && m.Table != "bad" && !strings.Contains(m.Reason, "COMPRESSED") {
			t.Errorf("%s is stopped: %s", m.Table, m.Reason)
		}
	}
	for _, want := range stopped {
		if !slices.Contains(got, want) {
			t.Errorf("notices are %q, want %q among them", got, want)
		}
	}
}

func TestCapture_OfAMySQLServer(t *testing.T) {
	captureOf(t, testenv.MySQL(t, 1)[0], "mysql", "stopped bad")
}

func TestCapture_OfAMariaDBServer(t *testing.T) {
	server := testenv.MariaDB(t)
	server.Exec(t, "CREATE DATABASE packed CHARACTER SET utf8mb4", "CREATE TABLE packed.packed (id INT PRIMARY KEY, v TEXT COMPRESSED)", "INSERT INTO packed.packed VALUES (1,'x')")
	captureOf(t, server, "mariadb", "stopped bad", "stopped packed")
}
