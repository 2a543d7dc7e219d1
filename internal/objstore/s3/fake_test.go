package s3_test

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tailwater/internal/objstore/s3"
)

// fault is what goes wrong with one request.
type fault struct {
	// status and code are answered; without a status the connection is closed.
	status int
	code   string
	// message is the text of the error.
	message string
	// applied says that the request was obeyed before.
	applied bool
	// half sends only half of the body of a GET; with hang it leaves it at that.
	half bool
	// header is added to the answer.
	header map[string]string
	// inside puts the error into an answer with status 200, behind the space by
	// which a store keeps a connection open; without a code, only that space.
	inside bool
	// hang answers nothing until the client goes away.
	hang bool
	// torn keeps half of what a PUT brings.
	torn bool
}

// fake is an S3 of one bucket in memory, whose faults tests choose.
type fake struct {
	*httptest.Server
	mu      sync.Mutex
	objects map[string]*fakeObject
	uploads map[string]*fakeObject
	ids     int
	count   map[string]int
	headers []http.Header
	// fault tells what goes wrong with the nth request of an operation.
	fault func(op string, n int) *fault
	// page is the number of keys in a page of a list.
	page int
	// ignore names operations that do not look at If-None-Match.
	ignore map[string]bool
	// hide answers 403 for an object that is not there, as Amazon does where
	// s3:ListBucket is not allowed, or only with a prefix.
	hide bool
	// forget drops metadata, backwards lists keys in the wrong order, raw does
	// not encode them.
	forget, backwards, raw bool
}

type fakeObject struct {
	key   string
	body  []byte
	meta  map[string]string
	parts map[int][]byte
}

const bucket = "lake-bucket"

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{
		objects: make(map[string]*fakeObject), uploads: make(map[string]*fakeObject), count: make(map[string]int),
		fault: func(string, int) *fault { return nil }, page: 2, ignore: make(map[string]bool),
	}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) options() s3.Options {
	return s3.Options{
		Bucket: bucket, Prefix: "some/prefix", Endpoint: f.URL, PathStyle: true, PartSize: 5 << 20,
		Timeout: 20 * time.Second, Attempts: 4, Backoff: time.Millisecond,
	}
}

// credentials gives the process credentials, and takes those of the machine.
func credentials(t *testing.T) {
	t.Helper()
	for k, v := range map[string]string{
		"AWS_ACCESS_KEY_ID": "TESTKEY", "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": "", "AWS_CA_BUNDLE": "",
	} {
		t.Setenv(k, v)
	}
}

const secret = "the-secret-of-the-test"

