package config

import (
	"strconv"
	"time"

	"tailwater/internal/view"
)

// Resolved is a file's meaning: references followed, shards expanded, paths
// absolute, defaults of defaults taken. Everything in it is sorted by name,
// shards in their order in the file.
type Resolved struct {
	Name     string
	StateDir string
	Sources  []ResolvedSource
	// Views are the views of the file with their tables.
	Views   []view.Definition
	Stream  ResolvedStream
	Windows *ResolvedWindows
	Lake    *ResolvedLake
	HTTP    HTTP
	Log     Log
	Limits  Limits

	// file is what it is the meaning of.
	file *Config
}

// ResolvedStream is the stream section.
type ResolvedStream struct {
	Stream
	// TLS protects the connections to the brokers of a Kafka stream.
	TLS TLS
}

// ResolvedSource is a source with its shards.
type ResolvedSource struct {
	Name string
	Type string
	// Position is gtid or file.
	Position    string
	Start       Start
	Heartbeat   Heartbeat
	Timeout     time.Duration
	ReadTimeout time.Duration
	Retry       Retry
	Shards      []Shard
	// Capture is nil where only named tables are read.
	Capture *ResolvedCapture `json:",omitempty"`
}

// Shard is one MySQL server.
type Shard struct {
	Source string
	ID     string
	// Network is tcp or unix; Addr is host:port or a path.
	Network, Addr string
	User          string
	Password      Secret
	TLS           TLS
	ServerID      uint32
}

// Host returns the host and port of a shard that is reached over TCP, and
// nothing for one that is reached over a socket.
func (s *Shard) Host() (host string, port uint16) {
	if s.Network != "tcp" {
		return "", 0
	}
	host, text := hostPort(s.Addr)
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return host, 0
	}
	return host, uint16(n)
}

// ResolvedWindows is the windows section with complete metrics.
type ResolvedWindows struct {
	Store   WindowStore
	Metrics []ResolvedMetric
}

// ResolvedMetric is a metric with its name; nothing in it is left to defaults.
type ResolvedMetric struct {
	Name string
	Metric
}

// ResolvedLake is the lake section with the layouts of every view.
type ResolvedLake struct {
	// Dir is the local directory that the URL names, S3 the bucket; one of them
	// is set.
	Dir     string
	S3      *ResolvedS3
	File    LakeFile
	Layouts []ResolvedLayout
}

// ResolvedS3 is a place in a bucket.
type ResolvedS3 struct {
	// Prefix has no slash at its ends; it may be empty.
	Bucket, Prefix   string
	Region, Endpoint string
	PathStyle        bool
	SSE, KMSKey      string
}

// ResolvedLayout is one directory order of one view.
type ResolvedLayout struct {
	View string
	// Name is "default" for a layout without one.
	Name string
	By   []Level
}

// Resolved returns what the file means. It is nil unless Load returned the
// Config without an error finding.
func (c *Config) Resolved() *Resolved { return c.resolved }
