package pipeline_test

import (
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"tailwater/binlog"
	"tailwater/internal/pipeline"
	"tailwater/internal/status"
	"tailwater/stream/kafka/kafkatest"
)

// resetOver asks the running pipeline, and returns the answer.
func (r *shopRig) resetOver(shard string, form url.Values) (code int, body string) {
	r.t.Helper()
	return ask(r, "shards/"+shard+"/reset", form)
}

// purge leaves a server only its newest binlog.
func (r *shopRig) purge(i int) {
	r.t.Helper()
	r.servers[i].Rotate()
	file, _ := r.servers[i].Position()
	if err := r.servers[i].PurgeTo(file); err != nil {
		r.t.Fatal(err)
	}
}

// saved is the stored position of shard 00.
func saved(s status.Shard) string { return s.GTID }

func TestReset_MovesAStoppedShardOfARunningProcess(t *testing.T) {
	for name, on := range map[string]func(*shopRig){
		"embedded": func(*shopRig) {},
		"kafka":    func(r *shopRig) { r.onKafka(kafkatest.Start(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newShop(t, 2, 200)
			on(r)
			movesAStoppedShard(t, r)
		})
	}
}

// movesAStoppedShard stops a shard by binlogs that are gone, and moves it.
func movesAStoppedShard(t *testing.T, r *shopRig) {
	t.Helper()
	r.start()
	r.caughtUp()
	r.stop()
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	r.pipe.Close()
	r.write(200 * time.Millisecond)
	r.purge(0)
	r.start()
	r.await("stopped", func(s status.Snapshot) bool {
		return s.Shards[0].State == status.Stopped && s.Shards[1].State == status.Streaming
	})
	if fault := r.shard(0).Error; !strings.Contains(fault, "tailwater shard reset 00 --to oldest") {
		t.Errorf("the shard says %q, want the way out", fault)
	}
	was := saved(r.shard(0))
	for _, c := range []struct {
		shard string
		form  url.Values
		code  int
		want  string
	}{
		{"01", url.Values{"to": {"now"}}, 409, "not_stopped"},
		{"00", url.Values{"to": {"yesterday"}}, 400, "bad_target"},
		{"00", url.Values{"to": {"gtid:" + r.servers[0].UUID() + ":1"}}, 409, "refused"},
		{"00", url.Values{"to": {"now"}, "from": {"elsewhere"}}, 409, "another one than was shown"},
		{"09", url.Values{"to": {"now"}}, 404, "no such shard"},
		{"00", url.Values{"to": {"oldest"}, "dry_run": {"true"}}, 202, `"passed": "` + r.servers[0].UUID()},
	} {
		if code, body := r.resetOver(c.shard, c.form); code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("shard %s, %v: got %d %s\nwant %d and %q", c.shard, c.form, code, body, c.code, c.want)
		}
	}
	if s := r.shard(0); saved(s) != was || len(s.Resets) != 0 {
		t.Errorf("a question moved the shard to %s", saved(s))
	}
	code, body := r.resetOver("00", url.Values{"to": {"oldest"}})
	if code != 202 || !strings.Contains(body, `"transactions"`) {
		t.Fatalf("got %d %s", code, body)
	}
	r.await("streaming", func(s status.Snapshot) bool { return s.Shards[0].State == status.Streaming })
	r.write(200 * time.Millisecond)
	r.caughtUp()
	// It is remembered, also by the next process.
	r.stop()
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	r.pipe.Close()
	r.start()
	r.caughtUp()
	s := r.shard(0)
	if len(s.Resets) != 1 || s.Resets[0].Unsure || s.Resets[0].Transactions == 0 || s.Resets[0].At.IsZero() || len(r.shard(1).Resets) != 0 {
		t.Errorf("got the resets %+v and %+v, want one of shard 00", s.Resets, r.shard(1).Resets)
	}
}

