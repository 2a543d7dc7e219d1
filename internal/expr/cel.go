package expr

import (
	"errors"
	"fmt"
	"strconv"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"tailwater/change"
)

// program is a checked expression as a CEL program. CEL's own operators follow
// neither SQL's NULL nor exact decimals, so every operator of the checked tree
// becomes a call of a function of ours; columns and paths become variables.
type program struct {
	run    cel.Program
	leaves []*node
	cols   []change.Column
	// vals are the leaves' values of the row at hand.
	vals []ref.Val
	buf  []byte
	// doc is the document in a text column.
	doc []byte
}

// callName names the function of each operator in the CEL environment.
var callName = map[op]string{
	opAnd: "tw_and", opOr: "tw_or", opNot: "tw_not", opIf: "tw_if",
	opIsNull: "tw_is_null", opNotNull: "tw_not_null",
	opEq: "tw_eq", opNe: "tw_ne", opLt: "tw_lt", opLe: "tw_le", opGt: "tw_gt", opGe: "tw_ge",
	opAdd: "tw_add", opSub: "tw_sub", opMul: "tw_mul", opDiv: "tw_div", opRem: "tw_rem", opNeg: "tw_neg",
}

// runEnv is the environment of all programs: our functions and nothing else.
var runEnv = sync.OnceValues(func() (*cel.Env, error) {
	opts := []cel.EnvOption{cel.ClearMacros()}
	for _, b := range builtins {
		args := make([]*cel.Type, b.args)
		for i := range args {
			args[i] = cel.DynType
		}
		run := b.guarded()
		over := []cel.OverloadOpt{cel.FunctionBinding(run)}
		switch b.args {
		case 1:
			over[0] = cel.UnaryBinding(func(x ref.Val) ref.Val { return run(x) })
		case 2:
			over[0] = cel.BinaryBinding(func(x, y ref.Val) ref.Val { return run(x, y) })
		}
		if b.lazy {
			over = append(over, cel.OverloadIsNonStrict())
		}
		opts = append(opts, cel.Function(b.name, cel.Overload(b.name+"_dyn", args, cel.DynType, over...)))
	}
	return cel.NewCustomEnv(opts...)
})

// newProgram builds the CEL program of a checked expression.
func newProgram(root *node, cols []change.Column) (*program, error) {
	env, err := runEnv()
	if err != nil {
		return nil, fmt.Errorf("set up the expression functions: %w", err)
	}
	p := &program{cols: cols}
	b := &celBuilder{p: p, make: ast.NewExprFactory()}
	p.run, err = env.PlanProgram(ast.NewAST(b.expr(root), nil))
	if err != nil {
		return nil, fmt.Errorf("plan the expression: %w", err)
	}
	p.vals = make([]ref.Val, len(p.leaves))
	return p, nil
}

// celBuilder turns nodes into CEL's tree.
type celBuilder struct {
	p    *program
	make ast.ExprFactory
	id   int64
}

func (b *celBuilder) expr(n *node) ast.Expr {
	b.id++
	id := b.id
	switch n.op {
	case opConst:
		return b.make.NewLiteral(id, n.val)
	case opLeaf:
		b.p.leaves = append(b.p.leaves, n)
		return b.make.NewIdent(id, "v"+strconv.Itoa(len(b.p.leaves)-1))
	case opIn:
		return b.in(n)
	}
	args := make([]ast.Expr, len(n.args), len(n.args)+1)
	for i, a := range n.args {
		args[i] = b.expr(a)
	}
	if n.op != opCall {
		return b.make.NewCall(id, callName[n.op], args...)
	}
	if n.fn == "coalesce" {
		last := args[len(args)-1]
		for i := len(args) - 2; i >= 0; i-- {
			b.id++
			last = b.make.NewCall(b.id, "tw_coalesce", args[i], last)
		}
		return last
	}
	if n.extra != nil {
		b.id++
		args = append(args, b.make.NewLiteral(b.id, extraVal{of: n.extra}))
	}
	return b.make.NewCall(id, "tw_"+n.fn, args...)
}

// in builds tw_in(x, [a, b]).
func (b *celBuilder) in(n *node) ast.Expr {
	x := b.expr(n.args[0])
	items := make([]ast.Expr, 0, len(n.args)-1)
	for _, a := range n.args[1:] {
		items = append(items, b.expr(a))
	}
	b.id += 2
	return b.make.NewCall(b.id, "tw_in", x, b.make.NewList(b.id-1, items, nil))
}

// ResolveName gives CEL the value of a leaf.
func (p *program) ResolveName(name string) (any, bool) {
	i, err := strconv.Atoi(name[1:])
	if err != nil || i >= len(p.vals) {
		return nil, false
	}
	return p.vals[i], true
}

// Parent is nil: the leaves are all there is.
func (p *program) Parent() cel.Activation { return nil }

// eval returns the value of the expression for a row.
func (p *program) eval(row change.Row) (value, error) {
	for i, leaf := range p.leaves {
		v, err := p.load(leaf, row)
		if err != nil {
			return nil, err
		}
		p.vals[i] = v
	}
	out, _, err := p.run.Eval(p)
	if err == nil {
		return out, nil
	}
	if f := (*fault)(nil); errors.As(err, &f) {
		return nil, f
	}
	// CEL's own texts may quote values, so they go no further.
	return nil, &fault{msg: "the expression library failed"}
}

func (p *program) load(leaf *node, row change.Row) (value, error) {
	if row.State(leaf.col) == change.Null {
		return types.NullValue, nil
	}
	raw, err := row.AppendJSON(p.buf[:0], leaf.col)
	if len(leaf.path) == 0 && errors.Is(err, change.ErrInvalidText) {
		return rawVal{col: p.cols[leaf.col].Name}, nil
	}
	if err != nil {
		return nil, &fault{msg: cellError(err), col: p.cols[leaf.col].Name}
	}
	p.keep(raw)
	kind := p.cols[leaf.col].Type
	if kind == change.JSON || len(leaf.path) > 0 {
		if raw, p.doc, err = leaf.path.findIn(kind, raw, keepBuffer(p.doc)); err != nil {
			return nil, &fault{msg: err.Error(), col: p.cols[leaf.col].Name}
		}
		kind = change.JSON
	}
	v, err := loadCell(kind, raw)
	if err != nil {
		return nil, &fault{msg: err.Error(), col: p.cols[leaf.col].Name}
	}
	return v, nil
}

// keep holds on to a buffer for the next row, unless a huge row made it huge.
func (p *program) keep(buf []byte) { p.buf = keepBuffer(buf) }

// maxKeptBuffer is how much memory a compiled expression holds between rows.
const maxKeptBuffer = 1 << 20

func keepBuffer(buf []byte) []byte {
	if cap(buf) > maxKeptBuffer {
		return nil
	}
	return buf
}

// fault is what went wrong at evaluation, without any value of the row.
type fault struct {
	msg string
	// col is the column, if one cell is to blame.
	col string
	// cause is the row's error, where a caller tells it from others.
	cause error
}

// Unwrap returns the cause.
func (f *fault) Unwrap() error { return f.cause }

// Error returns what went wrong.
func (f *fault) Error() string { return f.msg }

func faultVal(format string, args ...any) ref.Val {
	return types.WrapErr(&fault{msg: fmt.Sprintf(format, args...)})
}
