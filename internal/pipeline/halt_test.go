package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"tailwater/binlog"
	"tailwater/change"
	"tailwater/internal/config"
	"tailwater/internal/expr"
	"tailwater/internal/view"
	"tailwater/stream"
)

// recordLog is a stream of which a captureSet makes topics, and stores schemas.
type recordLog struct {
	schemaLog
	// calls are what was asked for, in order; fail is answered to PutSchema.
	calls []string
	fail  error
}

func (l *recordLog) PutSchema(ctx context.Context, s change.Schema) error {
	if l.fail != nil {
		return l.fail
	}
	l.calls = append(l.calls, "put "+s.View+" "+strings.Join(s.Key, "."))
	return l.schemaLog.PutSchema(ctx, s)
}

func (l *recordLog) EnsureTopic(_ context.Context, spec stream.TopicSpec) (stream.Topic, error) {
	l.calls = append(l.calls, "topic "+spec.Name)
	if strings.HasSuffix(spec.Name, ".refused") {
		return stream.Topic{}, fmt.Errorf("make topic: %w", stream.ErrTopicRefused)
	}
	return stream.Topic{Name: spec.Name, Partitions: spec.Partitions}, nil
}

func (l *recordLog) Schemas(_ context.Context, name string) (map[string]change.Schema, error) {
	out := make(map[string]change.Schema)
	for _, s := range l.stored {
		if s.View == name {
			out[s.Fingerprint()] = s
		}
	}
	return out, nil
}

