package embedded

import (
	"context"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

func TestStart_AnswersRedisClientsAndExpiresKeys(t *testing.T) {
	s, err := Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	opt, err := goredis.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	c := goredis.NewClient(opt)
	defer c.Close()
	own := inside(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := own.Set(ctx, "k", "v", time.Second).Err(); err != nil {
		t.Fatal(err)
	}
	if got, want := c.Get(ctx, "k").Val(), "v"; got != want {
		t.Errorf("value: got %q, want %q", got, want)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for c.Exists(ctx, "k").Val() != 0 {
		select {
		case <-ctx.Done():
			t.Fatal("the key never expired")
		case <-tick.C:
		}
	}
}

func TestStart_RefusesOtherAddresses(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:6379", "nonsense"} {
		s, err := Start(addr)
		if err == nil {
			s.Close()
			t.Errorf("%s: got no error", addr)
		}
	}
}

func TestStart_NamesABusyPort(t *testing.T) {
	s, err := Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := Start(s.Addr()); err == nil || !strings.Contains(err.Error(), s.Addr()) {
		t.Errorf("second server: got %v, want an error that names %s", err, s.Addr())
	}
}

func TestClose_IsIdempotent(t *testing.T) {
	s, err := Start("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// A client writes a whole pipeline before it reads the first answer.
func TestDial_APipelineIsNoDeadlock(t *testing.T) {
	s, err := Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	own := inside(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	p := own.Pipeline()
	for range 20_000 {
		p.PExpire(ctx, "a key that is not there and has a long name", time.Minute)
	}
	got, err := p.Exec(ctx)
	if err != nil || len(got) != 20_000 {
		t.Errorf("%d answers, %v, want 20000", len(got), err)
	}
}
