package config

// Capture makes a view of every table of a source that is not named.
type Capture struct {
	_ struct{} `later:"select,where,masking,metadata,layouts"`

	Tables     string   `key:"tables" required:"true" enum:"all" doc:"all: every table of the source's servers is a view of its own, <schema>.<table>, with its columns as they are. Tables that are created later join by themselves. The server's own schemas and the tables of online schema changes (_x_gho, _x_new, #sql…, …) are never captured. What tables masks is masked here too."`
	Include    []string `key:"include" doc:"Only these tables, as schema.table, where * stands for any text: shop_*.*, *.orders. A name with a dot in it stands in backquotes: \x60my.db\x60.orders. Every table when absent."`
	Exclude    []string `key:"exclude" doc:"Not these tables, of those included; the same patterns."`
	Partitions int      `key:"partitions" default:"1" range:"1..1024" doc:"Partitions of the topic of each table that is seen from now on. A topic that is there keeps its number."`
	ShardKey   bool     `key:"shard_in_key" default:"false" doc:"Put the shard's id before the primary key in the key of each event: where rows of several shards share a table and their primary keys may be equal. It changes the key of every event, so decide before the first start."`
}

// ResolvedCapture is the capture of a source.
type ResolvedCapture struct {
	Include, Exclude []string
	Partitions       int
	ShardKey         bool
	// Envelope and Connector are those of the captured views.
	Envelope  string
	Connector string
	// Masked are the tables of the source that are masked, as views that select
	// nothing: what they mask is masked in captured views too.
	Masked []MaskedTable
}

// MaskedTable says which columns of which physical tables are masked.
type MaskedTable struct {
	Name string
	// Database and Table are patterns as those of view.Definition.
	Database, Table string
	Masking         map[string]Mask
	Salt            Secret
}
