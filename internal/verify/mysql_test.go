package verify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tailwater/internal/testenv"
)

// kinds is a table with a column of every type. {x} stands for the database.
const kinds = `CREATE TABLE %s.kinds_%s (
	name VARCHAR(40) NOT NULL, id INT UNSIGNED NOT NULL, tiny TINYINT, big BIGINT UNSIGNED, medium MEDIUMINT,
	dec1 DECIMAL(20,6), dec2 DECIMAL(65,30), f FLOAT, d DOUBLE, latin VARCHAR(30) CHARACTER SET latin1, fixed CHAR(8),
	bin BINARY(6), varb VARBINARY(20), b BLOB, e ENUM('a','it''s','ü'), s SET('x','y','z'), day DATE, t TIME(3),
	dt DATETIME(6), ts TIMESTAMP(3) NULL, y YEAR, bits BIT(11), doc JSON, secret INT INVISIBLE DEFAULT 7,
	twice INT GENERATED ALWAYS AS (tiny * 2) STORED, g GEOMETRY,
	PRIMARY KEY (name, id))`

// kindsMariaDB are the columns of types that MariaDB alone has.
const kindsMariaDB = "u UUID, ip4 INET4, ip6 INET6, vec VECTOR(2) NOT NULL DEFAULT VEC_FROMTEXT('[1,2]'), "

// mariaValues draws the values of the first three.
func mariaValues(r *rand.Rand) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	return ", " + strings.Join([]string{
		pick("NULL", "'123e4567-e89b-12d3-a456-426655440000'", "'01890a5d-ac96-774b-bcce-b302099a8057'", "UUID()"),
		pick("NULL", "'10.0.0.1'", "'255.255.255.255'"), pick("NULL", "'::1'", "'2001:db8::ff00:42:8329'", "'::ffff:192.0.2.128'"),
	}, ", ")
}

// kindsValues draws the values of a row of kinds, without name and id.
func kindsValues(r *rand.Rand) string {
	maybe := func(s string) string {
		if r.IntN(8) == 0 {
			return "NULL"
		}
		return s
	}
	pick := func(list ...string) string { return maybe(list[r.IntN(len(list))]) }
	return strings.Join([]string{
		pick("-128", "0", "127"), pick("18446744073709551615", "9007199254740993", "0"), pick("-8388608", "8388607"),
		pick("-0.000001", "12345678901234.567890", "0"), pick("-0.1", "12345678901234567890123456789012345.123456789012345678901234567890"),
		pick("0.1", "3.1415927", "-1e30", "16777216", "1.17549e-38"), pick("0.1", "-2.2250738585072014e-308", "1e300", "123456789.123456789"),
		pick("'héllo'", "''", "'it''s \\\\ \"x\"'"), pick("'pad'", "''", "'12345678'"),
		pick("x'000102'", "x'00'", "'abcdef'"), pick("x'00ff00'", "''"), pick("x'deadbeef00'", "''", "REPEAT('z', 700)"),
		pick("'a'", "'it''s'", "'ü'"), pick("''", "'x,z'", "'y'"), pick("'2026-11-20'", "'0001-01-01'", "'9999-12-31'"),
		pick("'-838:59:59.000'", "'00:00:00.120'", "'23:59:59.999'"), pick("'2026-11-20 10:10:10.123456'", "'1000-01-01 00:00:00'"),
		pick("'2026-11-20 10:10:10.120'", "'1970-01-01 00:00:01'"), pick("2026", "1901", "0"), pick("b'10101010101'", "0"),
		pick(`'{"ship":{"city":"Pune"},"n":[1,2.50,null,"é"]}'`, `'[]'`, `'"text"'`, `'{"ship":null,"x":1e10}'`,
			"JSON_OBJECT('d', CAST(1.50 AS DECIMAL(5,2)), 't', CAST('2026-01-01' AS DATE), 'f', 1e0)"),
		pick("1", "2"), pick("ST_GeomFromText('POINT(1 2)', 4326)", "ST_GeomFromText('POINT(-1.5 2)')"),
	}, ", ")
}

const kindsColumns = "tiny, big, medium, dec1, dec2, f, d, latin, fixed, bin, varb, b, e, s, day, t, dt, ts, y, bits, doc, secret, g"

const kindsViews = `
tables:
  kinds:
    from: { source: shop, schema: "db_{shard}", table: "kinds_{part}" }
views:
  kinds:
    from: kinds
    key: [shard, part, name, id]
  chosen:
    from: kinds
    where: (tiny > 0 || tiny == null) && doc.ship.city != 'x'
    key: [shard, part, name, id]
    masking: { latin: hash, fixed: truncate(2), dt: hash }
    masking_salt: "sixteen bytes or more"
    metadata: { db: false, table: false, schema: false }
    quote_big: true
    select: { id: id, name: name, city: doc.ship.city, second: "doc.n[1]", sum: dec1 + 1, big: big, latin: latin, fixed: fixed, dt: dt, none: "coalesce(latin, '-')" }
  nameless:
    from: kinds
    select: { name: name, id: id, tiny: tiny }
    key: [shard, part, name, id]
windows:
  defaults: { size: 1s }
  metrics:
    sums: { view: kinds, value: sum(dec1), where: "e == 'a' || doc.n[0] == 1", group_by: [e, y] }
    counts: { view: chosen, value: count(), group_by: [city] }
lake: { url: "file://./lake", file: { roll_every: 1s } }
`

