package pipeline_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"tailwater/internal/pipeline"
	"tailwater/internal/status"
	"tailwater/stream/kafka/kafkatest"
)

// A shard is added, removed and added again while rows are written; the other
// one notices nothing, and no row of any is lost or doubled.
func TestReload_ShardsComeAndGoWithoutARestart(t *testing.T) {
	for name, prepare := range map[string]func(*shopRig){
		"embedded": func(*shopRig) {},
		"kafka":    func(r *shopRig) { r.onKafka(kafkatest.Start(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newShop(t, 2, 300)
			prepare(r)
			r.named = 1
			r.start()
			end := r.background()
			r.await("streaming", func(s status.Snapshot) bool { return len(s.Shards) == 1 && s.Shards[0].State == status.Streaming })
			for _, r.named = range []int{2, 1, 2} {
				if err := r.pipe.Reload(t.Context()); err != nil {
					t.Fatal(err)
				}
				r.await("as the file says", func(s status.Snapshot) bool {
					for i := range s.Shards {
						if s.Shards[i].State != status.Streaming {
							return false
						}
					}
					return len(s.Shards) == r.named
				})
				at := r.pipe.Snapshot()
				r.await("more events", func(s status.Snapshot) bool { return r.publishedIn(s) >= r.publishedIn(at)+50 })
			}
			if first := r.shard(0); first.Reconnects > 0 {
				t.Errorf("the shard that stayed was interrupted %d times", first.Reconnects)
			}
			end()
			r.drainAndCompare()
		})
	}
}

// What a running process cannot take is refused with the key that is in the way,
// and what is wrong with its place; nothing is changed.
func TestReload_RefusesWhatNeedsARestartAndWhatIsWrong(t *testing.T) {
	r := newShop(t, 2, 300)
	r.named = 1
	r.start()
	r.caughtUp()
	was := r.edit
	for name, c := range map[string]struct {
		edit func(string) string
		want string
	}{
		"another key":  {func(s string) string { return strings.Replace(s, "roll_every: 1s", "roll_every: 2s", 1) }, "lake.file.roll_every"},
		"another view": {func(s string) string { return strings.Replace(s, "  customers: { from: customers }\n", "", 1) }, "views.customers"},
		"another account": {func(s string) string { return strings.Replace(s, "tailwater:x@", "other:x@", 1) },
			"sources.s.shards, of which 00 has another address"},
		"a mistake": {func(s string) string { return strings.Replace(s, "server_id", "server_idea", 1) }, "server_idea"},
	} {
		r.edit, r.named = c.edit, 2
		err := r.pipe.Reload(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Reload = %v, want an error that names %s", name, err, c.want)
		}
		var restart *pipeline.RestartError
		if errors.As(err, &restart) != (name != "a mistake") {
			t.Errorf("%s: Reload = %T", name, err)
		}
		code, body := ask(r, "reload", nil)
		if want := map[bool]int{true: http.StatusUnprocessableEntity, false: http.StatusConflict}[name == "a mistake"]; code != want || !strings.Contains(body, c.want) {
			t.Errorf("%s: POST answers %d %s, want %d and %s", name, code, body, want, c.want)
		}
		if n := len(r.pipe.Snapshot().Shards); n != 1 {
			t.Errorf("%s: %d shards afterwards, want 1", name, n)
		}
	}
	r.edit, r.named = func(s string) string { return "# a line more\n" + s }, 2
	if code, body := ask(r, "reload", nil); code != http.StatusAccepted {
		t.Errorf("POST answers %d %s, want 202", code, body)
	}
	r.edit = was
	r.await("streaming", func(s status.Snapshot) bool { return len(s.Shards) == 2 && s.Shards[1].State == status.Streaming })
	r.drainAndCompare()
}
