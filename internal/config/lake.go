package config

import "time"

// Lake is everything about Parquet files.
type Lake struct {
	_ struct{} `later:"credentials,current,compact,catalog"`

	URL       string              `key:"url" required:"true" doc:"Where the files go: s3://bucket/prefix, file:///absolute/path, or file://./path from this file's directory. Credentials of S3 come from the environment, the shared files of AWS, or a role."`
	Region    string              `key:"region" pattern:"region" doc:"Region of the bucket. Without it that of AWS_REGION or of the shared files; with an endpoint, us-east-1."`
	Endpoint  string              `key:"endpoint" doc:"URL of an S3 that is not Amazon's, such as https://s3.example.com. It has to know conditional writes, which is looked at before the first one."`
	PathStyle bool                `key:"path_style" default:"false" doc:"Puts the bucket into the path of a request instead of its host, as most S3 that are not Amazon's want it."`
	SSE       string              `key:"sse" default:"none" enum:"none|s3|kms" doc:"Encryption that is asked for with each object: s3 is AES-256 with keys of S3, kms with keys of KMS, none leaves it to the bucket."`
	KMSKey    string              `key:"kms_key" pattern:"kms_key" doc:"Id, alias or ARN of the key for sse: kms. Without it the account's own key of S3."`
	File      LakeFile            `key:"file" doc:"How files are written and when they are closed."`
	Layouts   map[string][]Layout `key:"layouts" names:"id" doc:"Directory orders, by view. A view that is not here has one: dt and hr of its commit time."`
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
