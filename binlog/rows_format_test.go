package binlog

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tailwater/change"
)

// commonFormats are tests of row formats and of DDL between writes that every
// server passes.
var commonFormats = map[string]func(*testing.T, *logSession){
	"Hazard_A38_AbsentColumnsAreNeverNull":             hazardA38,
	"Hazard_A43_NamesComeFromTheEvent":                 hazardA43,
	"Hazard_A44_AbsentColumnsShiftNoMetadata":          hazardA44,
	"Hazard_A44_ColumnsThatAreNoTextHaveACollation":    hazardA44Binary,
	"Hazard_A45_ColumnsLeftOutShiftNothing":            hazardA45,
	"Hazard_A47_InvisibleColumnsAreThere":              hazardA47Invisible,
	"Hazard_A48_GeneratedColumnsAreShown":              hazardA48,
	"Hazard_A49_InstantDDLBetweenWrites":               hazardA49,
	"Hazard_A50_SeveralEventsAndTablesInAStatement":    hazardA50,
	"Hazard_A71_TimestampIsUTCWhateverZoneWroteIt":     hazardA71,
	"Hazard_A73_EnumKeepsItsTextOverChangesOfMembers":  hazardA73,
	"Hazard_A75_BytesThatAreNoTextAreKept":             hazardA75Raw,
	"Hazard_A75_CharsetsOfTablesAndColumnsMayChange":   hazardA75,
	"Hazard_A83_AnUntouchedColumnOutlivesADDLUnharmed": hazardA83,
}

// hazardA44 leaves blobs out of the image, so that the columns behind them stand
// where others would.
func hazardA44(t *testing.T, s *logSession) {
	s.exec(t, `CREATE TABLE t (id INT PRIMARY KEY, b BLOB, x TEXT CHARACTER SET gbk, neg BIGINT, u BIGINT UNSIGNED, latin VARCHAR(9) CHARACTER SET latin1,
		e ENUM('one','two'), bin BINARY(3), kanji VARCHAR(9) CHARACTER SET sjis, s SET('a','b') CHARACTER SET koi8r, small TINYINT UNSIGNED)`,
		"INSERT INTO t VALUES (1,'b','x',-1,0,'a','one','b','a','a',0)")
	wantRows(t, decoded(t, s.logged(t, "SET binlog_row_image=MINIMAL", "UPDATE t SET u=~0", "UPDATE t SET latin='é', small=255", "UPDATE t SET kanji='日', e='two'",
		"UPDATE t SET s='b', bin='x', neg=-9223372036854775808", "SET binlog_row_image=FULL")),
		`u id=1 -> u=18446744073709551615`,
		`u id=1 -> latin="é" small=255`,
		`u id=1 -> e="two" kanji="日"`,
		`u id=1 -> neg=-9223372036854775808 bin="eAAA" s="b"`)
	wantRows(t, decoded(t, s.logged(t, "SET binlog_row_image=NOBLOB", "UPDATE t SET small=254", "SET binlog_row_image=FULL")),
		`u id=1 neg=-9223372036854775808 u=18446744073709551615 latin="é" e="two" bin="eAAA" kanji="日" s="b" small=255`+
			` -> id=1 neg=-9223372036854775808 u=18446744073709551615 latin="é" e="two" bin="eAAA" kanji="日" s="b" small=254`)
}

// hazardA44Binary has columns that are no text and have a collation in the
// metadata all the same: a server counts them where it says which column has
// which.
func hazardA44Binary(t *testing.T, s *logSession) {
	vector, value := "g2 GEOMETRY", "NULL"
	if s.server.Kind == "mysql" {
		vector, value = "vec VECTOR(2)", "TO_VECTOR('[1,2]')"
	}
	for _, columns := range []string{
		"x VARCHAR(9) CHARACTER SET gbk, g GEOMETRY, %s, w VARCHAR(9) CHARACTER SET gbk, b BLOB, y TEXT CHARACTER SET gbk",
		"b BLOB, %s, y TEXT CHARACTER SET gbk, g POINT, x TINYTEXT CHARACTER SET gbk, w CHAR(9) CHARACTER SET gbk",
		"g GEOMETRY, b VARBINARY(9), w TEXT CHARACTER SET gbk, %s, x CHAR(9) CHARACTER SET gbk, y VARCHAR(300) CHARACTER SET gbk",
	} {
		events := s.logged(t, "DROP TABLE IF EXISTS t", "CREATE TABLE t (id INT PRIMARY KEY, "+fmt.Sprintf(columns, vector)+")",
			"INSERT INTO t (id,x,w,b,y,"+strings.Fields(vector)[0]+") VALUES (1,'中','文',0xFF,'漢',"+value+")")
		got := decoded(t, events)
		for _, want := range []string{` x="中"`, ` w="文"`, ` b="/w=="`, ` y="漢"`} {
			if len(got) != 1 || !strings.Contains(got[0], want) {
				t.Errorf("%s: got %s, want%s", columns, got, want)
			}
		}
	}
}

