package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"tailwater/internal/config"
	"tailwater/internal/objstore/s3"
	"tailwater/internal/pipeline"
	"tailwater/stream"
	"tailwater/stream/embedded"
)

// running says how to reach the pipeline that has the state directory.
type running = pipeline.RunFile

// startingUp bounds how long a process that has locked the directory may take
// until it says how it is reached.
const startingUp = 15 * time.Second

func topicName(cfg *config.Resolved, view string) string { return stream.TopicName(cfg.Name, view) }

// open opens the stream: that of the running pipeline, or the directory itself
// when none runs.
func (v *verifier) open(ctx context.Context) error {
	if v.cfg.Stream.Type == "kafka" {
		return v.openKafka(ctx)
	}
	dir := filepath.Join(v.cfg.StateDir, "stream")
	if _, err := os.Stat(filepath.Join(dir, "VERSION")); err != nil {
		return &UnreachableError{fmt.Sprintf("there is no stream in %s: has the pipeline run with this configuration?", v.cfg.StateDir), err}
	}
	if err := v.openLake(ctx); err != nil {
		return err
	}
	deadline := time.Now().Add(startingUp)
	for {
		l, err := embedded.Open(embedded.Options{Dir: dir, Name: v.cfg.Name, Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			v.log, v.running = l, nil
			return nil
		}
		if !errors.Is(err, embedded.ErrLocked) {
			return &UnreachableError{"the stream cannot be opened", err}
		}
		if err = v.attach(ctx, dir); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return &UnreachableError{"the running pipeline cannot be reached", err}
		}
		if !pause(ctx, 100*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
}

// openKafka connects to the cluster. Which processes run is known from the state
// directory, of this machine alone.
func (v *verifier) openKafka(ctx context.Context) error {
	if err := v.openLake(ctx); err != nil {
		return err
	}
	l, err := pipeline.OpenKafka(ctx, v.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return &UnreachableError{"the stream cannot be opened", err}
	}
	v.log, v.running = l, pipeline.Running(v.cfg.StateDir)
	return nil
}

// attach looks at the stream of the process that has the directory.
func (v *verifier) attach(ctx context.Context, dir string) error {
	r, err := pipeline.ReadRunFile(v.cfg.StateDir)
	if err != nil {
		return err
	}
	a, err := embedded.Attach(ctx, dir, r.Stream)
	if err != nil {
		return err
	}
	v.log, v.running = a, r
	return nil
}

// openLake opens the lake, if the configuration has one.
func (v *verifier) openLake(ctx context.Context) error {
	l := v.cfg.Lake
	if l == nil {
		return nil
	}
	if _, err := os.Stat(l.Dir); l.S3 == nil && errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was ever written
	}
	store, err := pipeline.OpenLakeStore(ctx, l)
	if err != nil {
		return &UnreachableError{"the lake cannot be opened", err}
	}
	for _, err := range store.List(ctx, "_tailwater/") {
		if err != nil {
			return &UnreachableError{"the lake cannot be read", err}
		}
		break
	}
	v.lake = store
	return nil
}

// lakeAway returns an error where err says that the lake's store did not
// answer, which tells nothing about what is in it.
func lakeAway(err error) error {
	var failed *s3.Error
	if errors.As(err, &failed) {
		return &UnreachableError{"the lake cannot be read", err}
	}
	return nil
}
