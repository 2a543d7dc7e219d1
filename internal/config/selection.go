package config

// Select are the columns of a view in order.
type Select []SelectItem

// SelectItem is one column of a view.
type SelectItem struct {
	// Name of the view's column; "*" stands for every column of the table that
	// no other item names.
	Name string
	// Expr is a column, a path into a JSON column, or CEL.
	Expr Expr
	// path is where the item stands in the file.
	path string
}
