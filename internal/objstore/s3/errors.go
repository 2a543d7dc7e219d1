package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"tailwater/internal/objstore"
)

// Error is a request that the store, or the way to it, has failed. It holds no
// credential.
type Error struct {
	// Op is put, get, list, delete or probe; Key the key, or the prefix.
	Op, Key string
	// URL is the store's.
	URL string
	// Problem is what is wrong and what to change.
	Problem string
	// Temporary says that it may pass without anybody changing anything.
	Temporary bool
	Err       error
}

// Error names the store, the key, the problem and the way out.
func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%s %s: %s", e.Op, e.URL, e.Problem)
	}
	return fmt.Sprintf("%s %s on %s: %s", e.Op, e.Key, e.URL, e.Problem)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// credentialsError is a failure of the credential chain. Its text is never
// shown: what a credential process prints may be in it.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "no credentials" }
func (e *credentialsError) Unwrap() error { return e.err }

// fail makes the error of an operation for people; the errors of objstore pass.
func (s *Store) fail(op, key string, err error) error {
	var own *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return err
	case errors.Is(err, objstore.ErrExists) || errors.Is(err, objstore.ErrConflict) || errors.Is(err, objstore.ErrNotFound):
		return fmt.Errorf("%s %s: %w", op, key, err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s %s on %s: %w", op, key, s.URL(), context.Canceled)
	}
	return &Error{Op: op, Key: key, URL: s.URL(), Problem: s.explain(err), Temporary: transient(err), Err: err}
}

// explain says what is wrong and what to change.
func (s *Store) explain(err error) string {
	var creds *credentialsError
	var hidden *hiddenError
	switch {
	case errors.As(err, &hidden):
		return fmt.Sprintf("an object that is not there is answered as forbidden%s, so that the end of a lake cannot be found: allow s3:ListBucket to these credentials on bucket %s without a condition on s3:prefix",
			because(err), s.o.Bucket)
	case keyDenied(err):
		return s.keyProblem() + because(err)
	case errors.As(err, &creds):
		return "there are no credentials that can be used" + because(creds.err) +
			": set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile in AWS_PROFILE, or give the machine a role"
	}
	if problem := s.explainCode(err); problem != "" {
		return problem + because(err)
	}
	switch st := status(err); {
	case st == http.StatusMovedPermanently || st == http.StatusTemporaryRedirect || st == http.StatusBadRequest && bucketRegion(err) != "":
		return s.wrongRegion(err)
	case st == http.StatusForbidden:
		return s.denied(err)
	case st == http.StatusNotImplemented:
		return "the store does not know this request" + because(err) + ": use one that speaks the whole of S3, with conditional writes and multipart uploads"
	case st >= 500 || st == http.StatusTooManyRequests:
		return "the store is not able to answer now" + because(err)
	case st != 0:
		return "the store refuses the request" + because(err)
	}
	return s.unreachable(err)
}

// explainCode knows the store's names of errors.
func (s *Store) explainCode(err error) string {
	switch code(err) {
	case "NoSuchBucket":
		return fmt.Sprintf("bucket %s does not exist: make it, or correct the bucket in lake.url or lake.endpoint", s.o.Bucket)
	case "InvalidAccessKeyId", "XAdminUserNotFound":
		return "the store does not know the access key: set AWS_ACCESS_KEY_ID or AWS_PROFILE to one of this store"
	case "SignatureDoesNotMatch":
		return "the secret key does not belong to the access key: correct AWS_SECRET_ACCESS_KEY or the profile"
	case "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired":
		return "the session token is not valid any more: make new credentials, or use a role, which renews them"
	case "RequestTimeTooSkewed":
		return "this machine's clock differs from the store's by too much: set the clock"
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "TemporaryRedirect":
		return s.wrongRegion(err)
	case "AccessDenied", "AllAccessDisabled", "AccountProblem":
		return s.denied(err)
	}
	return ""
}

// hiddenError says that the store does not tell that an object is not there.
type hiddenError struct{ err error }

func (e *hiddenError) Error() string { return "an object that is not there is forbidden" }
func (e *hiddenError) Unwrap() error { return e.err }

