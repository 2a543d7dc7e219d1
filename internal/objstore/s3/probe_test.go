package s3_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tailwater/internal/objstore/s3"
)

func TestProbe_PassesOnceAndLeavesNothing(t *testing.T) {
	credentials(t)
	f := newFake(t)
	s := f.open(t)
	for range 2 {
		if err := s.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if keys, uploads := f.left(); len(keys) != 0 || uploads != 0 {
		t.Errorf("%v and %d uploads are left, want nothing", keys, uploads)
	}
	if n := f.count["CreateMultipartUpload"]; n != 1 {
		t.Errorf("%d probes, want 1", n)
	}
}

func TestProbe_RefusesAStoreThatIgnoresTheCondition(t *testing.T) {
	credentials(t)
	for op, request := range map[string]string{"PutObject": "PUT", "CompleteMultipartUpload": "CompleteMultipartUpload"} {
		for name, x := range map[string]*fault{"": nil, ", reply lost": {applied: true}, ", not sent": {}, ", 503": {status: 503}} {
			t.Run(op+name, func(t *testing.T) {
				f := newFake(t)
				f.ignore[op] = true
				// The request that the store should refuse: the second PUT, the completion.
				f.faults(op, map[int]*fault{map[string]int{"PutObject": 2, "CompleteMultipartUpload": 1}[op]: x})
				s := f.open(t)
				var lying *s3.LyingError
				if err := s.Probe(t.Context()); !errors.As(err, &lying) || lying.Request != request || !strings.Contains(err.Error(), "If-None-Match on "+request) {
					t.Errorf("Probe = %v, want a LyingError of %s", err, request)
				}
				if err := put(t.Context(), s, "k", "x"); !errors.As(err, &lying) {
					t.Errorf("PutNew = %v, want it refused before it is sent", err)
				}
				if keys, uploads := f.left(); len(keys) != 0 || uploads != 0 {
					t.Errorf("%v and %d uploads are left, want nothing", keys, uploads)
				}
			})
		}
	}
}

func TestProbe_RefusesAStoreWithoutMetadata(t *testing.T) {
	credentials(t)
	f := newFake(t)
	f.forget = true
	if err := f.open(t).Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "metadata") {
		t.Errorf("Probe = %v, want an error that names the metadata", err)
	}
}

func TestProbe_PassesOverFaults(t *testing.T) {
	credentials(t)
	for _, op := range []string{"ListObjectsV2", "PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "HeadObject", "DeleteObject"} {
		for n := 1; n <= 2; n++ {
			for name, x := range map[string]*fault{"lost": {applied: true}, "closed": {}, "503": {status: 503}} {
				f := newFake(t)
				f.faults(op, map[int]*fault{n: x})
				if err := f.open(t).Probe(t.Context()); err != nil {
					t.Errorf("%s %d %s: %v, want nil", op, n, name, err)
				}
			}
		}
	}
}

// What Amazon says of a key that credentials may not use, and what must be said then.
const keyMessage = "User: arn:aws:iam::111122223333:user/lake is not authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms:eu-west-1:111122223333:key/1 because no identity-based policy allows it"

var grantKey = []string{"kms:GenerateDataKey", "kms:Decrypt", "lake.kms_key"}

