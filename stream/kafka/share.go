package kafka

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"tailwater/internal/standstill"
)

// A member that says nothing for sessionTimeout is taken for dead.
const (
	sessionTimeout    = 10 * time.Second
	heartbeatInterval = 2 * time.Second
	// rebalanceTimeout bounds how long work may take to end when partitions are
	// taken away.
	rebalanceTimeout = 30 * time.Second
)

// members is this process's part in one group.
type member struct {
	log   *Log
	group string

	mu    sync.Mutex
	owned map[int32]bool
	// joined is whether the group has ever said what is this process's.
	joined bool
	// changed is signalled after each change of owned.
	changed chan struct{}
	notice  *standstill.Notice
	// stop ends the call of work that runs, and ended is closed at its end; both
	// are nil before the first.
	stop  context.CancelFunc
	ended chan struct{}
}

func (l *Log) newMember(group string) *member {
	return &member{log: l, group: group, owned: make(map[int32]bool), changed: make(chan struct{}, 1), notice: standstill.New(standstill.Options{
		Logger: l.o.Logger, Level: slog.LevelWarn, Stops: "the group is lost, and is joined as soon as the brokers let it", Moves: "the group is joined again",
		Args: []any{"group", group},
	})}
}

// Share shares a topic's partitions by a consumer group. See stream.Balancer.
// The group's offsets are never used.
func (l *Log) Share(ctx context.Context, group, topic string, work func(ctx context.Context, partitions []int32) error) error {
	m := l.newMember(group)
	client, err := l.newClient(
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { m.assigned(got[topic]) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { m.revoked(gone[topic]) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { m.revoked(gone[topic]) }),
		kgo.WithHooks(m),
	)
	if err != nil {
		return err
	}
	// Nothing is read by this client: it is about who reads.
	client.PauseFetchTopics(topic)
	defer client.Close()
	for ctx.Err() == nil {
		err := m.work(ctx, work)
		if err != nil && ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
			return nil // it says why it was told to end
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// OnGroupManageError tells of an error after which the client joins again.
func (m *member) OnGroupManageError(err error) {
	m.notice.Stands(0, m.log.explain("share partitions", err))
}

// assigned is told after each time that the group is joined, be there nothing
// to add.
func (m *member) assigned(parts []int32) {
	m.notice.Moves(0)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range parts {
		m.owned[p] = true
	}
	if len(parts) > 0 || !m.joined {
		m.joined = true
		m.change()
	}
}

// revoked returns once nobody works on the partitions any more, so that whoever
// gets them begins where this process has ended.
func (m *member) revoked(parts []int32) {
	if len(parts) == 0 {
		return
	}
	m.mu.Lock()
	for _, p := range parts {
		delete(m.owned, p)
	}
	m.change()
	ended := m.ended
	m.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// change ends the work that runs; the caller holds mu.
func (m *member) change() {
	if m.stop != nil {
		m.stop()
	}
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// work calls work once with the partitions of now, or waits until the group has
// said which they are. It returns nil after a change.
func (m *member) work(ctx context.Context, work func(ctx context.Context, partitions []int32) error) error {
	turn, end := context.WithCancel(ctx)
	defer end()
	m.mu.Lock()
	select {
	case <-m.changed: // what has changed so far is in owned
	default:
	}
	parts := slices.Sorted(maps.Keys(m.owned))
	if !m.joined {
		m.mu.Unlock()
		select {
		case <-m.changed:
		case <-ctx.Done():
		}
		return nil
	}
	ended := make(chan struct{})
	m.stop, m.ended = end, ended
	m.mu.Unlock()
	defer close(ended)
	err := work(turn, parts)
	if err == nil && turn.Err() == nil {
		return errWorkEnded
	}
	if turn.Err() != nil && ctx.Err() == nil {
		return nil // its error is of its end
	}
	return err
}

var errWorkEnded = errors.New("share partitions: the work ended by itself")
