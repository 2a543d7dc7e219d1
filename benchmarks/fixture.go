package main

import (
	"math/rand/v2"
)

// fixture is a recorded binlog: what a real MySQL server wrote for rows that
// follow from a seed.
type fixture struct {
	name, what string
	// rows are those that a measurement inserts, quick those of -quick.
	rows, quick int
	// create is the table's definition, perInsert the rows of one statement
	// and transaction.
	create    string
	perInsert int
	// values appends the SQL text of one row.
	values func(dst []byte, rng *rand.Rand, id int) []byte
	// update is the SET of an UPDATE that changes every row that it meets. Where
	// there is one, every fifth INSERT is followed by it, over a quarter of the
	// rows, and by a DELETE of an eighth, each a transaction.
	update string
	// session is executed before the first row.
	session string
	// whole makes all of it one transaction.
	whole bool
	// disk is how many bytes must be free before it is recorded.
	disk uint64
}

// changesEvery is how many INSERTs there are for an UPDATE and a DELETE.
const changesEvery = 5

// batch is one INSERT: the rows from and below to, of which the first updated are
// then updated and the last deleted are deleted.
type batch struct{ from, to, updated, deleted int }

// batches are those of so many inserted rows.
func (f *fixture) batches(rows int) []batch {
	var out []batch
	for from := 0; from < rows; from += f.perInsert {
		b := batch{from: from, to: min(from+f.perInsert, rows)}
		if f.update != "" && len(out)%changesEvery == changesEvery-1 {
			b.updated, b.deleted = (b.to-b.from)/4, (b.to-b.from)/8
		}
		out = append(out, b)
	}
	return out
}

// size counts the row changes and the transactions of so many inserted rows.
func (f *fixture) size(rows int) (changes, transactions int64) {
	for _, b := range f.batches(rows) {
		changes += int64(b.to - b.from + b.updated + b.deleted)
		transactions++
		for _, n := range []int{b.updated, b.deleted} {
			if n > 0 {
				transactions++
			}
		}
	}
	if f.whole {
		transactions = 1
	}
	return changes, transactions
}

// database and table are where the rows of every fixture are.
const (
	database = "shop_00"
	table    = "orders"
)

const createOrders = `CREATE TABLE orders (
	id BIGINT NOT NULL PRIMARY KEY,
	customer INT NOT NULL,
	status ENUM('new','paid','sent','void') NOT NULL,
	amount DECIMAL(12,2) NOT NULL,
	city CHAR(20) NOT NULL,
	note VARCHAR(200) NULL,
	payload JSON NOT NULL,
	made DATETIME(3) NOT NULL,
	seen TIMESTAMP(3) NOT NULL) CHARACTER SET utf8mb4`

const createDocuments = `CREATE TABLE orders (
	id BIGINT NOT NULL PRIMARY KEY,
	amount DECIMAL(12,2) NOT NULL,
	city VARCHAR(20) NOT NULL,
	payload JSON NOT NULL,
	made DATETIME(3) NOT NULL) CHARACTER SET utf8mb4`

const createPeople = `CREATE TABLE orders (
	id BIGINT NOT NULL PRIMARY KEY,
	name VARCHAR(40) NOT NULL,
	surname VARCHAR(40) NOT NULL,
	about TEXT NOT NULL,
	email VARCHAR(80) NOT NULL,
	born DATE NOT NULL,
	joined DATE NOT NULL,
	made DATETIME(3) NOT NULL,
	active TINYINT NOT NULL,
	logins INT NOT NULL,
	balance DECIMAL(12,2) NOT NULL) CHARACTER SET utf8mb4`

// fixtures are all of them, by the letters that the method gives them.
func fixtures() []*fixture {
	return []*fixture{
		{name: "a", what: "9 columns of about 140 bytes in the binlog, 1,000 rows to a transaction", rows: 1_000_000, quick: 2000,
			create: createOrders, perInsert: 1000, values: orderValues},
		{name: "b", what: "the same rows, each a transaction of its own", rows: 200_000, quick: 500,
			create: createOrders, perInsert: 1, values: orderValues},
		{name: "c", what: "70 columns of 15 types, 200 rows to a transaction, some updated and deleted", rows: 100_000, quick: 1500,
			create: createWide(), perInsert: 200, values: wideValues, update: "n_1 = n_1 + 1, label_2 = 'changed', price_3 = price_3 + 1"},
		{name: "d", what: "11 columns, one a text of a kilobyte, 500 rows to a transaction, some updated and deleted", rows: 150_000, quick: 3000,
			create: createPeople, perInsert: 500, values: personValues, update: "logins = logins + 1, balance = balance + 1"},
		{name: "e", what: "the rows of d in one transaction of 2 GiB; measured only where -fixture asks for it", rows: 1_690_000, quick: 3000,
			create: createPeople, perInsert: 500, values: personValues, update: "logins = logins + 1, balance = balance + 1", whole: true, disk: 8 << 30},
		{name: "f", what: "the rows of a in compressed transactions of 1,000, some updated and deleted", rows: 500_000, quick: 6000,
			create: createOrders, perInsert: 1000, values: orderValues, update: "amount = amount + 1, note = 'changed'",
			session: "SET SESSION binlog_transaction_compression=ON"},
		{name: "g", what: "5 columns, one a nested JSON document of about 600 bytes, 500 rows to a transaction", rows: 200_000, quick: 1000,
			create: createDocuments, perInsert: 500, values: documentValues},
	}
}
