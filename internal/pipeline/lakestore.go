package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"tailwater/internal/config"
	"tailwater/internal/objstore"
	"tailwater/internal/objstore/s3"
)

// OpenLakeStore opens the place where a lake's objects are. It sends nothing to
// S3, so that it succeeds while that is away.
func OpenLakeStore(ctx context.Context, l *config.ResolvedLake) (objstore.Store, error) {
	if l.S3 == nil {
		return objstore.OpenDir(l.Dir)
	}
	b := l.S3
	return s3.Open(ctx, s3.Options{
		Bucket: b.Bucket, Prefix: b.Prefix, Region: b.Region, Endpoint: b.Endpoint, PathStyle: b.PathStyle, SSE: b.SSE, KMSKey: b.KMSKey,
	})
}

// probeTimeout bounds how long a start waits for a bucket that does not answer.
const probeTimeout = 15 * time.Second

// LakeError says that the place of the lake cannot be used as it is: a bucket
// that is not there, lets nobody in or would lose rows, or settings of AWS that
// are wrong. What may pass by itself is none.
type LakeError struct{ Err error }

// Error is the cause's: it names the bucket, the key and the way out.
func (e *LakeError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *LakeError) Unwrap() error { return e.Err }

// probeLake refuses a bucket that is not there, lets nobody in or would lose
// rows. One that does not answer may come back: the readers must not wait for
// it, and the store itself looks before its first write.
func probeLake(ctx context.Context, store objstore.Store, logger *slog.Logger) error {
	bucket, ok := store.(*s3.Store)
	if !ok {
		return nil
	}
	limit, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := bucket.Probe(limit)
	var failed *s3.Error
	if err != nil && ctx.Err() == nil && (limit.Err() != nil || errors.As(err, &failed) && failed.Temporary) {
		logger.Warn("the lake does not answer; it is tried again for ever", "lake", bucket.URL(), "error", err)
		return nil
	}
	if err != nil && ctx.Err() == nil {
		return &LakeError{err}
	}
	return err
}