func (f *fake) open(t *testing.T, change ...func(*s3.Options)) *s3.Store {
	t.Helper()
	o := f.options()
	for _, c := range change {
		c(&o)
	}
	s, err := s3.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// proven is a store whose probe has passed; the faults begin behind it.
func (f *fake) proven(t *testing.T, change ...func(*s3.Options)) *s3.Store {
	t.Helper()
	s := f.open(t, change...)
	if err := s.Probe(t.Context()); err != nil {
		t.Fatalf("Probe: %v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.count)
	return s
}

// faults sets the faults of one operation by the number of its request from 1.
func (f *fake) faults(op string, by map[int]*fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = func(o string, n int) *fault {
		if o != op {
			return nil
		}
		return by[n]
	}
}

func operation(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodGet && q.Get("list-type") == "2":
		return "ListObjectsV2"
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == http.MethodPost:
		return "CompleteMultipartUpload"
	case r.Method == http.MethodPut && q.Has("uploadId"):
		return "UploadPart"
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		return "AbortMultipartUpload"
	}
	return map[string]string{"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}[r.Method]
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	op := operation(r)
	f.mu.Lock()
	f.count[op]++
	f.headers = append(f.headers, r.Header.Clone())
	x := f.fault(op, f.count[op])
	answer := httptest.NewRecorder()
	if x != nil && x.torn {
		body = body[:len(body)/2]
	}
	if x == nil || x.applied || x.half {
		f.obey(answer, r, op, body)
	}
	f.mu.Unlock()
	switch {
	case x == nil:
		send(w, answer, len(answer.Body.Bytes()))
	case x.half && x.hang:
		w.Header().Set("Content-Length", strconv.Itoa(answer.Body.Len()))
		_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case x.half:
		send(w, answer, answer.Body.Len()/2)
	case x.hang:
		<-r.Context().Done()
	case x.status == 0:
		panic(http.ErrAbortHandler)
	case x.inside:
		w.WriteHeader(http.StatusOK)
		fmt.Fprint(w, "  \n")
		if x.code != "" {
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", x.code, x.message)
		}
	default:
		for k, v := range x.header {
			w.Header().Set(k, v)
		}
		say(w, x.status, x.code, x.message)
	}
}

// send copies an answer, or the first n bytes of its body, and then breaks off.
func send(w http.ResponseWriter, a *httptest.ResponseRecorder, n int) {
	maps.Copy(w.Header(), a.Header())
	if a.Body.Len() > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(a.Body.Len()))
	}
	w.WriteHeader(a.Code)
	_, _ = w.Write(a.Body.Bytes()[:n])
	if n < a.Body.Len() {
		panic(http.ErrAbortHandler)
	}
}

func refuse(w http.ResponseWriter, status int, code string) { say(w, status, code, "a message") }

func say(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>%s</Message><RequestId>1</RequestId></Error>`, code, message)
}

func (f *fake) obey(w http.ResponseWriter, r *http.Request, op string, body []byte) {
	name, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if name != bucket {
		refuse(w, http.StatusNotFound, "NoSuchBucket")
		return
	}
	switch op {
	case "ListObjectsV2":
		f.list(w, r)
	case "PutObject":
		f.put(w, r, op, &fakeObject{key: key, body: body, meta: f.meta(r)})
	case "GetObject", "HeadObject":
		f.get(w, f.objects[key])
	case "DeleteObject":
		delete(f.objects, key)
		w.WriteHeader(http.StatusNoContent)
	default:
		f.obeyUpload(w, r, op, key, body)
	}
}

func (f *fake) meta(r *http.Request) map[string]string {
	m := make(map[string]string)
	for k, v := range r.Header {
		if strings.HasPrefix(k, "X-Amz-Meta-") && !f.forget {
			m[k] = v[0]
		}
	}
	return m
}

func (f *fake) put(w http.ResponseWriter, r *http.Request, op string, o *fakeObject) bool {
	if f.objects[o.key] != nil && r.Header.Get("If-None-Match") == "*" && !f.ignore[op] {
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return false
	}
	f.objects[o.key] = o
	w.Header().Set("ETag", `"e"`)
	return true
}

func (f *fake) get(w http.ResponseWriter, o *fakeObject) {
	switch {
	case o == nil && f.hide:
		refuse(w, http.StatusForbidden, "AccessDenied")
		return
	case o == nil:
		refuse(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	for k, v := range o.meta {
		w.Header().Set(k, v)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(o.body)))
	_, _ = w.Write(o.body)
}

func (f *fake) obeyUpload(w http.ResponseWriter, r *http.Request, op, key string, body []byte) {
	if op == "CreateMultipartUpload" {
		f.ids++
		id := fmt.Sprintf("upload-%d", f.ids)
		f.uploads[id] = &fakeObject{key: key, meta: f.meta(r), parts: make(map[int][]byte)}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
		return
	}
	id := r.URL.Query().Get("uploadId")
	u := f.uploads[id]
	if u == nil {
		refuse(w, http.StatusNotFound, "NoSuchUpload")
		return
	}
	switch op {
	case "UploadPart":
		n, _ := strconv.Atoi(r.URL.Query().Get("partNumber"))
		u.parts[n] = body
		w.Header().Set("ETag", fmt.Sprintf(`"part-%d"`, n))
	case "AbortMultipartUpload":
		delete(f.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case "CompleteMultipartUpload":
		for _, n := range slices.Sorted(maps.Keys(u.parts)) {
			u.body = append(u.body, u.parts[n]...)
		}
		if f.put(w, r, op, u) {
			delete(f.uploads, id)
			fmt.Fprint(w, "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")
		} else {
			u.body = nil
		}
	}
}

func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	type content struct {
		Key  string
		Size int
	}
	type result struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		EncodingType          string `xml:",omitempty"`
		Contents              []content
	}
	q := r.URL.Query()
	keys := slices.Sorted(maps.Keys(f.objects))
	if f.backwards {
		slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(b, a) })
	}
	var out result
	for _, k := range keys {
		if !strings.HasPrefix(k, q.Get("prefix")) || !f.backwards && k <= q.Get("continuation-token") {
			continue
		}
		if len(out.Contents) == f.page {
			out.IsTruncated, out.NextContinuationToken = true, keys[slices.Index(keys, k)-1]
			break
		}
		shown := k
		if !f.raw {
			out.EncodingType, shown = "url", url.QueryEscape(k)
		}
		out.Contents = append(out.Contents, content{shown, len(f.objects[k].body)})
	}
	_ = xml.NewEncoder(w).Encode(out)
}

// left returns the keys in the bucket and the number of open uploads.
func (f *fake) left() (keys []string, uploads int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.objects)), len(f.uploads)
}