func TestReset_MovesAShardOfAPipelineThatDoesNotRun(t *testing.T) {
	t.Parallel()
	r := newShop(t, 2, 200)
	open := func() (*pipeline.Stopped, error) {
		return pipeline.OpenStopped(t.Context(), pipeline.Options{Config: r.resolved(), Logger: slog.New(slog.DiscardHandler)})
	}
	var none *pipeline.NoStreamError
	if _, err := open(); !errors.As(err, &none) {
		t.Errorf("before the first run: got %v", err)
	}
	r.start()
	r.caughtUp()
	if _, err := open(); !errors.Is(err, pipeline.ErrStateInUse) {
		t.Errorf("while it runs: got %v", err)
	}
	r.await("a saved position", func(s status.Snapshot) bool {
		return !s.Shards[0].LastSaved.IsZero() && !s.Shards[1].LastSaved.IsZero()
	})
	r.crash() // the position may be a little behind what is published
	read := r.servers[0].Executed()
	r.write(200 * time.Millisecond)
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.List(t.Context())
	if err != nil || len(list) != 2 || list[0].GTID == "" || list[0].UUID != r.servers[0].UUID() || list[0].Headroom == nil || list[0].Error != "" {
		t.Fatalf("got %+v, %v", list, err)
	}
	var back *binlog.TargetError
	if _, err := s.Reset(t.Context(), "00", pipeline.ResetRequest{Target: "gtid:" + r.servers[0].UUID() + ":1-2"}); !errors.As(err, &back) || !strings.Contains(back.Reason, "come twice") {
		t.Errorf("backwards: got %v", err)
	}
	var unknown *pipeline.NoShardError
	if _, err := s.Reset(t.Context(), "7", pipeline.ResetRequest{Target: "now"}); !errors.As(err, &unknown) {
		t.Errorf("an unknown shard: got %v", err)
	}
	made, err := s.Reset(t.Context(), "00", pipeline.ResetRequest{Target: "now"})
	if err != nil || made.Transactions == 0 || made.Target != "gtid:"+r.servers[0].Executed() {
		t.Errorf("got %+v, %v", made, err)
	}
	again, err := s.Reset(t.Context(), "00", pipeline.ResetRequest{Target: "now"})
	if err != nil || !again.Nothing {
		t.Errorf("once more: got %+v, %v, want nothing to do", again, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r.write(200 * time.Millisecond)
	r.start()
	r.caughtUp()
	if n := len(r.shard(0).Resets); n != 1 {
		t.Errorf("%d resets are remembered, want 1", n)
	}
	if !strings.Contains(made.Passed, r.servers[0].UUID()) || strings.Contains(made.Passed, ":1-") {
		t.Errorf("passed over %s, want what came behind %s alone", made.Passed, read)
	}
}

// A reader dies behind a publish, before the position behind it is stored; the
// server that takes over has the position and lacks what was published.
func TestHazard_A12_FailoverThatLostTheStreamsTailIsRefused(t *testing.T) {
	t.Parallel()
	r := newShop(t, 1, 100)
	r.edit = func(text string) string {
		return strings.Replace(text, "server_id: 100-199", "server_id: 100-199\n    position: gtid", 1)
	}
	r.start()
	r.caughtUp()
	r.stop()
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	r.pipe.Close()
	r.pipe = nil
	r.publishTail("00", "bbbbbbbb-0000-0000-0000-000000000009:7")
	r.start()
	r.await("stopped", func(s status.Snapshot) bool { return s.Shards[0].State == status.Stopped })
	if fault := r.shard(0).Error; !strings.Contains(fault, "bbbbbbbb-0000-0000-0000-000000000009:7") || !strings.Contains(fault, "never executed") {
		t.Errorf("the shard says %q, want it to name what is lost", fault)
	}
	// On a person's word it goes on, and nothing else is passed over.
	code, body := r.resetOver("00", url.Values{"to": {"oldest"}})
	if code != 202 || !strings.Contains(body, `"lost": "bbbbbbbb-0000-0000-0000-000000000009:7"`) || strings.Contains(body, `"passed"`) {
		t.Errorf("got %d %s", code, body)
	}
	r.await("streaming", func(s status.Snapshot) bool { return s.Shards[0].State == status.Streaming })
	r.write(200 * time.Millisecond)
	r.caughtUp()
}

func TestHeadroom_AShardThatIsStoppedIsMeasuredToo(t *testing.T) {
	t.Parallel()
	r := newShop(t, 1, 100)
	r.start()
	r.caughtUp()
	r.servers[0].WriteEvent(99, nil)
	r.write(100 * time.Millisecond)
	r.await("stopped with its headroom", func(s status.Snapshot) bool {
		return s.Shards[0].State == status.Stopped && s.Shards[0].Headroom != nil
	})
	h := r.shard(0).Headroom
	if h.Low || h.Retention != 2592000 || h.Left != h.Retention || h.Method == "" {
		t.Errorf("got %+v, want all of 30 days in the newest binlog", h)
	}
	r.metric(`tailwater_source_binlog_headroom_seconds{shard="00",source="s"} 2.592e+06`)
	r.metric(`tailwater_source_passed_transactions_total{shard="00",source="s"} 0`)
}
