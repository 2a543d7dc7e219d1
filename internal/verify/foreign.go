package verify

import (
	"context"
	"errors"
	"fmt"

	"tailwater/internal/pipeline"
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
	events, err := v.checkNumbers(ctx, def.Name)
	if err != nil {
		return err
	}
	v.findings.note("view %s has events in the form of %s: the numbers of %d events were checked, their rows were not compared", def.Name, def.Envelope, events)
	return nil
}

// checkNumbers reads the topic of a view and returns how many events count.
func (v *verifier) checkNumbers(ctx context.Context, name string) (int64, error) {
	t, err := openTopic(ctx, v.log, topicName(v.cfg, name))
	if err != nil {
		return 0, err
	}
	f := &foreign{v: v, view: name, marks: make(map[int32]marks)}
	spans := make(map[int32]span)
	for i, b := range t.bounds {
		spans[int32(i)] = span{b.First, b.Next}
	}
	v.progress.begin("reading view "+name, t.records())
	if err := readSpans(ctx, v.log, t.Name, spans, f.record); err != nil {
		return 0, fmt.Errorf("view %s: %w", name, err)
	}
	v.result.Events += f.events
	return f.events, nil
}

// checkCaptured checks the numbers of the events of captured tables, and says
// which of them lack rows.
func (v *verifier) checkCaptured(ctx context.Context) error {
	captured, err := pipeline.CapturedViews(ctx, v.log, v.cfg)
	if err != nil {
		return err
	}
	var events int64
	views := 0
	for _, name := range captured.Views {
		n, err := v.checkNumbers(ctx, name)
		if errors.Is(err, stream.ErrUnknownTopic) {
			continue // it was about to be made when the process ended
		}
		if err != nil {
			return err
		}
		events += n
		views++
	}
	if views > 0 {
		v.findings.note("%d captured tables: the numbers of %d events were checked, their rows were not compared; a table that a view names is compared", views, events)
	}
	for _, m := range captured.Notices {
		table := "schema " + m.Schema
		if m.Table != "" {
			table = "table " + m.Schema + "." + m.Table
		}
		what := "its rows from there on are not in the stream"
		if m.State != "stopped" {
			what = "what the stream has of it from before may differ"
		}
		v.findings.note("captured %s of shard %s is %s since transaction %s, %s: %s", table, m.Shard, m.State, m.Since, what, m.Reason)
	}
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