// keyDenied reports that it is not S3 but KMS, on the way, that refuses: by a
// code of its own, or by a denial of S3 whose text names an action of KMS.
func keyDenied(err error) bool {
	var a smithy.APIError
	if !errors.As(err, &a) || transient(err) {
		return false
	}
	return strings.HasPrefix(a.ErrorCode(), "KMS.") ||
		status(err) == http.StatusForbidden && strings.Contains(strings.ToLower(a.ErrorMessage()), "kms")
}

// keyProblem says what a key needs. A bucket may encrypt by a key of its own,
// without lake.sse.
func (s *Store) keyProblem() string {
	key := fmt.Sprintf("the key in lake.kms_key (%q)", s.o.KMSKey)
	switch {
	case s.o.SSE != "kms":
		key = "the KMS key by which bucket " + s.o.Bucket + " encrypts (or the one that you name in lake.kms_key)"
	case s.o.KMSKey == "":
		key = "the account's own KMS key for S3 (or the one that you name in lake.kms_key)"
	}
	return fmt.Sprintf("%s cannot be used: it must be an enabled key of region %s, and its policy or the credentials' must allow kms:GenerateDataKey and kms:Decrypt on it", key, s.region)
}

func (s *Store) wrongRegion(err error) string {
	if r := bucketRegion(err); r != "" && r != s.region {
		return fmt.Sprintf("bucket %s is in region %s, not %s: set lake.region: %s", s.o.Bucket, r, s.region, r)
	}
	return fmt.Sprintf("bucket %s is not in region %s: set lake.region to the bucket's", s.o.Bucket, s.region)
}

// bucketRegion is where the store says that the bucket is.
func bucketRegion(err error) string {
	var r *smithyhttp.ResponseError
	if !errors.As(err, &r) || r.Response == nil || r.Response.Response == nil {
		return ""
	}
	return r.Response.Header.Get("X-Amz-Bucket-Region")
}

// actions are the IAM actions behind the SDK's operations.
var actions = map[string]string{
	"ListObjectsV2": "s3:ListBucket", "PutObject": "s3:PutObject", "GetObject": "s3:GetObject", "HeadObject": "s3:GetObject",
	"DeleteObject": "s3:DeleteObject", "CreateMultipartUpload": "s3:PutObject", "UploadPart": "s3:PutObject",
	"CompleteMultipartUpload": "s3:PutObject", "AbortMultipartUpload": "s3:AbortMultipartUpload",
}

func (s *Store) denied(err error) string {
	var op *smithy.OperationError
	action, more := "what it needs", ""
	if errors.As(err, &op) && actions[op.Operation()] != "" {
		action = actions[op.Operation()]
	}
	switch action {
	case "s3:ListBucket":
		more = ", without a condition on s3:prefix"
	case "s3:GetObject":
		more = ", and s3:ListBucket without a condition on s3:prefix"
	}
	return fmt.Sprintf("access is denied: allow %s to these credentials on bucket %s%s (docs/operations.md lists all actions)", action, s.o.Bucket, more)
}

func (s *Store) unreachable(err error) string {
	where, setting := "Amazon S3 in region "+s.region, "lake.region and the network"
	if s.o.Endpoint != "" {
		where, setting = s.o.Endpoint, "lake.endpoint and the network"
	}
	var cert *tls.CertificateVerificationError
	var sent *smithyhttp.RequestSendError
	switch {
	case errors.As(err, &cert):
		return fmt.Sprintf("the certificate of %s is not trusted (%v): name its authority in AWS_CA_BUNDLE", where, cert.Err)
	case errors.As(err, &sent) || errors.Is(err, errTimeout):
		return fmt.Sprintf("%s cannot be reached (%s): check %s", where, root(err), setting)
	}
	return root(err)
}

// because adds what the store itself says, if it says anything.
func because(err error) string {
	var parts []string
	if c := code(err); c != "" {
		parts = append(parts, c)
	}
	if st := status(err); st != 0 {
		parts = append(parts, fmt.Sprintf("HTTP %d", st))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// root is the text of the cause, without the SDK's frame around it.
func root(err error) string {
	var u *url.Error
	switch {
	case errors.Is(err, errTimeout):
		return errTimeout.Error()
	case errors.As(err, &u) && errors.Is(u.Err, io.EOF):
		return "the connection was closed before the answer"
	case errors.As(err, &u):
		return u.Err.Error()
	}
	return err.Error()
}
