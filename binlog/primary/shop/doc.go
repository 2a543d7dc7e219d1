// Package shop is a workload: a web shop spread over MySQL shards, and the books
// that say what must come out of it.
//
// A Shard produces transactions, the same ones for the same (seed, shard): new
// orders, changes of status and amount, deletes, key changes, transactions over
// several rows and tables, savepoints and rollbacks, some rows changed twice in
// one transaction. A Target executes them: an in-process primary (OnPrimary), or
// a real MySQL server through the SQL that SQL and TxSQL render. Run drives all
// shards: it creates the tables, back-dates a history, then writes at a rate,
// with scripted incidents.
//
// The Ledger is fed with the changes that were committed, from the generator's
// own model of the rows: it never sees a binlog, so it can judge who reads one.
// An insert is one event c, an update one event u with the row after it, a
// delete one event d with the row before it, a change of the key the events d
// and c.
//
// The database of shard 03 is shop_03; its tables are orders_0 to orders_3 and
// customers, see OrdersTable and CustomersTable.
package shop
