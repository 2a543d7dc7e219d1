package encode

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is the declared type of a column.
type Kind uint8

// The column types that can be written.
const (
	TinyInt Kind = iota + 1
	SmallInt
	MediumInt
	Int
	BigInt
	Float
	Double
	Decimal
	Char
	Varchar
	Text
	Binary
	Varbinary
	Blob
	Enum
	Set
	Date
	Time
	DateTime
	Timestamp
	Year
	Bit
	JSON
)

var kindNames = [...]string{
	TinyInt: "tinyint", SmallInt: "smallint", MediumInt: "mediumint", Int: "int", BigInt: "bigint",
	Float: "float", Double: "double", Decimal: "decimal", Char: "char", Varchar: "varchar", Text: "text",
	Binary: "binary", Varbinary: "varbinary", Blob: "blob", Enum: "enum", Set: "set", Date: "date",
	Time: "time", DateTime: "datetime", Timestamp: "timestamp", Year: "year", Bit: "bit", JSON: "json",
}

// String returns MySQL's name of the type, in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// The collations that matter here, by MySQL's number.
const (
	CollationBinary  = 63  // binary
	CollationUTF8Bin = 46  // utf8mb4_bin
	CollationUTF8    = 255 // utf8mb4_0900_ai_ci, MySQL's default
)

// Column declares one column.
type Column struct {
	Name string
	Kind Kind
	// Unsigned applies to integers, FLOAT, DOUBLE and DECIMAL.
	Unsigned bool
	// Length is in characters for CHAR and VARCHAR, in bytes for binary types,
	// in bits for BIT. TEXT and BLOB take the smallest of the four sizes that
	// holds Length bytes; 0 is the 64 KiB size.
	Length int
	// Precision and Scale describe a DECIMAL; Scale is also the number of
	// digits of the fraction of a second of TIME, DATETIME and TIMESTAMP.
	Precision, Scale int
	// Nullable allows NULL.
	Nullable bool
	// Members of an ENUM or SET, in order.
	Members []string
	// Collation is MySQL's number; 0 is utf8mb4_0900_ai_ci for text.
	Collation int
	// Default is the value that existing rows take when the column is added.
	Default any
}

// Table declares one table. Build it with New.
type Table struct {
	Database string
	Name     string
	Columns  []Column
	// PrimaryKey holds the indexes of the key's columns, in key order.
	PrimaryKey []int
}

// Row holds one value per column; see the package comment for their types.
type Row []any

// New checks def and returns a copy of it that is ready for use.
func New(def Table) (*Table, error) {
	t := def
	t.Columns = append([]Column(nil), def.Columns...)
	t.PrimaryKey = append([]int(nil), def.PrimaryKey...)
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("declare table %s.%s: %w", def.Database, def.Name, err)
	}
	return &t, nil
}

func (t *Table) check() error {
	var errs []error
	for what, name := range map[string]string{"database": t.Database, "table": t.Name} {
		if name == "" || len(name) > 64 {
			errs = append(errs, fmt.Errorf("%s name %q must have 1 to 64 bytes", what, name))
		}
	}
	if n := len(t.Columns); n == 0 || n > 4096 {
		errs = append(errs, fmt.Errorf("%d columns: want 1 to 4096", n))
	}
	seen := map[string]bool{}
	for i := range t.Columns {
		c := &t.Columns[i]
		if lower := strings.ToLower(c.Name); seen[lower] {
			errs = append(errs, fmt.Errorf("column %s is declared twice", c.Name))
		} else {
			seen[lower] = true
		}
		if err := c.check(); err != nil {
			errs = append(errs, fmt.Errorf("column %q: %w", c.Name, err))
		}
	}
	if len(t.PrimaryKey) == 0 {
		errs = append(errs, errors.New("a primary key is needed"))
	}
	for _, k := range t.PrimaryKey {
		if k < 0 || k >= len(t.Columns) {
			errs = append(errs, fmt.Errorf("primary key names column %d of %d", k, len(t.Columns)))
		} else if t.Columns[k].Nullable {
			errs = append(errs, fmt.Errorf("primary key column %s must not be nullable", t.Columns[k].Name))
		}
	}
	return errors.Join(errs...)
}

