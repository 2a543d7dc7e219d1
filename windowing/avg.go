package windowing

// avg is avg(column): the exact sum and the number of values that are not
// NULL. The store divides when it renders, as MySQL's AVG does: four digits
// more than the column's scale, at most 30. The average of only NULLs is null.
type avg struct{ sum }

var _ Aggregate = avg{}

func (avg) Kind() string     { return "avg" }
func (a avg) String() string { return "avg" + a.sum.String()[len("sum"):] }