// newTestCapture is the set of source s, which captures everything.
func newTestCapture(t *testing.T, log *recordLog) *captureSet {
	t.Helper()
	p := &Pipeline{cfg: &config.Resolved{Name: "t"}, log: struct{ streamLog }{}, logger: slog.New(slog.DiscardHandler)}
	p.cfg.Stream.MaxRecord = 1 << 20
	c, err := p.newCapture(&config.ResolvedSource{Name: "s", Capture: &config.ResolvedCapture{Partitions: 1, Envelope: "flat"}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	c.log = log
	return c
}

func captureRow(t *testing.T, p *publisher, tx *binlog.Transaction, table *change.Table) {
	t.Helper()
	tx.Rows++
	image := make(expr.Texts, len(table.Columns))
	for i := range image {
		image[i] = []byte("1")
	}
	if err := p.Row(tx, &binlog.RowChange{Op: change.Create, Table: table, Row: tx.Rows, After: &image}); err != nil {
		t.Fatal(err)
	}
}

func shape(name string, columns ...string) *change.Table {
	t := &change.Table{Database: "d", Name: name, PrimaryKey: []int{0}}
	for _, c := range columns {
		t.Columns = append(t.Columns, change.Column{Name: c, Type: change.Int, Bits: 32})
	}
	return t
}

func TestPublisher_HaltsBeforeTheTransactionThatNeedsAnotherSession(t *testing.T) {
	log := &recordLog{}
	c := newTestCapture(t, log)
	known := tableName{"d", "known"}
	if err := c.join(t.Context(), known, 1); err != nil {
		t.Fatal(err)
	}
	views := &viewSet{source: "s", capture: c}
	var err error
	if views.matcher, err = view.NewMatcher(nil); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, &fakeSession{}, func(o *publisherOptions) { o.Views, o.Log = views.session(), log })
	good, later := shape("known", "id"), shape("known", "id", "_x")
	tx := r.begin("g1")
	captureRow(t, r.p, tx, good)
	r.commit(tx)
	tx = r.begin("g2")
	captureRow(t, r.p, tx, good)
	captureRow(t, r.p, tx, shape("new", "id"))
	captureRow(t, r.p, tx, good)
	r.commit(tx)
	// What follows is looked at: other new tables, and bad ones that had no good
	// row since; one whose shape turned bad in between is for the next session.
	tx = r.begin("g3")
	captureRow(t, r.p, tx, shape("new2", "id"))
	captureRow(t, r.p, tx, shape("new2", "id"))
	captureRow(t, r.p, tx, shape("bad", "id", "_x"))
	captureRow(t, r.p, tx, later)
	r.commit(tx)
	if err := r.p.Idle(1, []byte("behind everything")); !errors.Is(err, errHalted) {
		t.Errorf("Idle = %v, want the end of the session", err)
	}
	if err := r.p.Finish(); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(r.session.events()), "[g1.1.0]"; got != want {
		t.Errorf("events = %s, want %s", got, want)
	}
	if last := r.session.saves[len(r.session.saves)-1]; string(last.Source) != "behind g1" {
		t.Errorf("the position is %s, want behind g1", last.Source)
	}
	h := r.p.halt
	if len(h.join) != 2 || h.join[0].table != "new" || h.join[1].table != "new2" || len(h.stop) != 1 || h.stop[0].name.table != "bad" || h.stop[0].transaction != "g3" {
		t.Errorf("the halt is for %v and %v, want the tables new and new2, and bad since g3", h.join, h.stop)
	}
	if k := c.notices.of(noticeKey{"00", tableName{"d", "bad"}}); k != nil {
		t.Errorf("the table is %s before what is before it is published", k.state)
	}
}

func TestCaptureSet_RemembersATopicBeforeItIsThereAndMakesItOnce(t *testing.T) {
	log := &recordLog{}
	c := newTestCapture(t, log)
	done := make(chan error)
	for range 12 {
		go func() { done <- c.join(t.Context(), tableName{"d", "x"}, 1) }()
	}
	for range 12 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if want := []string{"put --captured s.d.x", "topic tw.t.d.x"}; !slices.Equal(log.calls, want) {
		t.Errorf("twelve shards at once asked for %q, want %q", log.calls, want)
	}
	// Another process finds it; a session of before does not have it.
	if again := newTestCapture(t, log); again.load(t.Context()) != nil || len(again.now()) != 1 || again.now()[0].topic != "tw.t.d.x" {
		t.Errorf("after a restart the topics are %v", again.now())
	}
	// One that the log will never make is the table's own trouble.
	refused := tableName{"d", "refused"}
	if err := c.join(t.Context(), refused, 1); err != nil || c.refusal(c.table(refused)) == nil {
		t.Errorf("join = %v and the table is refused: %v", err, c.refusal(c.table(refused)))
	}
	log.fail = errors.New("away")
	if err := c.join(t.Context(), tableName{"d", "y"}, 1); !errors.Is(err, log.fail) || !strings.Contains(err.Error(), "d.y") || len(c.now()) != 1 {
		t.Errorf("join = %v with %d topics, want the cause, the table's name and no topic", err, len(c.now()))
	}
}

func TestMarks_AStoppedTableStaysSoSinceTheFirstUntilItIsResumed(t *testing.T) {
	log := &recordLog{}
	var m notices
	key := noticeKey{"00", tableName{"d", "x"}}
	put := func(state, transaction string) bool {
		t.Helper()
		changed, err := m.put(t.Context(), log, "s", key, &notice{state: state, transaction: transaction, reason: "r"})
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	for _, step := range []struct {
		state, transaction string
		changed            bool
		want               string
	}{
		{noticeNoted, "1", true, "noted 1"}, {noticeNoted, "2", false, "noted 1"}, {noticeStopped, "3", true, "stopped 3"},
		{noticeNoted, "4", false, "stopped 3"}, {noticeStopped, "5", false, "stopped 3"}, {noticeResumed, "", true, ""},
		{noticeResumed, "", false, ""}, {noticeStopped, "6", true, "stopped 6"},
	} {
		if got := put(step.state, step.transaction); got != step.changed {
			t.Errorf("%s at %s changed something: %v", step.state, step.transaction, got)
		}
		var again notices
		if err := again.load(t.Context(), log, "s"); err != nil {
			t.Fatal(err)
		}
		for when, from := range map[string]*notices{"now": &m, "after a restart": &again} {
			got := ""
			if k := from.of(key); k != nil {
				got = k.state + " " + k.transaction
			}
			if got != step.want {
				t.Errorf("behind %s at %s it is %q %s, want %q", step.state, step.transaction, got, when, step.want)
			}
		}
	}
	log.fail = errors.New("away")
	if _, err := m.put(t.Context(), log, "s", key, &notice{state: noticeResumed}); !errors.Is(err, log.fail) || m.of(key) == nil {
		t.Errorf("put = %v, want the cause and the notice as it was", err)
	}
}
