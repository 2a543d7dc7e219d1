package minisql

import "strings"

// Bound looks in the AND-ed conditions of where for a bound of a key: for the
// lower one key > v, key >= v, key = v; for the upper one key < v, key <= v,
// key = v; and the same for row values that begin with the key's columns. It
// returns the values of the columns that are bounded, from the first on. No
// row outside lies in the result; rows inside, the bound included, may not
// either.
func Bound(where Expr, key []string, env Env, upper bool) []any {
	b, ok := where.(*binary)
	if !ok {
		return nil
	}
	switch b.op {
	case "AND":
		if v := Bound(b.x, key, env, upper); v != nil {
			return v
		}
		return Bound(b.y, key, env, upper)
	case "=":
	case ">", ">=":
		if upper {
			return nil
		}
	case "<", "<=":
		if !upper {
			return nil
		}
	default:
		return nil
	}
	xs, ys := []Expr{b.x}, []Expr{b.y}
	if x, ok := b.x.(*tuple); ok {
		if y, ok := b.y.(*tuple); ok {
			xs, ys = x.items, y.items
		}
	}
	var out []any
	for i := range min(len(xs), len(ys), len(key)) {
		c, ok := xs[i].(*columnRef)
		if !ok || !strings.EqualFold(c.name, key[i]) {
			break
		}
		v, err := ys[i].Eval(env)
		if err != nil || v == nil {
			break
		}
		out = append(out, v)
	}
	return out
}
