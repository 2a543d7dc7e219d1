package parquet

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"tailwater/internal/failpoint"
	"tailwater/stream"
)

// obey builds the files of a manifest that another worker, or this one before
// it died, has put there: from the manifest and the log alone.
func (s *session) obey(ctx context.Context, p *part, m *Manifest) error {
	failpoint.At(failpoint.LakeObeying)
	if m.Topic != s.o.Topic.Name || m.Incarnation != s.o.Topic.Incarnation || m.Partition != p.n {
		return fmt.Errorf("lake chain %s: manifest %d speaks of topic %s, incarnation %s, partition %d: not of this place",
			p.chain.prefix, m.First, m.Topic, m.Incarnation, m.Partition)
	}
	if m.Rows == 0 && len(m.Files) == 0 {
		return s.finish(ctx, p, m, nil)
	}
	b, err := s.replay(ctx, m)
	if err != nil {
		return fmt.Errorf("lake chain %s, manifest %d: %w", p.chain.prefix, m.First, err)
	}
	if err := s.known.refresh(ctx, s.o.Log, s.o.View, b.prints); err != nil {
		return err
	}
	files, err := newFileWriter(m, s.known, s.w.codecs).build(b.rows)
	if err != nil {
		return fmt.Errorf("lake chain %s, manifest %d: %w", p.chain.prefix, m.First, err)
	}
	return s.finish(ctx, p, m, files)
}

// replay reads the offsets of a manifest with its marks and its layout.
func (s *session) replay(ctx context.Context, m *Manifest) (*batch, error) {
	c, err := s.o.Log.NewConsumer(ctx, stream.ConsumerOptions{})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	tp := stream.TopicPartition{Topic: m.Topic, Partition: m.Partition}
	if err := c.Assign(map[stream.TopicPartition]int64{tp: m.First}); err != nil {
		return nil, err
	}
	b := new(batch)
	b.reset()
	for i, f := range m.Files {
		b.dirs = append(b.dirs, f.Dir)
		b.byDir[f.Dir] = i
	}
	marks := fromManifestMarks(m.Before)
	t := newTaker(&m.Layout)
	for next := m.First; next < m.Last; {
		records, err := c.Poll(ctx)
		if errors.Is(err, stream.ErrOffsetOutOfRange) {
			return nil, errors.Join(&BehindError{chainPrefix(m.View, m.Layout.Name, m.Incarnation, m.Partition),
				fmt.Sprintf("the stream has lost offsets %d to %d, which are promised but not written", next, m.Last)}, err)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s again: %w", m.Topic, err)
		}
		for i := range records {
			r := &records[i]
			if next = r.Offset + 1; next > m.Last {
				break
			}
			ok, err := marks.Accept(r)
			if err != nil {
				return nil, err
			}
			if !ok || r.Kind != stream.Event {
				continue
			}
			if err := b.add(r, t); err != nil {
				return nil, fmt.Errorf("offset %d: %w", r.Offset, err)
			}
		}
	}
	return b, b.keeps(m, marks)
}

// keeps checks that what the log gives is what the manifest promises.
func (b *batch) keeps(m *Manifest, marks stream.Marks) error {
	if len(b.dirs) != len(m.Files) || int64(len(b.rows)) != m.Rows {
		return fmt.Errorf("it promises %d rows in %d files, the log gives %d in %d: the stream is not the one it was cut from",
			m.Rows, len(m.Files), len(b.rows), len(b.dirs))
	}
	counts := b.counts()
	for i, f := range m.Files {
		if counts[i] != f.Rows {
			return fmt.Errorf("it promises %d rows in %s, the log gives %d: the stream is not the one it was cut from", f.Rows, f.Dir, counts[i])
		}
	}
	if !maps.Equal(marks, fromManifestMarks(m.After)) {
		return fmt.Errorf("the marks behind it are not those that the log gives: the stream is not the one it was cut from")
	}
	return nil
}