// realFixture is three servers with kinds on each.
func realFixture(t *testing.T, servers []*testenv.Server) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir(), flavor: servers[0].Kind}
	var list strings.Builder
	for i, s := range servers {
		text := kinds
		if s.Kind == "mariadb" {
			// Generated columns are not in the images of updates.
			text = strings.NewReplacer("GENERATED ALWAYS AS (tiny * 2) STORED", "", "PRIMARY KEY", kindsMariaDB+"PRIMARY KEY").Replace(kinds)
		}
		s.Exec(t, fmt.Sprintf("CREATE DATABASE db_%02d", i), fmt.Sprintf(text, fmt.Sprintf("db_%02d", i), "a"), fmt.Sprintf(text, fmt.Sprintf("db_%02d", i), "b"),
			fmt.Sprintf("CREATE TABLE db_%02d._kinds_a_new (id INT PRIMARY KEY)", i))
		fmt.Fprintf(&list, "        - { name: %q, host: %s, port: %d, user: %q, password: %q }\n", fmt.Sprintf("%02d", i), s.Host, s.Port, s.ReplUser, s.ReplPassword)
	}
	f.configure(list.String(), kindsViews)
	return f
}

// writer changes rows of one shard until ctx ends, ever more slowly: each
// comparison reads the whole stream, so that on a slow machine a steady writer
// would be faster than any of them. It tells its first error.
func writer(ctx context.Context, s *testenv.Server, t *testing.T, shard int) error {
	db := s.DB(t)
	r := rand.New(rand.NewPCG(uint64(shard), 7))
	columns, values := kindsColumns, func() string { return kindsValues(r) }
	if s.Kind == "mariadb" {
		columns, values = columns+", u, ip4, ip6", func() string { return kindsValues(r) + mariaValues(r) }
	}
	for n := 0; ctx.Err() == nil; n++ {
		table := fmt.Sprintf("db_%02d.kinds_%c", shard, "ab"[r.IntN(2)])
		key := fmt.Sprintf("name = '%s' AND id = %d", []string{"Ä", "b", "C", "déjà"}[r.IntN(4)], r.IntN(60))
		var text string
		switch r.IntN(6) {
		case 0:
			text = "DELETE FROM " + table + " WHERE " + key
		case 1:
			text = fmt.Sprintf("UPDATE IGNORE %s SET id = %d, tiny = -5 WHERE %s", table, r.IntN(60), key)
		case 2:
			text = fmt.Sprintf("UPDATE %s SET tiny = %d, dec1 = dec1 + 1, ts = NOW(3) WHERE %s", table, r.IntN(50), key)
		default:
			text = fmt.Sprintf("REPLACE INTO %s (name, id, %s) VALUES ('%s', %d, %s), ('%s', %d, %s)", table, columns,
				[]string{"Ä", "b", "C", "déjà"}[r.IntN(4)], r.IntN(60), values(), "multi", r.IntN(30), values())
		}
		if _, err := db.ExecContext(ctx, text); err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		if !pause(ctx, time.Duration(3+n/20)*time.Millisecond) {
			return nil
		}
	}
	return nil
}

func TestVerify_RealServersWriteWhileItCompares(t *testing.T) {
	writeWhileComparing(t, testenv.MySQL(t, 3))
}

func TestVerify_RealMariaDBWritesWhileItCompares(t *testing.T) {
	servers := testenv.MariaDBs(t, "11.8", 3)
	for i, s := range servers {
		// Transactions of a second domain, and everything compressed in one shard.
		s.Exec(t, fmt.Sprintf("SET GLOBAL gtid_domain_id = %d", i), fmt.Sprintf("SET GLOBAL log_bin_compress = %d", i%2))
	}
	writeWhileComparing(t, servers)
}

