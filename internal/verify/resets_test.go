package verify

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/internal/pipeline"
)

// purge leaves the server only the newest binlog.
func (f *fixture) purge() {
	f.t.Helper()
	s := f.servers[0]
	s.Rotate()
	file, _ := s.Position()
	if err := s.PurgeTo(file); err != nil {
		f.t.Fatal(err)
	}
}

func TestVerify_NamesWhatAResetHasPassedOver(t *testing.T) {
	f := notes(t, 3)
	f.start()
	clean(t, f.verify("rows"))
	f.halt()
	// Nobody reads these: a new row, and a change of an old one.
	f.note(10, 10)
	f.change(func(tx *primary.Tx) error {
		row, err := tx.Get("s_x", "notes", []any{int64(1)})
		if err != nil {
			return err
		}
		return tx.Update("s_x", "notes", []any{int64(1)}, encode.Row{row[0], row[1], row[2], "changed"})
	})
	f.purge()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := pipeline.OpenStopped(ctx, pipeline.Options{Config: f.cfg, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	made, err := s.Reset(ctx, "a", pipeline.ResetRequest{Target: "oldest"})
	if err != nil || made.Transactions != 2 || made.Passed == "" {
		t.Errorf("got %+v, %v, want two transactions passed over", made, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f.note(11, 10)
	f.start()
	r := f.verify("rows")
	if r.UnseenRows != 1 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "passed over "+made.Passed) {
		t.Errorf("got %d rows unseen and the notes %q, want one of each", r.UnseenRows, r.Notes)
	}
	if d := one(t, r, "the change that was passed over", func(d *Difference) bool { return d.Kind == Altered }); !strings.Contains(d.Text, "passed over "+made.Passed) {
		t.Errorf("the difference says %q, want it to name the reset", d.Text)
	}
	if r.Found != 1 {
		t.Errorf("got %d differences, want one: %v", r.Found, r.Differences)
	}
}

func TestHazard_A14_PlacesOfTwoServersAreNeverCompared(t *testing.T) {
	before := place{uuid: "one", file: "binlog.000003", pos: "100"}
	after := place{uuid: "one", file: "binlog.000003", pos: "200"}
	c, err := newCut(before, after)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []struct {
		position string
		want     string
	}{
		{`{"format":1,"flavor":"mysql","server_uuid":"one","file":"binlog.000003","pos":200}`, ""},
		{`{"format":1,"flavor":"mysql","server_uuid":"one","file":"binlog.000003","pos":199}`, "binlog.000003:199 to binlog.000003:200"},
		{`{"format":1,"flavor":"mysql","server_uuid":"two","file":"binlog.000009","pos":200}`, "a place on the server one: the saved one is of two"},
	} {
		if got, err := c.reached([]byte(at.position)); err != nil || got != at.want {
			t.Errorf("%s: got %q, %v, want %q", at.position, got, err, at.want)
		}
	}
}
