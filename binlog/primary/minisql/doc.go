// Package minisql parses and evaluates the small part of MySQL's SQL that
// readers, drivers and verifiers send to a server they only read from.
//
//	SELECT items [FROM table [alias]] [WHERE e] [GROUP BY e,…] [ORDER BY e [DESC],…]
//	       [LIMIT n | LIMIT m,n | LIMIT n OFFSET m] [FOR UPDATE | FOR SHARE | LOCK IN SHARE MODE]
//	SHOW … [LIKE 'p' | WHERE e], DESCRIBE table, EXPLAIN is not served
//	SET …, USE db, KILL [QUERY|CONNECTION] id
//	START TRANSACTION …, BEGIN, COMMIT, ROLLBACK, and statements that are accepted and do nothing
//
// Expressions have literals, columns, @user and @@system variables, arithmetic,
// comparisons (also of row values, (a,b) > (1,2)), AND, OR and NOT of three values,
// IN, BETWEEN, LIKE, IS NULL, functions and the aggregates COUNT, SUM, MIN, MAX.
// There are no joins and no subqueries: they are errors that say so.
//
// Values are nil, int64, uint64, float64, string, []byte and Decimal. Strings
// compare by bytes, and so do the members of an ENUM, which MySQL orders by their
// place.
package minisql
