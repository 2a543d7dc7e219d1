package config

import (
	"crypto/tls"
	"time"
)

// Windows is everything about metrics.
type Windows struct {
	Store    WindowStore        `key:"store" doc:"Where the values are kept and read."`
	Defaults WindowDefaults     `key:"defaults" doc:"What a metric takes that does not say it itself."`
	Metrics  map[string]*Metric `key:"metrics" required:"true" names:"id" doc:"The metrics, by name."`
}

// WindowStore says where window values are kept.
type WindowStore struct {
	Type     string         `key:"type" default:"embedded" enum:"embedded|redis" doc:"redis is a server of yours; embedded lives in the process, answers Redis clients and is rebuilt from the stream at each start."`
	URL      Secret         `key:"url" doc:"redis://user:password@host:port/db, or rediss:// for TLS. redis needs exactly one of url, sentinel and cluster."`
	Sentinel *StoreSentinel `key:"sentinel" doc:"A primary that Redis Sentinel watches."`
	Cluster  *StoreCluster  `key:"cluster" doc:"A Redis Cluster; all keys of a metric lie in one slot, or those of each of its buckets."`
	User     string         `key:"user" doc:"ACL user behind sentinel or cluster; a url holds its own."`
	Password Secret         `key:"password" doc:"Its password, or that of the default user. Best taken from a file: ${file:/run/secrets/redis}."`
	DB       int            `key:"db" range:"0..65535" doc:"Number of the database behind sentinel; a url holds its own, and a cluster has one only."`
	TLS      *StoreTLS      `key:"tls" doc:"Protects the connections behind sentinel (those to the sentinels too) or cluster, and completes a rediss:// url. {} trusts the system's authorities."`
	Timeout  time.Duration  `key:"timeout" default:"5s" range:"100ms..1m" doc:"Bound of making a connection to the server, and of each answer."`
	Listen   string         `key:"listen" default:"127.0.0.1:0" pattern:"address" doc:"Address at which the embedded store answers Redis clients. They may read and not write, and nobody asks them for a password. Port 0 takes a free port."`
	Prefix   string         `key:"prefix" default:"tw:" pattern:"prefix" doc:"What every key begins with. Pipelines that share a server need different ones."`
	Retain   time.Duration  `key:"retain" default:"12h" range:"1m..8760h" doc:"How long a window is kept after its end. It must fit into the stream's retention, so that a lost store can be rebuilt."`
}

// StoreSentinel names a primary that Redis Sentinel watches.
type StoreSentinel struct {
	Addresses []string `key:"addresses" required:"true" doc:"host:port of each sentinel; one that answers is enough."`
	Master    string   `key:"master" required:"true" doc:"Name that the sentinels know the primary by."`
	User      string   `key:"user" doc:"ACL user of the sentinels themselves."`
	Password  Secret   `key:"password" doc:"Password of the sentinels themselves."`
}

// StoreCluster names a Redis Cluster.
type StoreCluster struct {
	Addresses []string `key:"addresses" required:"true" doc:"host:port of nodes; one that answers names the others."`
}

// StoreTLS says how connections to Redis are protected. Certificate and name
// are always checked.
type StoreTLS struct {
	CA         string `key:"ca" doc:"PEM file of the authorities to trust, in place of the system's."`
	Cert       string `key:"cert" doc:"PEM file of the client's certificate."`
	Key        string `key:"key" doc:"PEM file of its key."`
	ServerName string `key:"server_name" doc:"Name that the certificates must carry, when it is not the host's."`
}

// Config reads the files and returns the settings of a connection; nil of nil.
func (t *StoreTLS) Config() (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	return TLS{Mode: "verify", CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName}.load("", "windows.store.tls")
}

// WindowDefaults are taken by metrics that do not say it themselves.
type WindowDefaults struct {
	Size          time.Duration `key:"size" default:"5m" range:"1s..744h" doc:"Length of a window, in whole seconds. Windows are half-open and aligned to the Unix epoch in UTC."`
	Lateness      time.Duration `key:"lateness" default:"0s" range:"0s..24h" doc:"How long a window stays open after its end."`
	OnLate        string        `key:"on_late" default:"revise" enum:"revise|drop" later:"dead_letter" doc:"What a row does that comes after its window closed: revise publishes the window again, drop counts the row and leaves the window."`
	Time          string        `key:"time" default:"commit" doc:"Which time puts a row into a window: commit is that of its transaction; else a DATE, DATETIME or TIMESTAMP column of the view, in UTC."`
	WaitForShards time.Duration `key:"wait_for_shards" default:"2m" range:"0s..24h" doc:"How long, in log time, one silent shard may hold a window open. The window is then published as incomplete, the shard named. 0s waits for ever."`
}

// Metric is one value per window and group.
type Metric struct {
	_ struct{} `later:"dedupe,having,expire_after"`

	View          string        `key:"view" required:"true" doc:"Name of the view whose events are counted."`
	Rows          string        `key:"rows" default:"changes" enum:"changes|inserts|latest" doc:"What is counted: changes counts every event, inserts those of rows that enter the view, latest the rows as they are now; it needs a time column, and counts rows that were written since the stream began."`
	Value         Aggregate     `key:"value" required:"true" doc:"count(), sum(column), avg(column), min(column) or max(column). Sums and averages are exact, and refused over FLOAT and DOUBLE; texts are compared by their UTF-8."`
	Where         Expr          `key:"where" doc:"CEL condition over the view's columns."`
	GroupBy       []string      `key:"group_by" doc:"Columns of the view; one value for each combination."`
	MaxGroups     int           `key:"max_groups" default:"100000" range:"1..10000000" doc:"Groups in one window above which the metric stops, named, rather than fill the store."`
	Buckets       int           `key:"buckets" default:"1" range:"1..64" doc:"Parts that the groups are divided into by their hash, each with keys of its own, so that a wide metric lies on several nodes of a Redis Cluster. Each takes max_groups divided by their number, rounded up; a hash divides about evenly, so leave room. Another number is a new generation, built from the stream."`
	Size          time.Duration `key:"size" inherit:"windows.defaults.size" range:"1s..744h" doc:"Length of a window, in whole seconds."`
	Unit          string        `key:"unit" doc:"Unit of the value, for people."`
	Time          string        `key:"time" inherit:"windows.defaults.time" doc:"Which time puts a row into a window: commit, or a DATE, DATETIME or TIMESTAMP column of the view, in UTC. A window still closes by commit times."`
	OnLate        string        `key:"on_late" inherit:"windows.defaults.on_late" enum:"revise|drop" later:"dead_letter" doc:"What a late row does."`
	Lateness      time.Duration `key:"lateness" inherit:"windows.defaults.lateness" range:"0s..24h" doc:"How long a window stays open after its end."`
	WaitForShards time.Duration `key:"wait_for_shards" inherit:"windows.defaults.wait_for_shards" range:"0s..24h" doc:"How long one silent shard may hold a window open; 0s is for ever."`
}
