package encode

import (
	"fmt"
	"strings"
)

// TypeName returns the data type's name as information_schema.columns prints
// it: "bigint", "mediumtext".
func (c *Column) TypeName() string {
	if c.Kind == Text || c.Kind == Blob {
		return [5]string{1: "tiny", 2: "", 3: "medium", 4: "long"}[c.lengthBytes()] + c.Kind.String()
	}
	return c.Kind.String()
}

// ColumnType returns the full type as SHOW COLUMNS prints it:
// "decimal(12,2) unsigned", "enum('new','paid')".
func (c *Column) ColumnType() string {
	s := c.TypeName()
	switch c.Kind {
	case Decimal:
		s += fmt.Sprintf("(%d,%d)", c.Precision, c.Scale)
	case Char, Varchar, Binary, Varbinary, Bit:
		s += fmt.Sprintf("(%d)", c.Length)
	case Time, DateTime, Timestamp:
		if c.Scale > 0 {
			s += fmt.Sprintf("(%d)", c.Scale)
		}
	case Enum, Set:
		quoted := make([]string, len(c.Members))
		for i, m := range c.Members {
			quoted[i] = "'" + strings.ReplaceAll(m, "'", "''") + "'"
		}
		s += "(" + strings.Join(quoted, ",") + ")"
	}
	if c.Unsigned && c.isNumeric() {
		s += " unsigned"
	}
	return s
}

// Definition returns the column as it stands in CREATE TABLE.
func (c *Column) Definition() string {
	s := "`" + c.Name + "` " + c.ColumnType()
	if c.isText() || c.Kind == Enum || c.Kind == Set {
		s += " CHARACTER SET utf8mb4"
		if c.Collation == CollationUTF8Bin {
			s += " COLLATE utf8mb4_bin"
		}
	}
	if !c.Nullable {
		s += " NOT NULL"
	} else if c.Kind == Timestamp {
		s += " NULL"
	}
	if c.Default != nil {
		s += " DEFAULT '" + strings.ReplaceAll(fmt.Sprint(c.Default), "'", "''") + "'"
	}
	return s
}

// CreateSQL returns the CREATE TABLE statement of t, which MySQL accepts.
func (t *Table) CreateSQL() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE `%s`.`%s` (\n", t.Database, t.Name)
	for i := range t.Columns {
		fmt.Fprintf(&b, "  %s,\n", t.Columns[i].Definition())
	}
	keys := make([]string, len(t.PrimaryKey))
	for i, k := range t.PrimaryKey {
		keys[i] = "`" + t.Columns[k].Name + "`"
	}
	fmt.Fprintf(&b, "  PRIMARY KEY (%s)\n) DEFAULT CHARSET=utf8mb4", strings.Join(keys, ","))
	return b.String()
}
