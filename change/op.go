package change

// Op is what happened to a row, in the letters that Debezium made common.
type Op byte

// The operations of a row. Read is a row of a snapshot.
const (
	Create Op = 'c'
	Update Op = 'u'
	Delete Op = 'd'
	Read   Op = 'r'
)

// OnTable is what happened to a table as a whole, and no operation of a row: its
// event has no key and no columns.
const OnTable Op = 't'

// Valid reports whether o is an operation of a row.
func (o Op) Valid() bool { return o == Create || o == Update || o == Delete || o == Read }

// String returns the letter of o.
func (o Op) String() string { return string(rune(o)) }
