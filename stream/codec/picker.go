package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"unicode/utf8"
)

// Picker finds named top-level members of JSON objects that mostly have their
// members in the same order. One goroutine uses it.
type Picker struct {
	names []string
	index map[string]int
	// layout holds the names of the last record in order, so that the usual
	// record costs one comparison per member instead of a look-up.
	layout []member
	buf    []byte
	// early counts the names that are looked for in front of the columns only.
	early int
}

// member is one expected member: the bytes `"name":` and the index of the
// wanted name, or -1.
type member struct {
	prefix []byte
	want   int
	// column says that it is no metadata.
	column bool
}

// maxLayout bounds what a Picker remembers; MySQL has at most 4,096 columns.
const maxLayout = 8192

// NewPicker returns a Picker of the named members. A name that occurs twice is
// found at its first index only.
func NewPicker(names []string) *Picker {
	p := &Picker{names: names, index: make(map[string]int, len(names))}
	for i, name := range names {
		if _, twice := p.index[name]; !twice {
			p.index[name] = i
		}
	}
	return p
}

// NewEventPicker is NewPicker for change events, whose member _raw stands in front
// of the columns when there is one: behind the first column it is looked for no
// more, so that an event without it is not read to its end for that.
func NewEventPicker(names []string) *Picker {
	p := NewPicker(names)
	if _, ok := p.index[RawName]; ok {
		p.early = 1
	}
	return p
}

// RawName is the member of an event that names the columns which hold the base64
// of bytes in place of a text.
const RawName = "_raw"

// RawNames reads the text of that member; nil is absent, and names none.
func RawNames(raw []byte) ([]string, error) {
	if raw == nil {
		return nil, nil
	}
	var names []string
	if err := json.Unmarshal(raw, &names); err != nil {
		return nil, fmt.Errorf("member %s is no array of names: %w", RawName, err)
	}
	return names, nil
}

// Pick sets out[i] to the raw JSON text of the member called names[i], a slice
// of value, or to nil when there is none. When a member occurs twice, the
// first counts. out must be as long as names.
//
// It stops behind the last wanted member; everything up to there is checked
// to be JSON, and what follows is not looked at. It allocates nothing once it
// has seen the layout of the records.
func (p *Picker) Pick(value []byte, out [][]byte) error {
	if len(out) != len(p.names) {
		return fmt.Errorf("pick members: out has %d places, want %d", len(out), len(p.names))
	}
	clear(out)
	w := walker{b: value, pos: skipSpace(value, 0), depth: 1}
	if err := w.open(); err != nil {
		return err
	}
	missing, early := len(p.index), p.early
	for at := 0; missing > 0; at++ {
		more, err := w.name()
		if err != nil {
			return err
		}
		if !more {
			return w.end()
		}
		var want int
		var column bool
		if at < len(p.layout) && bytes.HasPrefix(value[w.pos:], p.layout[at].prefix) {
			want, column = p.layout[at].want, p.layout[at].column
			w.pos += len(p.layout[at].prefix)
		} else {
			if err := w.rawKey(); err != nil {
				return err
			}
			want, column = p.learn(at, w.key)
		}
		if early > 0 && column {
			if missing, early = missing-early, 0; missing == 0 {
				return nil
			}
		}
		if err := w.rawValue(); err != nil {
			return err
		}
		if want >= 0 && out[want] == nil {
			out[want] = w.value
			missing--
			if early > 0 && p.names[want] == RawName {
				early = 0
			}
		}
	}
	return nil
}

// learn remembers that the member at place at is called key, and returns the
// index of the wanted name or -1, and whether it is a column. Places behind it keep what they had: a
// record that lacks one member must not cost the layout of the rest.
func (p *Picker) learn(at int, key []byte) (want int, column bool) {
	name := key[1 : len(key)-1]
	if !plain(name) {
		p.buf = appendUnescaped(p.buf[:0], name)
		name = p.buf
	}
	want, ok := p.index[string(name)]
	if !ok {
		want = -1
	}
	column = len(name) == 0 || name[0] != '_'
	if at >= maxLayout {
		return want, column
	}
	if at >= len(p.layout) {
		p.layout = append(p.layout, member{})
	}
	m := &p.layout[at]
	m.prefix = append(append(m.prefix[:0], key...), ':')
	m.want, m.column = want, column
	return want, column
}

// plain reports whether the inside of a JSON string is its own text.
func plain(s []byte) bool { return bytes.IndexByte(s, '\\') < 0 && utf8.Valid(s) }

// Member is one member of an object.
type Member struct {
	// Name is the member's name without quotes and escapes.
	Name []byte
	// Value is the raw JSON text.
	Value []byte
}

// Members walks the top-level members of a JSON object in order. Both slices
// alias value, but for a name with escapes. Input that is not one JSON object
// ends the walk with an error and a zero Member.
func Members(value []byte) iter.Seq2[Member, error] {
	return func(yield func(Member, error) bool) {
		w := walker{b: value, pos: skipSpace(value, 0), depth: 1}
		err := w.open()
		for err == nil {
			var more bool
			if more, err = w.next(); err != nil {
				break
			}
			if !more {
				if err = w.end(); err == nil {
					return
				}
				break
			}
			name := w.key[1 : len(w.key)-1]
			if !plain(name) {
				name = appendUnescaped(nil, name)
			}
			if !yield(Member{Name: name, Value: w.value}, nil) {
				return
			}
		}
		yield(Member{}, err)
	}
}
