package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"tailwater/internal/failpoint"
	"tailwater/internal/objstore"
)

// write is one object on its way into the bucket.
type write struct {
	// key is the full key.
	key   string
	token string
	size  int64
	// create makes the write conditional.
	create bool
	// upload is the id of a multipart upload.
	upload string
}

func (w *write) condition() *string {
	if w.create {
		return aws.String("*")
	}
	return nil
}

func (w *write) metadata() map[string]string { return map[string]string{tokenName: w.token} }

// PutNew writes an object that must not exist yet. It returns when the store
// has said so, or a look at the key has. See the package comment.
func (s *Store) PutNew(ctx context.Context, key string, body io.Reader, size int64) error {
	return s.write(ctx, key, body, size, true)
}

// Put writes an object, over an older one if there is one. A request that was
// given up on the way may still arrive, later than what replaced it.
func (s *Store) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	return s.write(ctx, key, body, size, false)
}

func (s *Store) write(ctx context.Context, key string, body io.Reader, size int64, create bool) error {
	full, err := s.full(key)
	if err != nil {
		return err
	}
	if size < 0 || size > s.o.PartSize*maxParts {
		return fmt.Errorf("put %s: %d bytes are more than %d parts of %d: lower lake.file.roll_size", key, size, maxParts, s.o.PartSize)
	}
	if err := s.Probe(ctx); err != nil {
		return err
	}
	w := &write{key: full, token: newToken(), size: size, create: create}
	if size > s.o.PartSize {
		err = s.putParts(ctx, w, body)
	} else {
		err = s.putWhole(ctx, w, body)
	}
	return s.fail("put", key, err)
}

// putWhole writes a body by one request.
func (s *Store) putWhole(ctx context.Context, w *write, body io.Reader) error {
	b := make([]byte, w.size)
	if err := readPart(ctx, body, b); err != nil {
		return err
	}
	if err := atEnd(body, w.size); err != nil {
		return err
	}
	return s.settle(ctx, w, s.timeFor(w.size), func(ctx context.Context) error { return s.putOnce(ctx, w, b) })
}

func (s *Store) putOnce(ctx context.Context, w *write, b []byte) error {
	if err := failpoint.Err(failpoint.S3Sending, errTimeout); err != nil {
		return err
	}
	sse, kms := s.encryption()
	_, err := s.client.PutObject(ctx, &awss3.PutObjectInput{
		Bucket: &s.o.Bucket, Key: &w.key, Body: bytes.NewReader(b), ContentLength: aws.Int64(w.size),
		IfNoneMatch: w.condition(), Metadata: w.metadata(), ServerSideEncryption: sse, SSEKMSKeyId: kms,
	})
	if err == nil {
		err = failpoint.Err(failpoint.S3Sent, errTimeout)
	}
	return err
}

// readPart fills b from body.
func readPart(ctx context.Context, body io.Reader, b []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	n, err := io.ReadFull(body, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("body ends %d bytes too early", len(b)-n)
	}
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	return nil
}

// atEnd checks that a body has no more than was announced.
func atEnd(body io.Reader, size int64) error {
	n, err := io.ReadFull(body, make([]byte, 1))
	if n > 0 {
		return fmt.Errorf("body has more than the %d bytes that were announced", size)
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("read body: %w", err)
	}
	return nil
}

// settle sends a write until its outcome is known: nil, ErrExists, ErrConflict,
// or an error that no repetition would mend. Only an error that remains after
// the last attempt, or the end of ctx, leaves it unknown.
func (s *Store) settle(ctx context.Context, w *write, timeout time.Duration, send func(context.Context) error) error {
	for n := 1; ; n++ {
		err := once(ctx, timeout, send)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if !transient(err) && !refused(err) && !contended(err) && !absent(err) {
			return err
		}
		there, looked := s.look(ctx, w)
		switch {
		case looked != nil:
			return fmt.Errorf("it is not known whether the object was written: %w", errors.Join(looked, err))
		case there == ours:
			return nil
		case there == foreign && w.create:
			return objstore.ErrExists
		case absent(err):
			return err
		case contended(err) && w.upload != "":
			// The upload cannot be completed any more: it has to be made again.
			return objstore.ErrConflict
		}
		if n >= s.o.Attempts || !s.pause(ctx, n) {
			if contended(err) || refused(err) {
				return objstore.ErrConflict
			}
			return err
		}
	}
}

// presence is what stands under a key.
type presence int

const (
	nothing presence = iota
	ours
	foreign
)

// look tells whether the object under a write's key is that write.
func (s *Store) look(ctx context.Context, w *write) (there presence, err error) {
	err = s.retry(ctx, s.o.Timeout, func(ctx context.Context) error {
		out, err := s.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &s.o.Bucket, Key: &w.key})
		switch {
		case err != nil && absent(err):
			there = nothing
			return nil
		case err != nil:
			return err
		case out.Metadata[tokenName] == w.token && aws.ToInt64(out.ContentLength) == w.size:
			there = ours
		default:
			there = foreign
		}
		return nil
	})
	return there, err
}
