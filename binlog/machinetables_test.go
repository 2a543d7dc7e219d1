package binlog

import (
	"encoding/binary"
	"strings"
	"testing"

	"tailwater/binlog/primary/encode"
	"tailwater/change"
)

// tableScripts are statements on tables as a whole, and what the handler is told
// of them in database d, of which the table skipped is not followed.
var tableScripts = []struct{ script, want string }{
	{"gtid, TRUNCATE t", "begin|t d.t#1 truncate|commit"},
	{"gtid, TRUNCATE TABLE `d`.`T t` /* d.u */", "begin|t d.T t#1 truncate|commit"},
	{"gtid, TRUNCATE skipped", "begin|commit"},
	{"gtid, TRUNCATE e.t", "begin|commit"},
	// Every table takes its number, so that the numbers do not depend on what
	// is followed.
	{"gtid, DROP TABLE a,skipped,e.x,b", "begin|t d.a#1 drop|t d.b#4 drop|commit"},
	{"gtid, RENAME TABLE a TO x,b TO a,x TO b", "begin|t d.a#1 rename to d.x|t d.x#2 rename from d.a|t d.b#3 rename to d.a|" +
		"t d.a#4 rename from d.b|t d.x#5 rename to d.b|t d.b#6 rename from d.x|commit"},
	{"gtid, RENAME TABLE skipped TO `new`", "begin|t d.new#2 rename from d.skipped|commit"},
	{"gtid, RENAME TABLE a TO e.a", "begin|t d.a#1 rename to e.a|commit"},
	{"gtid, RENAME TABLE e.a TO e.b", "begin|commit"},
	{"gtid, ALTER TABLE t ADD x INT,RENAME TO e.t", "begin|t d.t#1 rename to e.t|commit"},
	{"gtid, ALTER TABLE t DROP PARTITION p0", "begin|t d.t#1 partition|commit"},
	{"gtid, ALTER TABLE skipped EXCHANGE PARTITION p WITH TABLE t", "begin|t d.t#2 partition to d.skipped from d.skipped|commit"},
	{"gtid, DROP DATABASE d", "begin|t d.*#1 drop|commit"},
	{"gtid, DROP DATABASE e", "begin|commit"},
	// MariaDB writes the rows of CREATE .. SELECT behind its statement.
	{"gtid, BEGIN, CREATE OR REPLACE TABLE t (id INT), map, rows, xid", "begin|t d.t#1 drop|c d.t#2 [1]|c d.t#3 [2]|commit"},
	{"gtid, TRUNCATE t, gtid, BEGIN, map, rows, xid, gtid, TRUNCATE t", "begin|t d.t#1 truncate|commit|begin|c d.t#1 [1]|c d.t#2 [2]|commit|begin|t d.t#1 truncate|commit"},
}

func TestMachine_TellsWhereRowsVanish(t *testing.T) {
	for _, c := range tableScripts {
		p, j := newTape(t)
		if err := p.play(t, c.script); err != nil || j.problem != "" {
			t.Errorf("%s: %v %s", c.script, err, j.problem)
			continue
		}
		if got := strings.Join(j.all, "|"); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.script, got, c.want)
		}
	}
}

// ddl feeds a statement that the server logged with a default database and an
// error code.
func (p *tape) ddl(t testing.TB, database, text string, code uint16) error {
	t.Helper()
	if err := p.play(t, "gtid"); err != nil {
		t.Fatal(err)
	}
	body := encode.Query(database, text)
	binary.LittleEndian.PutUint16(body[9:], code)
	return p.feed(evQuery, body)
}

func TestMachine_TheDefaultDatabaseIsTheSessions(t *testing.T) {
	for _, c := range []struct{ database, text, want string }{
		{"d", "TRUNCATE t", "begin|t d.t#1 truncate|commit"},
		{"e", "TRUNCATE t", "begin|commit"},
		{"", "TRUNCATE t", "begin|commit"},
		{"e", "DROP TABLE t, d.t", "begin|t d.t#2 drop|commit"},
		{"e", "RENAME TABLE t TO d.t", "begin|t d.t#2 rename from e.t|commit"},
		{"e", "DROP DATABASE d", "begin|t d.*#1 drop|commit"},
	} {
		p, j := newTape(t)
		if err := p.ddl(t, c.database, c.text, 0); err != nil {
			t.Errorf("%s in %q: %v", c.text, c.database, err)
		}
		if got := strings.Join(j.all, "|"); got != c.want {
			t.Errorf("%s in %q:\n got %s\nwant %s", c.text, c.database, got, c.want)
		}
	}
}

func TestMachine_AFailedStatementStopsWhereItsOutcomeIsUnknown(t *testing.T) {
	for _, c := range []struct {
		text string
		code uint16
		want string
	}{
		{"TRUNCATE t", 1317, "TRUNCATE TABLE of d.t, which is followed, ended with error 1317"},
		{"DROP TABLE a, b", 1451, "DROP TABLE of d.a, which is followed, ended with error 1451"},
		{"RENAME TABLE a TO b", 1051, "RENAME TABLE of d.a"},
		{"TRUNCATE skipped", 1317, ""},
		// What a DROP TABLE does not find is gone as well.
		{"DROP TABLE a, b", 1051, ""},
	} {
		p, j := newTape(t)
		err := p.ddl(t, "d", c.text, c.code)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s with error %d: %v", c.text, c.code, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || Classify(err) != Stop):
			t.Errorf("%s with error %d:\n got %v\nwant a stop with %s", c.text, c.code, err, c.want)
		case c.want != "" && len(j.transactions) > 0:
			t.Errorf("%s with error %d: the position moved", c.text, c.code)
		}
	}
}

