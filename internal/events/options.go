package events

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"tailwater/binlog"
	"tailwater/internal/config"
	"tailwater/internal/envelope"
)

// DefaultMaxTransaction is Options.MaxTransaction where it is 0.
const DefaultMaxTransaction = 256 << 20

// Options say what is printed, and until when.
type Options struct {
	// Source is the kind of server and how to reach it; its shards and its start
	// are not looked at. Shard is the server.
	Source config.ResolvedSource
	Shard  config.Shard
	// Start is earliest, latest, gtid:<set> or file:<name>:<offset>; empty is
	// latest.
	Start string
	// Position is gtid or file. Empty is what Start needs, else gtid, or file on
	// a server without GTIDs.
	Position string
	// ServerID is the replication server id; 0 draws one at random. That of a
	// configuration is its pipeline's own.
	ServerID uint32
	// Accept lists transactions whose statement would end the run, and shall not.
	Accept []string

	// Tables and Exclude are patterns database.table, in which * stands for any
	// text and ? for one character. Without Tables it is every table. Those of
	// the server's own schemas are never printed.
	Tables, Exclude []string
	// Drop are patterns database.table.column of columns that events leave out.
	Drop []string
	// SkipBroken goes on without the tables that cannot be rendered.
	SkipBroken bool

	// Envelope is the form of a line; empty is flat.
	Envelope envelope.Kind

	// UntilGTID ends the run when everything in the set was printed; MariaDB
	// takes the last transaction of each domain.
	UntilGTID string
	// UntilNow ends it where the server's binlog ended when the run began.
	UntilNow bool
	// Limit ends it behind so many events; 0 is no limit.
	Limit uint64
	// For bounds the run; 0 is no bound. When an Until is not reached by then,
	// the error is an *IncompleteError.
	For time.Duration

	// MaxTransaction bounds the bytes of one transaction's events.
	MaxTransaction int

	// Out gets the events. Whatever closes it elsewhere ends the run quietly.
	Out io.Writer
	// Note is told, from several goroutines one at a time, what a person may
	// want to know; nil is told nothing.
	Note func(text string)
}

// Result says what was printed.
type Result struct {
	Events, Transactions uint64
	// Next is the Options.Start with which another run goes on; empty when no
	// connection was made. GoesOn is false when the last transaction was cut by
	// the limit: Next is in front of it then, and its first events come again.
	Next   string
	GoesOn bool
	// Closed is true when nobody reads the output any more.
	Closed bool
	// Unaccepted are the transactions of Options.Accept because of which nothing
	// was passed over.
	Unaccepted []string
	// Skipped counts the row changes of broken tables, by name.
	Skipped map[string]uint64
}

// The errors that Run returns, beside those of package binlog for what ends a
// reader.
type (
	// UsageError is a mistake in the options.
	UsageError struct{ Err error }
	// UnreachableError is a server that cannot be reached, does not let the
	// account in, is not set up for it, or was lost.
	UnreachableError struct{ Err error }
	// IncompleteError is an Until that was not reached in time.
	IncompleteError struct{ Text string }
)

// Error is the text of the mistake.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the mistake.
func (e *UsageError) Unwrap() error { return e.Err }

// Error is the text of the cause.
func (e *UnreachableError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Error says what was not reached.
func (e *IncompleteError) Error() string { return e.Text }

// reader returns the options of the reader.
func (o *Options) reader(position binlog.PositionMode, follows binlog.Filter) (binlog.Options, error) {
	out := binlog.Options{
		Shard: o.Shard.ID, User: o.Shard.User, Password: o.Shard.Password.Reveal(), ServerID: o.ServerID,
		Flavor: binlog.Flavor(o.Source.Type), Position: position, Start: o.Start, Heartbeat: o.Source.Heartbeat.Every,
		ReadTimeout: o.Source.ReadTimeout, ConnectTimeout: o.Source.Timeout, MaxHeld: o.MaxTransaction,
		Accepted: o.Accept, Filter: follows, Names: o.names(), FollowsDatabase: o.followsDatabase,
	}
	if o.Shard.Network == "unix" {
		out.Socket = o.Shard.Addr
		return out, nil
	}
	out.Host, out.Port = o.Shard.Host()
	var err error
	out.TLS, err = o.Shard.TLS.Config(o.Shard.Addr)
	return out, err
}

// settle fills the defaults and checks what the reader does not.
func (o *Options) settle() error {
	if o.Start == "" {
		o.Start = "latest"
	}
	if o.MaxTransaction == 0 {
		o.MaxTransaction = DefaultMaxTransaction
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	if o.MaxTransaction < 1<<10 {
		return errors.New("--max-transaction is below 1 KiB")
	}
	if o.For < 0 {
		return errors.New("--for is negative")
	}
	if o.Envelope != "" {
		if _, err := envelope.Parse(string(o.Envelope)); err != nil {
			return fmt.Errorf("--envelope %w", err)
		}
	}
	if o.UntilNow && o.UntilGTID != "" {
		return errors.New("--until and --until-gtid exclude each other: name one")
	}
	return nil
}

// positionMode is the mode that Position and Start ask for; auto is true when
// neither does.
func (o *Options) positionMode() (mode binlog.PositionMode, auto bool, err error) {
	switch {
	case o.Position != "":
		if o.Position != string(binlog.ByGTID) && o.Position != string(binlog.ByFile) {
			return "", false, fmt.Errorf("--position %q: use gtid or file", o.Position)
		}
		mode = binlog.PositionMode(o.Position)
	case strings.HasPrefix(o.Start, "file:"):
		mode = binlog.ByFile
	default:
		mode, auto = binlog.ByGTID, !strings.HasPrefix(o.Start, "gtid:") && o.UntilGTID == ""
	}
	if mode == binlog.ByFile && o.UntilGTID != "" {
		return "", false, errors.New("--until-gtid needs --position gtid, and a start that is no file")
	}
	return mode, auto, nil
}
