package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"tailwater/change"
	"tailwater/internal/failpoint"
)

// A schema is written once and never changes, so it is one file:
// schemas/v-<view>/<fingerprint>.
const viewPrefix = "v-"

func (l *Log) schemaDir(view string) string {
	return filepath.Join(l.dir, "schemas", viewPrefix+url.PathEscape(view))
}

// PutSchema stores a schema. See stream.Log.
func (l *Log) PutSchema(ctx context.Context, s change.Schema) error {
	if err := errors.Join(ctx.Err(), l.usable()); err != nil {
		return fmt.Errorf("put schema of view %s: %w", s.View, err)
	}
	l.schemaMu.Lock()
	defer l.schemaMu.Unlock()
	dir := l.schemaDir(s.View)
	path := filepath.Join(dir, s.Fingerprint())
	if stored, err := os.ReadFile(path); err == nil {
		if _, _, err := decodeFile(kindSchema, stored); err == nil {
			return nil
		} else if errors.Is(err, errNewer) {
			return fmt.Errorf("put schema %s: %w", path, err)
		}
		// A damaged one is written again: its content is known.
	}
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode schema of view %s: %w", s.View, err)
	}
	if err := makeDir(dir); err != nil {
		return fmt.Errorf("put schema of view %s: %w", s.View, err)
	}
	if err := writeFile(path, encodeFile(kindSchema, 1, b)); err != nil {
		return fmt.Errorf("put schema of view %s: %w", s.View, err)
	}
	failpoint.At(failpoint.StreamSchemaStored)
	return nil
}

// Schemas returns the stored schemas of a view. See stream.Log.
func (l *Log) Schemas(ctx context.Context, view string) (map[string]change.Schema, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read schemas of view %s: %w", view, err)
	}
	l.schemaMu.Lock()
	defer l.schemaMu.Unlock()
	entries, err := os.ReadDir(l.schemaDir(view))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read schemas of view %s: %w", view, err)
	}
	all := make(map[string]change.Schema)
	for _, e := range entries {
		path := filepath.Join(l.schemaDir(view), e.Name())
		if filepath.Ext(path) == tempSuffix {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read schema: %w", err)
		}
		var s change.Schema
		_, payload, err := decodeFile(kindSchema, b)
		if err == nil {
			err = json.Unmarshal(payload, &s)
		}
		if err == nil && s.Fingerprint() != e.Name() {
			err = fmt.Errorf("damaged: it is the schema %s", s.Fingerprint())
		}
		if err != nil {
			return nil, fmt.Errorf("read schema %s: %w", path, err)
		}
		all[e.Name()] = s
	}
	return all, nil
}
