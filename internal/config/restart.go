package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Restart returns the keys in which the file of next differs from that of r and
// which a process that runs cannot take: all but the lists of the shards of a
// source. A shard that both have must be reached in the same way; its server id,
// which is about its place in the list, may differ. Both must come from Load.
func (r *Resolved) Restart(next *Resolved) []string {
	var keys []string
	differences("", reflect.ValueOf(r.file).Elem(), reflect.ValueOf(next.file).Elem(), func(at string) { keys = append(keys, at) })
	for i := range r.Sources {
		was := &r.Sources[i]
		for j := range next.Sources {
			if now := &next.Sources[j]; now.Name == was.Name {
				keys = append(keys, moved(was, now)...)
			}
		}
	}
	return keys
}

// moved are the shards of a source that are reached in another way than before.
func moved(was, now *ResolvedSource) []string {
	var keys []string
	for _, a := range was.Shards {
		for _, b := range now.Shards {
			b.ServerID = a.ServerID
			if a.ID == b.ID && !reflect.DeepEqual(a, b) {
				keys = append(keys, fmt.Sprintf("sources.%s.shards, of which %s has another address, account or protection", was.Name, a.ID))
			}
		}
	}
	return keys
}

// differences calls report with each key below at whose values differ.
func differences(at string, a, b reflect.Value, report func(at string)) {
	switch {
	case reflect.DeepEqual(a.Interface(), b.Interface()):
	case a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil():
		differences(at, a.Elem(), b.Elem(), report)
	case a.Kind() == reflect.Map:
		names := make(map[string]bool)
		for _, k := range slices.Concat(a.MapKeys(), b.MapKeys()) {
			names[k.String()] = true
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			x, y := a.MapIndex(reflect.ValueOf(name)), b.MapIndex(reflect.ValueOf(name))
			if !x.IsValid() || !y.IsValid() {
				report(join(at, name))
				continue
			}
			differences(join(at, name), x, y, report)
		}
	case a.Kind() == reflect.Struct && !isScalar(a) && len(sectionOf(a.Type()).fields) > 0:
		for _, f := range sectionOf(a.Type()).fields {
			if a.Type() == reflect.TypeFor[Source]() && f.key == "shards" {
				continue
			}
			differences(join(at, f.key), a.FieldByIndex(f.index), b.FieldByIndex(f.index), report)
		}
	default:
		report(at)
	}
}