// writeWhileComparing compares three servers while they are written to, behind
// changes of their tables, at rest, and behind changes that nobody logged.
func writeWhileComparing(t *testing.T, servers []*testenv.Server) {
	f := realFixture(t, servers)
	f.start()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	for i, s := range servers {
		writers.Go(func() {
			if err := writer(ctx, s, t, i); err != nil {
				t.Error(err)
			}
		})
	}
	compare := func(what string) *Result {
		r, err := Run(t.Context(), Options{Config: f.cfg, PageRows: 7, Timeout: 30 * time.Second})
		if err != nil {
			for _, m := range f.pipeline.Snapshot().Metrics {
				t.Logf("metric %s: %d records behind, %d flushes, %d refused: %s", m.Metric, m.Behind, m.Flushes, m.Refused, m.Error)
			}
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s: %+v", what, r)
		clean(t, r)
		return r
	}
	testenv.Wait(t, 20*time.Second, "some rows", func() error {
		if n := servers[2].Query(t, "SELECT COUNT(*) FROM db_02.kinds_a")[0][0]; len(n) < 2 {
			return fmt.Errorf("%s rows", n)
		}
		return nil
	})
	for range 3 {
		compare("while rows are written")
	}
	servers[0].Exec(t, "ALTER TABLE db_00.kinds_a ADD COLUMN extra INT DEFAULT 3", "ALTER TABLE db_00.kinds_a MODIFY dec1 DECIMAL(24,8)")
	servers[1].Exec(t, "ALTER TABLE db_01.kinds_b DROP COLUMN twice, MODIFY tiny INT")
	if r := compare("behind an ALTER TABLE"); r.Unseen == 0 {
		t.Error("no value is unseen behind a new column")
	}
	compare("behind an ALTER TABLE, again")
	stop()
	writers.Wait()
	if r := compare("at rest"); r.Busy != 0 {
		t.Errorf("%d keys are busy at rest", r.Busy)
	}
	f.halt()
	compare("drained")
	f.start()
	t.Run("Hazard_A25_ChangesThatNobodyLoggedAreFound", func(t *testing.T) { hidden(t, f, servers[1]) })
}

// hidden changes rows behind the back of the binary log.
func hidden(t *testing.T, f *fixture, s *testenv.Server) {
	s.Exec(t, "SET sql_log_bin = 0", "INSERT INTO db_01.kinds_a (name, id, tiny) VALUES ('unlogged', 1, 1)",
		"SET sql_log_bin = 1", "INSERT INTO db_01.kinds_a (name, id, tiny, doc, d) VALUES ('changed', 1, 1, '[1]', 0.1), ('deleted', 1, 1, NULL, 1)",
		"SET sql_log_bin = 0", "UPDATE db_01.kinds_a SET d = 0.10000000000000002, doc = '[1, 2]' WHERE name = 'changed'", "DELETE FROM db_01.kinds_a WHERE name = 'deleted'")
	r, err := Run(t.Context(), Options{Config: f.cfg, MaxKeys: 50})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range r.Differences {
		d := &r.Differences[i]
		if d.View == "kinds" {
			got = append(got, fmt.Sprintf("%s %s %s %s %s", d.Kind, d.Table, d.Key, d.Column, d.Expected))
		}
	}
	slices.Sort(got)
	want := []string{
		`altered db_01.kinds_a ["01","a","changed","1"] d 0.10000000000000002`,
		`altered db_01.kinds_a ["01","a","changed","1"] doc [1, 2]`,
		`extra db_01.kinds_a ["01","a","deleted","1"]  `,
		`lost db_01.kinds_a ["01","a","unlogged","1"]  `,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if r.Passes < 4 {
		t.Errorf("%d passes for more keys than are held at once", r.Passes)
	}
}

// While a table is compared it can be altered, and neither side waits for the
// other: the comparison begins again.
func TestVerify_NeverHoldsUpAnAlterTable(t *testing.T) {
	server := testenv.MySQL(t, 1)[0]
	server.Exec(t, "CREATE DATABASE db_a", fmt.Sprintf(kinds, "db_a", "x"), "CREATE TABLE db_a.kinds_y LIKE db_a.kinds_x", "ALTER TABLE db_a.kinds_y DROP PRIMARY KEY")
	f := &fixture{t: t, dir: t.TempDir()}
	f.configure(fmt.Sprintf("        - { name: a, host: %s, port: %d, user: %q, password: %q }\n", server.Host, server.Port, server.ReplUser, server.ReplPassword), kindsViews)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 40 {
		server.Exec(t, fmt.Sprintf("INSERT INTO db_a.kinds_x (name, id, %s) VALUES ('n', %d, %s)", kindsColumns, i, kindsValues(r)), fmt.Sprintf("INSERT INTO db_a.kinds_y (name, id) VALUES ('m', %d)", i))
	}
	f.start()
	var once sync.Once
	var took time.Duration
	o := Options{Config: f.cfg, Only: []string{"rows"}, PageRows: 1, Timeout: 30 * time.Second, ProgressEvery: time.Millisecond}
	o.OnProgress = func(p Progress) {
		if strings.HasPrefix(p.Stage, "reading the tables") && p.Done > 3 {
			once.Do(func() {
				began := time.Now()
				server.Exec(t, "SET lock_wait_timeout = 5", "ALTER TABLE db_a.kinds_x MODIFY d DOUBLE FIRST, ADD COLUMN later INT", "ALTER TABLE db_a.kinds_y ADD COLUMN later INT, ALGORITHM=COPY")
				took = time.Since(began)
			})
		}
	}
	got, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	clean(t, got)
	if took == 0 {
		t.Fatal("the comparison was over before the table could be altered")
	}
	t.Logf("the ALTER TABLE took %s: %+v", took, got)
	if got.Unseen == 0 && len(got.Notes) == 0 {
		t.Errorf("got %+v, want a part that was read again", got)
	}
}
