package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"tailwater/internal/pipeline"
	"tailwater/internal/status"
)

// runningShards are the shards of a process that runs, through its API.
type runningShards struct{ base, token string }

var _ shardDoor = (*runningShards)(nil)

// newRunningShards reaches the process that a run file describes.
func newRunningShards(r *pipeline.RunFile) (*runningShards, error) {
	if r.HTTP == "" {
		return nil, &answerError{exitEnvironment, status.Problem{Title: fmt.Sprintf("process %d reads the shards and has no API", r.PID), Code: "no_api",
			Suggestion: "set http.listen, or stop it first"}}
	}
	token, err := os.ReadFile(filepath.Join(r.Dir, pipeline.TokenFile))
	if err != nil {
		return nil, fmt.Errorf("read the token of the API: %w", err)
	}
	return &runningShards{"http://" + r.HTTP, strings.TrimSpace(string(token))}, nil
}

// answerError is a refusal of the API.
type answerError struct {
	code    int
	problem status.Problem
}

// Error says what was refused, and the way out.
func (e *answerError) Error() string {
	text := e.problem.Title
	if e.problem.Detail != "" {
		text += ": " + e.problem.Detail
	}
	if e.problem.Suggestion != "" {
		text += "; " + e.problem.Suggestion
	}
	return text
}

// Close does nothing: no connection is kept.
func (r *runningShards) Close() error { return nil }

// List asks for the status.
func (r *runningShards) List(ctx context.Context) ([]status.Shard, error) {
	s, err := fetchStatus(ctx, r.base)
	if err != nil {
		return nil, &answerError{exitEnvironment, status.Problem{Title: err.Error(), Code: "unreachable"}}
	}
	return s.Shards, nil
}

// Reset posts the request.
func (r *runningShards) Reset(ctx context.Context, shard string, req pipeline.ResetRequest) (status.Reset, error) {
	var out status.Reset
	q := url.Values{"to": {req.Target}}
	if req.DryRun {
		q.Set("dry_run", "true")
	}
	if req.From != nil {
		q.Set("from", *req.From)
	}
	hr, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base+"/api/v1/shards/"+url.PathEscape(shard)+"/reset", strings.NewReader(q.Encode()))
	if err != nil {
		return out, fmt.Errorf("ask for a reset: %w", err)
	}
	hr.Header.Set("Authorization", "Bearer "+r.token)
	hr.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(hr)
	if err != nil {
		return out, &answerError{exitEnvironment, status.Problem{Title: "no answer", Code: "unreachable", Detail: err.Error()}}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxStatusBytes))
	if err != nil {
		return out, &answerError{exitEnvironment, status.Problem{Title: "no answer", Code: "unreachable", Detail: err.Error()}}
	}
	if resp.StatusCode == http.StatusAccepted {
		if err := json.Unmarshal(body, &out); err != nil {
			return out, fmt.Errorf("%s does not answer as Tailwater does: %w", r.base, err)
		}
		return out, nil
	}
	e := &answerError{exitFailure, status.Problem{}}
	if err := json.Unmarshal(body, &e.problem); err != nil || e.problem.Title == "" {
		return out, fmt.Errorf("%s answers %s", r.base, resp.Status)
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound:
		e.code = exitUsage
	case http.StatusServiceUnavailable, http.StatusUnauthorized:
		e.code = exitEnvironment
	}
	return out, e
}
