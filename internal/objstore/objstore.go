// Package objstore is the store of whole, immutable objects that the lake is
// written to: a local directory here, S3 and its compatibles behind the same
// interface.
//
// Every implementation passes the conformance suite of
// internal/objstore/objstoretest.
package objstore

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Errors of a Store. Test with errors.Is.
var (
	// ErrExists means that the key was there before: nothing was written.
	ErrExists = errors.New("object exists")
	// ErrNotFound means that no object has the key.
	ErrNotFound = errors.New("object not found")
	// ErrConflict means that another writer is at the same key now: try again.
	ErrConflict = errors.New("object is being written")
)

// Store keeps objects under slash-separated keys. It is safe for concurrent
// use. An object is visible whole or not at all, and durable when the call
// that wrote it returns.
//
// An error other than ErrExists and ErrConflict from PutNew means that the
// outcome is unknown: Get tells.
type Store interface {
	// PutNew writes an object that must not exist yet (If-None-Match: *).
	// size is the number of bytes that body will give.
	PutNew(ctx context.Context, key string, body io.Reader, size int64) error
	// Put writes an object, over an older one if there is one.
	Put(ctx context.Context, key string, body io.Reader, size int64) error
	// Get opens an object. The caller closes it.
	Get(ctx context.Context, key string) (io.ReadCloser, Info, error)
	// List yields the objects whose keys begin with prefix, in key order.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error
}

// Info describes an object.
type Info struct {
	Key      string
	Size     int64
	Modified time.Time
}
