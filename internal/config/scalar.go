package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// textError is a mistake inside a scalar.
type textError struct {
	code string
	msg  string
	// fix is the text to write instead, where it is certain.
	fix string
}

func (e *textError) Error() string { return e.msg }

func badText(code, format string, args ...any) *textError {
	return &textError{code: code, msg: fmt.Sprintf(format, args...)}
}

// textParser is a scalar with a grammar of its own. Its error is a *textError.
type textParser interface{ parseText(text string) error }

// Size is a number of bytes.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

// String returns the size in the largest unit of 1024 that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits[:4] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

func parseSize(text string) (Size, error) {
	number := strings.TrimRight(text, "BKMGTikmgtb ")
	unit := strings.TrimSpace(text[len(number):])
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || number == "" || strings.ContainsAny(number, "eExXpP_+-") || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, badText("bad-size", "%q is no size: write a number and a unit, such as 128MiB", text)
	}
	if unit == "" {
		return 0, badText("bad-size", "%q has no unit: write B, KiB, MiB, GiB or TiB (or KB, MB, GB, TB) behind it", text)
	}
	for _, u := range sizeUnits {
		if u.name == unit {
			b := v * float64(u.bytes)
			if b >= math.MaxInt64 {
				return 0, badText("bad-size", "%q is too large for a size", text)
			}
			return Size(b), nil
		}
	}
	for _, u := range sizeUnits {
		if strings.EqualFold(u.name, unit) {
			e := badText("bad-size", "%q has no known unit", text)
			e.fix = number + u.name
			return 0, e
		}
	}
	return 0, badText("bad-size", "%q has no known unit: write B, KiB, MiB, GiB or TiB (or KB, MB, GB, TB)", text)
}

const day = 24 * time.Hour

