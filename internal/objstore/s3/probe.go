package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"tailwater/internal/objstore"
)

// probeFolder is where probes write; what one leaves behind means nothing.
const probeFolder = "_tailwater/.probe/"

// probeGrace bounds how long a probe's object is tidied up.
const probeGrace = 5 * time.Second

// LyingError says that a store takes writes whose condition does not hold. On
// such a store two workers, or one whose reply was lost, would lose rows in
// silence, so nothing is ever written there.
type LyingError struct {
	URL string
	// Request is the request whose condition it ignores.
	Request string
}

// Error names the store, the request, and the way out.
func (e *LyingError) Error() string {
	return fmt.Sprintf("probe %s: the store ignores If-None-Match on %s, so that rows could be overwritten: use a store with conditional writes, or update this one",
		e.URL, e.Request)
}

// Probe finds out whether the store keeps the protocol and lets us in, by
// writing below _tailwater/.probe/ and removing it again. Once it has passed it
// does nothing. An *Error with Temporary set says that it could not tell:
// every write tries again before anything else.
func (s *Store) Probe(ctx context.Context) error {
	if s.proven.Load() {
		return nil
	}
	select {
	case s.probing <- struct{}{}:
		defer func() { <-s.probing }()
	case <-ctx.Done():
		return fmt.Errorf("probe %s: %w", s.URL(), context.Cause(ctx))
	}
	if s.proven.Load() {
		return nil
	}
	if err := s.probe(ctx); err != nil {
		var lying *LyingError
		if errors.As(err, &lying) {
			return err
		}
		return s.fail("probe", "", err)
	}
	s.proven.Store(true)
	return nil
}

func (s *Store) probe(ctx context.Context) (err error) {
	// Reading comes first: credentials, bucket and region are wrong more often
	// than a store is, and the answer to a LIST has a text, that to a HEAD none.
	if err := s.list(ctx, probeFolder+"none/", func(objstore.Info) bool { return false }); err != nil {
		return err
	}
	key := s.root() + probeFolder + newToken()
	first := &write{key: key, token: newToken(), size: 1, create: true}
	second := &write{key: key, token: newToken(), size: 1, create: true}
	defer func() { err = s.tidy(ctx, key, err) }()
	if err := s.probeWhole(ctx, first, second); err != nil {
		return err
	}
	if err := s.probeParts(ctx, second); err != nil {
		return err
	}
	there, err := s.look(ctx, first)
	if err != nil {
		return err
	}
	if there != ours {
		return errors.New("the store does not give back the metadata that an object was written with (x-amz-meta-" + tokenName +
			"): a lost reply could not be told from another writer; use another store")
	}
	return s.probeAbsent(ctx)
}

// probeAbsent looks at a key that no object has, behind a look at one that has:
// what is forbidden only now is not the object, but to hear that it is missing.
func (s *Store) probeAbsent(ctx context.Context) error {
	there, err := s.look(ctx, &write{key: s.root() + probeFolder + newToken()})
	switch {
	case err != nil && status(err) == http.StatusForbidden:
		return &hiddenError{err}
	case err == nil && there != nothing:
		return errors.New("the store answers a look at an object that is not there as if it were: use another store, or look at what stands between")
	}
	return err
}

// probeWhole writes an object twice by PUT; the second must be refused. Only
// the store's own refusal counts, not what a look at the key says.
func (s *Store) probeWhole(ctx context.Context, first, second *write) error {
	put := func(w *write) func(context.Context) error {
		return func(ctx context.Context) error { return s.putOnce(ctx, w, []byte("1")) }
	}
	if err := s.settle(ctx, first, s.o.Timeout, put(first)); err != nil {
		return err
	}
	return s.mustRefuse(ctx, second, "PUT", put(second))
}

// probeParts writes over the object by a multipart upload.
func (s *Store) probeParts(ctx context.Context, w *write) (err error) {
	if w.upload, err = s.beginUpload(ctx, w); err != nil {
		return err
	}
	defer s.abort(ctx, w)
	part, err := s.putPart(ctx, w, 1, []byte("1"))
	if err != nil {
		return err
	}
	return s.mustRefuse(ctx, w, "CompleteMultipartUpload", func(ctx context.Context) error {
		return s.complete(ctx, w, []types.CompletedPart{part})
	})
}

func (s *Store) mustRefuse(ctx context.Context, w *write, request string, send func(context.Context) error) error {
	err := s.retry(ctx, s.o.Timeout, send)
	switch {
	case err == nil:
		return &LyingError{URL: s.URL(), Request: request}
	case refused(err) || contended(err):
		return nil
	case absent(err):
		// The upload is gone: a completion whose reply was lost has used it up.
		if there, err := s.look(ctx, w); err == nil && there == ours {
			return &LyingError{URL: s.URL(), Request: request}
		}
	}
	return err
}

// tidy removes what the probe has written, also when ctx has ended.
func (s *Store) tidy(ctx context.Context, key string, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeGrace)
	defer cancel()
	if derr := s.delete(ctx, key); err == nil {
		return derr
	}
	return err
}
