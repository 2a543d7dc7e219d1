// Package config reads the one YAML file that says what a pipeline is, and
// tells everything that is wrong with it at once.
//
// The structs of this package are the only description of the file: their tags
// give each key its name, text, default, unit, range and choices, and the
// decoder, the JSON schema and docs/config.md are all derived from them.
//
//	key       the key's name
//	doc       one or two sentences for a person
//	default   the text that stands for the key when it is absent
//	required  "true" when there is no default
//	enum      the choices, separated by |
//	later     on a field: choices that are known but not supported yet;
//	          on a blank field: keys of that kind, separated by commas
//	range     min..max, each in the key's own unit, either may be empty
//	names     what the names of a map's entries may be: id or column
//	pattern   a name of the patterns table that the text must match
//
// Reading goes in fixed steps: bytes, YAML node tree, walk over the structs
// (unknown and duplicate keys, types, units, ranges, ${…} in scalar values),
// defaults, checks between sections, Resolved. Every step goes on after a
// mistake as far as it makes sense, and every mistake is a Finding with its
// line and column.
//
// Lint is Load without a machine: it reads no environment and no network, and
// takes what a variable would give as unknown, neither right nor wrong.
package config
