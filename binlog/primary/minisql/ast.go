package minisql

// Statement is one of *Select, *Show, *Set, *Kill, *Use, *Transaction and *Nothing.
type Statement interface{ statement() }

// Name is a table's name; Database may be empty.
type Name struct{ Database, Table string }

// Item is one column of a result.
type Item struct {
	// Expr is nil for *.
	Expr Expr
	// Name heads the column.
	Name string
}

// Order is one ORDER BY term.
type Order struct {
	Expr Expr
	Desc bool
}

// Select is a SELECT. A nil From reads one row without columns.
type Select struct {
	Items   []Item
	From    *Name
	Where   Expr // nil for none
	GroupBy []Expr
	OrderBy []Order
	// Limit is -1 for none.
	Limit, Offset int64
}

// Show is a SHOW or DESCRIBE.
type Show struct {
	// What is the upper-case words between SHOW and what follows here: "VARIABLES",
	// "BINARY LOG STATUS", "COLUMNS", without GLOBAL, SESSION and FULL.
	What  string
	Table Name
	// Like is nil for none.
	Like  *string
	Where Expr
}

// Set is a SET. Statements such as SET NAMES have no assignments.
type Set struct{ Assignments []Assignment }

// Assignment is one name = value. User tells @name from a system variable.
type Assignment struct {
	User  bool
	Name  string // lower case, without @ and scope
	Value Expr
}

// Kill is a KILL; Query asks to end the statement only.
type Kill struct {
	ID    uint32
	Query bool
}

// Use is a USE.
type Use struct{ Database string }

// Transaction is START TRANSACTION or BEGIN (Begin), COMMIT or ROLLBACK.
type Transaction struct{ Begin, Snapshot bool }

// Nothing is a statement that is accepted and does nothing, such as FLUSH
// TABLES or UNLOCK TABLES.
type Nothing struct{}

func (*Select) statement()      {}
func (*Show) statement()        {}
func (*Set) statement()         {}
func (*Kill) statement()        {}
func (*Use) statement()         {}
func (*Transaction) statement() {}
func (*Nothing) statement()     {}

// Expr is an expression.
type Expr interface {
	// Eval computes the value in env.
	Eval(env Env) (any, error)
}

// Env is what an expression may ask for.
type Env interface {
	// Column returns the value of a column of the current row.
	Column(name string) (any, error)
	// SystemVariable returns @@name, scope removed, lower case.
	SystemVariable(name string) (any, error)
	// UserVariable returns @name, nil when it is not set.
	UserVariable(name string) any
	// Call computes a function that depends on the server: NOW, VERSION,
	// GTID_SUBSET … The name is in upper case.
	Call(name string, args []any) (any, error)
	// Param returns the value of the n-th placeholder.
	Param(n int) (any, error)
}

type (
	literal   struct{ v any }
	columnRef struct{ name string }
	sysVar    struct{ name string }
	userVar   struct{ name string }
	param     struct{ n int }
	tuple     struct{ items []Expr }
	unary     struct {
		op string
		x  Expr
	}
	binary struct {
		op   string
		x, y Expr
	}
	isNull struct {
		x   Expr
		not bool
	}
	inList struct {
		x    Expr
		list []Expr
		not  bool
	}
	call struct {
		name string
		args []Expr
		star bool
	}
	cast struct {
		x  Expr
		to string
	}
)
