package kafka

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestExplain_SaysOnceWhereAndWhatToDo(t *testing.T) {
	c, l := fakeLog(t, Options{Timeout: time.Second})
	addr := c.ListenAddrs()[0]
	c.Close()
	_, err := l.Schemas(t.Context(), "orders")
	if err == nil {
		t.Fatal("without brokers: got no error")
	}
	for _, once := range []string{"read schemas of view orders", " at " + addr, "check stream.brokers"} {
		if got := strings.Count(err.Error(), once); got != 1 {
			t.Errorf("got %v, which says %q %d times, want once", err, once, got)
		}
	}
}

func TestShare_ALostGroupIsOneLineAndOneOnceItIsBack(t *testing.T) {
	var out strings.Builder
	_, l := fakeLog(t, Options{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	m := l.newMember("tw.suite.work")
	for range 5 {
		m.OnGroupManageError(errNoAnswer)
	}
	m.assigned(nil)
	m.assigned([]int32{0})
	if got := out.String(); strings.Count(got, "the group is lost") != 1 || strings.Count(got, "the group is joined again") != 1 || strings.Count(got, "\n") != 2 {
		t.Errorf("log =\n%swant a line that it is lost, and one that it is joined", got)
	}
}
