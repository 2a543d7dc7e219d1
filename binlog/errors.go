package binlog

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/go-mysql-org/go-mysql/mysql"

	"tailwater/change"
)

// Class says what a supervisor does after Run has failed.
type Class int

const (
	// Retry is for what passes by itself: network, server gone, time-outs. It
	// is tried again for ever, with capped and jittered pauses.
	Retry Class = iota + 1
	// Stop is for what needs a person. It is tried again once a minute, from
	// the position that did not move.
	Stop
)

// String returns "retry" or "stop".
func (c Class) String() string {
	switch c {
	case Retry:
		return "retry"
	case Stop:
		return "stop"
	}
	return fmt.Sprintf("class(%d)", int(c))
}

// StopError is what stops a shard until a person has acted. The position has
// not moved past what it is about.
type StopError struct {
	Shard string
	// Reason says what was found.
	Reason string
	// File and Pos are where in the binlog; File is empty when the reason lies
	// elsewhere.
	File string
	Pos  uint64
	// ID is the transaction that was open, if any.
	ID string
	// Hint says what to do.
	Hint string
	// Table is what alone is at fault, or a database with an empty name for all of
	// its tables: a reader that does not follow it goes on. It is empty where
	// nobody can say that.
	Table change.TableName
	// Start is true where nothing can begin at Options.Start.
	Start bool
	// sequence is true for an event that may not come where it came.
	sequence bool
	// Err is the cause, if it is another error.
	Err error
}

// Error says shard, place, reason and the way out.
func (e *StopError) Error() string {
	var b strings.Builder
	if e.Shard != "" {
		fmt.Fprintf(&b, "shard %s: ", e.Shard)
	}
	if e.File != "" {
		fmt.Fprintf(&b, "at %s:%d", e.File, e.Pos)
		if e.ID != "" {
			fmt.Fprintf(&b, " in transaction %s", e.ID)
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Reason)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "; %s", e.Hint)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *StopError) Unwrap() error { return e.Err }

// HandlerError is an error that the Handler returned.
type HandlerError struct{ Err error }

// Error is the text of the handler's error.
func (e *HandlerError) Error() string { return e.Err.Error() }

// Unwrap returns the handler's error.
func (e *HandlerError) Unwrap() error { return e.Err }

// PanicError is a panic in the library, the parser or the handler, caught.
type PanicError struct {
	Value any
	Stack []byte
}

// Error says what was panicked with; the stack is for the log.
func (e *PanicError) Error() string {
	return fmt.Sprintf("panic while reading the binlog: %v", e.Value)
}

// Classify says what to do after Run has returned err. What it does not know
// is Stop: trying again once a minute harms nothing, guessing might.
func Classify(err error) Class {
	var stop *StopError
	var preflight *PreflightError
	var handler *HandlerError
	var panicked *PanicError
	if errors.As(err, &stop) || errors.As(err, &preflight) || errors.As(err, &handler) || errors.As(err, &panicked) {
		return Stop
	}
	var my *mysql.MyError
	if errors.As(err, &my) {
		return classifyServer(my)
	}
	if isCertificate(err) {
		return Stop
	}
	var network net.Error
	var errno syscall.Errno
	switch {
	case errors.As(err, &network), errors.As(err, &errno),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, mysql.ErrBadConn), errors.Is(err, errStreamEnded), errors.Is(err, errOtherServer):
		return Retry
	}
	return Stop
}

// errStreamEnded is a server that closed the dump politely: it shuts down, or
// somebody ended the connection. It is tried again.
var errStreamEnded = errors.New("the server ended the binlog stream")

// isCertificate reports whether TLS failed for what a person must mend.
func isCertificate(err error) bool {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	return errors.As(err, &unknown) || errors.As(err, &invalid) || errors.As(err, &host)
}

// classifyServer sorts the error packets of a server.
func classifyServer(e *mysql.MyError) Class {
	switch e.Code {
	case
		1040,             // too many connections
		1042, 1043, 1047, // bad host, bad handshake, unknown command while starting
		1053,       // shutdown in progress
		1152, 1184, // aborted connection
		1156, 1157, 1158, 1159, 1160, 1161, // network errors
		1203, 1226, // too many connections of this user
		1205, 1213, // lock wait, deadlock
		1317, 1927, 3169, // interrupted, killed
		2002, 2003, 2006, 2013, 2055, // client side: server gone
		3024, // query time-out
		3032, // the server is in offline mode
		4031: // idle time-out
		return Retry
	}
	if sameReplica(e) {
		// Of the errors of reading a binlog this kind alone passes by itself.
		return Retry
	}
	return Stop
}

// sameReplica reports whether a server sends a replica away because another one
// has its id: MySQL the first, MariaDB the second that comes.
func sameReplica(e *mysql.MyError) bool {
	switch e.Code {
	case 1236:
		return strings.Contains(e.Message, "same server_uuid") || strings.Contains(e.Message, "same server_id") ||
			strings.Contains(e.Message, "same replica_uuid")
	case 4052: // ER_SLAVE_SAME_ID of MariaDB
		return true
	}
	return false
}
