// Package testenv starts the real servers that tests talk to: MySQL, MariaDB,
// Redis, S3 and Apache Kafka by the scripts of deploy/dev, and the command lines
// of DuckDB, kcat, gh-ost and pt-online-schema-change. Only tests import it.
//
// Every server that a test starts is its own: it listens on a free port of
// 127.0.0.1, has its data in a temporary folder, starts in about a second (Kafka
// in three) and ends with the test. Should the test's process die first, however it dies, a
// watcher ends the server and removes the folder within two seconds. So any
// `go test ./some/package` works by itself, and tests never share state.
//
// What is not installed is installed or unpacked on first use. When that is
// impossible the test fails and names what is missing and the way out; with
// ALLOW_MISSING=1 in the environment it is skipped instead, and says so.
//
// The runner of `make test` (package testenv/run) puts a package into the suite
// of real servers because its tests import this package; there is nothing else
// to declare.
package testenv
