package redis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/testenv"
	"tailwater/windowing"
)

// The tests of this file strike a worker at every command that it sends, one
// run for each command and fault: none is left to chance.

// strike is what happens at one command.
type strike int

const (
	refused   strike = iota // it is not run, and an error comes back
	unheard                 // it is run, and its reply is lost
	delayed                 // an error comes back, and it is run just before the next script
	lateLand                // an error comes back, and it is run when everybody is done
	wiped                   // the store is emptied before it
	rolled                  // the store goes back to what it was some commands ago
	forgotten               // the server forgets its scripts before it
	cutShort                // a merge dies between two of its writes
	overtaken               // another worker merges the whole log before it
	strikes
)

func (s strike) String() string {
	return [...]string{
		"refused", "reply lost", "delayed", "lands at the end", "store emptied", "store rolled back", "scripts forgotten", "cut short", "overtaken",
	}[s]
}

var errWay = errors.New("the connection broke")

// dyingAt are the places between its writes at which a merge is cut short.
var dyingAt = []string{
	"redis.call('HSET', S, 'open', '1')", "hset(w.a, w.states)", "put('w:' .. w.start, entry_text(w.entry))", "hset(S, set)", "redis.call('PEXPIRE', G, state_ttl)",
}

// everyCommand is one run: a log, a metric, and a worker whose command number
// at is struck.
type everyCommand struct {
	*bench
	log    *fakeLog
	m      *windowing.Metric
	way    goredis.UniversalClient
	at     int
	strike strike

	n     int
	kinds []string
	past  *image
	late  [][]any
	// died is whether a merge was cut short: not each comes to each place.
	died bool
	// look is for how many more scripts the store is checked behind each.
	look int
}

var _ goredis.Hook = (*everyCommand)(nil)

// DialHook leaves connections as they are.
func (e *everyCommand) DialHook(next goredis.DialHook) goredis.DialHook { return next }

// ProcessPipelineHook counts a pipeline as one command.
func (e *everyCommand) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		switch e.next("pipeline") {
		case refused, delayed, lateLand:
			return fail(errWay, cmds...)
		case unheard:
			_ = next(ctx, cmds)
			return fail(errWay, cmds...)
		}
		return next(ctx, cmds)
	}
}

// ProcessHook strikes a command, or lets it pass.
func (e *everyCommand) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		script := strings.HasPrefix(cmd.Name(), "eval")
		if script && e.n >= e.at {
			e.land()
		}
		switch e.next(cmd.Name()) {
		case refused:
			return fail(errWay, cmd)
		case unheard:
			_ = next(ctx, cmd)
			e.check(script)
			return fail(errWay, cmd)
		case delayed, lateLand:
			e.late = append(e.late, slices.Clone(cmd.Args()))
			return fail(errWay, cmd)
		case cutShort:
			if script && fmt.Sprint(cmd.Args()[1]) == flushScript.Hash() {
				e.cut(ctx, cmd.Args())
				return fail(errWay, cmd)
			}
		}
		err := next(ctx, cmd)
		e.check(script)
		return err
	}
}

func fail(err error, cmds ...goredis.Cmder) error {
	for _, c := range cmds {
		c.SetErr(err)
	}
	return err
}

// next counts a command, and returns what strikes it; strikes is nothing.
func (e *everyCommand) next(kind string) strike {
	e.n++
	e.kinds = append(e.kinds, kind)
	if e.n == e.at-6 {
		im := e.snapshot()
		e.past = &im
	}
	if e.n != e.at {
		return strikes
	}
	switch e.strike {
	case wiped:
		e.client.FlushAll(context.Background())
		e.tick()
	case rolled:
		if e.past == nil {
			e.past = &image{}
		}
		e.restore(*e.past)
	case forgotten:
		e.client.ScriptFlush(context.Background())
	case overtaken:
		e.hand(e.log, e.m).sync()
	}
	return e.strike
}

// land runs what was delayed.
func (e *everyCommand) land() {
	if e.strike == lateLand && e.at > 0 {
		return
	}
	for _, args := range e.late {
		e.client.Do(context.Background(), args...)
	}
	e.late = nil
}

// cut runs a merge that dies between its writes, if it comes there.
func (e *everyCommand) cut(ctx context.Context, args []any) {
	e.Helper()
	keys := make([]string, args[2].(int))
	for i := range keys {
		keys[i] = args[3+i].(string)
	}
	e.died = dying(e.T, dyingAt[e.at%len(dyingAt)]).Run(ctx, e.client, keys, args[3+len(keys):]...).Err() != nil
}

