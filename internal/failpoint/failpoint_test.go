//go:build failpoints

package failpoint

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParse_UnderstandsEveryForm(t *testing.T) {
	rules, err := parse("publish.sent=kill@3; lake.done.put=delay:200ms@5;redis.script.sent=error@2x3;stream.acked=stop@p0.01x1+5s;publish.cut=kill;publish.cut=stop@p1;", 1)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range []Name{PublishSent, LakeDonePut, RedisScriptSent, StreamAcked, PublishCut} {
		for _, r := range rules[n] {
			got = append(got, fmt.Sprintf("%s %s first %d count %d p %v from %v", n, r.text(), r.first, r.count, r.probability, r.from))
		}
	}
	want := []string{
		"publish.sent kill first 3 count 1 p 0 from 0s",
		"lake.done.put delay:200ms first 5 count 1 p 0 from 0s",
		"redis.script.sent error first 2 count 3 p 0 from 0s",
		"stream.acked stop first 1 count 1 p 0.01 from 5s",
		"publish.cut kill first 1 count 1 p 0 from 0s",
		"publish.cut stop first 1 count 0 p 1 from 0s",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestParse_NamesTheMistakeAndTheWayOut(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"publish.sent", "want name=action"},
		{"publish.snet=kill", "no step is named \"publish.snet\"; the names are binlog.connected, "},
		{"publish.sent=burn", "they are kill, stop, error and delay:<duration>"},
		{"publish.sent=kill:1s", "takes nothing behind a colon"},
		{"publish.sent=delay", "want one such as 200ms"},
		{"publish.sent=delay:-1s", "want one such as 200ms"},
		{"publish.sent=error", "the step cannot fail; those that can are binlog.connected, "},
		{"publish.sent=kill@0", "want a number from 1 on"},
		{"publish.sent=kill@1x0", "count \"0\""},
		{"publish.sent=kill@p1.5", "up to 1"},
		{"publish.sent=kill@pNaN", "up to 1"},
		{"publish.sent=kill@3+soon", "behind the plus sign"},
	} {
		_, err := parse("stream.acked=kill;"+c.text, 1)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), fmt.Sprintf("rule %q", c.text)) {
			t.Errorf("%s: got %v, want an error that names the rule and says %q", c.text, err, c.want)
		}
	}
}

func TestRule_FiresWhenItSays(t *testing.T) {
	fired := func(text string, times int, after time.Duration) (out []int) {
		t.Helper()
		_, r, err := parseRule("publish.sent=" + text)
		if err != nil {
			t.Fatal(err)
		}
		for i := range times {
			if r.fires(after) {
				out = append(out, i+1)
			}
		}
		return out
	}
	for _, c := range []struct {
		text  string
		after time.Duration
		want  string
	}{
		{"kill", 0, "[1]"}, {"kill@3", 0, "[3]"}, {"kill@2x3", 0, "[2 3 4]"},
		{"kill@3+1s", time.Second, "[3]"}, {"kill@3+1s", 999 * time.Millisecond, "[]"},
	} {
		if got := fmt.Sprint(fired(c.text, 6, c.after)); got != c.want {
			t.Errorf("%s after %v: got %s, want %s", c.text, c.after, got, c.want)
		}
	}
}

func TestRule_DrawsTheSameFromTheSameSeed(t *testing.T) {
	draw := func(seed uint64) string {
		rules, err := parse("publish.sent=kill@p0.1x50", seed)
		if err != nil {
			t.Fatal(err)
		}
		var out []int
		for i := range 2000 {
			if rules[PublishSent][0].fires(0) {
				out = append(out, i)
			}
		}
		if len(out) != 50 {
			t.Errorf("seed %d: it happened %d times, want 50", seed, len(out))
		}
		return fmt.Sprint(out)
	}
	if a, b := draw(1), draw(1); a != b {
		t.Errorf("one seed draws %s and %s", a, b)
	}
	if a, b := draw(1), draw(2); a == b {
		t.Errorf("two seeds draw the same: %s", a)
	}
}

