package config

import "time"

// Lake is everything about Parquet files.
type Lake struct {
	_ struct{} `later:"region,endpoint,credentials,current,compact,catalog"`

	URL     string              `key:"url" required:"true" doc:"Where the files go: file:///absolute/path, or file://./path from this file's directory."`
	File    LakeFile            `key:"file" doc:"How files are written and when they are closed."`
	Layouts map[string][]Layout `key:"layouts" names:"id" doc:"Directory orders, by view. A view that is not here has one: dt and hr of its commit time."`
}

// LakeFile says how files are written and when they are closed, by whichever
// bound is reached first.
type LakeFile struct {
	_ struct{} `later:"format,row_group,dictionary"`

	Compression string        `key:"compression" default:"zstd" enum:"zstd" later:"snappy|gzip|lz4|none" doc:"Codec of the column chunks."`
	RollSize    Size          `key:"roll_size" default:"128MiB" range:"64KiB..5GiB" doc:"Bytes of events after which a file is closed."`
	RollEvery   time.Duration `key:"roll_every" default:"5m" range:"1s..24h" doc:"Age after which a file is closed."`
	RollRows    int           `key:"roll_rows" default:"1000000" range:"1..1000000000" doc:"Rows after which a file is closed."`
}

// Layout is one directory order of a view.
type Layout struct {
	Name string  `key:"name" pattern:"id" doc:"Name of the layout; needed where a view has more than one. The first may go without."`
	By   []Level `key:"by" required:"true" doc:"Directory levels from the outside: a column of the view, dt(column) for its day, hr(column) for its hour, or dt and hr of the commit time."`
}
