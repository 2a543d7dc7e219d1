package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"tailwater/internal/objstore"
	"tailwater/internal/objstore/objstoretest"
	"tailwater/internal/objstore/s3"
)

func TestStore_ConformsToStore(t *testing.T) {
	credentials(t)
	for name, raw := range map[string]bool{"encoded": false, "raw": true} {
		t.Run(name, func(t *testing.T) {
			objstoretest.Run(t, func(t *testing.T) objstore.Store {
				f := newFake(t)
				f.raw = raw
				return f.open(t)
			})
		})
	}
}

// Sizes of bodies that go by one PUT, and by parts.
var sizes = map[string]int{"whole": 100, "parts": 11 << 20}

func bodyOf(size int) string { return strings.Repeat("0123456789", size/10+1)[:size] }

func put(ctx context.Context, s *s3.Store, key, body string) error {
	return s.PutNew(ctx, key, strings.NewReader(body), int64(len(body)))
}

func wantBody(t *testing.T, s *s3.Store, key, body string) {
	t.Helper()
	r, info, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get(%s): %v", key, err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || sha256.Sum256(got) != sha256.Sum256([]byte(body)) || info.Size != int64(len(body)) {
		t.Errorf("Get(%s) = %d bytes, info %+v, %v, want the %d that were written", key, len(got), info, err, len(body))
	}
}

// decides names the request that makes an object of a size visible.
var decides = map[string]string{"whole": "PutObject", "parts": "CompleteMultipartUpload"}

func TestPutNew_KnowsItsOwnWriteWhenTheReplyIsLost(t *testing.T) {
	credentials(t)
	for kind, size := range sizes {
		for name, x := range map[string]*fault{
			"connection closed": {applied: true}, "500": {applied: true, status: 500, code: "InternalError"},
			"503": {applied: true, status: 503, code: "SlowDown"}, "504 of a proxy": {applied: true, status: 504},
			"error in a 200": {applied: true, status: 200, inside: true, code: "InternalError"},
			// Something between us has sent it twice.
			"412": {applied: true, status: 412, code: "PreconditionFailed"}, "409": {applied: true, status: 409, code: "ConditionalRequestConflict"},
		} {
			if x.inside && kind == "whole" {
				continue // only a completion answers before it knows
			}
			t.Run(kind+" "+name, func(t *testing.T) {
				f := newFake(t)
				s := f.proven(t)
				f.faults(decides[kind], map[int]*fault{1: x})
				if err := put(t.Context(), s, "k", bodyOf(size)); err != nil {
					t.Errorf("PutNew = %v, want nil: the object was written", err)
				}
				wantBody(t, s, "k", bodyOf(size))
				if f.count[decides[kind]] != 1 {
					t.Errorf("%d requests, want 1: HEAD tells that it is there", f.count[decides[kind]])
				}
			})
		}
	}
}

// A store that has lost half of an object has not written it, whoever's it is:
// the caller reads what is there, and refuses it.
func TestPutNew_HalfOfItsOwnWriteIsNotTakenForTheWhole(t *testing.T) {
	credentials(t)
	f := newFake(t)
	s := f.proven(t)
	f.faults("PutObject", map[int]*fault{1: {applied: true, torn: true}})
	if err := put(t.Context(), s, "k", bodyOf(100)); !errors.Is(err, objstore.ErrExists) {
		t.Errorf("PutNew = %v, want ErrExists", err)
	}
}

func TestPutNew_TriesAgainWhatWasNotWritten(t *testing.T) {
	credentials(t)
	for kind, size := range sizes {
		for name, x := range map[string]*fault{"connection closed": {}, "500": {status: 500, code: "InternalError"}, "503": {status: 503, code: "SlowDown"}, "429": {status: 429}} {
			t.Run(kind+" "+name, func(t *testing.T) {
				f := newFake(t)
				s := f.proven(t)
				f.faults(decides[kind], map[int]*fault{1: x, 2: x})
				if err := put(t.Context(), s, "k", bodyOf(size)); err != nil {
					t.Errorf("PutNew = %v, want nil", err)
				}
				wantBody(t, s, "k", bodyOf(size))
			})
		}
	}
}

