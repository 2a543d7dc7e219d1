package events

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"tailwater/binlog"
	"tailwater/binlog/primary"
	"tailwater/change"
	"tailwater/internal/config"
	"tailwater/internal/testenv"
)

func TestRun_ToldToStopInATransactionPrintsWholeOnesOnly(t *testing.T) {
	r := newRig(t, primary.Options{})
	r.insert("things", 1)
	ids := make([]int, 4000)
	for i := range ids {
		ids[i] = i + 10
	}
	// The whole of it takes a minute: it is under way when the first row is out.
	r.server.Slow(4000)
	r.insert("things", ids...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := new(buffer)
	go func() {
		defer cancel()
		await(t, out, 1)
		testenv.Wait(t, 30*time.Second, "a follower", func() error {
			if r.server.Followers() == 0 {
				return errors.New("there is none")
			}
			return nil
		})
	}()
	got := r.runContext(ctx, func(o *Options) { o.UntilNow, o.Out = false, out })
	if got.err != nil || len(out.lines()) != 1 || strings.Count(out.String(), "{") != 1 {
		t.Errorf("got %d lines and %v, want the first transaction alone", len(out.lines()), got.err)
	}
	if got.Next != "gtid:"+uuid+":1-3" {
		t.Errorf("the next start is %s, want in front of the second transaction", got.Next)
	}
}

func TestRun_ALostServerIsAnErrorBehindWholeTransactions(t *testing.T) {
	r := newRig(t, primary.Options{})
	r.insert("things", 1)
	r.insert("things", 2, 3, 4, 5)
	for cut := int64(900); cut < 1400; cut += 100 {
		r.server.CutAfter(cut)
		got := r.run(func(o *Options) { o.UntilNow, o.For = false, 20*time.Second })
		var unreachable *UnreachableError
		if ids := got.ids(); ids != "" && ids != "c1" && ids != "c1 c2 c3 c4 c5" {
			t.Errorf("cut behind %d bytes: got %q, want whole transactions", cut, ids)
		}
		if !errors.As(got.err, &unreachable) {
			t.Errorf("cut behind %d bytes: got %v, want a server that was lost", cut, got.err)
		}
	}
}

func TestRun_ARefusalIsTheEnvironmentAndTellsNoPassword(t *testing.T) {
	r := newRig(t, primary.Options{})
	r.server.Rotate()
	for name, c := range map[string]struct {
		edit func(*Options)
		want string
	}{
		"password": {func(o *Options) { o.Shard.Password = config.NewSecret("hunter3") }, "Access denied"},
		"refused":  {func(o *Options) { o.Shard.Addr = "127.0.0.1:1" }, "connection refused"},
		"gone":     {func(o *Options) { o.Start = "file:binlog.000099:4" }, "no longer has that file"},
		"foreign":  {func(o *Options) { o.Start = "gtid:" + strings.Replace(uuid, "1", "9", 1) + ":1-7" }, "never executed"},
	} {
		got := r.run(c.edit)
		var unreachable *UnreachableError
		if !errors.As(got.err, &unreachable) || !strings.Contains(got.err.Error(), c.want) || len(got.lines) > 0 {
			t.Errorf("%s: got %q and %v, want %q", name, got.lines, got.err, c.want)
		}
		if text := fmt.Sprint(got.err, got.notes); strings.Contains(text, "hunter") {
			t.Errorf("%s: the password is in %q", name, text)
		}
	}
}

func TestRun_AServerThatIsNotSetUpIsListed(t *testing.T) {
	r := newRig(t, primary.Options{Variables: map[string]string{"binlog_format": "MIXED", "binlog_row_metadata": "MINIMAL", "binlog_row_image": "MINIMAL"}})
	got := r.run(nil)
	var unreachable *UnreachableError
	if !errors.As(got.err, &unreachable) || !strings.Contains(got.err.Error(), "binlog_format is MIXED") || !strings.Contains(got.err.Error(), "binlog_row_metadata is MINIMAL") {
		t.Errorf("got %v, want both settings", got.err)
	}
	if !strings.Contains(got.notes, "row images lack columns") || !strings.Contains(got.notes, "binlog_row_image MINIMAL") {
		t.Errorf("notes %q, want what the images will lack", got.notes)
	}
}

func TestRun_PurgedBinlogsNameTheFlag(t *testing.T) {
	r := newRig(t, primary.Options{Purged: strings.Replace(uuid, "1", "9", 1) + ":1-7"})
	got := r.run(nil)
	var unreachable *UnreachableError
	if !errors.As(got.err, &unreachable) || !strings.Contains(got.err.Error(), "--start gtid:91111111") {
		t.Errorf("got %v, want the start that is left", got.err)
	}
}

func TestRun_MistakesInOptionsAreUsage(t *testing.T) {
	r := newRig(t, primary.Options{})
	for name, edit := range map[string]func(*Options){
		"start": func(o *Options) { o.Start = "yesterday" },
		"file with gtid": func(o *Options) {
			o.Start, o.Position = "file:binlog.000001:4", "gtid"
		},
		"gtid by file": func(o *Options) {
			o.UntilNow, o.UntilGTID, o.Position = false, uuid+":1", "file"
		},
		"position":       func(o *Options) { o.Position = "time" },
		"two ends":       func(o *Options) { o.UntilGTID = uuid + ":1" },
		"no set":         func(o *Options) { o.UntilNow, o.UntilGTID = false, "7" },
		"table":          func(o *Options) { o.Tables = []string{"shop"} },
		"own schema":     func(o *Options) { o.Tables = []string{"mysql.*"} },
		"exclude":        func(o *Options) { o.Exclude = []string{"shop."} },
		"drop":           func(o *Options) { o.Drop = []string{"shop.things"} },
		"negative time":  func(o *Options) { o.For = -time.Second },
		"no id":          func(o *Options) { o.Accept = []string{"nonsense"} },
		"a set":          func(o *Options) { o.Accept = []string{uuid + ":1-3"} },
		"no transaction": func(o *Options) { o.MaxTransaction = 1 },
	} {
		got := r.run(edit)
		var usage *UsageError
		if !errors.As(got.err, &usage) {
			t.Errorf("%s: got %v, want a mistake in the options", name, got.err)
		}
	}
}

// refusing fails every write.
type refusing struct{ err error }

func (w refusing) Write([]byte) (int, error) { return 0, w.err }

func TestRun_AClosedOutputIsTheEnd(t *testing.T) {
	r := newRig(t, primary.Options{})
	r.insert("things", 1)
	for _, err := range []error{syscall.EPIPE, io.ErrClosedPipe} {
		got := r.run(func(o *Options) { o.UntilNow, o.Out = false, refusing{err} })
		if got.err != nil || !got.Closed {
			t.Errorf("%v: got %v and closed %v, want a quiet end", err, got.err, got.Closed)
		}
	}
	got := r.run(func(o *Options) { o.UntilNow, o.Out = false, refusing{syscall.ENOSPC} })
	var unreachable *UnreachableError
	if !errors.Is(got.err, syscall.ENOSPC) || errors.As(got.err, &unreachable) {
		t.Errorf("a full disk: got %v, want it as it is", got.err)
	}
}

func TestOutput_HoldsTheReaderBackAndKeepsTheOrder(t *testing.T) {
	in, out := io.Pipe()
	o := newOutput(out, func(error) {})
	const lines = 3000
	line := strings.Repeat("x", 1000)
	put := make(chan int, lines)
	go func() {
		defer close(put)
		var b []byte
		for i := range lines {
			b, _ = o.put(fmt.Appendf(b, "%s%d\n", line, i))
			put <- i
		}
	}()
	// Nobody reads: it stops at the bound.
	testenv.Wait(t, 30*time.Second, "the bound", func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.pending) < maxPending {
			return fmt.Errorf("%d bytes wait", len(o.pending))
		}
		if len(o.pending) > maxPending+2000 {
			t.Errorf("%d bytes wait, more than the bound", len(o.pending))
		}
		return nil
	})
	got := make(chan string)
	go func() {
		b, _ := io.ReadAll(in)
		got <- string(b)
	}()
	for range put {
	}
	if err := o.close(); err != nil {
		t.Error(err)
	}
	_ = out.Close()
	var want strings.Builder
	for i := range lines {
		fmt.Fprintf(&want, "%s%d\n", line, i)
	}
	if text := <-got; text != want.String() {
		t.Errorf("got %d bytes, want %d in their order", len(text), want.Len())
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"orders", "orders", true}, {"orders", "orders2", false}, {"*", "", true}, {"*", "a/b", true}, {"o*s", "orders", true},
		{"o*s", "orderst", false}, {"*_*_x", "a_b_c_x", true}, {"a?c", "abc", true}, {"a?c", "ac", false}, {"[a]", "[a]", true}, {"[a]", "a", false},
		{"**x", "yx", true}, {"", "", true}, {"", "a", false},
	} {
		if got := glob(c.pattern, c.name); got != c.want {
			t.Errorf("glob(%q, %q) is %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
}

func TestInFlags_KeysBecomeFlagsAndSentencesStay(t *testing.T) {
	for key, want := range map[string]string{
		"start: latest leaves it out":                           "--start latest leaves it out",
		"start: earliest, but":                                  "--start earliest, but",
		"with position: file start: file:b.000001:4":            "with --position file --start file:b.000001:4",
		"use position: gtid, or start: gtid:<set>":              "use --position gtid, or --start gtid:<set>",
		"ends at 7, before the saved position: it lost its end": "ends at 7, before --start: it lost its end",
		"the start: nothing of it":                              "the start: nothing of it",
	} {
		stop := &binlog.StopError{Reason: key, Hint: key}
		preflight := &binlog.PreflightError{Findings: []binlog.Finding{{Got: key, Fix: key}}}
		inFlags(stop)
		inFlags(preflight)
		if got := preflight.Findings[0]; stop.Reason != want || stop.Hint != want || got.Got != want || got.Fix != want {
			t.Errorf("%q is said as %q and %q, want %q", key, stop.Reason, got.Got, want)
		}
	}
}

func TestInFlags_ExcludeIsAWayOutWhereATableIsAtFault(t *testing.T) {
	for table, want := range map[change.TableName]string{
		{}:                                 "--accept u:1 goes on behind it",
		{Database: "shop", Name: "orders"}: "--accept u:1 goes on behind it, --exclude leaves a table out",
	} {
		stop := &binlog.StopError{ID: "u:1", Table: table, Hint: "if they may stay, accept transaction u:1; else rebuild"}
		if inFlags(stop); stop.Hint != want {
			t.Errorf("%v: %q, want %q", table, stop.Hint, want)
		}
	}
}
