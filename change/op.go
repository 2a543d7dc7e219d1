package change

// Op is what happened to a row, in the letters that Debezium made common.
type Op byte

// The operations of a change event. Read is a row of a snapshot.
const (
	Create Op = 'c'
	Update Op = 'u'
	Delete Op = 'd'
	Read   Op = 'r'
)

// Valid reports whether o is one of the operations above.
func (o Op) Valid() bool { return o == Create || o == Update || o == Delete || o == Read }

// String returns the letter of o.
func (o Op) String() string { return string(rune(o)) }
