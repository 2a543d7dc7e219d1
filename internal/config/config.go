package config

// Config is the file as it stands, defaults filled. Resolved is what it means.
type Config struct {
	_ struct{} `later:"include,quality,notifications,dead_letter,tests,secrets,cluster"`

	Version   int                `key:"version" required:"true" enum:"1" doc:"Version of the format of this file."`
	Name      string             `key:"name" required:"true" pattern:"id" doc:"Name of the pipeline. It is part of every topic, so two pipelines never meet."`
	State     State              `key:"state" required:"true" doc:"What the pipeline keeps on its own disk."`
	Sources   map[string]*Source `key:"sources" required:"true" names:"id" doc:"Groups of MySQL or MariaDB servers, by name."`
	Tables    map[string]*Table  `key:"tables" required:"captured" names:"id" doc:"Logical tables, by name; many physical tables may feed one."`
	Views     map[string]*View   `key:"views" required:"captured" names:"id" doc:"Named flat projections of tables, by name; each is one topic and one lake table. A table that no view selects from is not read, unless its source captures it."`
	Stream    Stream             `key:"stream" doc:"The log between the readers and everything that consumes."`
	Windows   *Windows           `key:"windows" doc:"Metrics over windows of time. Without it no metric is computed."`
	Lake      *Lake              `key:"lake" doc:"Parquet files of every view. Without it none is written."`
	HTTP      HTTP               `key:"http" doc:"The listener of health, metrics and the API."`
	Telemetry Telemetry          `key:"telemetry" doc:"What the process says about itself."`
	Limits    Limits             `key:"limits" doc:"What the process may use."`

	doc      *document
	resolved *Resolved
}

// State says where the pipeline keeps its own files.
type State struct {
	Dir string `key:"dir" required:"true" doc:"Directory of positions, schemas and the embedded stream, mode 0700, used by one process at a time. A relative path starts at this file's directory."`
}

// HTTP is the listener of the process.
type HTTP struct {
	_ struct{} `later:"auth,tls,pprof,cors"`

	Listen string `key:"listen" default:"127.0.0.1:8080" pattern:"address" doc:"Address of health checks, Prometheus metrics and the API. Port 0 takes a free port."`
}

// Telemetry is what the process says about itself.
type Telemetry struct {
	_ struct{} `later:"traces,metrics"`

	Log Log `key:"log" doc:"The log on standard error."`
}

// Log is the log on standard error.
type Log struct {
	Level  string `key:"level" default:"info" enum:"debug|info|warn|error" doc:"The least severe line that is written."`
	Format string `key:"format" default:"auto" enum:"auto|text|json" doc:"auto is text on a terminal and JSON elsewhere."`
}

// Limits bound what the process uses.
type Limits struct {
	_ struct{} `later:"cpu,rows_per_second,max_transaction"`

	Memory Size `key:"memory" range:"64MiB..16TiB" doc:"Bytes that all buffers together may take; the Go runtime's soft limit is set to it. One event of a binlog, such as a large row or a compressed transaction, may take a quarter of it. When absent it is 512MiB, or 80 % of the control group's limit where that is less."`
	Disk   Size `key:"disk" range:"16MiB..1024TiB" doc:"Bytes that the state directory may take. The readers pause before unread rows would have to be dropped. When absent only the disk itself bounds it: the readers pause when it is 95 % full."`
}
