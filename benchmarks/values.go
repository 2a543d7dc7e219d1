package main

import (
	"fmt"
	"math/rand/v2"
)

// firstID is the key of the first row.
const firstID = 1_000_000

var (
	statuses = []string{"new", "paid", "sent", "void"}
	cities   = []string{"Pune", "Oslo", "Rome", "Quito", "Hanoi", "Zürich", "São Paulo", "Delhi"}
	words    = []string{"leave", "at", "the", "door", "ring", "twice", "call", "before", "ünten", "rear", "\\\"gate\\\"", "basket"}
)

func sentence(dst []byte, rng *rand.Rand, n int) []byte {
	for i := range n {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, words[rng.IntN(len(words))]...)
	}
	return dst
}

func moment(dst []byte, rng *rand.Rand) []byte {
	return fmt.Appendf(dst, `"2026-%02d-%02d %02d:%02d:%02d.%03d"`, 1+rng.IntN(12), 1+rng.IntN(28), rng.IntN(24), rng.IntN(60), rng.IntN(60), rng.IntN(1000))
}

func orderValues(dst []byte, rng *rand.Rand, id int) []byte {
	dst = fmt.Appendf(dst, `(%d,%d,"%s",%d.%02d,"%s",`, firstID+id, rng.IntN(100_000), statuses[rng.IntN(4)], rng.IntN(5000), rng.IntN(100), cities[rng.IntN(8)])
	if rng.IntN(5) == 0 {
		dst = append(dst, "NULL"...)
	} else {
		dst = append(sentence(append(dst, '"'), rng, 8), '"')
	}
	dst = fmt.Appendf(dst, `,'{"ship": {"city": "%s", "zip": %d}, "gift": %v}',`, cities[rng.IntN(8)], rng.IntN(99999), rng.IntN(2) == 0)
	dst = append(moment(dst, rng), ',')
	return append(moment(dst, rng), ')')
}

func documentValues(dst []byte, rng *rand.Rand, id int) []byte {
	dst = fmt.Appendf(dst, `(%d,%d.%02d,"%s",'{"customer": {"id": %d, "tier": "%s", "verified": %v}, "lines": [`, firstID+id, rng.IntN(5000), rng.IntN(100),
		cities[rng.IntN(8)], rng.IntN(100_000), statuses[rng.IntN(4)], rng.IntN(2) == 0)
	for i := range 5 {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = fmt.Appendf(dst, `{"sku": "SKU-%05d", "qty": %d, "weight": %d.5, "tags": ["%s", "%s"]}`, rng.IntN(99999), 1+rng.IntN(9), rng.IntN(300), words[rng.IntN(8)], words[rng.IntN(8)])
	}
	dst = fmt.Appendf(dst, `], "ship": {"city": "%s", "zip": %d, "geo": [%d.25, %d.75]}, "note": null, "source": "%s"}',`,
		cities[rng.IntN(8)], rng.IntN(99999), rng.IntN(90), rng.IntN(180), words[rng.IntN(8)])
	return append(moment(dst, rng), ')')
}

// personValues are the rows of fixture d: few columns, one of them a kilobyte of
// text.
func personValues(dst []byte, rng *rand.Rand, id int) []byte {
	dst = fmt.Appendf(dst, `(%d,"%s","%s","`, firstID+id, words[rng.IntN(len(words))], cities[rng.IntN(8)])
	dst = sentence(dst, rng, 190)
	dst = fmt.Appendf(dst, `","%s.%d@example.com","19%02d-%02d-%02d","2026-%02d-%02d",`, statuses[rng.IntN(4)], rng.IntN(1e6),
		50+rng.IntN(50), 1+rng.IntN(12), 1+rng.IntN(28), 1+rng.IntN(12), 1+rng.IntN(28))
	dst = append(moment(dst, rng), ',')
	return fmt.Appendf(dst, `%d,%d,%d.%02d)`, rng.IntN(2), rng.IntN(1000), rng.IntN(5000), rng.IntN(100))
}

