// Package codec reads the JSON of change events without building it: it finds
// the raw text of the members that a window or a lake file needs, and quotes
// and unquotes strings.
//
// The producer fixes the order of keys, so a Picker first tries the name that
// stood at the same place in the last record, and falls back to a look-up.
// Values are slices of the input. What a function passes over is checked
// against RFC 8259, with two of its freedoms settled as encoding/json does:
// nesting is bounded, and bytes that are not UTF-8 are read as U+FFFD.
package codec
