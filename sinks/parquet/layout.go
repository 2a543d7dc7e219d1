package parquet

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"tailwater/stream/codec"
)

// DefaultLayout is the name of the layout by commit time.
const DefaultLayout = "default"

// hiveNull is the directory value of a NULL, as Hive and Athena spell it.
const hiveNull = "__HIVE_DEFAULT_PARTITION__"

// Layout says which directories the rows of a view go to. It is one of up to
// several orders of the same data.
type Layout struct {
	Name string `json:"name"`
	// By are the directory levels in order; empty is dt and hr of the commit
	// time.
	By []Level `json:"by"`
}

// Level is one directory level.
type Level struct {
	// Name is the left side: dt in dt=2026-11-20.
	Name string `json:"name"`
	// Column is the view's column that gives the value; empty is the commit time.
	Column string `json:"column,omitempty"`
	// Part is "date" or "hour" of a temporal column or of the commit time, or
	// "" for the value itself.
	Part string `json:"part,omitempty"`
}

// CommitTime is the default layout: dt=YYYY-MM-DD/hr=HH, UTC.
func CommitTime() Layout {
	return Layout{Name: DefaultLayout, By: []Level{{Name: "dt", Part: "date"}, {Name: "hr", Part: "hour"}}}
}

// ParseLayout reads the levels of a layout as the configuration states them:
// a column name, or dt(column) or hr(column) for the date or hour of a
// temporal column; dt and hr alone are those of the commit time.
func ParseLayout(name string, by []string) (Layout, error) {
	l := Layout{Name: name}
	seen := make(map[string]bool)
	for _, s := range by {
		lv, err := parseLevel(s)
		if err != nil {
			return Layout{}, fmt.Errorf("layout %s: %w", name, err)
		}
		if seen[strings.ToLower(lv.Name)] {
			return Layout{}, fmt.Errorf("layout %s: two levels are called %s", name, lv.Name)
		}
		seen[strings.ToLower(lv.Name)] = true
		l.By = append(l.By, lv)
	}
	if len(l.By) == 0 {
		return Layout{}, fmt.Errorf("layout %s: by is empty; leave the layout out to get dt and hr of the commit time", name)
	}
	return l, nil
}

func parseLevel(s string) (Level, error) {
	switch s {
	case "dt":
		return Level{Name: "dt", Part: "date"}, nil
	case "hr":
		return Level{Name: "hr", Part: "hour"}, nil
	}
	fn, rest, call := strings.Cut(s, "(")
	if !call {
		if !isIdentifier(s) {
			return Level{}, fmt.Errorf("by %q: want a column, dt(column) or hr(column)", s)
		}
		return Level{Name: s, Column: s}, nil
	}
	col, ok := strings.CutSuffix(rest, ")")
	if !ok || !isIdentifier(col) || (fn != "dt" && fn != "hr") {
		return Level{}, fmt.Errorf("by %q: want a column, dt(column) or hr(column)", s)
	}
	if fn == "dt" {
		return Level{Name: "dt", Column: col, Part: "date"}, nil
	}
	return Level{Name: "hr", Column: col, Part: "hour"}, nil
}

func isIdentifier(s string) bool {
	for _, c := range s {
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != ""
}

// columns lists the view's columns that the layout reads.
func (l *Layout) columns() []string {
	var out []string
	for _, lv := range l.By {
		if lv.Column != "" {
			out = append(out, lv.Column)
		}
	}
	return out
}

// appendDir appends the hive directory of a row: micros is its commit time,
// values the raw JSON of columns(), in that order.
func (l *Layout) appendDir(dst []byte, micros int64, values [][]byte) ([]byte, error) {
	next := 0
	for i, lv := range l.By {
		if i > 0 {
			dst = append(dst, '/')
		}
		dst = append(dst, lv.Name...)
		dst = append(dst, '=')
		if lv.Column == "" {
			dst = appendCommit(dst, micros, lv.Part)
			continue
		}
		v := values[next]
		next++
		var err error
		if dst, err = appendLevel(dst, v, lv); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func appendCommit(dst []byte, micros int64, part string) []byte {
	t := time.UnixMicro(micros).UTC()
	if part == "hour" {
		return t.AppendFormat(dst, "15")
	}
	return t.AppendFormat(dst, time.DateOnly)
}

func appendLevel(dst, raw []byte, lv Level) ([]byte, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return append(dst, hiveNull...), nil
	}
	if raw[0] != '"' {
		return appendHive(dst, raw), nil
	}
	text, err := codec.AppendUnquote(nil, raw)
	if err != nil {
		return dst, fmt.Errorf("column %s: %w", lv.Column, err)
	}
	switch {
	case lv.Part == "date" && len(text) >= 10:
		text = text[:10]
	case lv.Part == "hour" && len(text) >= 13:
		text = text[11:13]
	case lv.Part != "":
		return append(dst, hiveNull...), nil
	}
	if len(text) == 0 {
		return append(dst, hiveNull...), nil
	}
	return appendHive(dst, text), nil
}

// appendHive escapes a directory value as Hive does: control characters and
// those that mean something in a path or a glob become %XX.
//
// A level of more than maxLevel bytes is cut and ends with a part of the
// text's SHA-256: file systems take at most 255 bytes, S3 1,024 of a whole key.
func appendHive(dst, text []byte) []byte {
	start := len(dst)
	dst = appendEscaped(dst, text[:min(len(text), maxLevel+1)])
	if len(dst)-start <= maxLevel {
		return dst
	}
	cut := start + maxLevel - 20
	for cut > start && (dst[cut]&0xC0 == 0x80 || dst[cut-1] == '%' || dst[cut-2] == '%') {
		cut--
	}
	sum := sha256.Sum256(text)
	return fmt.Appendf(dst[:cut], "~%x", sum[:8])
}

// maxLevel bounds the value of a directory level, in bytes.
const maxLevel = 180

func appendEscaped(dst, text []byte) []byte {
	const special = "\"#%'*/:=?\\{}[]^\x7f"
	const digits = "0123456789ABCDEF"
	for i, c := range text {
		if c < 0x20 || strings.IndexByte(special, c) >= 0 || i == 0 && c == '.' {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}