func TestProbe_SaysWhatToChange(t *testing.T) {
	credentials(t)
	region := map[string]string{"X-Amz-Bucket-Region": "eu-west-1"}
	for name, c := range map[string]struct {
		op   string
		x    fault
		want []string
	}{
		"bucket":            {"ListObjectsV2", fault{status: 404, code: "NoSuchBucket"}, []string{"bucket lake-bucket does not exist", "lake.url"}},
		"access key":        {"ListObjectsV2", fault{status: 403, code: "InvalidAccessKeyId"}, []string{"AWS_ACCESS_KEY_ID"}},
		"secret":            {"ListObjectsV2", fault{status: 403, code: "SignatureDoesNotMatch"}, []string{"AWS_SECRET_ACCESS_KEY"}},
		"session":           {"ListObjectsV2", fault{status: 400, code: "ExpiredToken"}, []string{"session token"}},
		"clock":             {"ListObjectsV2", fault{status: 403, code: "RequestTimeTooSkewed"}, []string{"clock"}},
		"list denied":       {"ListObjectsV2", fault{status: 403, code: "AccessDenied"}, []string{"s3:ListBucket", "bucket lake-bucket", "docs/operations.md"}},
		"put denied":        {"PutObject", fault{status: 403, code: "AccessDenied"}, []string{"s3:PutObject"}},
		"head denied":       {"HeadObject", fault{status: 403}, []string{"s3:GetObject", "s3:ListBucket"}},
		"delete denied":     {"DeleteObject", fault{status: 403, code: "AccessDenied"}, []string{"s3:DeleteObject"}},
		"region by 301":     {"ListObjectsV2", fault{status: 301, code: "PermanentRedirect", header: region}, []string{"is in region eu-west-1", "lake.region: eu-west-1"}},
		"region by 400":     {"ListObjectsV2", fault{status: 400, code: "AuthorizationHeaderMalformed", header: region}, []string{"lake.region: eu-west-1"}},
		"key not there":     {"PutObject", fault{status: 400, code: "KMS.NotFoundException"}, grantKey},
		"key disabled":      {"PutObject", fault{status: 400, code: "KMS.DisabledException"}, grantKey},
		"key denied":        {"PutObject", fault{status: 400, code: "KMS.AccessDeniedException"}, grantKey},
		"key denied by S3":  {"PutObject", fault{status: 403, code: "AccessDenied", message: keyMessage}, grantKey},
		"key denied late":   {"UploadPart", fault{status: 403, code: "AccessDenied", message: strings.Replace(keyMessage, "GenerateDataKey", "Decrypt", 1)}, grantKey},
		"no condition":      {"PutObject", fault{status: 501, code: "NotImplemented"}, []string{"does not know", "conditional writes"}},
		"away for too long": {"ListObjectsV2", fault{status: 503, code: "SlowDown"}, []string{"SlowDown", "503"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.fault = func(op string, _ int) *fault {
				if op == c.op {
					return &c.x
				}
				return nil
			}
			err := f.open(t).Probe(t.Context())
			checkMessage(t, err, c.want...)
			var e *s3.Error
			if away := c.x.status == 503; !errors.As(err, &e) || e.Temporary != away {
				t.Errorf("temporary: %+v, want %v", e, away)
			}
		})
	}
}

// A key is named as the configuration does; without one, it is the bucket's or
// the account's.
func TestProbe_NamesTheKeyThatIsDenied(t *testing.T) {
	credentials(t)
	for want, change := range map[string]func(*s3.Options){
		"lake.kms_key (\"alias/lake\")": func(o *s3.Options) { o.SSE, o.KMSKey = "kms", "alias/lake" },
		"the account's own KMS key":     func(o *s3.Options) { o.SSE = "kms" },
		"by which bucket lake-bucket":   func(*s3.Options) {},
	} {
		f := newFake(t)
		f.faults("PutObject", map[int]*fault{1: {status: 403, code: "AccessDenied", message: keyMessage}})
		checkMessage(t, f.open(t, change).Probe(t.Context()), append([]string{want}, grantKey...)...)
	}
}

func TestProbe_AKeyServiceThatIsBusyIsTriedAgain(t *testing.T) {
	credentials(t)
	f := newFake(t)
	f.faults("PutObject", map[int]*fault{1: {status: 400, code: "KMS.ThrottlingException"}})
	if err := f.open(t).Probe(t.Context()); err != nil {
		t.Errorf("Probe = %v, want nil", err)
	}
}

// Without it, the first look for the end of a chain would fail, long behind the
// start; the list of a prefix and every write are allowed.
func TestProbe_RefusesAStoreThatDoesNotTellWhatIsNotThere(t *testing.T) {
	credentials(t)
	f := newFake(t)
	f.hide = true
	err := f.open(t).Probe(t.Context())
	checkMessage(t, err, "not there", "allow s3:ListBucket", "bucket lake-bucket without a condition on s3:prefix")
	var e *s3.Error
	if !errors.As(err, &e) || e.Temporary {
		t.Errorf("%v is temporary, want it to be refused", err)
	}
	if keys, uploads := f.left(); len(keys) != 0 || uploads != 0 {
		t.Errorf("%v and %d uploads are left, want nothing", keys, uploads)
	}
}