// check looks at the store behind a script. A merge that was cut short has left
// what readers do not take for whole and the next merge rebuilds.
func (e *everyCommand) check(script bool) {
	e.Helper()
	if !script || e.n < e.at || e.look == 0 || e.strike == cutShort {
		return
	}
	e.look--
	if diff := inexact(e.T, e.store, e.log, e.m); diff != "" {
		e.Errorf("behind command %d: %s", e.n, diff)
	}
}

// fillFor writes a log over several windows: two shards, rows that are taken
// back, late and repeated ones, and a shard that begins a new epoch.
func fillFor(l *fakeLog) {
	s0, s1 := l.shard("00"), l.shard("01")
	s0.beat(85)
	s1.beat(85)
	for i := range 10 {
		at := 100 + float64(i)*4
		row := func(id int, city string, amount int) string {
			return fmt.Sprintf(`"id":%d,"city":%q,"amount":%d.25,"at":%s`, id, city, amount, datetime(at-float64(i%2)))
		}
		r := s0.op(0, "c", at, row(i, "Pune", i))
		if i%3 == 0 {
			l.append(0, r)
		}
		s1.op(1, "c", at+1, row(100+i, fmt.Sprintf("c%d", i%3), 2*i))
		if i == 5 {
			s1.fence()
			s0.event(1, at-25, row(200, "late", 7))
		}
		if i%2 == 1 {
			s0.op(0, "d", at, row(i, "Pune", i))
		}
	}
	s0.beat(200)
	s1.beat(200)
}

// work merges the whole log as a worker does, a few records at a time. What
// fails is loaded and folded again.
func (e *everyCommand) work(h *hand) {
	e.Helper()
	ctx := context.Background()
	for round := range 60 {
		done := true
		for _, r := range h.all {
			if !r.loaded && tryLoad(r) != nil {
				done = false
				continue
			}
			for p := range int32(len(e.log.parts)) {
				next, ok := r.fold.Next(p)
				for i := next; ok && i < min(next+8, e.log.end(p)); i++ {
					if err := r.fold.Add(&e.log.parts[p][i]); err != nil {
						e.Fatalf("fold offset %d: %v", i, err)
					}
				}
				done = done && ok && next+8 >= e.log.end(p)
			}
			err := tryFlush(r)
			if err == nil && (r.t.role == candidate || round%3 == 2) {
				if err = r.t.touch(ctx); err == nil && r.t.role == candidate {
					_, err = r.t.advance(ctx)
				}
				if err != nil {
					r.refused(err)
				}
			}
			done = done && err == nil && r.t.role != candidate
		}
		if done {
			return
		}
	}
	e.Fatalf("the worker does not come to an end: %v", h.r.status.LastError)
}

// run makes one run, and returns the commands that it took.
func (e *everyCommand) run() []string {
	e.Helper()
	ctx := context.Background()
	e.client.FlushAll(ctx)
	e.log = newFakeLog(2)
	fillFor(e.log)
	o, err := goredis.ParseURL(e.url)
	if err != nil {
		e.Fatal(err)
	}
	o.MaxRetries = -1
	e.way = goredis.NewClient(o)
	defer e.way.Close()
	if err := e.way.Ping(ctx).Err(); err != nil {
		e.Fatal(err)
	}
	e.way.AddHook(e)
	direct := e.store
	e.bench.store = NewStore(e.way, "")
	h := e.hand(e.log, e.m)
	e.bench.store = direct
	e.work(h)
	e.strike, e.at = strikes, 0 // what is late lands now
	e.land()
	e.look, e.n = -1, 0
	e.work(h) // whatever landed, or was emptied last, is seen
	checkExact(e, e.store, e.log, e.m)
	for number, st := range bookkeeping(e, e.store, e.m) {
		for p, at := range st.positions {
			if at.Offset != e.log.end(int32(p)) {
				e.Errorf("bucket %d, partition %d is at %d of %d", number, p, at.Offset, e.log.end(int32(p)))
			}
		}
	}
	return e.kinds
}

// everyFault is the environment variable with which every command is struck in
// each way also where the default suite takes some of them.
const everyFault = "TAILWATER_TEST_EVERY_FAULT"