func (c *Column) check() error {
	if c.Name == "" || len(c.Name) > 64 {
		return errors.New("a name must have 1 to 64 bytes")
	}
	if c.Kind < TinyInt || c.Kind > JSON {
		return fmt.Errorf("unknown kind %d", c.Kind)
	}
	if c.Collation == 0 {
		c.Collation = CollationUTF8
	}
	switch c.Kind {
	case Decimal:
		if c.Precision < 1 || c.Precision > 65 || c.Scale < 0 || c.Scale > 30 || c.Scale > c.Precision {
			return fmt.Errorf("decimal(%d,%d) is outside decimal(65,30)", c.Precision, c.Scale)
		}
	case Char, Binary:
		c.Length = max(c.Length, 1)
		if c.Length > 255 {
			return fmt.Errorf("%s(%d) is longer than 255", c.Kind, c.Length)
		}
	case Varchar, Varbinary:
		if c.maxBytes() < 1 || c.maxBytes() > 65535 {
			return fmt.Errorf("%s(%d) needs 1 to 65535 bytes", c.Kind, c.Length)
		}
	case Enum, Set:
		if n := len(c.Members); n == 0 || n > 65535 || c.Kind == Set && n > 64 {
			return fmt.Errorf("%s has %d members", c.Kind, n)
		}
	case Time, DateTime, Timestamp:
		if c.Scale < 0 || c.Scale > 6 {
			return fmt.Errorf("fraction of %d digits: want 0 to 6", c.Scale)
		}
	case Bit:
		c.Length = max(c.Length, 1)
		if c.Length > 64 {
			return fmt.Errorf("bit(%d) is longer than 64", c.Length)
		}
	}
	if c.isBytes() {
		c.Collation = CollationBinary
	}
	return nil
}

// isText reports whether values are strings of characters.
func (c *Column) isText() bool { return c.Kind == Char || c.Kind == Varchar || c.Kind == Text }

// isBytes reports whether values are strings of bytes.
func (c *Column) isBytes() bool { return c.Kind == Binary || c.Kind == Varbinary || c.Kind == Blob }

// isNumeric reports whether the table map carries a sign bit for the column.
func (c *Column) isNumeric() bool { return c.Kind >= TinyInt && c.Kind <= Decimal }

// maxBytes is the longest value of a string column: four bytes a character.
func (c *Column) maxBytes() int {
	switch c.Kind {
	case Char, Varchar:
		return 4 * c.Length
	case Text, Blob:
		return 1<<(8*c.lengthBytes()) - 1
	}
	return c.Length
}

// lengthBytes is the width of the length before a TEXT or BLOB value.
func (c *Column) lengthBytes() int {
	switch {
	case c.Length == 0:
		return 2
	case c.Length < 1<<8:
		return 1
	case c.Length < 1<<16:
		return 2
	case c.Length < 1<<24:
		return 3
	}
	return 4
}

// intBytes is the width of an integer column, 0 for other kinds.
func (c *Column) intBytes() int {
	switch c.Kind {
	case TinyInt:
		return 1
	case SmallInt:
		return 2
	case MediumInt:
		return 3
	case Int:
		return 4
	case BigInt:
		return 8
	}
	return 0
}

// ColumnIndex returns the index of the column called name, ignoring case, or -1.
func (t *Table) ColumnIndex(name string) int {
	for i := range t.Columns {
		if strings.EqualFold(t.Columns[i].Name, name) {
			return i
		}
	}
	return -1
}

// AddColumn returns a copy of t with c as its last column.
func (t *Table) AddColumn(c Column) (*Table, error) {
	def := *t
	def.Columns = append(append([]Column(nil), t.Columns...), c)
	return New(def)
}
