package pipeline

import (
	"testing"

	"tailwater/change"
)

// A drain that begins right after a view's first event must not take it for a
// view without events.
func TestPipeline_AViewCountsFromItsFirstSchemaOn(t *testing.T) {
	p := openQuiet(t)
	v := p.windows[0]
	if got := v.hasNothing(t.Context()); !got {
		t.Errorf("without a schema: got hasNothing %t, want true", got)
	}
	schema := change.Schema{View: "orders", Columns: []change.Column{{Name: "id"}}, Key: []string{"id"}}
	if err := p.log.PutSchema(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	if got := v.hasNothing(t.Context()); got {
		t.Errorf("right after the first schema: got hasNothing %t, want false", got)
	}
}
