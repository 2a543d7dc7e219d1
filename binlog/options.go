package binlog

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"
)

// Flavor says which family of servers a shard belongs to.
type Flavor string

// The flavors. MySQL covers Percona Server, Aurora and RDS.
const (
	MySQL   Flavor = "mysql"
	MariaDB Flavor = "mariadb"
)

// PositionMode says how a place in a binlog is remembered.
type PositionMode string

// The position modes.
const (
	// ByGTID remembers the exact set of executed GTIDs, or MariaDB's last one of
	// each domain. It survives a fail-over to another server.
	ByGTID PositionMode = "gtid"
	// ByFile remembers file and offset. It is bound to one server_uuid, on
	// MariaDB to one server_id.
	ByFile PositionMode = "file"
)

// Options say which server a Reader follows, and how.
type Options struct {
	// Shard names the shard in errors and logs.
	Shard string

	// Host and Port address the server over TCP; Port 0 is 3306. Socket is the
	// path of a Unix socket and goes before both.
	Host   string
	Port   uint16
	Socket string
	// User and Password are the account.
	User     string
	Password string
	// TLS encrypts TCP connections; nil sends plain text. An empty ServerName
	// is Host. It is not used on a Unix socket.
	TLS *tls.Config

	// ServerID is the replication server id, unique among the replicas of the
	// server; 0 draws one at random.
	ServerID uint32
	// Flavor is MySQL by default.
	Flavor Flavor
	// Position is ByGTID by default.
	Position PositionMode
	// Start says where a shard without a saved position begins: "earliest"
	// (the default), "latest", "gtid:<set>" or "file:<name>:<offset>". On MariaDB
	// the set is the last transaction of each domain.
	Start string

	// Heartbeat is how often an idle server says that it is there; default and
	// maximum 1s, because the watermark of an idle shard moves with it.
	Heartbeat time.Duration
	// ReadTimeout is the silence after which a connection is given up; default
	// 30s, at least three heartbeats.
	ReadTimeout time.Duration
	// ConnectTimeout bounds making a connection and each query; default 10s.
	ConnectTimeout time.Duration

	// MaxEvent bounds one event in bytes, as it is held in memory whole;
	// default 1 GiB, the server's own bound. A larger one stops the shard, from
	// its header alone. A compressed transaction is one event of the size that it
	// has compressed; each event inside it is bounded too.
	MaxEvent int
	// MaxEventSetting is what a person raises to raise MaxEvent, as the error
	// says it; default "the bound on events".
	MaxEventSetting string
	// Room is shared by the readers of one process for their large events; nil
	// gives each as much as MaxEvent.
	Room *Room
	// MaxPayload bounds the decompressed size of one compressed transaction in
	// bytes; default 64 GiB. It is decompressed as it is read and never whole, so
	// this bounds the time that a few damaged bytes can take. A larger one stops
	// the shard.
	MaxPayload int
	// MaxHeld bounds the bytes of rows of distributed (XA) transactions that wait
	// in memory for their outcome; default 64 MiB. More stop the shard.
	MaxHeld int

	// Filter decides which tables are followed; nil follows all but those of
	// the server's own schemas.
	Filter Filter
	// FollowsDatabase reports whether any table of a database may be followed,
	// for statements that name a database only. Nil takes every database but
	// the server's own for followed, which stops the shard, or tells of a dropped
	// database, rather too often than too rarely.
	FollowsDatabase func(database string) bool
	// Names are the patterns of databases and tables that Filter was made of, as a
	// person wrote them, without their variable parts. A server that keeps names in
	// lower case is refused where one has a capital letter: it would take nothing.
	Names []string
	// Tolerate, when set, is asked where a statement stops the shard because it
	// cannot be said what it did to a followed table, or to a database when table
	// is empty. Who answers true takes over to tell what
	// befell the table, and the shard goes on; an error stops it. It is called
	// again when the transaction is read again.
	Tolerate func(transaction, database, table string, stop error) (bool, error)
	// Accepted lists the transactions, by GTID or file:pos of their start,
	// whose statement would stop the shard (ENGINE=BLACKHOLE, for one) and that a
	// person has decided to pass over. What such a transaction does to tables as a
	// whole is not told either.
	Accepted []string

	// Began is called where a Run begins, on its goroutine and before the
	// handler: a position reaches that with the first transaction or the first
	// silence only. The position is valid until it returns; version is what the
	// server calls itself. May be nil.
	Began func(position []byte, version string)
	// Logger is told of state changes; nil discards.
	Logger *slog.Logger
	// Now is the clock of Transaction.ReadAt and of the pauses between idle
	// probes; nil is time.Now. No watermark comes from it.
	Now func() time.Time
}

