package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// tally is where an arm's output goes: it is counted, and hashed when that is
// asked for.
type tally struct {
	job *job
	// count is how much of the job's Count was done, bytes the size of the
	// output.
	count, bytes int64

	hashed, canonical int64
	sum               uint64

	began   time.Time
	cpu     time.Duration
	mallocs uint64
	stopped bool
	lap     lap
}

func newTally(j *job) *tally { return &tally{job: j} }

// event takes one event of the output, a flat JSON object.
func (t *tally) event(value []byte) error {
	t.count++
	t.bytes += int64(len(value))
	if t.job.Check {
		return t.hashEvent(value)
	}
	return nil
}

// hashEvent adds an event to the digest.
func (t *tally) hashEvent(value []byte) error {
	line, err := canonicalEvent(value)
	if err != nil {
		return err
	}
	t.line(line)
	return nil
}

// line adds a line of the canonical output to the digest. The sum does not
// depend on the order: partitions have none between them.
func (t *tally) line(line string) {
	t.hashed++
	t.canonical += int64(len(line))
	t.sum += xxhash.Sum64String(line)
}

// digest is count, canonical bytes and sum of hashes.
func (t *tally) digest() string { return fmt.Sprintf("%d/%d/%016x", t.hashed, t.canonical, t.sum) }

// compared are the members of an event besides its columns that every arm must
// give. Others that begin with an underscore are one system's own.
var compared = map[string]bool{"_op": true, "_ts_us": true, "_gtid": true, "_db": true, "_table": true, "_old": true}

// canonicalEvent returns an event as text that does not depend on who wrote it:
// members sorted by name, values as text without quotes, documents with sorted
// keys, a T or Z in a time of day left out.
func canonicalEvent(value []byte) (string, error) {
	members, err := decodeObject(value)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name[0] == '_' && !compared[name] {
			continue
		}
		text, err := canonicalValue(name, members[name])
		if err != nil {
			return "", err
		}
		b.WriteString(name + "=" + text + "\n")
	}
	return b.String(), nil
}

func decodeObject(value []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var members map[string]any
	if err := d.Decode(&members); err != nil {
		return nil, fmt.Errorf("decode an event: %w", err)
	}
	return members, nil
}

// canonicalValue returns a value as text. Columns of fixture c are named for their
// kind and a number.
func canonicalValue(name string, v any) (string, error) {
	text, ok := v.(string)
	kind, _, _ := strings.Cut(name, "_")
	switch {
	case v == nil:
		return "\x00", nil
	case name == "_old":
		members, ok := v.(map[string]any)
		if !ok {
			return "", fmt.Errorf("_old is %v, want an object", v)
		}
		var b strings.Builder
		for _, name := range slices.Sorted(maps.Keys(members)) {
			text, err := canonicalValue(name, members[name])
			if err != nil {
				return "", err
			}
			b.WriteString(name + "=" + text + ";")
		}
		return b.String(), nil
	case !ok:
		return fmt.Sprint(v), nil
	case kind == columnPayload:
		doc, err := decodeObject([]byte(text))
		if err != nil {
			return "", err
		}
		b, err := json.Marshal(doc)
		return string(b), err
	case kind == columnMade, kind == columnSeen:
		return strings.TrimSuffix(strings.Replace(text, "T", " ", 1), "Z"), nil
	}
	return text, nil
}

// The columns that need a word of their own.
const (
	columnPayload = "payload"
	columnMade    = "made"
	columnSeen    = "seen"
	columnStatus  = "status"
	columnCity    = "city"
	columnAmount  = "amount"
)
