package verify

import (
	"errors"
	"strings"
	"testing"
)

func TestVerify_FindsNothingWhereNothingIsWrong(t *testing.T) {
	f := newFixture(t, 2, shopViews)
	f.start()
	r := f.verify()
	clean(t, r)
	if r.Tables != 10 || r.Views != 3 || r.RowsCompared < 100 || r.ColumnsCompared < 500 || r.Passes != 1 || r.Unseen+r.UnseenRows+r.Busy != 0 {
		t.Errorf("rows: got %+v", r)
	}
	if r.WindowsCompared == 0 || r.ValuesCompared < r.WindowsCompared {
		t.Errorf("windows: got %+v", r)
	}
	for _, n := range r.Notes {
		if !strings.Contains(n, "not in the lake yet") {
			t.Errorf("got the note %q", n)
		}
	}
	events := r.Events
	f.halt()
	r = f.verify()
	clean(t, r)
	if r.Events != events || r.LakeRows != events || r.LakeRowsCompared != events || r.LakeFiles == 0 {
		t.Errorf("the drained lake: got %+v, want %d events", r, events)
	}
	if r.WindowsCompared != 0 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "windows were not compared") {
		t.Errorf("without the process that has the windows: got %+v", r)
	}
}

func TestRun_ChecksItsOptions(t *testing.T) {
	f := notes(t, 0)
	for _, o := range []Options{{}, {Config: f.cfg, Timeout: -1}, {Config: f.cfg, MaxKeys: -1}, {Config: f.cfg, PageRows: -1}, {Config: f.cfg, MaxDifferences: -1}} {
		if r, err := Run(t.Context(), o); err == nil {
			t.Errorf("%+v: got %+v, want an error", o, r)
		}
	}
	var usage *UsageError
	if _, err := Run(t.Context(), Options{Config: f.cfg, Only: []string{"rows", "cells"}}); !errors.As(err, &usage) || !strings.Contains(usage.Problem, `"cells"`) {
		t.Errorf("an unknown part: got %v", err)
	}
}