func TestMachine_AnAcceptedTransactionIsPassedOver(t *testing.T) {
	p, j := newTape(t, func(o *Options) { o.Accepted = []string{"01000000-0000-0000-0000-000000000000:1"} })
	if err := p.play(t, "gtid, TRUNCATE t, gtid, TRUNCATE t"); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(j.all, "|"), "begin|commit|begin|t d.t#1 truncate|commit"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMachine_AHandlerThatRefusesATableStopsBeforeThePosition(t *testing.T) {
	p, j := newTape(t)
	p.m.h = refusing{j}
	err := p.play(t, "gtid, TRUNCATE t")
	if err == nil || !strings.Contains(err.Error(), "no room") || len(j.transactions) > 0 {
		t.Errorf("got %v and %d commits, want the handler's error and none", err, len(j.transactions))
	}
}

// refusing is a journal that takes no change of a table.
type refusing struct{ *journal }

func (refusing) Table(*Transaction, *change.TableChange) error {
	return testError("no room")
}

type testError string

func (e testError) Error() string { return string(e) }

// swaps are the statements of online schema changes of the followed table d.t,
// whose copies are not followed, and what the handler is told of them.
var swaps = []struct{ text, want string }{
	{"rename /* gh-ost */ table `d`.`t` to `d`.`_t_del`, `d`.`_t_gho` to `d`.`t`", ""},
	{"rename /* gh-ost */ table `d`.`t` to `d`.`_t_20261120101010_del`, `d`.`_t_gho` to `d`.`t`", ""},
	{"RENAME TABLE `d`.`t` TO `d`.`_t_old`, `d`.`_t_new` TO `d`.`t`", ""},
	{"RENAME TABLE `d`.`t` TO `d`.`__t_old`, `d`.`__t_new` TO `d`.`t`", ""},
	{"RENAME TABLE d.t TO d._t_old, d._t_new TO d.t, d.u TO d.w", "t d.u#5 rename to d.w|t d.w#6 rename from d.u"},
	// gh-ost takes a change back: it has brought the old table up to date.
	{"rename /* gh-ost */ table `d`.`t` to `d`.`_t_rev_del`, `d`.`_t_del` to `d`.`t`", ""},
	// The copy goes away again, or is another table's.
	{"RENAME TABLE d.t TO d._t_new, d._t_old TO d.t", "t d.t#1 rename to d._t_new|t d.t#4 rename from d._t_old"},
	{"RENAME TABLE d.t TO d._u_old, d._u_new TO d.t", "t d.t#1 rename to d._u_old|t d.t#4 rename from d._u_new"},
	{"RENAME TABLE d.t TO d._t_old, d._u_new TO d.t", "t d.t#1 rename to d._t_old|t d.t#4 rename from d._u_new"},
	{"RENAME TABLE d.t TO e._t_old, e._t_new TO d.t", "t d.t#1 rename to e._t_old|t d.t#4 rename from e._t_new"},
	{"RENAME TABLE d._t_new TO d.t, d.t TO d._t_old", "t d.t#2 rename from d._t_new|t d.t#3 rename to d._t_old"},
	{"RENAME TABLE d.t TO d._t_old, d._t_new TO d.t, d.t TO d.w", "t d.t#1 rename to d._t_old|t d.t#4 rename from d._t_new|t d.t#5 rename to d.w|t d.w#6 rename from d.t"},
	// In two statements nobody knows at the first that the second will come.
	{"ALTER TABLE d.t RENAME d._t_del", "t d.t#1 rename to d._t_del"},
	{"ALTER TABLE d._t_gho RENAME d.t", "t d.t#2 rename from d._t_gho"},
	// What the tools do beside it.
	{"DROP TABLE IF EXISTS `d`.`_t_ghc`, `d`.`_t_del`, `d`.`#sql-1a_2`", ""},
}

func TestHazard_A57_ASwapOfAnOnlineSchemaChangeLosesNoRows(t *testing.T) {
	for _, c := range swaps {
		p, j := newTape(t, func(o *Options) {
			o.Filter = func(db, table string) bool { return db == "d" && !change.IsShadow(table) }
		})
		if err := p.ddl(t, "e", c.text, 0); err != nil {
			t.Errorf("%s: %v", c.text, err)
		}
		if got := strings.Join(j.rows, "|"); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestMachine_ASwapIsTwoRenamesWhereTheCopiesAreFollowed(t *testing.T) {
	p, j := newTape(t)
	if err := p.ddl(t, "d", "RENAME TABLE t TO _t_old, _t_new TO t", 0); err != nil {
		t.Fatal(err)
	}
	if len(j.rows) != 4 {
		t.Errorf("got %q, want all four steps", j.rows)
	}
}

func TestMachine_CountsTheRowsOfShadowTables(t *testing.T) {
	p, j := newTape(t, func(o *Options) {
		o.Filter = func(db, table string) bool { return db == "d" && !change.IsShadow(table) }
	})
	shadow := testTable(t, "d", "_t_gho")
	if err := p.play(t, "gtid, BEGIN"); err != nil {
		t.Fatal(err)
	}
	if err := p.feed(evTableMap, shadow.TableMap(7, true)); err != nil {
		t.Fatal(err)
	}
	if err := p.feed(evWriteV2, insertRows(7, true, 1, 2)); err != nil {
		t.Fatal(err)
	}
	if err := p.play(t, "xid"); err != nil {
		t.Fatal(err)
	}
	if tx := j.transactions[0]; len(j.rows) > 0 || tx.Shadows != 2 || tx.Rows != 2 {
		t.Errorf("got rows %q, %d of %d counted as copies, want none and 2 of 2", j.rows, tx.Shadows, tx.Rows)
	}
}
