package config

// Table is a logical table: every physical table that matches feeds it.
type Table struct {
	_ struct{} `later:"snapshot,on_schema_change,owner"`

	From        From            `key:"from" required:"true" doc:"Which physical tables feed it."`
	Key         []string        `key:"key" doc:"Columns whose values identify a row; shard stands for the shard's id. Views that give no key of their own take it."`
	Masking     map[string]Mask `key:"masking" names:"column" doc:"Columns that nothing may read as they are: hash (HMAC-SHA-256), drop, or truncate(n) to the first n characters. It holds in every view."`
	MaskingSalt Secret          `key:"masking_salt" doc:"Secret of hash, at least 16 bytes. Equal values hash alike under equal salts."`
}

// From names physical tables.
type From struct {
	Source string `key:"source" required:"true" doc:"Name of the source."`
	Schema string `key:"schema" required:"true" pattern:"table" doc:"Database, in full. {x} matches letters and digits, {x:regex} what the expression matches; either becomes a column x."`
	Table  string `key:"table" required:"true" pattern:"table" doc:"Table, in full, with the same patterns. Tables that appear later join by themselves; those of online schema changes (_x_gho, _x_new, …, #sql…) never match."`
}

// View is a named flat projection of a table.
type View struct {
	_ struct{} `later:"owner,expand,dedupe,deletes,freshness,depth"`

	From        string          `key:"from" required:"true" doc:"Name of the table."`
	Select      Select          `key:"select" doc:"The view's columns in order, as name: expression. An expression is a column, a path into a JSON column (payload.ship.city), or CEL. \"*\": [a, b] copies columns, \"*\": \"*\" copies those that nothing else names. Without select every column is copied."`
	Where       Expr            `key:"where" doc:"CEL condition over the table's columns. An update that begins to meet it is a create, one that ceases to is a delete."`
	Key         []string        `key:"key" doc:"Columns of the view whose values identify a row; shard stands for the shard's id. The table's key when absent."`
	Layouts     []Layout        `key:"layouts" doc:"Directory orders of the view in the lake; the same as lake.layouts.<view>."`
	Masking     map[string]Mask `key:"masking" names:"column" doc:"More masked columns of the table, for this view only."`
	MaskingSalt Secret          `key:"masking_salt" doc:"Secret of hash for this view's masking. The table's when absent."`
	Metadata    Metadata        `key:"metadata" doc:"Which optional members events carry. _op, _shard, _ts_us and _lsn are always there."`
	Envelope    string          `key:"envelope" enum:"flat|debezium|maxwell|canal" later:"cloudevents" doc:"Form of the view's events; that of the stream when absent. With another than flat the view feeds no metric and is not in the lake."`
	QuoteBig    bool            `key:"quote_big" default:"false" doc:"Write integers beyond 2^53 and decimals as JSON strings."`
	TableEvents bool            `key:"table_events" default:"false" doc:"With envelope debezium, maxwell or canal: send what that system sends of tables that are emptied, dropped or renamed when it is told to. Consumers must expect it; those of the systems' defaults stop at it."`
}

// Metadata switches the optional members of events.
type Metadata struct {
	DB     bool `key:"db" default:"true" doc:"_db, the physical database."`
	Table  bool `key:"table" default:"true" doc:"_table, the physical table."`
	GTID   bool `key:"gtid" default:"true" doc:"_gtid, the source transaction."`
	Schema bool `key:"schema" default:"true" doc:"_schema, the fingerprint of the columns."`
	Old    bool `key:"old" default:"true" doc:"_old, the values that an update replaced."`
}
