package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tailwater/change"
	"tailwater/internal/testenv"
	"tailwater/windowing"
)

// kind is a type of MySQL with random values: as MySQL writes them, and raw as
// events do.
type kind struct {
	sql    string
	column change.Column
	value  func(rng *rand.Rand) (text, raw string)
}

func plain(text string) (string, string) { return text, text }

func quoted(text string) (string, string) {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return text, strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(raw))
}

func moment(rng *rand.Rand) time.Time {
	return time.Date(1990+rng.IntN(40), time.Month(1+rng.IntN(12)), 1+rng.IntN(28), rng.IntN(24), rng.IntN(60), 0, rng.IntN(1000)*1e6, time.UTC)
}

var kinds = []kind{
	{"BIGINT", change.Column{Type: change.Int, Bits: 64}, func(r *rand.Rand) (string, string) {
		return plain(fmt.Sprint(int64(r.Uint64()) >> r.IntN(64)))
	}},
	{"BIGINT UNSIGNED", change.Column{Type: change.Uint, Bits: 64}, func(r *rand.Rand) (string, string) {
		text := fmt.Sprint(r.Uint64() >> r.IntN(64))
		return text, `"` + text + `"` // as quote_big writes it; shown without
	}},
	{"DECIMAL(30,4)", change.Column{Type: change.Decimal, Precision: 30, Scale: 4}, func(r *rand.Rand) (string, string) {
		return plain(point(randomDigits(r, 1+r.IntN(30)), 4))
	}},
	{"DOUBLE", change.Column{Type: change.Double}, func(r *rand.Rand) (string, string) {
		return plain(fmt.Sprintf("%d.%d", r.IntN(4000)-2000, 1+r.IntN(9)))
	}},
	{"DATE", change.Column{Type: change.Date}, func(r *rand.Rand) (string, string) { return quoted(moment(r).Format(time.DateOnly)) }},
	{"DATETIME(3)", change.Column{Type: change.DateTime, Scale: 3}, func(r *rand.Rand) (string, string) {
		return quoted(moment(r).Format("2006-01-02 15:04:05.000"))
	}},
	{"TIMESTAMP(3)", change.Column{Type: change.Timestamp, Scale: 3}, func(r *rand.Rand) (string, string) {
		at := moment(r)
		return at.Format("2006-01-02 15:04:05.000"), at.Format(`"2006-01-02T15:04:05.000Z"`)
	}},
	{"TIME(3)", change.Column{Type: change.Time, Scale: 3}, func(r *rand.Rand) (string, string) {
		return quoted(fmt.Sprintf("%s%02d:%02d:%02d.%03d", []string{"", "-"}[r.IntN(2)], r.IntN(838), r.IntN(60), r.IntN(60), 1+r.IntN(999)))
	}},
	{"VARCHAR(99) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin", change.Column{Type: change.Text}, func(r *rand.Rand) (string, string) {
		var b strings.Builder
		for range r.IntN(4) {
			b.WriteString([]string{"a", "B", "é", "😀", "\x01", "\n", "\"", "z", "\uffff", "0", " ", "<"}[r.IntN(12)])
		}
		return quoted(b.String())
	}},
}

// TestExtreme_IsMySQLs lets a real MySQL say what MIN and MAX are, type by type.
func TestExtreme_IsMySQLs(t *testing.T) {
	server := testenv.MySQL(t, 1)[0]
	server.Exec(t, "CREATE DATABASE d", "SET GLOBAL time_zone = '+00:00'")
	rng := rand.New(rand.NewPCG(21, 22))
	for i, k := range kinds {
		table := fmt.Sprintf("d.k%d", i)
		server.Exec(t, fmt.Sprintf("CREATE TABLE %s (g INT, v %s)", table, k.sql))
		l, shown := newFakeLog(1), map[string]string{}
		sh := l.shard("00")
		for g := range 12 {
			for range 1 + rng.IntN(8) {
				text, raw := k.value(rng)
				if shown[text] = raw; k.column.Type == change.Uint {
					shown[text] = text
				}
				if _, err := server.DB(t).Exec("INSERT INTO "+table+" VALUES (?, ?)", g, text); err != nil {
					t.Fatal(err)
				}
				sh.event(0, 101, fmt.Sprintf(`"id":%d,"v":%s`, g, raw))
			}
		}
		for g, row := range server.Query(t, "SELECT CAST(MIN(v) AS CHAR), CAST(MAX(v) AS CHAR) FROM "+table+" GROUP BY g ORDER BY g") {
			shown[fmt.Sprint("min ", g)], shown[fmt.Sprint("max ", g)] = shown[row[0]], shown[row[1]]
		}
		k.column.Name = "v"
		onEvery(t, func(b *bench) { k.compare(b, l, shown) })
	}
}

// compare folds the log in small steps and looks at the windows.
func (k *kind) compare(b *bench, l *fakeLog, want map[string]string) {
	for _, name := range []string{"min", "max"} {
		m, err := windowing.Compile(windowing.Definition{
			Name: name, View: "kinds", Topic: l.topic, Size: 10 * time.Second, Aggregate: name + "(v)", GroupBy: []string{"id"}, Shards: []string{"00"}, Partitions: 1,
		}, []change.Column{{Name: "id", Type: change.Int}, k.column}, nil)
		if err != nil {
			b.Fatal(err)
		}
		h := b.hand(l, m)
		h.load()
		for l.end(0) > h.r.progress() {
			h.fold(0, 7)
			h.flush()
		}
		for group, got := range b.window(m, 100).Values {
			if want := want[name+" "+strings.Trim(group, "[]")]; got != want {
				b.Errorf("%s of %s, group %s: got %s, MySQL says %s", name, k.sql, group, got, want)
			}
		}
	}
}

func TestExtreme_LostOrderIsALostWindow(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(func(d *windowing.Definition) { oneShard(d); dated(d); d.Aggregate = "max(amount)" })
		s0 := l.shard("00")
		s0.beat(50)
		s0.event(0, 101, `"id":1,"city":"Pune","amount":9,"at":`+datetime(101))
		h := b.hand(l, m)
		h.sync()
		b.client.Del(context.Background(), h.r.t.keys.ordered("100"))
		s0.op(0, "u", 102, `"id":1,"city":"Pune","amount":1,"at":`+datetime(101)+`,"_old":{"amount":9}`)
		h.foldAll()
		h.flush()
		if got, want := describe(b.window(m, 100)), "lost incomplete"; got != want {
			b.Errorf("window whose order vanished: got %q, want %q", got, want)
		}
	})
}

func TestExtreme_ValuesThatDoNotAgreeRebuildTheMetric(t *testing.T) {
	onEvery(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(func(d *windowing.Definition) { oneShard(d); dated(d); d.Aggregate = "max(amount)" })
		s0 := l.shard("00")
		s0.beat(50)
		s0.event(0, 101, `"id":1,"city":"Pune","amount":9,"at":`+datetime(101))
		s0.event(0, 101, `"id":2,"city":"Pune","amount":1,"at":`+datetime(101))
		h := b.hand(l, m)
		h.sync()
		b.client.ZRem(context.Background(), h.r.t.keys.ordered("100"), "[\"Pune\"]\x00103100")
		b.client.HDel(context.Background(), h.r.t.keys.accumulators("100"), "[\"Pune\"]\x00103100")
		s0.op(0, "d", 102, `"id":1,"city":"Pune","amount":9,"at":`+datetime(101))
		h.foldAll()
		if err := h.tryFlush(); err == nil {
			b.Fatal("a value without its count was taken")
		}
		h.sync()
		checkExact(b, b.store, l, m)
	})
}
