package s3

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"tailwater/internal/failpoint"
)

// abortGrace bounds how long an upload that failed is tidied up, whatever has
// become of the caller's context. What is left then is for the bucket's
// lifecycle rule.
const abortGrace = 5 * time.Second

// putParts writes a body part after part, one of them in memory at a time.
func (s *Store) putParts(ctx context.Context, w *write, body io.Reader) (err error) {
	id, err := s.beginUpload(ctx, w)
	if err != nil {
		return err
	}
	w.upload = id
	defer func() {
		if err != nil {
			s.abort(ctx, w)
		}
	}()
	var parts []types.CompletedPart
	buf := make([]byte, s.o.PartSize)
	for left := w.size; left > 0; {
		b := buf[:min(left, s.o.PartSize)]
		if err := readPart(ctx, body, b); err != nil {
			return err
		}
		part, err := s.putPart(ctx, w, int32(len(parts)+1), b)
		if err != nil {
			return err
		}
		parts = append(parts, part)
		left -= int64(len(b))
	}
	if err := atEnd(body, w.size); err != nil {
		return err
	}
	return s.settle(ctx, w, s.timeFor(w.size), func(ctx context.Context) error { return s.complete(ctx, w, parts) })
}

// beginUpload makes an upload. One whose id was lost on the way stays behind,
// invisible, until the bucket's lifecycle rule takes it.
func (s *Store) beginUpload(ctx context.Context, w *write) (id string, err error) {
	sse, kms := s.encryption()
	err = s.retry(ctx, s.o.Timeout, func(ctx context.Context) error {
		out, err := s.client.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{
			Bucket: &s.o.Bucket, Key: &w.key, Metadata: w.metadata(), ServerSideEncryption: sse, SSEKMSKeyId: kms,
		})
		if err != nil {
			return err
		}
		id = aws.ToString(out.UploadId)
		return nil
	})
	return id, err
}

// putPart sends one part; sending it again replaces it.
func (s *Store) putPart(ctx context.Context, w *write, n int32, b []byte) (part types.CompletedPart, err error) {
	err = s.retry(ctx, s.timeFor(int64(len(b))), func(ctx context.Context) error {
		out, err := s.client.UploadPart(ctx, &awss3.UploadPartInput{
			Bucket: &s.o.Bucket, Key: &w.key, UploadId: &w.upload, PartNumber: &n,
			Body: bytes.NewReader(b), ContentLength: aws.Int64(int64(len(b))),
		})
		if err != nil {
			return err
		}
		failpoint.At(failpoint.S3PartSent)
		part = types.CompletedPart{ETag: out.ETag, PartNumber: &n}
		return nil
	})
	return part, err
}

// complete makes an upload an object. An answer with neither a result nor an
// error is errEmpty, which the SDK takes for success.
func (s *Store) complete(ctx context.Context, w *write, parts []types.CompletedPart) error {
	failpoint.At(failpoint.S3Completing)
	out, err := s.client.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{
		Bucket: &s.o.Bucket, Key: &w.key, UploadId: &w.upload, IfNoneMatch: w.condition(),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if err == nil && out.ETag == nil && out.Key == nil && out.Location == nil {
		return errEmpty
	}
	return err
}

// abort gives an upload up. That it fails changes nothing for the caller: the
// parts are invisible.
func (s *Store) abort(ctx context.Context, w *write) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortGrace)
	defer cancel()
	_ = s.retry(ctx, abortGrace, func(ctx context.Context) error {
		_, err := s.client.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: &s.o.Bucket, Key: &w.key, UploadId: &w.upload})
		return err
	})
}
