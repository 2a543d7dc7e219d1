package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/testenv"
	"tailwater/sinks/redis"
)

// stock is a table whose rows move between groups and windows.
type stock struct {
	t      *testing.T
	mysql  *testenv.Server
	redis  *testenv.Server
	rng    *rand.Rand
	origin time.Time
}

// aggregates are the metrics over it, each of them also by SQL.
var aggregates = map[string]string{
	"count()": "COUNT(*)", "sum(amount)": "SUM(amount)", "avg(amount)": "AVG(amount)", "min(amount)": "MIN(amount)", "max(amount)": "MAX(amount)",
	"min(due)": `CONCAT('"', MIN(due), '"')`, "max(city)": "JSON_QUOTE(MAX(city))",
}

// metric names the metric of an aggregate and a time column.
func metric(aggregate, column string) string {
	return strings.NewReplacer("(", "_", ")", "").Replace(aggregate) + "-" + column
}

func (s *stock) config() string {
	var b strings.Builder
	b.WriteString(oneShard("stock", s.mysql))
	fmt.Fprintf(&b, `tables: { stock: { from: { source: shop, schema: d, table: stock }, key: [shard, id] } }
views: { stock: { from: stock } }
windows:
  store: { type: redis, url: "redis://%s/0" }
  defaults: { size: 10m }
  metrics:
`, s.redis.Addr)
	for aggregate := range aggregates {
		for _, column := range []string{"due", "seen"} {
			fmt.Fprintf(&b, "    %s: { view: stock, rows: latest, time: %s, value: %s, where: amount == null || amount < 90, group_by: [city] }\n",
				metric(aggregate, column), column, aggregate)
		}
	}
	b.WriteString("http: { listen: \"127.0.0.1:0\" }\nlimits: { memory: 256MiB }\n")
	return b.String()
}

// values are random columns as SQL: rows are dated ahead, for windows that
// begin before the stream are not kept.
func (s *stock) values() (city, amount, due, seen string) {
	when := func() string {
		if s.rng.IntN(12) == 0 {
			return "NULL"
		}
		return s.origin.Add(time.Duration(s.rng.IntN(5400_000)) * time.Millisecond).Format("'2006-01-02 15:04:05.000'")
	}
	city = []string{"'Pune'", "'Köln'", "NULL", "'a\"b'"}[s.rng.IntN(4)]
	if amount = fmt.Sprintf("%d.%02d", s.rng.IntN(120)-20, s.rng.IntN(100)); s.rng.IntN(9) == 0 {
		amount = "NULL"
	}
	return city, amount, when(), when()
}

// change writes n random changes.
func (s *stock) change(n int) {
	s.t.Helper()
	var all []string
	for range n {
		id, other := s.rng.IntN(60), s.rng.IntN(60)
		city, amount, due, seen := s.values()
		all = append(all, []string{
			fmt.Sprintf("REPLACE INTO d.stock VALUES (%d, %s, %s, %s, %s)", id, city, amount, due, seen),
			fmt.Sprintf("REPLACE INTO d.stock VALUES (%d, %s, %s, %s, %s), (%d, %s, %s, %s, %s)", id, city, amount, due, seen, other, city, amount, seen, due),
			fmt.Sprintf("UPDATE d.stock SET city = %s, amount = %s WHERE id = %d", city, amount, id),
			fmt.Sprintf("UPDATE d.stock SET due = %s, amount = %s WHERE id BETWEEN %d AND %d", due, amount, id, id+2),
			fmt.Sprintf("UPDATE d.stock SET seen = %s WHERE id %% 7 = %d", seen, id%7),
			fmt.Sprintf("UPDATE IGNORE d.stock SET id = %d WHERE id = %d", other, id),
			fmt.Sprintf("DELETE FROM d.stock WHERE id = %d", id),
		}[s.rng.IntN(7)])
	}
	s.mysql.Exec(s.t, all...)
}

// grouped is what SQL says of a metric, by window and group.
func (s *stock) grouped(aggregate, column string) map[string]string {
	s.t.Helper()
	seconds := "TIMESTAMPDIFF(SECOND, '1970-01-01', " + column + ")"
	rows := s.mysql.Query(s.t, fmt.Sprintf(`SELECT FLOOR(%s / 600) * 600 AS w, IFNULL(JSON_ARRAY(city), '[null]') AS g, IFNULL(%s, 'null')
		FROM d.stock WHERE %s IS NOT NULL AND (amount IS NULL OR amount < 90) GROUP BY w, g, city`, seconds, aggregates[aggregate], column))
	out := map[string]string{}
	for _, row := range rows {
		out[row[0]+" "+row[1]] = row[2]
	}
	return out
}

