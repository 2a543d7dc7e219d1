package s3_test

import (
	"errors"
	"strings"
	"testing"

	"tailwater/internal/objstore"
	"tailwater/internal/objstore/s3"
)

// A completion may be answered by 200 before the store knows, and the error, or
// nothing at all, comes in the body.
func TestPutNew_AnErrorInsideASuccessIsWhatItsCodeSays(t *testing.T) {
	credentials(t)
	for name, c := range map[string]struct {
		x     fault
		other bool // another writer was first
		want  error
		// requests is how often the upload is completed.
		requests int
	}{
		"the key was there":             {fault{code: "PreconditionFailed"}, true, objstore.ErrExists, 1},
		"another writer is at it":       {fault{code: "ConditionalRequestConflict"}, false, objstore.ErrConflict, 1},
		"another writer has won":        {fault{code: "ConditionalRequestConflict"}, true, objstore.ErrExists, 1},
		"the store fails":               {fault{code: "InternalError"}, false, nil, 2},
		"the store fails and writes":    {fault{code: "InternalError", applied: true}, false, nil, 1},
		"the store fails, other writer": {fault{code: "InternalError"}, true, objstore.ErrExists, 1},
		"nothing":                       {fault{}, false, nil, 2},
		"nothing, written":              {fault{applied: true}, false, nil, 1},
		"nothing, other writer":         {fault{}, true, objstore.ErrExists, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			s := f.proven(t)
			if c.other {
				if err := put(t.Context(), f.proven(t), "k", "another"); err != nil {
					t.Fatal(err)
				}
			}
			c.x.status, c.x.inside = 200, true
			f.faults("CompleteMultipartUpload", map[int]*fault{1: &c.x})
			body := bodyOf(sizes["parts"])
			if err := put(t.Context(), s, "k", body); !errors.Is(err, c.want) {
				t.Errorf("PutNew = %v, want %v", err, c.want)
			}
			if c.want == nil {
				wantBody(t, s, "k", body)
			}
			if got := f.count["CompleteMultipartUpload"]; got != c.requests {
				t.Errorf("%d completions, want %d", got, c.requests)
			}
			if _, uploads := f.left(); uploads != 0 {
				t.Errorf("%d uploads are left, want them completed or aborted", uploads)
			}
		})
	}
}

// What no repetition mends is not taken for a store that is down.
func TestPutNew_ADenialInsideASuccessIsFinal(t *testing.T) {
	credentials(t)
	for code, want := range map[string]string{
		"AccessDenied": "s3:PutObject", "KMS.DisabledException": "lake.kms_key", "InvalidPart": "InvalidPart", "NoSuchUpload": "NoSuchUpload",
	} {
		f := newFake(t)
		s := f.proven(t)
		f.faults("CompleteMultipartUpload", map[int]*fault{1: {status: 200, inside: true, code: code}})
		err := put(t.Context(), s, "k", bodyOf(sizes["parts"]))
		var e *s3.Error
		if !errors.As(err, &e) || e.Temporary || !strings.Contains(err.Error(), want) {
			t.Errorf("PutNew with %s in the answer = %v, want a lasting error that names %s", code, err, want)
		}
		if got := f.count["CompleteMultipartUpload"]; got != 1 {
			t.Errorf("%s: %d completions, want 1", code, got)
		}
	}
}

// A probe hears a refusal that comes late, and does not take silence for one.
func TestProbe_HearsARefusalInsideASuccess(t *testing.T) {
	credentials(t)
	f := newFake(t)
	f.faults("CompleteMultipartUpload", map[int]*fault{1: {status: 200, inside: true, code: "PreconditionFailed"}})
	if err := f.open(t).Probe(t.Context()); err != nil {
		t.Errorf("Probe = %v, want nil", err)
	}
	if got := f.count["CompleteMultipartUpload"]; got != 1 {
		t.Errorf("%d completions, want 1", got)
	}
	f = newFake(t)
	f.ignore["CompleteMultipartUpload"] = true
	f.faults("CompleteMultipartUpload", map[int]*fault{1: {status: 200, inside: true, applied: true}})
	var lying *s3.LyingError
	if err := f.open(t).Probe(t.Context()); !errors.As(err, &lying) {
		t.Errorf("Probe = %v, want a LyingError", err)
	}
}
