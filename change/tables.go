package change

import (
	"regexp"
	"strings"
)

// DDL says by what rows left a table, or came into it, without row events.
type DDL string

// What does so.
const (
	// Truncated: every row is gone.
	Truncated DDL = "truncate"
	// Dropped: the table is gone, and with it every row.
	Dropped DDL = "drop"
	// Renamed: every row left for another name, or came from one.
	Renamed DDL = "rename"
	// Repartitioned: a partition was dropped, emptied, or exchanged with a
	// table. Which rows it held is not in the log.
	Repartitioned DDL = "partition"
)

// TableName is a physical table. Without a Name it is every table of the
// Database; the zero value is none.
type TableName struct{ Database, Name string }

// IsZero reports whether t names nothing.
func (t TableName) IsZero() bool { return t == TableName{} }

// String is database.name, with * for every table.
func (t TableName) String() string {
	if t.Name == "" {
		return t.Database + ".*"
	}
	return t.Database + "." + t.Name
}

// TableChange is one change of a table as a whole: its rows are others behind
// it, and no row event says so.
type TableChange struct {
	DDL DDL
	// Table is the one whose rows left or came.
	Table TableName
	// To is where they went, From where they came from; zero where nothing of
	// the kind happened. An exchange has both.
	To, From TableName
	// Row numbers the change among the row changes of its transaction, before
	// filtering.
	Row uint32
}

// shadow matches the tables that gh-ost and pt-online-schema-change fill beside
// the real one, and those that a server makes for itself while it alters one.
var shadow = regexp.MustCompile(`(?s)^(?:[_~].*_(gho|ghc|ghk|del|new|old)|#sql.*)$`)

// IsShadow reports whether a table is, by its name, one that an online schema
// change made beside the real one. Its rows are copies.
func IsShadow(table string) bool { return shadow.MatchString(table) }

// IsSwap reports whether the two renames of one statement, table to away and in
// to table, are how an online schema change puts its copy in place of the table:
// the rows go on under their name. All three are in one database. It is one too
// when gh-ost takes a change back, with the old table that it has brought up to
// date; any other rename of an old table to its former name loses rows.
func IsSwap(table, away, in string) bool {
	return shadowOf(table, away, "_del", "_old") && shadowOf(table, in, "_gho", "_new") ||
		shadowOf(table, away, "_rev_del") && shadowOf(table, in, "_del")
}

// longestName is the longest name of a table, in characters: a tool cuts the
// name of the real table where the shadow's would be longer.
const longestName = 64

// stamp is what gh-ost puts behind the name when old tables are to be kept.
var stamp = regexp.MustCompile(`^_[0-9]{8,}$`)

// shadowOf reports whether a shadow's name is made of the table's.
func shadowOf(table, name string, suffixes ...string) bool {
	if !IsShadow(name) {
		return false
	}
	for _, s := range suffixes {
		middle, ok := strings.CutSuffix(name, s)
		if !ok {
			continue
		}
		middle, bare := strings.TrimLeft(middle, "_~"), strings.TrimLeft(table, "_~")
		rest, ok := strings.CutPrefix(middle, bare)
		if ok && (rest == "" || stamp.MatchString(rest)) {
			return true
		}
		if i := strings.LastIndexByte(middle, '_'); i > 0 && stamp.MatchString(middle[i:]) {
			middle = middle[:i]
		}
		return len([]rune(name)) == longestName && middle != "" && strings.HasPrefix(bare, middle)
	}
	return false
}
