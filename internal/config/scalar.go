package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// textError is a mistake inside a scalar.
type textError struct {
	code string
	msg  string
	// fix is the text to write instead, where it is certain.
	fix string
	// hint says what to do, where msg does not.
	hint string
}

func (e *textError) Error() string { return e.msg }

// later is a mistake that a later version will take for none.
func later(format string, args ...any) *textError {
	return &textError{code: "not-supported-yet", msg: fmt.Sprintf(format, args...), hint: "not supported yet"}
}

func badText(code, format string, args ...any) *textError {
	return &textError{code: code, msg: fmt.Sprintf(format, args...)}
}

// textParser is a scalar with a grammar of its own. Its error is a *textError.
type textParser interface{ parseText(text string) error }

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
	// Func is count, sum, avg, min or max.
	Func string
	// Column is the view's column that is read; empty for count.
	Column string
}

// String returns the text form.
func (a Aggregate) String() string { return a.Func + "(" + a.Column + ")" }

// aggregates are what a metric computes over a column.
var aggregates = []string{"sum", "avg", "min", "max"}

// aggregateForms is what a person may write.
const aggregateForms = "count(), or sum, avg, min or max of a (column)"

var laterAggregates = []string{"distinct", "approx_distinct", "quantile", "top"}

func (a *Aggregate) parseText(text string) error {
	if arg, ok := call(text, "count"); ok {
		if arg != "" && arg != "*" {
			return badText("bad-aggregate", "count takes no column: write count()")
		}
		*a = Aggregate{Func: "count"}
		return nil
	}
	for _, name := range aggregates {
		if arg, ok := call(text, name); ok {
			if !patterns["column"].re.MatchString(arg) {
				return badText("bad-aggregate", "%s takes one column of the view: write %s(amount), and compute the column in the view's select", name, name)
			}
			*a = Aggregate{Func: name, Column: arg}
			return nil
		}
	}
	for _, name := range laterAggregates {
		if _, ok := call(text, name); ok {
			return later("%q is no aggregate: write %s", text, aggregateForms)
		}
	}
	return badText("not-one-of", "%q is no aggregate: write %s", text, aggregateForms)
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

// directory returns the left side of the level's directories: dt in dt=2026-11-20.
func (l Level) directory() string {
	if l.Func != "" {
		return l.Func
	}
	return l.Column
}

func (l *Level) parseText(text string) error {
	text = strings.TrimSpace(text)
	if text == "dt" || text == "hr" {
		*l = Level{Func: text}
		return nil
	}
	for _, f := range []string{"dt", "hr"} {
		if arg, ok := call(text, f); ok && patterns["level"].re.MatchString(arg) {
			*l = Level{Func: f, Column: arg}
			return nil
		}
	}
	if !patterns["level"].re.MatchString(text) {
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
