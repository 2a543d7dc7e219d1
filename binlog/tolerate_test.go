package binlog

import (
	"errors"
	"strings"
	"testing"
)

func TestMachine_ToleratedStatementsDoNotStopTheShard(t *testing.T) {
	away := errors.New("the place to remember it is away")
	for _, c := range []struct {
		script, asked string
		ok            bool
		err           error
		want          string
	}{
		{script: "gtid, ALTER IGNORE TABLE t ADD UNIQUE (a)", asked: "d.t", ok: true},
		{script: "gtid, FROBNICATE 'secret'", asked: "d.", ok: true},
		{script: "gtid, ALTER IGNORE TABLE t ADD UNIQUE (a)", asked: "d.t", want: "ALTER IGNORE TABLE of d.t"},
		{script: "gtid, ALTER IGNORE TABLE t ADD UNIQUE (a)", asked: "d.t", err: away, want: "is away"},
		// Tables that nobody follows, and what is told as an event, need no answer.
		{script: "gtid, ALTER IGNORE TABLE skipped ADD UNIQUE (a)"},
		{script: "gtid, TRUNCATE t"},
		// What is not about a table is never asked about.
		{script: "gtid, BEGIN, INSERT INTO x.y VALUES (1)", want: "INSERT is logged as a statement"},
	} {
		var asked []string
		p, j := newTape(t, func(o *Options) {
			o.Tolerate = func(transaction, database, table string, stop error) (bool, error) {
				if transaction == "" || Classify(stop) != Stop {
					t.Errorf("%s: asked about %q and %v", c.script, transaction, stop)
				}
				asked = append(asked, database+"."+table)
				return c.ok, c.err
			}
		})
		err := p.play(t, c.script)
		if got := strings.Join(asked, " "); got != c.asked {
			t.Errorf("%s: asked about %q, want %q", c.script, got, c.asked)
		}
		switch {
		case c.want == "" && (err != nil || len(j.transactions) != 1):
			t.Errorf("%s: %v and %d transactions, want one and no error", c.script, err, len(j.transactions))
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %s", c.script, err, c.want)
		case c.err != nil && !errors.Is(err, away):
			t.Errorf("%s: %v has lost its cause", c.script, err)
		}
	}
}
