package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"tailwater/stream"
)

// errRecounted means that a topic has another number of partitions than its
// records were spread over. A key may then be in two of them, and nothing keeps
// the order between partitions: no setting mends that.
var errRecounted = errors.New("somebody changed the number of its partitions, so that a key would come to be in two of them, in no order, and partitions cannot be taken away: " +
	"give the pipeline another name, whose topics are made anew")

// recounted is the error of a topic that was made with other partitions than it
// has.
func recounted(name string, made, now int) error {
	return fmt.Errorf("topic %s has %d partitions and had %d when its records were written: %w", name, now, made, errRecounted)
}

// otherCount says why a topic has not as many partitions as the configuration
// wants, and the way out of that: which of the two was changed is known from the
// positions of the shards, if there are any.
func (l *Log) otherCount(ctx context.Context, t *topic, want int) error {
	made, err := l.madeWith(ctx, t)
	if err != nil {
		return err
	}
	if made != 0 && made != t.Partitions {
		return recounted(t.Name, made, t.Partitions)
	}
	counts := fmt.Sprintf("it has %d partitions, the configuration wants %d", t.Partitions, want)
	if made != 0 {
		return fmt.Errorf("%s; another count would move keys: set stream.partitions to %d, or give the pipeline another name", counts, t.Partitions)
	}
	ends, err := l.offsets(ctx, t.Name, l.admin.ListEndOffsets)
	if err != nil {
		return err
	}
	for _, end := range ends {
		if end > 0 {
			return fmt.Errorf("%s, and no shard has a position that tells how many it had when its records were written: if stream.partitions was changed, set it to %d; "+
				"if partitions were added to the topic, give the pipeline another name, for a key would be in two of them", counts, t.Partitions)
		}
	}
	return fmt.Errorf("%s; it has no records yet: set stream.partitions to %d, or remove the topic and let it be made", counts, t.Partitions)
}

// madeWith returns how many partitions a topic had when a shard was last
// claimed, 0 when no position of a shard speaks of this topic.
func (l *Log) madeWith(ctx context.Context, t *topic) (int, error) {
	all, err := l.admin.ListTopics(ctx)
	if err != nil {
		return 0, fmt.Errorf("list the topics: %w", err)
	}
	prefix := l.positionTopic("")
	for _, name := range all.Names() {
		shard, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		p, err := l.committedPosition(ctx, shard)
		if err != nil {
			return 0, err
		}
		if p == nil {
			continue
		}
		if at, ok := p.Topics[t.Name]; ok && at.Incarnation == t.Incarnation {
			return len(at.Partitions), nil
		}
	}
	return 0, nil
}

// changed is the error of a topic that is not what it was a moment ago.
func (l *Log) changed(ctx context.Context, was *topic) error {
	now, err := l.look(ctx, was.Name)
	switch {
	case err != nil:
		return err
	case now == nil:
		return fmt.Errorf("topic %s: %w", was.Name, stream.ErrUnknownTopic)
	case now.Incarnation != was.Incarnation:
		return fmt.Errorf("topic %s was removed and made again at this moment", was.Name)
	case now.Partitions != was.Partitions:
		return recounted(was.Name, was.Partitions, now.Partitions)
	}
	return fmt.Errorf("topic %s: the brokers do not agree on how many partitions it has", was.Name)
}
