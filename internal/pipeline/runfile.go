package pipeline

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// RunFile says how to reach a running pipeline. It is run.json in the state
// directory while a process has it; a file without such a process means that
// the process was killed.
type RunFile struct {
	PID    int    `json:"pid"`
	HTTP   string `json:"http,omitempty"`
	Stream string `json:"stream"`
	// Redis is the URL of the embedded window store; empty for a server of yours.
	Redis string `json:"redis,omitempty"`
}

// runFileName is the file's name in the state directory.
const runFileName = "run.json"

// ReadRunFile reads the file of a state directory.
func ReadRunFile(stateDir string) (*RunFile, error) {
	name := filepath.Join(stateDir, runFileName)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read run file: %w", err)
	}
	var r RunFile
	if err := json.Unmarshal(b, &r); err != nil || r.Stream == "" {
		return nil, fmt.Errorf("read %s: not a run file of Tailwater", name)
	}
	return &r, nil
}

func (p *Pipeline) writeRunFile() error {
	b, err := json.Marshal(RunFile{PID: os.Getpid(), HTTP: p.HTTPAddr(), Stream: p.StreamAddr(), Redis: p.RedisURL()})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(p.state.path, runFileName), append(b, '\n'))
}