// hazardA45 asks for some columns only, in another order.
func hazardA45(t *testing.T, s *logSession) {
	events := s.logged(t, "CREATE TABLE t (a INT UNSIGNED, secret VARCHAR(300) CHARACTER SET utf8mb4, c BIGINT, d VARCHAR(9) CHARACTER SET latin1, e INT UNSIGNED)",
		"INSERT INTO t VALUES (4294967295,REPEAT('日',300),-1,'é',4294967294),(NULL,NULL,-2,NULL,1)")
	var got []string
	for _, e := range events {
		m := e.parse(t)
		err := m.rows(e.kind, e.body, func(_ change.Op, _, after change.Row) error {
			for _, i := range []int{4, 0, 3, 2} {
				text, err := after.AppendJSON(nil, i)
				if err != nil {
					return err
				}
				got = append(got, string(text))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"4294967294", "4294967295", `"é"`, "-1", "1", "null", "null", "-2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func hazardA47Invisible(t *testing.T, s *logSession) {
	wantRows(t, decoded(t, s.logged(t, "CREATE TABLE t (id INT PRIMARY KEY, a INT INVISIBLE, b INT UNSIGNED, c VARCHAR(9) INVISIBLE DEFAULT 'x')",
		"INSERT INTO t (id,a,b) VALUES (1,-2,4294967295)", "INSERT INTO t VALUES (2,3)", "ALTER TABLE t ADD COLUMN d INT INVISIBLE DEFAULT 9 FIRST", "UPDATE t SET b=4 WHERE id=1")),
		`c - -> id=1 a=-2 b=4294967295 c="x"`, `c - -> id=2 a=null b=3 c="x"`,
		`u d=9 id=1 a=-2 b=4294967295 c="x" -> d=9 id=1 a=-2 b=4 c="x"`)
}

// hazardA71 writes one moment from sessions of several zones.
func hazardA71(t *testing.T, s *logSession) {
	s.exec(t, "CREATE TABLE t (id INT PRIMARY KEY, ts TIMESTAMP(3) NULL, dt DATETIME(3))")
	var statements, want []string
	for i, zone := range []struct{ offset, local string }{
		{"+00:00", "2026-11-01 05:30:00.250"}, {"+05:30", "2026-11-01 11:00:00.250"}, {"-08:00", "2026-10-31 21:30:00.250"}, {"+13:00", "2026-11-01 18:30:00.250"}, {"-12:59", "2026-10-31 16:31:00.250"},
	} {
		statements = append(statements, "SET time_zone='"+zone.offset+"'", fmt.Sprintf("INSERT INTO t VALUES (%d,'%s','%[2]s')", i, zone.local))
		want = append(want, fmt.Sprintf(`c - -> id=%d ts="2026-11-01T05:30:00.250Z" dt="%s"`, i, zone.local))
	}
	wantRows(t, decoded(t, s.logged(t, append(statements, "SET time_zone='+00:00'")...)), want...)
}

// hazardA73 moves members, so that rows from before and behind have other
// numbers for one text.
func hazardA73(t *testing.T, s *logSession) {
	wantRows(t, decoded(t, s.logged(t, "CREATE TABLE t (id INT PRIMARY KEY, e ENUM('a','c') NOT NULL, s SET('x','z'))",
		"INSERT INTO t VALUES (1,'c','z')", "ALTER TABLE t MODIFY e ENUM('a','b','c') NOT NULL, MODIFY s SET('x','y','z')", "UPDATE t SET id=2",
		"INSERT INTO t VALUES (3,'nobody','y,nobody')", "ALTER TABLE t MODIFY e ENUM('q','c','é') CHARACTER SET latin1 NOT NULL", "UPDATE t SET e='é' WHERE id=2")),
		`c - -> id=1 e="c" s="z"`, `u id=1 e="c" s="z" -> id=2 e="c" s="z"`, `c - -> id=3 e="" s="y"`, `u id=2 e="c" s="z" -> id=2 e="é" s="z"`)
}

// hazardA75 changes a table's default, which touches no column that is there,
// and converts columns.
func hazardA75(t *testing.T, s *logSession) {
	wantRows(t, decoded(t, s.logged(t, "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(9), b VARCHAR(9) CHARACTER SET sjis) CHARACTER SET latin1",
		"INSERT INTO t VALUES (1,'é€','日')", "ALTER TABLE t CHARACTER SET gbk", "INSERT INTO t VALUES (2,'é€','日')",
		"ALTER TABLE t ADD COLUMN c TEXT", "UPDATE t SET c='中' WHERE id=2", "ALTER TABLE t CONVERT TO CHARACTER SET utf16", "UPDATE t SET c='é日' WHERE id=1")),
		`c - -> id=1 a="é€" b="日"`, `c - -> id=2 a="é€" b="日"`,
		`u id=2 a="é€" b="日" c=null -> id=2 a="é€" b="日" c="中"`,
		`u id=1 a="é€" b="日" c=null -> id=1 a="é€" b="日" c="é日"`)
}

// hazardA83 rebuilds a table between writes that touch one column: the texts of
// all others stay as they were.
func hazardA83(t *testing.T, s *logSession) {
	s.exec(t, `CREATE TABLE t (id INT PRIMARY KEY, touch INT, f FLOAT, d DOUBLE, n DECIMAL(30,12), ts TIMESTAMP(4) NULL, ti TIME(5), y YEAR, b BIT(33), bin BINARY(5), g GEOMETRY,
		j JSON, v VARCHAR(90) CHARACTER SET gbk, s SET('a','b'))`,
		`INSERT INTO t VALUES (1,0,3.14,1e-7,-1.5,'2026-11-01 05:30:00.25','-01:00:00.5','0000',1<<32,'a',ST_GeomFromText('POINT(1 2)'),'{"b": 1.0}','漢字','a,b')`)
	rows := decoded(t, s.logged(t, "UPDATE t SET touch=1", "ALTER TABLE t FORCE", "UPDATE t SET touch=2", "ALTER TABLE t ADD COLUMN z INT", "UPDATE t SET touch=3", "ALTER TABLE t DROP COLUMN z", "UPDATE t SET touch=4"))
	if len(rows) != 4 {
		t.Fatalf("%d rows, want 4", len(rows))
	}
	_, first, _ := strings.Cut(rows[0], "touch=0 ")
	first, _, _ = strings.Cut(first, " -> ")
	for i, row := range rows {
		if n := strings.Count(row, first); n != 2 {
			t.Errorf("update %d is %s, want %s in both images", i, row, first)
		}
	}
}