// TestMain is the process that the tests below disturb, when it is asked to be.
func TestMain(m *testing.M) {
	if os.Getenv("FAILPOINT_TEST_PROCESS") == "" {
		os.Exit(m.Run())
	}
	if err := Start(); err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	for range 3 {
		At(PublishSent)
		if err := Err(StreamFileSynced, syscall.EIO); err != nil {
			fmt.Println(err, errors.Is(err, syscall.EIO))
		}
		fmt.Println("went on")
	}
	if os.Getenv("FAILPOINT_TEST_PROCESS") == "waits" {
		bufio.NewScanner(os.Stdin).Scan()
	}
	Report()
	os.Exit(0)
}

// process runs this test binary as a process with rules, and returns its
// command and the path of its log.
func process(t *testing.T, rules string) (*exec.Cmd, string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "FAILPOINT_TEST_PROCESS=ends", rulesVariable+"="+rules, logVariable+"="+log)
	return cmd, log
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestProcess_KillIsLoggedBeforeItHappens(t *testing.T) {
	cmd, log := process(t, "publish.sent=kill@2")
	out, err := cmd.CombinedOutput()
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if err == nil || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Errorf("got %v, want the end by SIGKILL\n%s", err, out)
	}
	if got := strings.Count(string(out), "went on"); got != 1 {
		t.Errorf("it went on %d times before the second time, want 1", got)
	}
	got, want := read(t, log), fmt.Sprintf("fired publish.sent kill 2 pid %d after ", cmd.Process.Pid)
	if !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
		t.Errorf("got log %q, want one line that begins with %q", got, want)
	}
}

func TestProcess_ErrorWrapsWhatTheStepCouldSee(t *testing.T) {
	cmd, log := process(t, "stream.file.synced=error@2x2;publish.sent=delay:1ms")
	out, err := cmd.CombinedOutput()
	want := "went on\nfailpoint stream.file.synced: input/output error true\nwent on\nfailpoint stream.file.synced: input/output error true\nwent on\n"
	if err != nil || string(out) != want {
		t.Errorf("got %v and %q, want %q", err, out, want)
	}
	text := read(t, log)
	for _, want := range []string{"fired publish.sent delay:1ms 1 pid", "fired stream.file.synced error 3 pid", "hit publish.sent 3\n", "hit stream.file.synced 3\n", "hit lake.done.put 0\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %q:\n%s", want, text)
		}
	}
}

func TestProcess_BadRulesEndItAtTheStart(t *testing.T) {
	cmd, _ := process(t, "publish.sent=kill@x")
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 2 || !strings.HasPrefix(string(out), rulesVariable+": rule \"publish.sent=kill@x\": ") {
		t.Errorf("got exit code %d and %q, want 2 and the rule", cmd.ProcessState.ExitCode(), out)
	}
	cmd, _ = process(t, "publish.sent=kill")
	cmd.Env = append(cmd.Env, seedVariable+"=soon")
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 2 || !bytes.HasPrefix(out, []byte(seedVariable+"=\"soon\": want a number")) {
		t.Errorf("got exit code %d and %q, want 2 and the seed", cmd.ProcessState.ExitCode(), out)
	}
}

func TestProcess_StopsUntilItIsContinuedAndCountsAtASignal(t *testing.T) {
	cmd, log := process(t, "publish.sent=stop@1")
	cmd.Env = append(cmd.Env, "FAILPOINT_TEST_PROCESS=waits")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	await(t, "the process to stop", func() bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		return strings.Contains(string(b), ") T ")
	})
	if text := read(t, log); !strings.HasPrefix(text, "fired publish.sent stop 1 pid ") {
		t.Errorf("got log %q", text)
	}
	for _, sig := range []syscall.Signal{syscall.SIGCONT, syscall.SIGUSR1} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the counts", func() bool { return strings.Contains(read(t, log), "hit publish.sent ") })
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// await polls until ok, for half a minute.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited 30 s for %s", what)
		}
	}
}
