package verify

import (
	"context"
	"fmt"

	"tailwater/internal/view"
	"tailwater/stream"
)

// foreign is a view whose events have the form of another system. What they say
// is not compared; that none is missing their headers tell all the same.
type foreign struct {
	v      *verifier
	view   string
	marks  map[int32]marks
	events int64
}

// checkForeign reads the topic of a view from its first record to the end that
// it has now.
func (v *verifier) checkForeign(ctx context.Context, def *view.Definition) error {
	t, err := openTopic(ctx, v.log, topicName(v.cfg, def.Name))
	if err != nil {
		return err
	}
	f := &foreign{v: v, view: def.Name, marks: make(map[int32]marks)}
	spans := make(map[int32]span)
	for i, b := range t.bounds {
		spans[int32(i)] = span{b.First, b.Next}
	}
	v.progress.begin("reading view "+def.Name, t.records())
	if err := readSpans(ctx, v.log, t.Name, spans, f.record); err != nil {
		return fmt.Errorf("view %s: %w", def.Name, err)
	}
	v.result.Events += f.events
	v.findings.note("view %s has events in the form of %s: the numbers of %d events were checked, their rows were not compared", def.Name, def.Envelope, f.events)
	return nil
}

// record takes one record of the stream.
func (f *foreign) record(rec *stream.Record) error {
	f.v.progress.add(1)
	m := f.marks[rec.Partition]
	if m == nil {
		m = make(marks)
		f.marks[rec.Partition] = m
	}
	ok, gap := m.accept(rec)
	if gap != "" {
		f.v.findings.add(Difference{Kind: Lost, Part: "rows", View: f.view, Shard: rec.Shard, Where: at(rec), LSN: rec.LSN.String(), Text: gap + " are missing in the stream before this record"})
	}
	if ok && rec.Kind == stream.Event {
		f.events++
	}
	return nil
}