// equal waits until every metric is what SQL says.
func (s *stock) equal(when string) {
	s.t.Helper()
	store, err := redis.Open(redis.Options{URL: "redis://" + s.redis.Addr + "/0"})
	if err != nil {
		s.t.Fatal(err)
	}
	defer store.Close()
	values := 0
	for aggregate := range aggregates {
		for _, column := range []string{"due", "seen"} {
			want := s.grouped(aggregate, column)
			values += len(want)
			testenv.Wait(s.t, time.Minute, fmt.Sprintf("%s: %s by %s to be what MySQL says", when, aggregate, column), func() error {
				got, err := stored(s.t.Context(), store, metric(aggregate, column))
				if err == nil && !maps.Equal(got, want) {
					err = fmt.Errorf("got %v, want %v", got, want)
				}
				return err
			})
		}
	}
	if values < 100 {
		s.t.Errorf("%s: compared %d values only", when, values)
	}
}

// stored are the values of a metric by window and group.
func stored(ctx context.Context, store *redis.Store, name string) (map[string]string, error) {
	infos, err := store.Windows(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, info := range infos {
		w, err := store.Window(ctx, name, info.Start)
		if err != nil {
			return nil, err
		}
		for group, value := range w.Values {
			out[fmt.Sprint(info.Start.Unix(), " ", group)] = value
		}
	}
	return out, nil
}

// negatives are the metrics from which more was taken than was put in.
func (s *stock) negatives(client *goredis.Client) error {
	names, err := client.Keys(s.t.Context(), "tw:*:s:*").Result()
	var errs []error
	for _, name := range slices.Sorted(slices.Values(names)) {
		if n := client.HGet(s.t.Context(), name, "negatives").Val(); n != "0" {
			errs = append(errs, fmt.Errorf("%s: %q negatives", name, n))
		}
	}
	if len(names) != 2*len(aggregates) {
		errs = append(errs, fmt.Errorf("got the bookkeeping of %d metrics", len(names)))
	}
	return errors.Join(append(errs, err)...)
}

// TestLatest_EqualsGroupByWhateverHappensToRedis changes rows of a real server,
// wipes Redis, sets it back to an older state, and kills the program.
func TestLatest_EqualsGroupByWhateverHappensToRedis(t *testing.T) {
	s := &stock{t: t, mysql: testenv.MySQL(t, 1)[0], redis: testenv.Redis(t), rng: rand.New(rand.NewPCG(41, 42)), origin: time.Now().UTC().Add(time.Hour).Truncate(10 * time.Minute)}
	s.mysql.Exec(t, "SET GLOBAL time_zone = '+00:00'", "CREATE DATABASE d",
		"CREATE TABLE d.stock (id INT PRIMARY KEY, city VARCHAR(20) COLLATE utf8mb4_0900_bin NULL, amount DECIMAL(12,2) NULL, due DATETIME(3) NULL, seen TIMESTAMP(3) NULL)")
	client := goredis.NewClient(&goredis.Options{Addr: s.redis.Addr})
	defer client.Close()
	p := newProgram(t, workDir(t), s.config())
	l := p.start()
	l.streaming("00")
	s.change(300)
	s.equal("after inserts, updates and deletes")

	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.change(100)
	s.equal("after Redis was wiped")

	if err := client.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.change(100)
	s.equal("before Redis is set back")
	s.redis.Kill(t)
	s.redis.Restart(t)
	if n := client.DBSize(t.Context()).Val(); n == 0 {
		t.Fatal("Redis came back empty and not as it was saved")
	}
	s.change(100)
	s.equal("after Redis was set back")

	l.kill()
	s.change(100)
	l = p.start()
	l.streaming("00")
	s.equal("after the program was killed")
	s.mysql.Exec(t, "DELETE FROM d.stock WHERE id % 2 = 0")
	s.change(50)
	s.equal("at the end")
	if err := s.negatives(client); err != nil {
		t.Error(err)
	}
	if code, stdout, stderr := tailwater(t, 2*time.Minute, "verify", "--only", "windows", p.config); code != 0 || !strings.Contains(stdout, "compared with") {
		t.Errorf("verify: exit code %d\n%s%s", code, stdout, stderr)
	}
	l.drain()
}
