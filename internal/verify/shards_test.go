package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tailwater/internal/status"
	"tailwater/internal/testenv"
)

func TestVerify_AStoppedShardIsNotWaitedFor(t *testing.T) {
	f := newFixture(t, 2, shopViews)
	f.start()
	clean(t, f.verify("rows"))
	f.servers[1].WriteEvent(0x7f, []byte("what is this"))
	if err := f.servers[1].Statement("shop_01", "ALTER TABLE customers COMMENT 'behind it'"); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, time.Minute, "the shard to stop", func() error {
		if s := f.pipeline.Snapshot().Shards[1]; s.State != status.Stopped {
			return fmt.Errorf("it is %s", s.State)
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := Run(ctx, Options{Config: f.cfg, Timeout: time.Hour})
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "shard 01 is stopped, and the stream lacks ") || !strings.Contains(err.Error(), "127") {
		t.Errorf("verify = %v, want the stopped shard and why it is", err)
	}
	// It does not drain.
	f.stop()
	<-f.done
	if err := f.pipeline.Close(); err != nil {
		t.Error(err)
	}
	f.pipeline = nil
}
