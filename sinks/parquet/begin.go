package parquet

import (
	"context"
	"fmt"
	"strings"

	"tailwater/stream"
)

// begin prepares a chain that has nothing yet. Where the stream no longer has
// its first offsets, the chain's first batch stands for what the lake never
// had: it has no rows. It is a manifest like any other, so that of two workers
// that begin at once both begin at the same offset.
func (s *session) begin(ctx context.Context, p *part, b stream.Bounds) error {
	if err := s.notACopy(ctx, p, b); err != nil {
		return err
	}
	if b.First == 0 {
		return nil
	}
	version, err := s.schemas.agree(ctx, wanted{})
	if err != nil {
		return err
	}
	p.next = b.First
	m := s.manifest(p, version)
	m.After = m.Before
	won, err := p.chain.propose(ctx, m)
	if err != nil {
		return err
	}
	s.o.Logger.Warn("a lake chain begins behind what the stream no longer has", "chain", p.chain.prefix, "offset", won.Last)
	p.chain.open = won
	return nil
}

// notACopy refuses to begin a chain with records that the lake has from an
// earlier incarnation of the topic. A topic that was made anew has records of
// a later time; one that was recovered below an acknowledged offset has the
// same ones under a new incarnation, and their rows would stand twice.
func (s *session) notACopy(ctx context.Context, p *part, b stream.Bounds) error {
	marks, prefix, err := s.otherChains(ctx, p)
	if err != nil || len(marks) == 0 {
		return err
	}
	r, err := s.firstEvent(ctx, p.n, b)
	if err != nil || r == nil {
		return err
	}
	for i, m := range marks {
		k, ok := m[r.Shard]
		if ok && r.LSN.Compare(k.LSN) <= 0 && r.Watermark <= k.Watermark {
			return &BehindError{p.chain.prefix, fmt.Sprintf("the stream has changed its incarnation and kept records that the lake has in chain %s", prefix[i])}
		}
	}
	return nil
}

// otherChains returns the marks at the ends of the chains of the partition's
// other incarnations.
func (s *session) otherChains(ctx context.Context, p *part) (marks []stream.Marks, prefixes []string, err error) {
	root := "_tailwater/" + s.o.View + "/" + s.o.Layout.Name + "/"
	seen := make(map[string]bool)
	for info, err := range s.o.Store.List(ctx, root) {
		if err != nil {
			return nil, nil, fmt.Errorf("list the chains of view %s: %w", s.o.View, err)
		}
		id, rest, _ := strings.Cut(strings.TrimPrefix(info.Key, root), "/")
		prefix := chainPrefix(s.o.View, s.o.Layout.Name, id, p.n)
		if id != s.o.Topic.Incarnation && strings.HasPrefix(root+id+"/"+rest, prefix) && !seen[prefix] {
			seen[prefix] = true
			prefixes = append(prefixes, prefix)
		}
	}
	for _, prefix := range prefixes {
		c := chain{store: s.o.Store, prefix: prefix}
		if err := c.load(ctx); err != nil {
			return nil, nil, err
		}
		if c.open != nil {
			c.marks = fromManifestMarks(c.open.After)
		}
		marks = append(marks, c.marks)
	}
	return marks, prefixes, nil
}

// firstEvent reads the first event of a partition; nil when it has none yet.
func (s *session) firstEvent(ctx context.Context, partition int32, b stream.Bounds) (*stream.Record, error) {
	if b.First >= b.Next {
		return nil, nil
	}
	c, err := s.o.Log.NewConsumer(ctx, stream.ConsumerOptions{})
	if err != nil {
		return nil, fmt.Errorf("open consumer of %s: %w", s.o.Topic.Name, err)
	}
	defer c.Close()
	if err := c.Assign(map[stream.TopicPartition]int64{{Topic: s.o.Topic.Name, Partition: partition}: b.First}); err != nil {
		return nil, err
	}
	for next := b.First; next < b.Next; {
		records, err := c.Poll(ctx)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", s.o.Topic.Name, err)
		}
		for i := range records {
			if records[i].Kind == stream.Event {
				return &records[i], nil
			}
			next = records[i].Offset + 1
		}
	}
	return nil, nil
}