// A foreign write of the very same bytes is foreign: the caller must hear so.
func TestPutNew_AForeignWriteIsNotTakenForItsOwn(t *testing.T) {
	credentials(t)
	for kind, size := range sizes {
		for name, x := range map[string]*fault{"refused": nil, "lost": {}, "503": {status: 503, code: "SlowDown"}, "409": {status: 409}} {
			t.Run(kind+" "+name, func(t *testing.T) {
				f := newFake(t)
				s, other := f.proven(t), f.proven(t)
				if err := put(t.Context(), other, "k", bodyOf(size)); err != nil {
					t.Fatal(err)
				}
				f.faults(decides[kind], map[int]*fault{2: x})
				if err := put(t.Context(), s, "k", bodyOf(size)); !errors.Is(err, objstore.ErrExists) {
					t.Errorf("PutNew = %v, want ErrExists", err)
				}
				if _, uploads := f.left(); uploads != 0 {
					t.Errorf("%d uploads are left, want them aborted", uploads)
				}
			})
		}
	}
}

func TestPutNew_AConflictThatStaysIsErrConflict(t *testing.T) {
	credentials(t)
	conflict := &fault{status: 409, code: "ConditionalRequestConflict"}
	for kind, size := range sizes {
		t.Run(kind, func(t *testing.T) {
			f := newFake(t)
			s := f.proven(t)
			f.faults(decides[kind], map[int]*fault{1: conflict, 2: conflict, 3: conflict, 4: conflict})
			if err := put(t.Context(), s, "k", bodyOf(size)); !errors.Is(err, objstore.ErrConflict) {
				t.Errorf("PutNew = %v, want ErrConflict", err)
			}
			// An upload cannot be completed behind a conflict: the caller makes another.
			if want := map[string]int{"whole": 4, "parts": 1}[kind]; f.count[decides[kind]] != want {
				t.Errorf("%d requests, want %d", f.count[decides[kind]], want)
			}
			if keys, uploads := f.left(); len(keys) != 0 || uploads != 0 {
				t.Errorf("%v and %d uploads are left, want nothing", keys, uploads)
			}
		})
	}
}

func TestPutNew_AnUnknownOutcomeIsNeverCalledExists(t *testing.T) {
	credentials(t)
	for kind, size := range sizes {
		t.Run(kind, func(t *testing.T) {
			f := newFake(t)
			s := f.proven(t)
			f.fault = func(op string, n int) *fault {
				if op == decides[kind] {
					return &fault{applied: n == 1}
				}
				if op == "HeadObject" {
					return &fault{status: 503}
				}
				return nil
			}
			err := put(t.Context(), s, "k", bodyOf(size))
			var e *s3.Error
			if !errors.As(err, &e) || !e.Temporary || errors.Is(err, objstore.ErrExists) {
				t.Errorf("PutNew = %v, want a temporary error", err)
			}
			f.faults("", nil)
			if err := put(t.Context(), s, "k", bodyOf(size)); !errors.Is(err, objstore.ErrExists) {
				t.Errorf("PutNew again = %v, want ErrExists", err)
			}
		})
	}
}

func TestPutNew_PartsThatFailAreSentAgainAndGivenUpWhole(t *testing.T) {
	credentials(t)
	f := newFake(t)
	s := f.proven(t)
	f.faults("UploadPart", map[int]*fault{1: {applied: true}, 3: {status: 503}, 4: {}})
	if err := put(t.Context(), s, "k", bodyOf(11<<20)); err != nil {
		t.Errorf("PutNew = %v, want nil", err)
	}
	wantBody(t, s, "k", bodyOf(11<<20))
	f.mu.Lock()
	f.fault = func(op string, _ int) *fault { return map[string]*fault{"UploadPart": {status: 503}}[op] }
	f.mu.Unlock()
	if err := put(t.Context(), s, "k2", bodyOf(11<<20)); err == nil {
		t.Error("PutNew of parts that never arrive = nil, want an error")
	}
	if keys, uploads := f.left(); len(keys) != 1 || uploads != 0 {
		t.Errorf("%v and %d uploads are left, want the first object", keys, uploads)
	}
}