func checkMessage(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error = %v, want it to say %q", err, text)
		}
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if text := fmt.Sprintf("%v %+v", e, e); strings.Contains(text, secret) {
			t.Errorf("the error holds the secret: %s", text)
		}
	}
	if strings.Contains(err.Error(), "\n") || len(err.Error()) > 400 {
		t.Errorf("error = %q, want one line", err)
	}
}

func TestProbe_NamesAnEndpointThatCannotBeReached(t *testing.T) {
	credentials(t)
	f := newFake(t)
	f.Close()
	err := f.open(t).Probe(t.Context())
	checkMessage(t, err, f.URL+" cannot be reached", "connection refused", "lake.endpoint")
	var e *s3.Error
	if !errors.As(err, &e) || !e.Temporary {
		t.Errorf("%v is not temporary, want it to be", err)
	}
	bad := f.open(t, func(o *s3.Options) { o.Endpoint = "http://no-such-host.invalid" })
	checkMessage(t, bad.Probe(t.Context()), "no-such-host.invalid cannot be reached", "lake.endpoint")
}

func TestProbe_NamesACertificateThatIsNotTrusted(t *testing.T) {
	credentials(t)
	f := newFake(t)
	secure := httptest.NewUnstartedServer(f.Config.Handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	onTLS := func(o *s3.Options) { o.Endpoint = secure.URL }
	checkMessage(t, f.open(t, onTLS).Probe(t.Context()), "the certificate of "+secure.URL+" is not trusted", "AWS_CA_BUNDLE")
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(bundle, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", bundle)
	if err := f.open(t, onTLS).Probe(t.Context()); err != nil {
		t.Errorf("Probe with the authority in AWS_CA_BUNDLE: %v", err)
	}
}

func TestProbe_NamesTheWayToCredentials(t *testing.T) {
	credentials(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	f := newFake(t)
	checkMessage(t, f.open(t).Probe(t.Context()), "no credentials", "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "role")
}

// Credentials of a role are fetched, and fetched anew when they end.
func TestPutNew_GoesOnWhenCredentialsAreBack(t *testing.T) {
	credentials(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	var back atomic.Bool
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !back.Load() {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"code":"Gone","message":"the key %s is gone"}`, secret)
			return
		}
		fmt.Fprintf(w, `{"AccessKeyId":"ROLE","SecretAccessKey":%q,"Token":"t","Expiration":%q}`, secret, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(role.Close)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.URL+"/role")
	f := newFake(t)
	s := f.open(t)
	err := put(t.Context(), s, "k", "x")
	if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "no credentials") {
		t.Errorf("PutNew without credentials = %v, want an error that says so and no secret", err)
	}
	back.Store(true)
	if err := put(t.Context(), s, "k", "x"); err != nil {
		t.Errorf("PutNew when they are back = %v, want nil", err)
	}
}

func TestOpen_NeedsARegionOnAmazon(t *testing.T) {
	credentials(t)
	_, err := s3.Open(t.Context(), s3.Options{Bucket: bucket})
	checkMessage(t, err, "region of bucket lake-bucket is not known", "lake.region")
	t.Setenv("AWS_PROFILE", "no-such-profile")
	_, err = s3.Open(t.Context(), s3.Options{Bucket: bucket})
	checkMessage(t, err, "AWS_PROFILE")
}

// A store that is away when the process starts is looked at by the first write
// that reaches it.
func TestPutNew_ProbesAStoreThatWasAway(t *testing.T) {
	credentials(t)
	for op, lies := range map[string]bool{"": false, "PutObject": true} {
		f := newFake(t)
		f.fault = func(string, int) *fault { return &fault{status: 503} }
		f.ignore[op] = true
		s := f.open(t)
		for range 2 {
			var e *s3.Error
			if err := put(t.Context(), s, "k", "x"); !errors.As(err, &e) || !e.Temporary {
				t.Fatalf("PutNew of a store that is away = %v, want a temporary error", err)
			}
		}
		f.faults("", nil)
		var lying *s3.LyingError
		if err := put(t.Context(), s, "k", "x"); errors.As(err, &lying) != lies || !lies && err != nil {
			t.Errorf("PutNew when it is back = %v, want it refused: %v", err, lies)
		}
	}
}
