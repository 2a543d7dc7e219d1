// Package codec reads the JSON of change events without building it: it finds
// the raw text of the members that a window or a lake file needs.
//
// The producer fixes the order of keys, so a Picker first tries the place
// where each member stood last time and falls back to a scan. Values are
// slices of the input.
package codec
