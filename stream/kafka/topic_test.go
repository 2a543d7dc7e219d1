package kafka

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tailwater/stream"
)

// A topic of which nobody can tell is not one that is absent.
func TestTopic_TellsBrokersThatAreAwayFromAnAbsentTopic(t *testing.T) {
	for name, hangs := range map[string]bool{"refused": false, "no answer": true} {
		t.Run(name, func(t *testing.T) {
			var away atomic.Bool
			dial := func(ctx context.Context, network, host string) (net.Conn, error) {
				if away.Load() && hangs {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return new(net.Dialer).DialContext(ctx, network, host)
			}
			// The client remembers for a moment what it was told of a topic.
			const absent, unasked = "tw.suite.never", "tw.suite.unasked"
			c, l := fakeLog(t, Options{Timeout: time.Second, dial: dial})
			if _, err := l.Topic(t.Context(), absent); !errors.Is(err, stream.ErrUnknownTopic) {
				t.Errorf("an absent topic: got %v, want unknown topic", err)
			}
			if got, err := l.Topic(t.Context(), rowsTopic); err != nil || got.Partitions != 2 {
				t.Errorf("got %+v, %v, want the topic with 2 partitions", got, err)
			}
			addr := c.ListenAddrs()[0]
			away.Store(true)
			c.Close()
			_, err := l.Topic(t.Context(), unasked)
			if err == nil || errors.Is(err, stream.ErrUnknownTopic) {
				t.Fatalf("without brokers: got %v, want an error of another kind", err)
			}
			for _, want := range []string{unasked, addr, "brokers run and can be reached"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to say %q", err, want)
				}
			}
		})
	}
}
