package turn

import (
	"errors"
	"strings"
	"testing"

	"tailwater/stream"
)

func TestTurns_FirstErrorEndsTheSessionAndIsTheLastWord(t *testing.T) {
	released := 0
	s := New("s0", 3, func() { released++ })
	if err := s.Begin(); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	first := s.Finish(broken)
	if !errors.Is(first, broken) || !errors.Is(first, stream.ErrSessionEnded) || !strings.Contains(first.Error(), "shard s0, epoch 3") {
		t.Errorf("Finish = %v, want the cause, the shard and the epoch", first)
	}
	for name, err := range map[string]error{"begin": s.Begin(), "finish": s.Finish(errors.New("later"))} {
		if err == nil || err.Error() != first.Error() {
			t.Errorf("%s after it = %v, want %v", name, err, first)
		}
	}
	if s.End(errors.New("closed")); s.Last() || released != 1 {
		t.Errorf("last turn granted, or released %d times, want neither a turn nor a second release", released)
	}
}

func TestTurns_TwoGoroutinesAreAMistakeThatEndsIt(t *testing.T) {
	s := New("s0", 1, func() {})
	if err := s.Begin(); err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(); !errors.Is(err, stream.ErrSessionEnded) || !strings.Contains(err.Error(), "two goroutines") {
		t.Errorf("a second Begin = %v, want the session to end", err)
	}
}

func TestTurns_LastIsForWhoHasSavedEverything(t *testing.T) {
	for name, c := range map[string]struct {
		before func(s *Turns)
		want   bool
	}{
		"new":       {func(*Turns) {}, true},
		"published": {func(s *Turns) { s.Publishing() }, false},
		"saved":     {func(s *Turns) { s.Publishing(); s.Saved() }, true},
		"busy":      {func(s *Turns) { _ = s.Begin() }, false},
		"ended":     {func(s *Turns) { s.End(errors.New("x")) }, false},
	} {
		s := New("s0", 1, func() {})
		c.before(s)
		if got := s.Last(); got != c.want {
			t.Errorf("%s: Last = %t, want %t", name, got, c.want)
		}
	}
}
