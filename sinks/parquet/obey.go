package parquet

import (
	"context"
	"errors"
	"fmt"

	"tailwater/change"
	"tailwater/stream"
	"tailwater/stream/codec"
)

// obey builds the files of a manifest that another worker, or this one before
// it died, has put there: from the manifest and the log alone.
func (s *session) obey(ctx context.Context, p *part, m *Manifest) error {
	if m.Topic != s.o.Topic.Name || m.Incarnation != s.o.Topic.Incarnation || m.Partition != p.n {
		return fmt.Errorf("lake chain %s: manifest %d speaks of topic %s, incarnation %s, partition %d: not of this place",
			p.chain.prefix, m.First, m.Topic, m.Incarnation, m.Partition)
	}
	b, err := s.replay(ctx, m)
	if err != nil {
		return fmt.Errorf("lake chain %s, manifest %d: %w", p.chain.prefix, m.First, err)
	}
	if err := s.known.refresh(ctx, s.o.Log, s.o.View, b.prints); err != nil {
		return err
	}
	return s.finish(ctx, p, m, b.rows)
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
	picker := codec.NewPicker(append([]string{"_ts_us", "_schema"}, m.Layout.columns()...))
	raw := make([][]byte, 2+len(m.Layout.columns()))
	for next := m.First; next < m.Last; {
		records, err := c.Poll(ctx)
		if err != nil {
			return nil, errors.Join(errBehind, err)
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
			if err := b.add(r, &m.Layout, picker, raw); err != nil {
				return nil, fmt.Errorf("offset %d: %w", r.Offset, err)
			}
		}
	}
	if len(b.dirs) != len(m.Files) || int64(len(b.rows)) != m.Rows {
		return nil, fmt.Errorf("it promises %d rows in %d files, the log gives %d in %d: the stream is not the one it was cut from",
			m.Rows, len(m.Files), len(b.rows), len(b.dirs))
	}
	return b, nil
}

// findMisfits names the columns that have a value which their type cannot
// hold. Only dates and times can: a zero or partial date is one.
func findMisfits(cols []Column, rows []row, schemas map[string]*change.Schema) ([]string, error) {
	var temporal []Column
	for _, c := range cols {
		if c.Source != "" && (c.Kind == KindDate || c.Kind == KindDateTime || c.Kind == KindTimestamp) {
			temporal = append(temporal, c)
		}
	}
	if len(temporal) == 0 {
		return nil, nil
	}
	var names []string
	w := newFileWriter(&Manifest{Columns: withMisfits(temporal, froms(temporal))}, schemas)
	seen := make(map[string]bool)
	for i := range rows {
		err := w.convert(&rows[i], func(from string) {
			if !seen[from] {
				seen[from] = true
				names = append(names, from)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return names, nil
}

func froms(cols []Column) []string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = c.From
	}
	return out
}
