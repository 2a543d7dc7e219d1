package binlog

import (
	"fmt"
	"strings"
	"testing"

	"tailwater/internal/testenv"
)

// easternTime is the zone of New York as a rule, which needs no zone files.
const easternTime = "EST5EDT,M3.2.0,M11.1.0"

// moments are seconds since 1970 around the changes of 2026 in New York: the
// hour that is skipped, the hour that is there twice, and the ends of the type.
var moments = []int64{1, 1772953199, 1772953200, 1772953201, 1793511000, 1793514600, 1793512799, 1793512800, 1793516400, 2147483646}

// TestHazard_A71_A72_ServersInAZoneWithSummerTime writes one moment into a
// TIMESTAMP and a DATETIME of servers in New York, the hour that is there twice
// among them. This process has the same zone.
func TestHazard_A71_A72_ServersInAZoneWithSummerTime(t *testing.T) {
	t.Setenv("TZ", easternTime)
	for label, start := range map[servers]func() *testenv.Server{
		"mysql": func() *testenv.Server { return testenv.MySQL(t, 1)[0] },
		"11.8":  func() *testenv.Server { return testenv.MariaDBs(t, "11.8", 1)[0] },
		"10.11": func() *testenv.Server { return testenv.MariaDBs(t, "10.11", 1)[0] },
	} {
		t.Run(string(label), func(t *testing.T) {
			s := newLogSession(t, start())
			s.exec(t, "SET time_zone='SYSTEM'", "CREATE TABLE t (id BIGINT PRIMARY KEY, ts TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP(3), dt DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3))")
			var statements []string
			for _, n := range moments {
				statements = append(statements, fmt.Sprintf("SET TIMESTAMP=%d.25", n), fmt.Sprintf("INSERT INTO t (id) VALUES (%d)", n))
			}
			got := decoded(t, s.logged(t, statements...))
			s.exec(t, "SET TIMESTAMP=DEFAULT", "SET time_zone='+00:00'")
			rows, err := s.conn.QueryContext(t.Context(), "SELECT id, CAST(ts AS CHAR), CAST(dt AS CHAR) FROM t ORDER BY id")
			if err != nil {
				t.Fatal(err)
			}
			want, locals := map[string]bool{}, map[string]bool{}
			for rows.Next() {
				var id, ts, dt string
				if err := rows.Scan(&id, &ts, &dt); err != nil {
					t.Fatal(err)
				}
				want[fmt.Sprintf(`c - -> id=%s ts="%sZ" dt="%s"`, id, strings.Replace(ts, " ", "T", 1), dt)] = true
				locals[dt] = true
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			if len(got) != len(moments) || len(want) != len(moments) || len(locals) != len(moments)-1 {
				t.Errorf("%d rows, the server shows %d with %d local times, want %d rows of which two have one", len(got), len(want), len(locals), len(moments))
			}
			for _, row := range got {
				if !want[row] {
					t.Errorf("got %s, want one of %v", row, sortedKeys(want))
				}
			}
			// Stated, in case the server's zone were not what it should be.
			for _, row := range []string{
				`c - -> id=1793511000 ts="2026-11-01T05:30:00.250Z" dt="2026-11-01 01:30:00.250"`, `c - -> id=1793514600 ts="2026-11-01T06:30:00.250Z" dt="2026-11-01 01:30:00.250"`,
				`c - -> id=1772953200 ts="2026-03-08T07:00:00.250Z" dt="2026-03-08 03:00:00.250"`, `c - -> id=2147483646 ts="2038-01-19T03:14:06.250Z" dt="2038-01-18 22:14:06.250"`,
			} {
				if !strings.Contains(strings.Join(got, "\n"), row) {
					t.Errorf("got\n%s\nwant a line %s", strings.Join(got, "\n"), row)
				}
			}
		})
	}
}