// parseDuration reads what time.ParseDuration reads, and days as d. Signs are
// refused, and so is 0 without a unit.
func parseDuration(text string) (time.Duration, error) {
	bad := func() error {
		return badText("bad-duration", "%q is no duration: write a number and a unit, such as 500ms, 5m, 24h or 14d", text)
	}
	if text == "" || strings.ContainsAny(text, "+-") {
		return 0, bad()
	}
	if strings.Trim(text, "0123456789.") == "" {
		return 0, badText("bad-duration", "%q has no unit: write ms, s, m, h or d behind it", text)
	}
	rest, days := text, time.Duration(0)
	if n, tail, found := strings.Cut(text, "d"); found {
		v, err := strconv.ParseInt(n, 10, 32)
		if err != nil {
			return 0, bad()
		}
		days, rest = time.Duration(v), tail
		if days > math.MaxInt64/day {
			return 0, badText("bad-duration", "%q is too long for a duration", text)
		}
		if rest == "" {
			return days * day, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil {
		return 0, bad()
	}
	if d > math.MaxInt64-days*day {
		return 0, badText("bad-duration", "%q is too long for a duration", text)
	}
	return days*day + d, nil
}

// IDRange is a range of replication server ids, both ends included.
type IDRange struct{ First, Last uint32 }

// String returns first-last, or the one id.
func (r IDRange) String() string {
	if r.First == r.Last {
		return strconv.FormatUint(uint64(r.First), 10)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// Len counts the ids of r.
func (r IDRange) Len() int { return int(int64(r.Last) - int64(r.First) + 1) }

// Overlaps reports whether an id is in both.
func (r IDRange) Overlaps(q IDRange) bool { return r.First <= q.Last && q.First <= r.Last }

func (r *IDRange) parseText(text string) error {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	a, errA := strconv.ParseUint(strings.TrimSpace(first), 10, 32)
	b, errB := strconv.ParseUint(strings.TrimSpace(last), 10, 32)
	switch {
	case errA != nil || errB != nil:
		return badText("bad-range", "%q is no range of server ids: write 5400-5499", text)
	case a == 0:
		return badText("bad-range", "server id 0 is no id: MySQL's go from 1 to 4294967295")
	case a > b:
		e := badText("bad-range", "the range %q ends before it begins", text)
		e.fix = fmt.Sprintf("%d-%d", b, a)
		return e
	}
	r.First, r.Last = uint32(a), uint32(b)
	return nil
}

// maxNames bounds the shards of one source.
const maxNames = 1024

// Names is a list of shard ids.
type Names []string

func (n *Names) parseText(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		ids, err := expandNames(part)
		if err != nil {
			return err
		}
		if *n = append(*n, ids...); len(*n) > maxNames {
			return badText("out-of-range", "%q names more than %d shards", text, maxNames)
		}
	}
	return nil
}

// expandNames returns the ids of one name or range. A range keeps the width of
// its ends: 00..11, 8..12 and a08..a12 are ranges.
func expandNames(part string) ([]string, error) {
	first, last, isRange := strings.Cut(part, "..")
	if !isRange {
		if !patterns["shard"].re.MatchString(part) {
			return nil, badText("bad-name", "%q is no shard id: %s", part, patterns["shard"].says)
		}
		return []string{part}, nil
	}
	prefix := strings.TrimRight(first, "0123456789")
	tail, samePrefix := strings.CutPrefix(last, prefix)
	a, errA := strconv.ParseUint(first[len(prefix):], 10, 32)
	b, errB := strconv.ParseUint(tail, 10, 32)
	if !samePrefix || errA != nil || errB != nil || a > b {
		return nil, badText("bad-range", "%q is no range of shard ids: write 00..11, the smaller first", part)
	}
	if b-a >= maxNames {
		return nil, badText("out-of-range", "%q names more than %d shards", part, maxNames)
	}
	width := 0
	if len(first)-len(prefix) == len(tail) {
		width = len(tail)
	}
	ids := make([]string, 0, b-a+1)
	for i := a; i <= b; i++ {
		id := fmt.Sprintf("%s%0*d", prefix, width, i)
		if !patterns["shard"].re.MatchString(id) {
			return nil, badText("bad-name", "%q is no shard id: %s", id, patterns["shard"].says)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Start says where a shard begins that has no saved position.
type Start struct {
	// Mode is earliest, latest, gtid or file.
	Mode string
	// GTIDs is the set of mode gtid: what is already known.
	GTIDs string
	// File and Offset are those of mode file.
	File   string
	Offset uint64
}

// String returns the text form.
func (s Start) String() string {
	switch s.Mode {
	case "gtid":
		return "gtid:" + s.GTIDs
	case "file":
		return fmt.Sprintf("file:%s:%d", s.File, s.Offset)
	}
	return s.Mode
}

func (s *Start) parseText(text string) error {
	mode, rest, hasRest := strings.Cut(text, ":")
	switch {
	case !hasRest && (mode == "earliest" || mode == "latest"):
		*s = Start{Mode: mode}
		return nil
	case hasRest && mode == "gtid":
		if err := checkGTIDSet(rest); err != nil {
			return err
		}
		*s = Start{Mode: mode, GTIDs: rest}
		return nil
	case hasRest && mode == "file":
		return s.parseFile(text, rest)
	case mode == "timestamp":
		return badText("not-supported-yet", "start by timestamp is not supported yet")
	}
	e := badText("not-one-of", "%q is no place to start: write earliest, latest, gtid:<set> or file:<name>:<offset>", text)
	e.fix = closest(mode, []string{"earliest", "latest"})
	return e
}

func (s *Start) parseFile(text, rest string) error {
	i := strings.LastIndexByte(rest, ':')
	if i <= 0 {
		return badText("bad-position", "%q is no place in a binlog: write file:binlog.000042:4", text)
	}
	offset, err := strconv.ParseUint(rest[i+1:], 10, 64)
	if err != nil || offset < 4 {
		return badText("bad-position", "%q has no offset: events begin at offset 4 of a binlog", text)
	}
	*s = Start{Mode: "file", File: rest[:i], Offset: offset}
	return nil
}

// checkGTIDSet checks the form of a MySQL GTID set: uuid:n[-m][:n[-m]]…,
// separated by commas. Tags, which MySQL 8.3 brought, may stand between.
func checkGTIDSet(set string) error {
	for sid := range strings.SplitSeq(set, ",") {
		parts := strings.Split(strings.TrimSpace(sid), ":")
		if !patterns["uuid"].re.MatchString(parts[0]) || len(parts) < 2 {
			return badText("bad-position", "%q is no GTID set: write <server uuid>:1-100, sets separated by commas", set)
		}
		for _, interval := range parts[1:] {
			if !patterns["interval"].re.MatchString(strings.TrimSpace(interval)) {
				return badText("bad-position", "%q is no interval of a GTID set: write 1-100, or 7", interval)
			}
		}
	}
	return nil
}

// Expr is the text of a CEL expression.
type Expr string

// Mask says how a column is made unreadable.
type Mask struct {
	// Kind is hash, drop or truncate.
	Kind string
	// Keep is the number of characters that truncate leaves.
	Keep int
}

// String returns the text form.
func (m Mask) String() string {
	if m.Kind == "truncate" {
		return fmt.Sprintf("truncate(%d)", m.Keep)
	}
	return m.Kind
}

func (m *Mask) parseText(text string) error {
	if text == "hash" || text == "drop" {
		*m = Mask{Kind: text}
		return nil
	}
	arg, ok := call(text, "truncate")
	if !ok {
		e := badText("not-one-of", "%q is no mask: write hash, drop or truncate(n)", text)
		e.fix = closest(text, []string{"hash", "drop"})
		return e
	}
	n, err := strconv.ParseUint(arg, 10, 16)
	if err != nil || n == 0 {
		return badText("bad-mask", "truncate(%s) keeps no number of characters: write truncate(4), or drop", arg)
	}
	*m = Mask{Kind: "truncate", Keep: int(n)}
	return nil
}

// call returns the argument of text when it is name(argument).
func call(text, name string) (string, bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), name)
	if !ok {
		return "", false
	}
	rest = strings.TrimSpace(rest)
	if len(rest) < 2 || rest[0] != '(' || rest[len(rest)-1] != ')' {
		return "", false
	}
	return strings.TrimSpace(rest[1 : len(rest)-1]), true
}

// Aggregate is what a metric computes.
type Aggregate struct {
	// Func is count or sum.
	Func string
	// Column is the view's column that sum adds.
	Column string
}

// String returns the text form.
func (a Aggregate) String() string { return a.Func + "(" + a.Column + ")" }

var laterAggregates = []string{"avg", "min", "max", "distinct", "approx_distinct", "quantile", "top"}

func (a *Aggregate) parseText(text string) error {
	if arg, ok := call(text, "count"); ok {
		if arg != "" && arg != "*" {
			return badText("bad-aggregate", "count takes no column: write count()")
		}
		*a = Aggregate{Func: "count"}
		return nil
	}
	if arg, ok := call(text, "sum"); ok {
		if !patterns["column"].re.MatchString(arg) {
			return badText("bad-aggregate", "sum takes one column of the view: write sum(amount), and compute the column in the view's select")
		}
		*a = Aggregate{Func: "sum", Column: arg}
		return nil
	}
	for _, name := range laterAggregates {
		if _, ok := call(text, name); ok {
			return badText("not-supported-yet", "%s is not supported yet: write count() or sum(column)", name)
		}
	}
	return badText("not-one-of", "%q is no aggregate: write count() or sum(column)", text)
}

// Level is one directory level of a layout.
type Level struct {
	// Func is empty for the column's own value, dt for its day, hr for its hour.
	Func string
	// Column is a column of the view; empty is the commit time.
	Column string
}

// String returns the text form.
func (l Level) String() string {
	switch {
	case l.Func == "":
		return l.Column
	case l.Column == "":
		return l.Func
	}
	return l.Func + "(" + l.Column + ")"
}

func (l *Level) parseText(text string) error {
	text = strings.TrimSpace(text)
	if text == "dt" || text == "hr" {
		*l = Level{Func: text}
		return nil
	}
	for _, f := range []string{"dt", "hr"} {
		if arg, ok := call(text, f); ok && patterns["column"].re.MatchString(arg) {
			*l = Level{Func: f, Column: arg}
			return nil
		}
	}
	if !patterns["column"].re.MatchString(text) {
		return badText("bad-layout", "%q is no directory level: write a column, dt(column), hr(column), dt or hr", text)
	}
	*l = Level{Column: text}
	return nil
}

// asTextError returns the *textError in err, which every parser gives.
func asTextError(err error) *textError {
	var e *textError
	if errors.As(err, &e) {
		return e
	}
	return &textError{code: "bad-value", msg: err.Error()}
}
