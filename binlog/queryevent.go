package binlog

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// query is the body of a QUERY event: a statement as text.
type query struct {
	// database is the session's default one, empty for none. It and text are
	// parts of the event, but for a text that had to be converted to UTF-8.
	database []byte
	text     []byte
	mode     lexMode
	// client is the collation of the session's character_set_client, in which the
	// server logs the text; 0 where it does not say.
	client uint64
	// code is the error that the statement ended with; 0 is none.
	code uint16
	// updated are the databases that the statement changes, where the server
	// says so; known is false where it does not.
	updated []string
	known   bool
}

// Status variables of a QUERY event that matter here, and how long the others
// are. The walk ends at the first unknown one.
const (
	statusFlags2     = 0
	statusSQLMode    = 1
	statusCharset    = 4
	statusUpdatedDBs = 12
)

// statusLengths are the lengths of the status variables of a fixed length.
var statusLengths = map[uint64]uint64{
	statusFlags2: 4, statusSQLMode: 8, 3: 4, statusCharset: 6, 7: 2, 8: 2, 9: 8, 10: 4, 13: 3, 16: 1, 17: 8, 18: 2, 19: 1, 20: 1,
}

// Bits of sql_mode that change what a text means.
const (
	modeANSIQuotes         = 1 << 2
	modeNoBackslashEscapes = 1 << 20
)

// tooManyDBs in the count of updated databases means that they are not listed.
const tooManyDBs = 254

// parseQuery reads a QUERY body: thread 4, seconds 4, length of the database's
// name 1, error 2, length of the status variables 2; the variables, the name
// and a NUL, the text.
func parseQuery(body []byte) (query, error) {
	f := fields{b: body}
	f.take(8)
	databaseLen := f.uint(1)
	code := uint16(f.uint(2))
	status := fields{b: f.take(f.uint(2))}
	q := query{code: code}
	q.database = f.take(databaseLen)
	nul := f.uint(1)
	if f.short || nul != 0 {
		return query{}, fmt.Errorf("parse QUERY: %d bytes do not hold what they announce", len(body))
	}
	q.text = f.b
	q.readStatus(&status)
	q.toUTF8()
	return q, nil
}

// toUTF8 converts the text, because a table is found by a name in UTF-8. What
// cannot be converted is left, and marked as text that nobody can cut.
func (q *query) toUTF8() {
	charset := collationCharset(q.client)
	if q.client == 0 || charset == "binary" || !slices.ContainsFunc(q.text, func(c byte) bool { return c >= utf8.RuneSelf }) {
		return
	}
	decode, known := charsetDecoder(charset)
	if known && decode == nil {
		return
	}
	q.mode.unsafeCharset = true
	if known {
		if text, ok := decodeString(decode, q.text); ok {
			q.text, q.mode.unsafeCharset = []byte(text), false
		}
	}
}

// readStatus walks the status variables as far as they are known.
func (q *query) readStatus(f *fields) {
	for len(f.b) > 0 && !f.short {
		code := f.uint(1)
		switch code {
		case statusSQLMode:
			mode := f.uint(8)
			q.mode.ansiQuotes = mode&modeANSIQuotes != 0
			q.mode.noBackslash = mode&modeNoBackslashEscapes != 0
		case statusCharset:
			q.client = f.uint(2)
			f.take(4)
			q.mode.unsafeCharset = unsafeCharset(q.client)
		case 2: // catalog, with a NUL
			f.take(f.uint(1) + 1)
		case 5, 6: // time zone, catalog
			f.take(f.uint(1))
		case 11: // invoker: user and host
			f.take(f.uint(1))
			f.take(f.uint(1))
		case statusUpdatedDBs:
			q.readUpdated(f)
		default:
			n, ok := statusLengths[code]
			if !ok {
				return
			}
			f.take(n)
		}
	}
}

// readUpdated reads the names of the databases that the statement changes.
func (q *query) readUpdated(f *fields) {
	count := f.uint(1)
	if count == tooManyDBs {
		return
	}
	var names []string
	for ; count > 0 && !f.short; count-- {
		n := 0
		for n < len(f.b) && f.b[n] != 0 {
			n++
		}
		names = append(names, string(f.take(uint64(n))))
		f.take(1)
	}
	if !f.short {
		q.updated, q.known = names, true
	}
}

// unsafeCharset reports whether a client character set has characters whose
// second byte looks like a quote or a backslash: big5, cp932, gb18030, gbk and
// sjis, by the ids of their collations.
func unsafeCharset(collation uint64) bool {
	switch collation {
	case 1, 84, 13, 88, 28, 87, 95, 96, 248, 249, 250:
		return true
	}
	return false
}
