// Package s3 is the objstore.Store of Amazon S3 and of stores that speak its
// protocol.
//
// # The atomic create
//
// PutNew is a PUT with If-None-Match: *; a body larger than Options.PartSize is
// a multipart upload, whose CompleteMultipartUpload carries the condition. The
// store decides, and its answers mean:
//
//	200        written
//	412        the key was there before: ErrExists
//	409        another writer is at the key: try again, at last ErrConflict
//	5xx, time-out, lost reply
//	           unknown: HEAD tells before anything else is decided
//
// CompleteMultipartUpload may answer 200 before it knows, and send any of these
// as an error in the body, or nothing: its code counts, and nothing is unknown.
//
// Each write carries a random token in the object's metadata. It tells a write
// of this call, whose reply was lost or which something between repeated, from
// an equal one of another writer; neither an ETag nor the bytes could. So a
// 412 is never believed without a look at the token.
//
// # A store that lies
//
// A store that ignores the condition would lose rows in silence. Probe finds
// that out by writes of its own, and no write is sent before one has passed.
// Open sends nothing: a store that is away now may come back.
package s3

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"

	"tailwater/internal/objstore"
)

// Bounds of the protocol.
const (
	minPartSize  = 5 << 20
	maxParts     = 10_000
	maxKeyLength = 1024
)

// Options are the options of Open. Credentials come from the default chain of
// the AWS SDK: environment, shared files, web identity, container, instance.
type Options struct {
	// Bucket is the bucket, Prefix what all keys in it begin with; it has no
	// slash at its ends.
	Bucket, Prefix string
	// Region is the bucket's; empty is that of the environment or of the shared
	// files, and us-east-1 with an Endpoint.
	Region string
	// Endpoint is the URL of a store that is not Amazon's.
	Endpoint string
	// PathStyle puts the bucket into the path instead of the host's name.
	PathStyle bool
	// SSE is none, s3 or kms; KMSKey a key's id or ARN, empty for the account's own.
	SSE, KMSKey string
	// PartSize is the size above which a body is uploaded in parts, and that of
	// the parts: what a write holds in memory. 0 is 8 MiB, the least 5 MiB.
	PartSize int64
	// Timeout bounds one request, and a pause in a body that is read; 0 is 30 s.
	// A request with a body may take longer by its size.
	Timeout time.Duration
	// Attempts is how often a request is tried; 0 is 6.
	Attempts int
	// Backoff is the pause after the first attempt, doubled after each up to
	// 5 s, with jitter; 0 is 100 ms.
	Backoff time.Duration
}

func (o *Options) fill() error {
	if o.Bucket == "" {
		return errors.New("open s3 store: no bucket is named")
	}
	if o.PartSize == 0 {
		o.PartSize = 8 << 20
	}
	if o.PartSize < minPartSize {
		return fmt.Errorf("open s3 store: parts of %d bytes are smaller than %d", o.PartSize, minPartSize)
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Attempts == 0 {
		o.Attempts = 6
	}
	if o.Backoff == 0 {
		o.Backoff = 100 * time.Millisecond
	}
	return nil
}

// Store is a bucket, or what lies below a prefix of it. Close is not needed.
type Store struct {
	o      Options
	region string
	client *awss3.Client
	// proven is true once a probe has passed; probing holds a token while one
	// is made.
	proven  atomic.Bool
	probing chan struct{}
}

var _ objstore.Store = (*Store)(nil)

// Open makes a store. It sends nothing: Probe does.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	load := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("open s3 store: the AWS settings of the environment or of the shared files cannot be used: %w; mend them, or unset AWS_PROFILE", err)
	}
	if cfg.Region == "" && o.Endpoint != "" {
		cfg.Region = "us-east-1"
	}
	if cfg.Region == "" {
		return nil, fmt.Errorf("open s3 store: the region of bucket %s is not known: set lake.region or AWS_REGION", o.Bucket)
	}
	cfg.Credentials = chain{cfg.Credentials}
	s := &Store{o: o, region: cfg.Region, probing: make(chan struct{}, 1)}
	s.client = awss3.NewFromConfig(cfg, func(c *awss3.Options) {
		c.UsePathStyle = o.PathStyle
		if o.Endpoint != "" {
			c.BaseEndpoint = aws.String(o.Endpoint)
		}
		// This package tries again by itself: what may be repeated, and what has
		// to be looked at first, is the heart of it.
		c.Retryer = aws.NopRetryer{}
		// The signature covers the body's SHA-256, and the lake has its own sums.
		// The newer checksums of the SDK are trailers, which many stores refuse.
		c.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		c.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	return s, nil
}

// chain marks what the credential chain says as such.
type chain struct{ aws.CredentialsProvider }

// Retrieve returns credentials or a *credentialsError.
func (c chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	v, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, &credentialsError{err}
	}
	return v, nil
}

// URL names the store for people: s3://bucket/prefix.
func (s *Store) URL() string { return "s3://" + s.o.Bucket + "/" + s.o.Prefix }

// full is the key in the bucket. The rules are those of a local directory, so
// that a lake can be copied to one.
func (s *Store) full(key string) (string, error) {
	if key == "" || strings.HasPrefix(key, "/") || strings.ContainsAny(key, "\\\x00") || !utf8.ValidString(key) {
		return "", fmt.Errorf("object key %q: not a relative slash-separated path", key)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." {
			return "", fmt.Errorf("object key %q: part %q is not allowed", key, part)
		}
	}
	full := s.root() + key
	if len(full) > maxKeyLength {
		return "", fmt.Errorf("object key %q: %d bytes with its prefix, and S3 takes %d: use fewer or shorter levels in the layout", key, len(full), maxKeyLength)
	}
	return full, nil
}

// root is what every key in the bucket begins with.
func (s *Store) root() string {
	if s.o.Prefix == "" {
		return ""
	}
	return s.o.Prefix + "/"
}

// encryption returns the headers of SSE.
func (s *Store) encryption() (types.ServerSideEncryption, *string) {
	switch s.o.SSE {
	case "s3":
		return types.ServerSideEncryptionAes256, nil
	case "kms":
		if s.o.KMSKey == "" {
			return types.ServerSideEncryptionAwsKms, nil
		}
		return types.ServerSideEncryptionAwsKms, &s.o.KMSKey
	}
	return "", nil
}

// tokenName is the metadata member that tells whose write an object is.
const tokenName = "tailwater-write"

func newToken() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
