package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tailwater/internal/pipeline"
	"tailwater/internal/status"
	"tailwater/internal/testenv"
)

// workDir makes the directory of a test: configuration, state, lake and the
// logs of every process. It is removed when the test has passed, and kept and
// named when it has failed. E2E_DIR is where to keep it, should the folder for
// temporary files itself be removed, as it is by `make test`.
func workDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv("E2E_DIR"), "tailwater-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("configuration, state, lake and logs (run-*.log) of the failed test: %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
	return dir
}

// program is `tailwater run` on one configuration: a process at a time, each
// with a log of its own.
type program struct {
	t testing.TB
	// dir holds config, state and logs.
	dir, config, state string
	lives              int
	// bin is the program, empty for the product, and env what its environment
	// has beside this process's.
	bin string
	env []string
}

// newProgram writes the configuration into dir.
func newProgram(t testing.TB, dir, config string) *program {
	t.Helper()
	p := &program{t: t, dir: dir, config: filepath.Join(dir, "tailwater.yaml"), state: filepath.Join(dir, "state")}
	p.configure(config)
	return p
}

// configure writes another configuration, which the next process takes.
func (p *program) configure(text string) {
	p.t.Helper()
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// life is one process.
type life struct {
	t       testing.TB
	cmd     *exec.Cmd
	log     string
	state   string
	started time.Time
	// done is closed when the process is gone.
	done chan struct{}
	http http.Client
}

// start starts the process and does not wait for anything.
func (p *program) start() *life {
	p.t.Helper()
	return p.startRole("")
}

// startRole starts a process with one role, "" for all of them.
func (p *program) startRole(role string) *life {
	p.t.Helper()
	p.lives++
	args, state := []string{"run", p.config}, p.state
	if role != "" {
		args, state = append(args, "--role", role), filepath.Join(p.state, role)
	}
	l := &life{
		t: p.t, state: state, log: filepath.Join(p.dir, fmt.Sprintf("run-%03d.log", p.lives)),
		done: make(chan struct{}), http: http.Client{Timeout: 10 * time.Second},
	}
	file, err := os.Create(l.log)
	if err != nil {
		p.t.Fatal(err)
	}
	defer file.Close()
	bin := p.bin
	if bin == "" {
		bin = testenv.Tailwater(p.t)
	}
	l.cmd = exec.Command(bin, args...)
	l.cmd.Env = append(os.Environ(), p.env...)
	l.cmd.Dir, l.cmd.Stdout, l.cmd.Stderr = p.dir, file, file
	// The process must not outlive a test that was itself killed.
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	l.started = time.Now()
	if err := l.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		_ = l.cmd.Wait() // what it ended with is in ProcessState
		close(l.done)
	}()
	p.t.Cleanup(func() {
		_ = l.cmd.Process.Kill()
		<-l.done
	})
	return l
}

// signal sends a signal to the process.
func (l *life) signal(sig syscall.Signal) {
	l.t.Helper()
	if err := l.cmd.Process.Signal(sig); err != nil {
		l.t.Fatalf("send %v to tailwater: %v\n%s", sig, err, l.tail())
	}
}

// ended reports whether the process is gone.
func (l *life) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// kill ends the process as kill -9 does. One that had ended by itself fails
// the test: nothing that happens around it is a reason to end.
func (l *life) kill() {
	l.t.Helper()
	if l.ended() {
		l.t.Fatalf("tailwater ended by itself with exit code %d before it was killed\n%s", l.cmd.ProcessState.ExitCode(), l.tail())
	}
	_ = l.cmd.Process.Kill()
	<-l.done
}

// wait returns the exit code of a process that ends by itself, 128 + the
// signal when one ended it.
func (l *life) wait(limit time.Duration) int {
	l.t.Helper()
	select {
	case <-l.done:
	case <-time.After(limit):
		l.t.Fatalf("tailwater has not ended after %v\n%s", limit, l.tail())
	}
	if ws, ok := l.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return l.cmd.ProcessState.ExitCode()
}

// drain ends the process by SIGTERM and wants exit code 0.
func (l *life) drain() {
	l.t.Helper()
	// A process that has hardly begun does not hear a signal as it should.
	testenv.Wait(l.t, time.Minute, "the process to be up; see "+l.log, func() error {
		if l.ended() {
			return nil
		}
		_, err := l.runFile()
		return err
	})
	l.signal(syscall.SIGTERM)
	if got := l.wait(time.Minute); got != 0 {
		l.t.Fatalf("tailwater drained with exit code %d, want 0\n%s", got, l.tail())
	}
}

// undrained ends a process by SIGTERM one of whose shards has stopped: it must
// not call that a success.
func (l *life) undrained(id string) {
	l.t.Helper()
	l.signal(syscall.SIGTERM)
	if got, want := l.wait(time.Minute), "shard "+id+" is stopped"; got != 1 || !strings.Contains(l.text(), want) {
		l.t.Errorf("got exit code %d, want 1 and words that %s\n%s", got, want, l.tail())
	}
}

