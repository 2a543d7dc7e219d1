package minisql

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Eval returns the literal.
func (e *literal) Eval(Env) (any, error) { return e.v, nil }

// Eval returns the column of the current row.
func (e *columnRef) Eval(env Env) (any, error) { return env.Column(e.name) }

// Eval returns the system variable.
func (e *sysVar) Eval(env Env) (any, error) { return env.SystemVariable(e.name) }

// Eval returns the user variable.
func (e *userVar) Eval(env Env) (any, error) { return env.UserVariable(e.name), nil }

// Eval returns the placeholder's value.
func (e *param) Eval(env Env) (any, error) { return env.Param(e.n) }

// Eval fails: a row value has no place outside comparisons.
func (e *tuple) Eval(Env) (any, error) {
	return nil, errors.New("a row value can only be compared")
}

// Eval negates.
func (e *unary) Eval(env Env) (any, error) {
	v, err := e.x.Eval(env)
	if err != nil || v == nil {
		return nil, err
	}
	switch e.op {
	case "NOT":
		is, _ := truth(v)
		return boolean(!is), nil
	case "-":
		return calculate("-", int64(0), v), nil
	}
	return v, nil
}

// Eval tests for NULL.
func (e *isNull) Eval(env Env) (any, error) {
	v, err := e.x.Eval(env)
	return boolean((v == nil) != e.not), err
}

// Eval computes the operator.
func (e *binary) Eval(env Env) (any, error) {
	switch e.op {
	case "AND", "OR":
		return e.logic(env)
	}
	if x, ok := e.x.(*tuple); ok {
		y, ok := e.y.(*tuple)
		if !ok || len(x.items) != len(y.items) {
			return nil, errors.New("a row value is compared with something else")
		}
		return compareTuples(env, e.op, x.items, y.items)
	}
	x, err := e.x.Eval(env)
	if err != nil {
		return nil, err
	}
	y, err := e.y.Eval(env)
	if err != nil {
		return nil, err
	}
	switch e.op {
	case "+", "-", "*", "/", "%":
		return calculate(e.op, x, y), nil
	case "<=>":
		return boolean(less(x, y) == 0), nil
	}
	if x == nil || y == nil {
		return nil, nil
	}
	if e.op == "LIKE" {
		return boolean(Like(Text(x), Text(y))), nil
	}
	return boolean(holds(e.op, Compare(x, y))), nil
}

func holds(op string, c int) bool {
	switch op {
	case "=":
		return c == 0
	case "<":
		return c < 0
	case ">":
		return c > 0
	case "<=":
		return c <= 0
	case ">=":
		return c >= 0
	}
	return c != 0
}

// logic is AND and OR of three values.
func (e *binary) logic(env Env) (any, error) {
	x, err := e.x.Eval(env)
	if err != nil {
		return nil, err
	}
	decides := e.op == "OR" // the value that decides alone
	if is, known := truth(x); known && is == decides {
		return boolean(decides), nil
	}
	y, err := e.y.Eval(env)
	if err != nil {
		return nil, err
	}
	if is, known := truth(y); known && is == decides {
		return boolean(decides), nil
	}
	if x == nil || y == nil {
		return nil, nil
	}
	return boolean(!decides), nil
}

// compareTuples compares item by item, the first difference decides.
func compareTuples(env Env, op string, xs, ys []Expr) (any, error) {
	c := 0
	for i := range xs {
		x, err := xs[i].Eval(env)
		if err != nil {
			return nil, err
		}
		y, err := ys[i].Eval(env)
		if err != nil {
			return nil, err
		}
		if x == nil || y == nil {
			return nil, nil
		}
		if c = Compare(x, y); c != 0 {
			break
		}
	}
	return boolean(holds(op, c)), nil
}

// Eval tests for membership; with a NULL in the list "not found" is unknown.
func (e *inList) Eval(env Env) (any, error) {
	null := false
	for _, item := range e.list {
		v, err := (&binary{"=", e.x, item}).Eval(env)
		if err != nil {
			return nil, err
		}
		if v == nil {
			null = true
		} else if is, _ := truth(v); is {
			return boolean(!e.not), nil
		}
	}
	if null {
		return nil, nil
	}
	return boolean(e.not), nil
}

// Eval converts. CHAR is the text, numbers are read from it; other types are as
// they are.
func (e *cast) Eval(env Env) (any, error) {
	v, err := e.x.Eval(env)
	if err != nil || v == nil {
		return nil, err
	}
	switch e.to {
	case "CHAR", "NCHAR", "UTF8MB4", "JSON":
		return Text(v), nil
	case "BINARY":
		return []byte(Text(v)), nil
	case "SIGNED", "UNSIGNED":
		r := rational(v)
		return fromRational(r.SetInt(r.Num().Quo(r.Num(), r.Denom())), 0), nil
	case "DECIMAL":
		return Decimal(Text(v)), nil
	}
	return v, nil
}

// Eval calls a function; aggregates are not computed here.
func (e *call) Eval(env Env) (any, error) {
	if e.aggregate() {
		return nil, fmt.Errorf("%s has no place there", e.name)
	}
	args := make([]any, len(e.args))
	for i, a := range e.args {
		var err error
		if args[i], err = a.Eval(env); err != nil {
			return nil, err
		}
	}
	switch e.name {
	case "COALESCE", "IFNULL":
		for _, a := range args {
			if a != nil {
				return a, nil
			}
		}
		return nil, nil
	case "IF":
		if len(args) == 3 {
			if is, _ := truth(args[0]); is {
				return args[1], nil
			}
			return args[2], nil
		}
	case "CONCAT", "CONCAT_WS":
		return concat(e.name == "CONCAT_WS", args), nil
	case "LOWER", "LCASE", "UPPER", "UCASE", "HEX", "LENGTH", "CHAR_LENGTH":
		if len(args) == 1 {
			return textFunction(e.name, args[0]), nil
		}
	}
	return env.Call(e.name, args)
}

func concat(separated bool, args []any) any {
	sep := ""
	if separated && len(args) > 0 {
		sep, args = Text(args[0]), args[1:]
	}
	var parts []string
	for _, a := range args {
		switch {
		case a != nil:
			parts = append(parts, Text(a))
		case !separated:
			return nil
		}
	}
	return strings.Join(parts, sep)
}

func textFunction(name string, v any) any {
	if v == nil {
		return nil
	}
	text := Text(v)
	switch name {
	case "LOWER", "LCASE":
		return strings.ToLower(text)
	case "UPPER", "UCASE":
		return strings.ToUpper(text)
	case "HEX":
		if i, ok := v.(int64); ok {
			return fmt.Sprintf("%X", uint64(i))
		}
		return strings.ToUpper(hex.EncodeToString([]byte(text)))
	case "LENGTH":
		return int64(len(text))
	}
	return int64(len([]rune(text)))
}
