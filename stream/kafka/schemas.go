package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"tailwater/change"
	"tailwater/internal/failpoint"
	"tailwater/stream"
)

// schemaCache is what has been read of the schemas topic.
type schemaCache struct {
	mu sync.Mutex
	// next is the offset behind what was read.
	next   int64
	byView map[string]map[string]change.Schema
}

func (l *Log) schemaTopic() string { return stream.TopicName(l.o.Name, "schemas") }

// schemaKey is the key of a schema's record. A view's name has no slash, and
// the fingerprint comes last.
func schemaKey(s *change.Schema) string { return s.View + "/" + s.Fingerprint() }

// PutSchema stores a schema. See stream.Log.
func (l *Log) PutSchema(ctx context.Context, s change.Schema) error {
	known, err := l.Schemas(ctx, s.View)
	if err != nil {
		return err
	}
	if _, ok := known[s.Fingerprint()]; ok {
		return nil
	}
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode schema of view %s: %w", s.View, err)
	}
	r := &kgo.Record{Topic: l.schemaTopic(), Key: []byte(schemaKey(&s)), Value: b}
	if err := l.client.ProduceSync(ctx, r).FirstErr(); err != nil {
		return l.explain("put schema of view "+s.View, unavailable(err))
	}
	failpoint.At(failpoint.KafkaSchemaProduced)
	return nil
}

// Schemas returns the stored schemas of a view. See stream.Log.
func (l *Log) Schemas(ctx context.Context, view string) (map[string]change.Schema, error) {
	l.schemas.mu.Lock()
	defer l.schemas.mu.Unlock()
	if err := l.readSchemas(ctx); err != nil {
		return nil, l.explain("read schemas of view "+view, unavailable(err))
	}
	return maps.Clone(l.schemas.byView[view]), nil
}

// readSchemas reads what the topic has beyond what is known. The caller holds mu.
func (l *Log) readSchemas(ctx context.Context) error {
	c := &l.schemas
	end, err := l.offsets(ctx, l.schemaTopic(), l.admin.ListEndOffsets)
	if err != nil {
		return err
	}
	if len(end) != 1 {
		return fmt.Errorf("topic %s has %d partitions, and must have one: somebody added partitions, or it was not made by Tailwater; give the pipeline another name", l.schemaTopic(), len(end))
	}
	if c.byView == nil || end[0] < c.next {
		c.byView, c.next = make(map[string]map[string]change.Schema), 0
	}
	c.next, err = l.scan(ctx, stream.TopicPartition{Topic: l.schemaTopic()}, c.next, end[0], func(r *kgo.Record) error {
		var s change.Schema
		if err := json.Unmarshal(r.Value, &s); err != nil {
			return fmt.Errorf("topic %s, offset %d: no schema: %w", r.Topic, r.Offset, err)
		}
		if key := schemaKey(&s); key != string(r.Key) {
			return fmt.Errorf("topic %s, offset %d: the schema is %s, its key %s", r.Topic, r.Offset, key, strings.ToValidUTF8(string(r.Key), "?"))
		}
		if c.byView[s.View] == nil {
			c.byView[s.View] = make(map[string]change.Schema)
		}
		c.byView[s.View][s.Fingerprint()] = s
		return nil
	})
	return err
}
