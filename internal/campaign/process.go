package campaign

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tailwater/internal/failpoint"
	"tailwater/internal/pipeline"
	"tailwater/internal/status"
)

// member is a place for one process after the other: a role, with a
// configuration and a state directory of its own.
type member struct {
	name, role string
	dir        string
	lives      int
	life       *life
	// retired is set when nobody is to follow the process.
	retired bool
}

// life is one process.
type life struct {
	member  *member
	cmd     *exec.Cmd
	log     string
	state   string
	started time.Time
	ended   time.Time
	// armed is the step at which it shall die, "" for none; points is the file
	// in which it says so.
	armed  failpoint.Name
	points string
	// told is whether it was told to end in order.
	told bool
	// done is closed when the process is gone.
	done chan struct{}
}

func newMember(tb testing.TB, dir, name, role string) *member {
	tb.Helper()
	m := &member{name: name, role: role, dir: filepath.Join(dir, name)}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	return m
}

// start starts a process and waits for nothing. rule arms it, "" does not.
func (m *member) start(tb testing.TB, program, config string, armed failpoint.Name, rule string) {
	tb.Helper()
	m.lives++
	file := filepath.Join(m.dir, "tailwater.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	args, state := []string{"run", file}, filepath.Join(m.dir, "state")
	if m.role != "" {
		args, state = append(args, "--role", m.role), filepath.Join(state, m.role)
	}
	l := &life{
		member: m, state: state, armed: armed, done: make(chan struct{}),
		log: filepath.Join(m.dir, fmt.Sprintf("run-%03d.log", m.lives)), points: filepath.Join(m.dir, fmt.Sprintf("points-%03d", m.lives)),
	}
	out, err := os.Create(l.log)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	l.cmd = exec.Command(program, args...)
	l.cmd.Dir, l.cmd.Stdout, l.cmd.Stderr = m.dir, out, out
	l.cmd.Env = append(os.Environ(), "TAILWATER_FAILPOINTS="+rule, "TAILWATER_FAILPOINT_LOG="+l.points)
	// The process must not outlive the campaign, should that be killed.
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	l.started = time.Now()
	if err := l.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		_ = l.cmd.Wait() // what it ended with is in ProcessState
		l.ended = time.Now()
		close(l.done)
	}()
	tb.Cleanup(l.kill)
	m.life = l
}

func (l *life) gone() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// kill ends the process as kill -9 does.
func (l *life) kill() {
	_ = l.cmd.Process.Signal(syscall.SIGCONT) // it may be stopped, and Kill works on that too
	_ = l.cmd.Process.Kill()
	<-l.done
}

// tell has the process end in order.
func (l *life) tell() {
	l.told = true
	l.signal(syscall.SIGTERM)
}

func (l *life) signal(s syscall.Signal) { _ = l.cmd.Process.Signal(s) } // it may just have ended

// fired reports whether the process died at the step at which it should.
func (l *life) fired() bool {
	text, err := os.ReadFile(l.points)
	return err == nil && l.armed != "" && strings.HasPrefix(string(text), "fired "+string(l.armed)+" ")
}

// tail is the end of the log, with its name.
func (l *life) tail() string {
	text, _ := os.ReadFile(l.log) // there is none when it could not be made
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "the end of " + l.log + ":\n" + strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// runFile says how to reach the process.
func (l *life) runFile() (*pipeline.RunFile, error) {
	r, err := pipeline.ReadRunFile(l.state)
	if err == nil && r.PID != l.cmd.Process.Pid {
		err = fmt.Errorf("run file of process %d, not of %d", r.PID, l.cmd.Process.Pid)
	}
	return r, err
}

var client = http.Client{Timeout: 2 * time.Second}

// status asks the process.
func (l *life) status() (*status.Snapshot, error) {
	r, err := l.runFile()
	if err != nil {
		return nil, err
	}
	resp, err := client.Get("http://" + r.HTTP + "/api/v1/status")
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	s := new(status.Snapshot)
	if err := json.NewDecoder(resp.Body).Decode(s); err != nil {
		return nil, fmt.Errorf("%s: %w", resp.Status, err)
	}
	return s, nil
}