// wideKind is a kind of column of fixture c, and the SQL text of its values.
type wideKind struct {
	name, sql string
	value     func(dst []byte, rng *rand.Rand) []byte
}

var wideKinds = []wideKind{
	{"n", "INT NOT NULL", func(dst []byte, rng *rand.Rand) []byte { return fmt.Append(dst, rng.IntN(1e9)) }},
	{"big", "BIGINT UNSIGNED NOT NULL", func(dst []byte, rng *rand.Rand) []byte { return fmt.Append(dst, rng.Uint64()) }},
	{"small", "SMALLINT NULL", func(dst []byte, rng *rand.Rand) []byte {
		if rng.IntN(4) == 0 {
			return append(dst, "NULL"...)
		}
		return fmt.Append(dst, rng.IntN(60_000)-30_000)
	}},
	{"flag", "TINYINT NOT NULL", func(dst []byte, rng *rand.Rand) []byte { return fmt.Append(dst, rng.IntN(2)) }},
	{"price", "DECIMAL(18,4) NOT NULL", func(dst []byte, rng *rand.Rand) []byte {
		return fmt.Appendf(dst, "%d.%04d", rng.IntN(1e8)-5e7, rng.IntN(1e4))
	}},
	{"share", "DOUBLE NOT NULL", func(dst []byte, rng *rand.Rand) []byte {
		return fmt.Appendf(dst, "%d.%03d", rng.IntN(1e4), rng.IntN(1e3))
	}},
	{"code", "CHAR(12) NOT NULL", func(dst []byte, rng *rand.Rand) []byte { return fmt.Appendf(dst, `"C-%08d"`, rng.IntN(1e8)) }},
	{"label", "VARCHAR(80) NULL", func(dst []byte, rng *rand.Rand) []byte {
		if rng.IntN(3) == 0 {
			return append(dst, "NULL"...)
		}
		return append(sentence(append(dst, '"'), rng, 3), '"')
	}},
	{"status", "ENUM('new','paid','sent','void') NOT NULL", func(dst []byte, rng *rand.Rand) []byte { return fmt.Appendf(dst, `"%s"`, statuses[rng.IntN(4)]) }},
	{"tags", "SET('red','green','blue') NOT NULL", func(dst []byte, rng *rand.Rand) []byte { return fmt.Append(dst, rng.IntN(8)) }},
	{"day", "DATE NOT NULL", func(dst []byte, rng *rand.Rand) []byte {
		return fmt.Appendf(dst, `"2026-%02d-%02d"`, 1+rng.IntN(12), 1+rng.IntN(28))
	}},
	{"made", "DATETIME(3) NOT NULL", moment},
	{"seen", "TIMESTAMP(3) NOT NULL", moment},
	{"hash", "VARBINARY(16) NOT NULL", func(dst []byte, rng *rand.Rand) []byte { return fmt.Appendf(dst, "x'%016x'", rng.Uint64()) }},
}

// wideColumns is how many columns fixture c has beside its key and its document.
const wideColumns = 68

// createWide returns the table of fixture c.
func createWide() string {
	b := []byte("CREATE TABLE orders (\n\tid BIGINT NOT NULL PRIMARY KEY")
	for i := range wideColumns {
		k := wideKinds[i%len(wideKinds)]
		b = fmt.Appendf(b, ",\n\t%s_%d %s", k.name, 1+i/len(wideKinds), k.sql)
	}
	return string(append(b, ",\n\tpayload JSON NOT NULL) CHARACTER SET utf8mb4"...))
}

func wideValues(dst []byte, rng *rand.Rand, id int) []byte {
	dst = fmt.Appendf(dst, "(%d", firstID+id)
	for i := range wideColumns {
		dst = wideKinds[i%len(wideKinds)].value(append(dst, ','), rng)
	}
	return fmt.Appendf(dst, `,'{"city": "%s", "zip": %d}')`, cities[rng.IntN(8)], rng.IntN(99999))
}