func TestPutNew_ACanceledUploadIsAborted(t *testing.T) {
	credentials(t)
	f := newFake(t)
	s := f.proven(t)
	ctx, cancel := context.WithCancel(t.Context())
	body := io.MultiReader(strings.NewReader(bodyOf(6<<20)), readFunc(func([]byte) (int, error) { cancel(); return 0, errors.New("gone") }))
	if err := s.PutNew(ctx, "k", body, 12<<20); err == nil {
		t.Error("PutNew = nil, want an error")
	}
	if keys, uploads := f.left(); len(keys) != 0 || uploads != 0 {
		t.Errorf("%v and %d uploads are left, want nothing", keys, uploads)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// What a write holds in memory is one part: a body is read as parts are sent.
func TestPutNew_ReadsABodyPartByPart(t *testing.T) {
	credentials(t)
	f := newFake(t)
	s := f.proven(t)
	f.fault = func(op string, n int) *fault {
		if op == "UploadPart" && n == 2 {
			return &fault{status: 403, code: "AccessDenied"}
		}
		return nil
	}
	read := 0
	src := strings.NewReader(bodyOf(40 << 20))
	body := readFunc(func(p []byte) (int, error) { n, err := src.Read(p); read += n; return n, err })
	err := s.PutNew(t.Context(), "k", body, 40<<20)
	checkMessage(t, err, "s3:PutObject")
	if got, want := read, 10<<20; got != want {
		t.Errorf("%d bytes were read when the second part failed, want %d", got, want)
	}
	if keys, uploads := f.left(); len(keys) != 0 || uploads != 0 {
		t.Errorf("%v and %d uploads are left, want nothing", keys, uploads)
	}
}

func TestPutNew_BodiesThatAreNotWhatWasAnnouncedLeaveNothing(t *testing.T) {
	credentials(t)
	f := newFake(t)
	s := f.proven(t)
	for _, c := range []struct{ has, says int }{{99, 100}, {101, 100}, {10 << 20, 11 << 20}, {11<<20 + 1, 11 << 20}} {
		if err := s.PutNew(t.Context(), "k", strings.NewReader(bodyOf(c.has)), int64(c.says)); err == nil {
			t.Errorf("PutNew of %d bytes announced as %d = nil, want an error", c.has, c.says)
		}
	}
	if err := s.PutNew(t.Context(), "k", bytes.NewReader(nil), 1<<60); err == nil || !strings.Contains(err.Error(), "roll_size") {
		t.Errorf("PutNew of an exabyte = %v, want an error that names roll_size", err)
	}
	if keys, uploads := f.left(); len(keys) != 0 || uploads != 0 {
		t.Errorf("%v and %d uploads are left, want nothing", keys, uploads)
	}
}

func TestStore_ARequestThatHangsIsGivenUp(t *testing.T) {
	credentials(t)
	for _, op := range []string{"PutObject", "GetObject", "ListObjectsV2"} {
		f := newFake(t)
		s := f.proven(t, func(o *s3.Options) { o.Timeout, o.Attempts = time.Second, 100 })
		f.objects["some/prefix/there"] = &fakeObject{body: []byte("x")}
		f.faults(op, map[int]*fault{1: {hang: true}})
		var err error
		switch op {
		case "PutObject":
			err = put(t.Context(), s, "k", "x")
		case "GetObject":
			var r io.ReadCloser
			if r, _, err = s.Get(t.Context(), "there"); err == nil {
				r.Close()
			}
		default:
			for _, err = range s.List(t.Context(), "") {
				break
			}
		}
		if err != nil {
			t.Errorf("%s that hung once: %v, want the second attempt to do it", op, err)
		}
	}
}

func TestGet_ABodyThatBreaksOffIsAnError(t *testing.T) {
	credentials(t)
	f := newFake(t)
	s := f.proven(t)
	if err := put(t.Context(), s, "k", bodyOf(100000)); err != nil {
		t.Fatal(err)
	}
	f.faults("GetObject", map[int]*fault{1: {half: true}})
	r, _, err := s.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Read of half a body = %d, %v, want ErrUnexpectedEOF", n, err)
	}
}

func TestGet_ABodyThatStallsIsGivenUp(t *testing.T) {
	credentials(t)
	f := newFake(t)
	s := f.proven(t, func(o *s3.Options) { o.Timeout, o.Attempts = time.Second, 100 })
	if err := put(t.Context(), s, "k", bodyOf(100000)); err != nil {
		t.Fatal(err)
	}
	f.faults("GetObject", map[int]*fault{1: {half: true, hang: true}})
	r, _, err := s.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var e *s3.Error
	if _, err := io.Copy(io.Discard, r); !errors.As(err, &e) || !e.Temporary || !strings.Contains(err.Error(), "bytes before its end") {
		t.Errorf("Read of a body that stalls = %v, want a temporary error", err)
	}
}

// A lake that is taken for empty would be written anew.
func TestGet_OnlyTheStoreSaysThatAKeyIsNotThere(t *testing.T) {
	credentials(t)
	f := newFake(t)
	s := f.proven(t)
	for i, x := range []fault{{status: 404, code: "NoSuchBucket"}, {status: 404, code: "NoSuchUser"}, {status: 404}, {status: 403, code: "AccessDenied"}} {
		f.faults("GetObject", map[int]*fault{i + 1: &x})
		if _, _, err := s.Get(t.Context(), "k"); err == nil || errors.Is(err, objstore.ErrNotFound) {
			t.Errorf("Get answered by %+v = %v, want an error that is not ErrNotFound", x, err)
		}
	}
	if _, _, err := s.Get(t.Context(), "k"); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("Get = %v, want ErrNotFound", err)
	}
}