func strikeAll(b *bench, m func() *windowing.Metric, stride int) {
	b.Helper()
	if os.Getenv(everyFault) != "" {
		stride = 1
	}
	once := &everyCommand{bench: b, m: m(), strike: strikes}
	kinds := once.run()
	for _, kind := range []string{"evalsha", "hgetall", "pipeline"} {
		if !slices.Contains(kinds, kind) {
			b.Fatalf("no command is %s: %v", kind, kinds)
		}
	}
	died := 0
	for f := range strikes {
		for at := 1 + int(f)%stride; at <= len(kinds); at += stride {
			e := &everyCommand{bench: b, m: m(), at: at, strike: f, look: 3}
			e.run()
			if e.died {
				died++
			}
			if b.Failed() {
				b.Fatalf("command %d of %d, %s: %v", at, len(kinds), kinds[at-1], f)
			}
		}
	}
	if died == 0 {
		b.Error("no merge was cut short")
	}
	b.Logf("%d commands, %d merges cut short", len(kinds), died)
}

// A worker's command fails, loses its reply, lands late, finds the store
// emptied, rolled back, without its scripts, dies inside, or comes after another
// worker has done everything: whichever command it is, what the store holds is
// what the log says up to the stored positions, and in the end all of it.
func TestHazard_B32_AFaultAtEveryCommandIsHealed(t *testing.T) {
	for name, d := range map[string]func(d *windowing.Definition){
		"sum":    func(*windowing.Definition) {},
		"latest": func(d *windowing.Definition) { dated(d); d.Aggregate = "max(amount)" },
	} {
		d := func(def *windowing.Definition) {
			d(def)
			def.Retain, def.WriteDelay = 90*time.Second, 30*time.Second
		}
		t.Run(name+", miniredis", func(t *testing.T) {
			onMini(t, func(b *bench) { strikeAll(b, func() *windowing.Metric { return b.metric(d) }, 1) })
		})
		t.Run(name+", miniredis, 3 buckets", func(t *testing.T) {
			onMini(t, func(b *bench) {
				b.buckets = 3
				strikeAll(b, func() *windowing.Metric { return b.metric(d) }, 7)
			})
		})
		t.Run(name+", redis", func(t *testing.T) {
			b := newBench(t, nil, realRedis(t))
			strikeAll(b, func() *windowing.Metric { return b.metric(d) }, 3)
		})
	}
}

// A Redis that is killed and comes up with an older dump, or with none, has its
// windows again without a hand: as they would be if nothing had happened.
func TestHazard_B14_ARestartWithAnOlderDump(t *testing.T) {
	srv := testenv.Redis(t, "--save", "", "--appendonly", "no")
	b := newBench(t, nil, "redis://"+srv.Addr)
	ctx := context.Background()
	settings := b.client.ConfigGet(ctx, "dir*").Val()
	dump := filepath.Join(settings["dir"], b.client.ConfigGet(ctx, "dbfilename").Val()["dbfilename"])
	l := newFakeLog(2)
	m, wide := b.metric(nil), b.metric(func(d *windowing.Definition) { d.Name, d.Buckets = "wide", 3 })
	w := b.work(l, nil, m, wide)
	more := func(from float64) {
		for _, name := range []string{"00", "01"} {
			s := l.shard(name)
			s.epoch = uint32(from)
			for i := range 60 {
				s.event(int32(i%2), from+float64(i)/3, fmt.Sprintf(`"city":"c%d","amount":%d.5`, i%4, i))
			}
			s.beat(from + 21)
		}
	}
	read := func(m *windowing.Metric) string {
		infos, err := b.store.Windows(ctx, m.Name, 0)
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, info := range infos {
			win := b.window(m, info.Start.Unix())
			text += fmt.Sprintln(info.Start.Unix(), describe(win), win.Values)
		}
		return text
	}
	more(1000)
	b.await(l, m)
	b.await(l, wide)
	if err := b.client.Save(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(dump)
	if err != nil {
		t.Fatal(err)
	}
	for i, copy := range [][]byte{old, nil} {
		more(1030 + 30*float64(i))
		b.await(l, m)
		b.await(l, wide)
		want := []string{read(m), read(wide)}
		srv.Kill(t)
		if err := os.Remove(dump); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if copy != nil {
			if err := os.WriteFile(dump, copy, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		srv.Restart(t)
		b.await(l, m)
		b.await(l, wide)
		testenv.Wait(t, time.Minute, "the windows to be published again", func() error {
			if got := []string{read(m), read(wide)}; !slices.Equal(got, want) {
				return fmt.Errorf("restart %d: got %s, want %s", i, got, want)
			}
			return nil
		})
	}
	w.stop()
	if got := w.Status().Metrics[0].LastError; got != "" {
		t.Errorf("the worker still says %q", got)
	}
}
