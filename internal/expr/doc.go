// Package expr compiles and evaluates the expressions of a configuration: the
// conditions of views and metrics and the values of computed columns.
//
// The language is CEL's grammar over the columns of a row, with the meaning of
// SQL where the two differ.
//
//	columns      status, Status (no matter the case), col("order-id")
//	JSON paths   payload.ship.city, items[0].sku, payload["a key"]; nowhere, or null: NULL;
//	             into a JSON column, or text that holds JSON (as MariaDB's JSON is); other text: NULL
//	constants    42, 12.50, 18446744073709551615 (exact), 'text', b'bytes', true, null
//	tests        == != < <= > >=, x in [1, 2], x == null, x != null, has(payload.a)
//	logic        && || ! and a ? b : c
//	numbers      + - * / %
//	text         + and x.startsWith(y), x.endsWith(y), x.contains(y), x.matches('RE2'),
//	             size(x), lower(x), upper(x)
//	conversions  int(x), double(x), string(x), bool(x), decimal(x, precision, scale)
//	NULL         coalesce(x, y, ...)
//
// NULL is SQL's: a comparison or function of NULL is NULL, && || ! have three
// values, a condition that is NULL is not true, and a ? b : c takes c. Beside
// the word null, == and != are IS NULL and IS NOT NULL. x in [a, null] is true
// or NULL.
//
// Numbers are exact decimals of any size: INT, BIGINT UNSIGNED, DECIMAL, BIT
// and YEAR columns, and all constants. Only FLOAT and DOUBLE columns and
// double(x) are floating point, and what they are computed or compared with
// becomes so. A quotient has four digits more than its dividend's scale,
// rounded half away from zero; division by zero is NULL. int(x) cuts towards
// zero, decimal(x, p, s) rounds half away from zero.
//
// Text compares by its bytes, without a collation: 'A' == 'a' is false. A date
// or time compares with a constant of its own form (a TIMESTAMP's names its
// zone), which is read when the expression is compiled. A JSON value of
// another type than what it is compared with is not equal to it, and neither
// smaller nor larger: NULL.
//
// A text whose bytes are not valid in its character set (a Row answers
// change.ErrInvalidText) is not NULL and equal to no text: ==, !=, in and the
// tests for NULL say so. Whatever else reads it is an error, for nothing that is
// computed of such bytes would be what the server computes.
//
// A condition is split at && || !. What compares one column or path with
// constants runs natively over the column's text, without allocation; the rest
// runs in cel-go. Both give the same results. An error in an operand of && or
// || that does not decide the result is of no consequence, on either side.
//
// Nothing loops, so work is bounded by the length of expression and row.
// Errors name the expression and the column, never a value.
package expr