func TestStore_RefusesKeysThatAreTooLong(t *testing.T) {
	credentials(t)
	s := newFake(t).proven(t)
	if err := put(t.Context(), s, strings.Repeat("x", 1024), "x"); err == nil || !strings.Contains(err.Error(), "layout") {
		t.Errorf("PutNew = %v, want an error that names the layout", err)
	}
}

func TestList_GoesOverPagesAndFaults(t *testing.T) {
	credentials(t)
	f := newFake(t)
	s := f.proven(t)
	var want []string
	for i := range 9 {
		want = append(want, fmt.Sprintf("d/%02d", i))
		if err := put(t.Context(), s, want[i], "x"); err != nil {
			t.Fatal(err)
		}
	}
	f.objects["some/prefix/d/"] = &fakeObject{}
	f.faults("ListObjectsV2", map[int]*fault{1: {status: 503}, 3: {}, 4: {half: true}})
	var got []string
	for info, err := range s.List(t.Context(), "d/") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info.Key)
	}
	if !slices.Equal(got, want) {
		t.Errorf("List = %v, want %v", got, want)
	}
	f.backwards, f.page = true, 100
	for _, err := range s.List(t.Context(), "d/") {
		if err != nil && strings.Contains(err.Error(), "order") {
			return
		}
	}
	t.Error("List of a store without an order: no error")
}

func TestStore_SendsWhatEncryptionAsksFor(t *testing.T) {
	credentials(t)
	for sse, want := range map[string][2]string{"none": {}, "s3": {"AES256"}, "kms": {"aws:kms", "key-1"}} {
		f := newFake(t)
		s := f.proven(t, func(o *s3.Options) { o.SSE, o.KMSKey = sse, "key-1" })
		f.headers = nil
		for _, size := range sizes {
			if err := put(t.Context(), s, fmt.Sprint(size), bodyOf(size)); err != nil {
				t.Fatal(err)
			}
		}
		first := 0
		for _, h := range f.headers {
			if h.Get("X-Amz-Meta-Tailwater-Write") == "" {
				continue // neither a PUT nor the begin of an upload
			}
			first++
			if got := [2]string{h.Get("X-Amz-Server-Side-Encryption"), h.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id")}; got != want {
				t.Errorf("sse %s: headers %q, want %q", sse, got, want)
			}
		}
		if first != len(sizes) {
			t.Errorf("sse %s: %d writes, want %d", sse, first, len(sizes))
		}
	}
}