// text is what the process has logged.
func (l *life) text() string {
	b, err := os.ReadFile(l.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// tail is the end of the log, with its name.
func (l *life) tail() string {
	lines := strings.Split(strings.TrimSpace(l.text()), "\n")
	return "the end of " + l.log + ":\n" + strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// logLine is a line of the log.
type logLine struct {
	Time  time.Time `json:"time"`
	Msg   string    `json:"msg"`
	Shard string    `json:"shard"`
	State string    `json:"state"`
	Error string    `json:"error"`
}

// lines are the lines of the log that are JSON.
func (l *life) lines() []logLine {
	var out []logLine
	scan := bufio.NewScanner(strings.NewReader(l.text()))
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var line logLine
		if json.Unmarshal(scan.Bytes(), &line) == nil {
			out = append(out, line)
		}
	}
	return out
}

// runFile says how to reach the process; an error until it is there.
func (l *life) runFile() (*pipeline.RunFile, error) {
	r, err := pipeline.ReadRunFile(l.state)
	if err != nil {
		return nil, err
	}
	if r.PID != l.cmd.Process.Pid {
		return nil, fmt.Errorf("run file of process %d, not of %d", r.PID, l.cmd.Process.Pid)
	}
	return r, nil
}

// status asks the process.
func (l *life) status() (*status.Snapshot, error) {
	if l.ended() {
		l.t.Fatalf("tailwater ended with exit code %d while it was asked\n%s", l.cmd.ProcessState.ExitCode(), l.tail())
	}
	r, err := l.runFile()
	if err != nil {
		return nil, err
	}
	resp, err := l.http.Get("http://" + r.HTTP + "/api/v1/status")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	s := new(status.Snapshot)
	if err := json.NewDecoder(resp.Body).Decode(s); err != nil {
		return nil, fmt.Errorf("%s: %w", resp.Status, err)
	}
	return s, nil
}

// shard waits until a shard is as ok wants it, and returns it.
func (l *life) shard(id, what string, ok func(*status.Shard) bool) status.Shard {
	l.t.Helper()
	var got status.Shard
	testenv.Wait(l.t, 40*time.Second, fmt.Sprintf("shard %s to be %s; see %s", id, what, l.log), func() error {
		s, err := l.status()
		if err != nil {
			return err
		}
		for i := range s.Shards {
			if s.Shards[i].Shard == id {
				got = s.Shards[i]
			}
		}
		if ok(&got) {
			return nil
		}
		return fmt.Errorf("it is %s: %q", got.State, got.Error)
	})
	return got
}

// streaming waits until the shards follow their servers.
func (l *life) streaming(ids ...string) {
	l.t.Helper()
	for _, id := range ids {
		l.shard(id, "streaming", func(s *status.Shard) bool { return s.State == status.Streaming && s.Connected })
	}
}

// stopped waits until a shard has stopped, and holds its reason against words
// that it must contain.
func (l *life) stopped(id string, words ...string) {
	l.t.Helper()
	s := l.shard(id, "stopped", func(s *status.Shard) bool { return s.State == status.Stopped })
	for _, w := range words {
		if !strings.Contains(s.Error, w) {
			l.t.Errorf("shard %s stopped with %q, want it to name %q; see %s", id, s.Error, w, l.log)
		}
	}
}

// retry tells a stopped shard to try again at once.
func (l *life) retry(id string) {
	l.t.Helper()
	token, err := os.ReadFile(filepath.Join(l.state, "api-token"))
	if err != nil {
		l.t.Fatal(err)
	}
	r, err := l.runFile()
	if err != nil {
		l.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+r.HTTP+"/api/v1/shards/"+id+"/retry", nil)
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := l.http.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		l.t.Fatalf("retry shard %s: got %s, want 202", id, resp.Status)
	}
}

// caughtUp waits until the readers have all that the servers have executed.
func (l *life) caughtUp(limit time.Duration, servers map[string]*testenv.Server) {
	l.t.Helper()
	testenv.Wait(l.t, limit, "the readers to have what the servers have executed; see "+l.log, func() error {
		s, err := l.status()
		if err != nil {
			return err
		}
		var behind []string
		for i := range s.Shards {
			sh := &s.Shards[i]
			server := servers[sh.Shard]
			if server == nil {
				continue
			}
			if lacks := lacking(l.t, server, sh.GTID); lacks != "" {
				behind = append(behind, fmt.Sprintf("shard %s (%s %s) lacks %s", sh.Shard, sh.State, sh.Error, lacks))
			}
		}
		if len(behind) > 0 {
			return errors.New(strings.Join(behind, "; "))
		}
		return nil
	})
}

// lacking returns what a server has executed and a reader at gtid has not.
func lacking(t testing.TB, server *testenv.Server, gtid string) string {
	t.Helper()
	if server.Kind != "mariadb" {
		return server.Query(t, "SELECT GTID_SUBTRACT(@@GLOBAL.gtid_executed, ?)", gtid)[0][0]
	}
	if end := server.Query(t, "SELECT @@GLOBAL.gtid_binlog_pos")[0][0]; end != gtid {
		return end
	}
	return ""
}

// published waits until all that the readers have now is in the stream: a
// position is stored behind what it stands for.
func (l *life) published() {
	l.t.Helper()
	var since time.Time
	testenv.Wait(l.t, 30*time.Second, "every shard to store a position; see "+l.log, func() error {
		s, err := l.status()
		if err != nil {
			return err
		}
		if since.IsZero() {
			since = s.Time
		}
		for i := range s.Shards {
			if sh := &s.Shards[i]; !sh.LastSaved.After(since) {
				return fmt.Errorf("shard %s has stored none since %v", sh.Shard, since)
			}
		}
		return nil
	})
}

// tailwater runs another verb and returns its exit code and output.
func tailwater(t *testing.T, limit time.Duration, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := command(t, limit, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run tailwater %q: %v", args, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}
