package s3

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxBackoff bounds the pause between two attempts.
const maxBackoff = 5 * time.Second

// slowest is the rate in bytes a second below which a transfer is given up.
const slowest = 128 << 10

// errTimeout is why a request was given up that took too long.
var errTimeout = errors.New("no answer within the time-out")

// timeFor is how long a request with a body of size bytes may take.
func (s *Store) timeFor(size int64) time.Duration {
	return s.o.Timeout + time.Duration(size)*time.Second/slowest
}

// once makes one attempt within a time-out.
func once(ctx context.Context, timeout time.Duration, f func(context.Context) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	attempt, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
	defer cancel()
	err := f(attempt)
	switch {
	case err != nil && ctx.Err() != nil:
		return errors.Join(context.Cause(ctx), err)
	case err != nil && attempt.Err() != nil:
		return errors.Join(errTimeout, err)
	}
	return err
}

// retry makes attempts until one succeeds or fails for good. f must be one
// that may be repeated.
func (s *Store) retry(ctx context.Context, timeout time.Duration, f func(context.Context) error) error {
	for n := 1; ; n++ {
		err := once(ctx, timeout, f)
		if err == nil || !s.again(ctx, n, err) {
			return err
		}
	}
}

// again says, after a pause, whether to try again after the nth attempt.
func (s *Store) again(ctx context.Context, n int, err error) bool {
	return transient(err) && n < s.o.Attempts && s.pause(ctx, n)
}

// pause waits after the nth attempt; false means that ctx ended.
func (s *Store) pause(ctx context.Context, n int) bool {
	d := min(s.o.Backoff<<min(n-1, 16), maxBackoff)
	t := time.NewTimer(d/2 + rand.N(d/2+1))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// errEmpty is a completion whose answer ended before it said anything: a store
// answers 200 at once and sends what became of it when it knows.
var errEmpty = errors.New("the answer ended before its result")

// late are the statuses that belong to the errors which a store may send inside
// an answer that it has begun with 200. The SDK shows all of them as 500.
var late = map[string]int{
	"PreconditionFailed": http.StatusPreconditionFailed, "ConditionalRequestConflict": http.StatusConflict,
	"AccessDenied": http.StatusForbidden, "NoSuchBucket": http.StatusNotFound, "NoSuchUpload": http.StatusNotFound,
	"InvalidPart": http.StatusBadRequest, "InvalidPartOrder": http.StatusBadRequest, "EntityTooSmall": http.StatusBadRequest,
	"NotImplemented": http.StatusNotImplemented,
}

// status is the HTTP status of the store's answer, or the one that belongs to
// an error inside an answer with 200; 0 without an answer.
func status(err error) int {
	var r *smithyhttp.ResponseError
	if !errors.As(err, &r) || r.Response == nil || r.Response.Response == nil {
		return 0
	}
	st := r.HTTPStatusCode()
	if st != http.StatusInternalServerError {
		return st
	}
	c := code(err)
	if l := late[c]; l != 0 {
		return l
	}
	if strings.HasPrefix(c, "KMS.") {
		return http.StatusBadRequest
	}
	return st
}

// code is the store's own name of an error, "" without one.
func code(err error) string {
	var a smithy.APIError
	if errors.As(err, &a) {
		return a.ErrorCode()
	}
	return ""
}

// transient reports whether a later attempt may succeed without anybody doing
// anything. The outcome of a write that failed so is unknown.
func transient(err error) bool {
	var creds *credentialsError
	if errors.As(err, &creds) {
		return false
	}
	switch code(err) {
	case "InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded", "OperationAborted",
		"KMS.ThrottlingException", "KMS.InternalException", "KMS.KMSInternalException", "KMS.DependencyTimeoutException":
		return true
	}
	var sent *smithyhttp.RequestSendError
	var garbled *smithy.DeserializationError
	switch st := status(err); {
	case st == http.StatusNotImplemented:
		return false
	case st >= 500 || st == http.StatusTooManyRequests || st == http.StatusRequestTimeout:
		return true
	case st >= 300:
		return false
	}
	return errors.Is(err, errTimeout) || errors.Is(err, errEmpty) || errors.As(err, &sent) || errors.As(err, &garbled)
}

// refused reports that the condition of a write did not hold. Some stores
// answer 304, which is for reads.
func refused(err error) bool {
	st := status(err)
	return st == http.StatusPreconditionFailed || st == http.StatusNotModified
}

// contended reports that another writer is at the key.
func contended(err error) bool { return status(err) == http.StatusConflict }

// absent reports that nothing is there: a key, or an upload. A 404 alone does
// not say so: a bucket or a user may be gone, or a proxy speak for the store,
// and a lake that is taken for empty is written anew.
func absent(err error) bool {
	switch code(err) {
	case "NoSuchKey", "NoSuchUpload":
		return status(err) == http.StatusNotFound
	case "NotFound":
		// The SDK's name for an answer without a body, as every one to a HEAD is.
		var op *smithy.OperationError
		return status(err) == http.StatusNotFound && errors.As(err, &op) && op.Operation() == "HeadObject"
	}
	return false
}
