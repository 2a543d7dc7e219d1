package config

import "time"

// Source is a group of MySQL servers that hold the same tables.
type Source struct {
	_ struct{} `later:"snapshot,on_schema_change"`

	Type      string    `key:"type" default:"mysql" enum:"mysql|mariadb" doc:"Kind of server: MySQL and what is made of it (Percona Server, Aurora, RDS), or MariaDB from 10.5."`
	Shards    Shards    `key:"shards" required:"true" doc:"The servers: either a template or a list."`
	ServerID  IDRange   `key:"server_id" required:"true" doc:"Range of replication server ids, such as 5400-5499; the shards take them in order. No other replica of these servers may use one."`
	Position  string    `key:"position" default:"gtid" enum:"gtid|file" doc:"How the place in a binlog is remembered: by exact GTID set (on MariaDB by the last transaction of each domain), or by file and offset."`
	Start     Start     `key:"start" default:"earliest" doc:"Where a shard begins that has no saved position: earliest, latest, gtid:<set> or file:<name>:<offset>. The set is <uuid>:1-100,… on MySQL and 0-101-100,… on MariaDB. earliest is refused where the server has purged binlogs."`
	Heartbeat Heartbeat `key:"heartbeat" doc:"How a silent server is told from a dead one."`
	Connect   Connect   `key:"connect" doc:"How connections are made."`
	Capture   *Capture  `key:"capture" doc:"Makes a view of every table that is not named. Without it only tables under tables are read. One source of a file may have it."`
}

// Shards names the servers of a source in one of two ways.
type Shards struct {
	_ struct{} `later:"discover"`

	Template *Template `key:"template" doc:"Servers whose addresses follow one form."`
	List     []Server  `key:"list" doc:"Servers one by one."`
}

// Template describes servers whose addresses differ in the shard's id only.
type Template struct {
	Names   Names `key:"names" required:"true" doc:"Ids of the shards: names and ranges separated by commas, such as 00..11 or eu,us. An id is unique in the file."`
	Address `key:",inline"`
}

// Server is one shard of a list.
type Server struct {
	Name    string `key:"name" required:"true" pattern:"shard" doc:"Id of the shard, unique in the file; events carry it as _shard."`
	Address `key:",inline"`
}

// Address says how to reach a server, and as whom.
type Address struct {
	DSN      Secret `key:"dsn" doc:"user:password@tcp(host:port)/ or user:password@unix(/path)/. In a template, {shard} in the address and the user stands for the shard's id."`
	Host     string `key:"host" doc:"Name or address of the server; it goes before the dsn's. In a template, {shard} stands for the shard's id here too."`
	Port     int    `key:"port" range:"1..65535" doc:"Port of the server; it goes before the dsn's. 3306 when neither says."`
	Socket   string `key:"socket" doc:"Path of a Unix socket, in place of host and port. In a template, {shard} stands for the shard's id."`
	User     string `key:"user" doc:"Account; it goes before the dsn's. In a template, {shard} stands for the shard's id."`
	Password Secret `key:"password" doc:"Its password; it goes before the dsn's. Best taken from a file: ${file:/run/secrets/mysql}."`
}

// Heartbeat says when a shard counts as stalled.
type Heartbeat struct {
	Every      time.Duration `key:"every" default:"1s" range:"100ms..1s" doc:"How often the server says that it is there while nothing happens. The watermark of an idle shard moves with it, so it is never more than a second."`
	StallAfter time.Duration `key:"stall_after" default:"15s" range:"1s..24h" doc:"Silence after which a shard counts as stalled; more than every."`
}

// Connect says how connections to the servers of a source are made.
type Connect struct {
	TLS         string        `key:"tls" default:"auto" enum:"auto|disable|skip|verify-ca|verify" doc:"verify checks certificate and host name, verify-ca the certificate only, skip encrypts without a check, disable sends plain text. auto is disable to this machine and verify to every other."`
	CA          string        `key:"ca" doc:"PEM file of the authorities to trust, in place of the system's."`
	Cert        string        `key:"cert" doc:"PEM file of the client's certificate."`
	Key         string        `key:"key" doc:"PEM file of its key."`
	ServerName  string        `key:"server_name" doc:"Name that the certificate must carry, when it is not the host's."`
	Timeout     time.Duration `key:"timeout" default:"10s" range:"100ms..10m" doc:"Bound of making a connection."`
	ReadTimeout time.Duration `key:"read_timeout" default:"30s" range:"1s..1h" doc:"Silence on a connection after which it is given up; at least three times heartbeat.every."`
	Retry       Retry         `key:"retry" doc:"Pauses between attempts to connect again; each doubles the one before, with jitter."`
}

// Retry bounds the pauses between attempts.
type Retry struct {
	Min time.Duration `key:"min" default:"1s" range:"10ms..1h" doc:"The first pause."`
	Max time.Duration `key:"max" default:"60s" range:"10ms..24h" doc:"The longest pause."`
}
