package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"tailwater/internal/failpoint"
	"tailwater/internal/objstore"
)

// Get opens an object. A body that ends before its announced size, or that
// says nothing for Options.Timeout, is an error of Read.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, objstore.Info, error) {
	full, err := s.full(key)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	for n := 1; ; n++ {
		b, info, err := s.open(ctx, key, full)
		if err == nil {
			return b, info, nil
		}
		if absent(err) {
			return nil, objstore.Info{}, fmt.Errorf("get %s: %w", key, objstore.ErrNotFound)
		}
		if ctx.Err() != nil || !s.again(ctx, n, err) {
			return nil, objstore.Info{}, s.fail("get", key, err)
		}
	}
}

// open makes one attempt at Get. The request's context lives as long as the body.
func (s *Store) open(ctx context.Context, key, full string) (io.ReadCloser, objstore.Info, error) {
	if ctx.Err() != nil {
		return nil, objstore.Info{}, context.Cause(ctx)
	}
	if err := failpoint.Err(failpoint.S3Reading, errTimeout); err != nil {
		return nil, objstore.Info{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	watchdog := time.AfterFunc(s.o.Timeout, func() { cancel(errTimeout) })
	out, err := s.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &s.o.Bucket, Key: &full})
	watchdog.Stop()
	if err != nil {
		err = errors.Join(context.Cause(ctx), err)
		cancel(nil)
		return nil, objstore.Info{}, err
	}
	info := objstore.Info{Key: key, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified)}
	return &body{ctx: ctx, cancel: cancel, watchdog: watchdog, timeout: s.o.Timeout, rc: out.Body, key: key, url: s.URL(), left: info.Size}, info, nil
}

// body is the body of an object that is being read.
type body struct {
	ctx      context.Context
	cancel   context.CancelCauseFunc
	watchdog *time.Timer
	timeout  time.Duration
	rc       io.ReadCloser
	key, url string
	left     int64
}

// Read reads on; it is an error when the body ends before its size.
func (b *body) Read(p []byte) (int, error) {
	b.watchdog.Reset(b.timeout)
	n, err := b.rc.Read(p)
	b.watchdog.Stop()
	b.left -= int64(n)
	switch {
	case err == nil || errors.Is(err, io.EOF) && b.left == 0:
		return n, err
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	if cause := context.Cause(b.ctx); cause != nil {
		err = errors.Join(cause, err)
	}
	return n, &Error{Op: "get", Key: b.key, URL: b.url, Problem: fmt.Sprintf("the body breaks off %d bytes before its end", b.left), Temporary: true, Err: err}
}

// Close gives the body up.
func (b *body) Close() error {
	b.watchdog.Stop()
	b.cancel(nil)
	return b.rc.Close()
}

// List yields the objects whose keys begin with prefix, in the order of the
// keys' bytes, a page of a thousand in memory. A store that lists in another
// order, such as a directory bucket, is an error.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		if err := s.list(ctx, prefix, func(i objstore.Info) bool { return yield(i, nil) }); err != nil {
			yield(objstore.Info{}, s.fail("list", prefix, err))
		}
	}
}

func (s *Store) list(ctx context.Context, prefix string, yield func(objstore.Info) bool) error {
	root, last := s.root(), ""
	in := &awss3.ListObjectsV2Input{Bucket: &s.o.Bucket, Prefix: aws.String(root + prefix), EncodingType: types.EncodingTypeUrl}
	for {
		var out *awss3.ListObjectsV2Output
		err := s.retry(ctx, s.o.Timeout, func(ctx context.Context) (err error) {
			out, err = s.client.ListObjectsV2(ctx, in)
			return err
		})
		if err != nil {
			return err
		}
		for i := range out.Contents {
			key, err := listedKey(out, &out.Contents[i])
			if err != nil {
				return err
			}
			if last != "" && key <= last || !strings.HasPrefix(key, root+prefix) {
				return fmt.Errorf("the store lists %q behind %q: it cannot keep a lake, which needs keys in order (directory buckets have none)", key, last)
			}
			last = key
			if strings.HasSuffix(key, "/") {
				continue // a folder that a console has drawn
			}
			o := &out.Contents[i]
			if !yield(objstore.Info{Key: key[len(root):], Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)}) {
				return nil
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return nil
		}
		if aws.ToString(out.NextContinuationToken) == "" {
			return errors.New("the store has more keys than it lists, and does not say how to go on")
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

// listedKey is the key of a listed object; not every store encodes it.
func listedKey(out *awss3.ListObjectsV2Output, o *types.Object) (string, error) {
	key := aws.ToString(o.Key)
	if out.EncodingType != types.EncodingTypeUrl {
		return key, nil
	}
	plain, err := url.QueryUnescape(key)
	if err != nil {
		return "", fmt.Errorf("the store lists a key that is not URL-encoded as it says: %w", err)
	}
	return plain, nil
}

// Delete removes an object; one that is not there is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	full, err := s.full(key)
	if err != nil {
		return err
	}
	return s.fail("delete", key, s.delete(ctx, full))
}

func (s *Store) delete(ctx context.Context, full string) error {
	return s.retry(ctx, s.o.Timeout, func(ctx context.Context) error {
		_, err := s.client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &s.o.Bucket, Key: &full})
		if err != nil && absent(err) {
			return nil
		}
		return err
	})
}