// fill sets the defaults.
func (o *Options) fill() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.Heartbeat, time.Second)
	set(&o.ReadTimeout, 30*time.Second)
	set(&o.ConnectTimeout, 10*time.Second)
	o.Heartbeat = min(o.Heartbeat, time.Second)
	if o.Port == 0 {
		o.Port = 3306
	}
	if o.ServerID == 0 {
		o.ServerID = 1<<30 + rand.Uint32N(1<<31)
	}
	if o.Flavor == "" {
		o.Flavor = MySQL
	}
	if o.Position == "" {
		o.Position = ByGTID
	}
	if o.Start == "" {
		o.Start = "earliest"
	}
	if o.MaxEvent == 0 {
		o.MaxEvent = 1 << 30
	}
	if o.MaxPayload == 0 {
		o.MaxPayload = 64 << 30
	}
	if o.MaxEventSetting == "" {
		o.MaxEventSetting = "the bound on events"
	}
	if o.MaxHeld == 0 {
		o.MaxHeld = 64 << 20
	}
	if o.Filter == nil {
		o.Filter = func(database, _ string) bool { return !systemDatabase(database) }
	}
	if o.FollowsDatabase == nil {
		o.FollowsDatabase = func(database string) bool { return !systemDatabase(database) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// validate reports every mistake at once.
func (o *Options) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Host == "" && o.Socket == "" {
		bad("host and socket are both empty: name one")
	}
	if o.User == "" {
		bad("user is empty: name the replication account")
	}
	if o.Flavor != MySQL && o.Flavor != MariaDB {
		bad("flavor %q is not known: use %q or %q", o.Flavor, MySQL, MariaDB)
	}
	if o.Position != ByGTID && o.Position != ByFile {
		bad("position %q is not known: use %q or %q", o.Position, ByGTID, ByFile)
	}
	if o.Heartbeat < time.Millisecond {
		bad("heartbeat %v is below 1ms", o.Heartbeat)
	}
	if o.ReadTimeout < 3*o.Heartbeat {
		bad("read timeout %v is below three heartbeats of %v", o.ReadTimeout, o.Heartbeat)
	}
	if o.ConnectTimeout < 0 {
		bad("connect timeout %v is negative", o.ConnectTimeout)
	}
	if o.MaxEvent < 1<<10 || o.MaxPayload < 1<<10 || o.MaxHeld < 1<<10 {
		bad("max event %d, max payload %d and max held %d must be at least 1024 bytes", o.MaxEvent, o.MaxPayload, o.MaxHeld)
	}
	for _, id := range o.Accepted {
		if _, err := CanonicalID(o.Flavor, id); err != nil {
			bad("accepted transaction: %w", err)
		}
	}
	if start, err := parseStart(o.Start, o.Flavor); err != nil {
		errs = append(errs, err)
	} else if err := start.fits(o.Position); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return fmt.Errorf("shard %s: reader options: %w", o.Shard, errors.Join(errs...))
	}
	return nil
}

// address returns the network and the address to dial.
func (o *Options) address() (network, address string) {
	if o.Socket != "" {
		return "unix", o.Socket
	}
	host := o.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return "tcp", fmt.Sprintf("%s:%d", host, o.Port)
}

// systemDatabase reports whether a database is the server's own.
func systemDatabase(name string) bool {
	switch strings.ToLower(name) {
	case "mysql", "sys", "information_schema", "performance_schema":
		return true
	}
	return false
}
