package pipeline

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"tailwater/internal/failpoint"
)

// RunFile says how to reach a running pipeline. It is run.json in the state
// directory while a process has it; a file without such a process means that
// the process was killed.
type RunFile struct {
	PID   int    `json:"pid"`
	Roles []Role `json:"roles"`
	HTTP  string `json:"http,omitempty"`
	// Stream is the embedded stream's address, or the brokers of a Kafka cluster.
	Stream string `json:"stream"`
	// Redis is the URL of the embedded window store; empty for a server of yours.
	Redis string `json:"redis,omitempty"`
	// Dir is where the file of the reader stands, when Running has found one.
	Dir string `json:"-"`
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

// Running returns how to reach the processes that run on a state directory,
// those with a role's folder in it included: the HTTP address is that of the
// reader, the window store's that of the process which has it. It is nil when
// no process lives that has written a run file here; processes on other machines
// are not seen.
func Running(stateDir string) *RunFile {
	dirs, _ := filepath.Glob(filepath.Join(stateDir, "*", runFileName)) // the pattern is well formed
	var found *RunFile
	for _, name := range append(dirs, filepath.Join(stateDir, runFileName)) {
		r, err := ReadRunFile(filepath.Dir(name))
		if err != nil || unix.Kill(r.PID, 0) != nil {
			continue
		}
		if found == nil {
			found = &RunFile{PID: r.PID, Stream: r.Stream}
		}
		found.Roles = append(found.Roles, r.Roles...)
		if slices.Contains(r.Roles, Reader) {
			found.PID, found.HTTP, found.Dir = r.PID, r.HTTP, filepath.Dir(name)
		}
		found.Redis = cmp.Or(found.Redis, r.Redis)
	}
	return found
}

func (p *Pipeline) writeRunFile() error {
	failpoint.At(failpoint.RunFileWriting)
	b, err := json.Marshal(RunFile{PID: os.Getpid(), Roles: p.o.Roles, HTTP: p.HTTPAddr(), Stream: p.StreamAddr(), Redis: p.RedisURL()})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(p.state.path, runFileName), append(b, '\n'))
}
