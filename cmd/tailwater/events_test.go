package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"tailwater/binlog/primary"
	"tailwater/binlog/primary/encode"
	"tailwater/internal/testenv"
)

// asVerb makes this test's program the command itself: its value holds the
// arguments, one to a line.
const asVerb = "TAILWATER_TEST_VERB"

func TestMain(m *testing.M) {
	if args, ok := os.LookupEnv(asVerb); ok {
		root := newRootCommand()
		root.SetArgs(strings.Split(args, "\n"))
		os.Exit(execute(context.Background(), root))
	}
	os.Exit(m.Run())
}

// eventsServer is a primary with the table shop.things, and its URL.
func eventsServer(t *testing.T) (s *primary.Server, url string) {
	t.Helper()
	s, err := primary.Start(primary.Options{User: "tw", Password: "hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.CreateTable(encode.Table{Database: "shop", Name: "things", PrimaryKey: []int{0}, Columns: []encode.Column{{Name: "id", Kind: encode.BigInt}}}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("EVENTS_PW", "hunter2")
	return s, "mysql://tw:${EVENTS_PW}@" + s.Addr()
}

func insertThings(t *testing.T, s *primary.Server, from, to int) {
	t.Helper()
	tx := s.Begin()
	for id := from; id < to; id++ {
		if err := tx.Insert("shop", "things", encode.Row{int64(id)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Commit(primary.CommitOptions{}); err != nil {
		t.Fatal(err)
	}
}

// process runs the command in a process of its own.
func process(t *testing.T, args ...string) (cmd *exec.Cmd, stdout io.ReadCloser, stderr *bytes.Buffer) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asVerb+"="+strings.Join(args, "\n"))
	stderr = new(bytes.Buffer)
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, stdout, stderr
}

// ended waits for a process and returns its exit code.
func ended(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	defer time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }).Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

func TestEvents_SignalInABigTransactionEndsBehindWholeOnes(t *testing.T) {
	s, url := eventsServer(t)
	insertThings(t, s, 0, 1)
	cmd, stdout, stderr := process(t, "events", "--source", url, "--start", "earliest")
	lines := bufio.NewReader(stdout)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err, stderr)
	}
	s.Slow(2000)
	insertThings(t, s, 10, 5000)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(lines)
	if code := ended(t, cmd); code != exitOK || len(rest) > 0 || !strings.Contains(first, `"id":0}`) {
		t.Errorf("exit code %d, then %q, want 0 and nothing behind the first transaction\n%s", code, rest, stderr)
	}
	if text := stderr.String(); !strings.Contains(text, "1 event of 1 transaction; to go on: --start gtid:") || strings.Contains(text, "hunter2") {
		t.Errorf("it says %q, want how to go on and no password", text)
	}
}

func TestEvents_AClosedPipeEndsItQuietlyAlsoWhenIdle(t *testing.T) {
	s, url := eventsServer(t)
	insertThings(t, s, 0, 1)
	for _, what := range []string{"idle", "busy"} {
		cmd, stdout, stderr := process(t, "events", "--source", url, "--start", "earliest")
		if _, err := bufio.NewReaderSize(stdout, 16).ReadByte(); err != nil {
			t.Fatal(err, stderr)
		}
		if what == "busy" {
			insertThings(t, s, 100, 20000)
		}
		stdout.Close()
		if code := ended(t, cmd); code != exitOK || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s: exit code %d and %q, want 0 and the greeting only", what, code, stderr)
		}
	}
}

func TestEvents_ExitCodesAndWords(t *testing.T) {
	s, url := eventsServer(t)
	insertThings(t, s, 0, 3)
	dir := t.TempDir()
	secret, wrong := filepath.Join(dir, "pw"), filepath.Join(dir, "wrong")
	for name, text := range map[string]string{secret: "hunter2\n", wrong: "hunter3"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, "tailwater.yaml")
	host, port, _ := strings.Cut(s.Addr(), ":")
	if err := os.WriteFile(config, fmt.Appendf(nil, `version: 1
name: shop
state: { dir: state }
sources: { shop: { shards: { list: [{ name: eu, host: %s, port: %s, user: tw, password: "${EVENTS_PW}" }, { name: us, host: 127.0.0.1, port: 1, user: tw }] }, server_id: 77-78 } }
tables: { t: { from: { source: shop, schema: s, table: t }, key: [id] } }
views: { t: { from: t } }
`, host, port), 0o600); err != nil {
		t.Fatal(err)
	}
	bare := "mysql://tw@" + s.Addr()
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--source " + url + " --start earliest --until now", exitOK, `"id":2}`},
		{"--source " + bare + " --password-file " + secret + " --start earliest --until now -q", exitOK, `{"_op":"c","_shard":"` + s.Addr()},
		{"--source " + bare + " --password-file " + secret + " --start earliest --limit 1 --shard x", exitOK, `"_shard":"x"`},
		{"--source " + config + "#eu --start earliest --until now", exitOK, `"_shard":"eu"`},
		{"--source " + config + " --shard eu --until now", exitOK, "0 events"},
		{"--source " + config + " --until now", exitUsage, "one of eu, us"},
		{"--source " + config + "#asia --until now", exitUsage, `no shard "asia"`},
		{"--source " + config + "#us --until now", exitEnvironment, "connection refused"},
		{"--source " + config + "#eu --tls verify", exitUsage, "are for a URL"},
		{"--source " + dir + "/none.yaml#eu", exitUsage, "no such file"},
		{"--source " + bare + " --password-file " + wrong, exitEnvironment, "Access denied"},
		{"--source " + url + " --password-file " + secret, exitUsage, "remove one"},
		{"--source " + bare + " --password-file " + dir + "/none", exitUsage, "none"},
		{"--source " + url + " --tls maybe", exitUsage, "verify-ca"},
		{"--source " + url + " --tls verify --until now", exitEnvironment, "TLS"},
		{"--source " + url + " --until tomorrow", exitUsage, "now is the only word"},
		{"--source " + url + " --until=", exitUsage, "--until has no value"},
		{"--source " + url + " --until-gtid=", exitUsage, "--until-gtid has no value"},
		{"--source " + url + " --envelope avro", exitUsage, "none of flat, debezium, maxwell, canal"},
		{"--source " + url + " --start earliest --until now -q --envelope debezium", exitOK, `{"before":null,"after":{"id":`},
		{"--source " + url + " --start earliest --until now -q --envelope maxwell", exitOK, `"type":"insert"`},
		{"--source " + url + " --start earliest --until now -q --envelope canal", exitOK, `{"data":[{"id":"`},
		{"--source " + url + " --accept nonsense", exitUsage, `--accept: "nonsense" is not the id of a transaction`},
		{"--source " + url + " --start earliest --until now --accept binlog.000009:4", exitOK, "nothing was passed over because of --accept binlog.000009:4"},
		{"--source " + url + " --start soon", exitUsage, "earliest"},
		{"--source " + url + " --max-transaction 10", exitUsage, "unit"},
		{"--source " + url + " --until-gtid 3e11fa47-71ca-11e1-9e33-c80aa9429562:1 --for 200ms", exitEnvironment, "has not come"},
		{"--source " + url + " --for 200ms --table shop.t*", exitOK, "from now on"},
		{"", exitUsage, "--source is missing"},
		{"extra", exitUsage, "extra"},
	} {
		out, code := runVerbAsUsersSeeIt(t, newEventsCommand(), strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("events %s: exit code %d and\n%s, want %d and %q", c.args, code, out, c.code, c.want)
		}
		if strings.Contains(out, "hunter") {
			t.Errorf("events %s: the password is in\n%s", c.args, out)
		}
	}
}

func TestEvents_ASecondSignalEndsOneWhoseOutputIsStuck(t *testing.T) {
	s, url := eventsServer(t)
	insertThings(t, s, 0, 20000)
	cmd, stdout, stderr := process(t, "events", "--source", url, "--start", "earliest", "-q")
	// Nobody reads on: more than a pipe holds waits.
	if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil {
		t.Fatal(err, stderr)
	}
	testenv.Wait(t, 30*time.Second, "the first signal", func() error { return cmd.Process.Signal(syscall.SIGTERM) })
	done := make(chan int)
	go func() { done <- ended(t, cmd) }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case code := <-done:
			if code != 128+int(syscall.SIGTERM) {
				t.Errorf("exit code %d, want 143\n%s", code, stderr)
			}
			return
		case <-tick.C:
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}
}

func TestEvents_ThePageHasEveryFlag(t *testing.T) {
	page, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	mentioned := map[string]bool{}
	for _, m := range regexp.MustCompile("--[a-z][a-z-]*").FindAllString(string(page), -1) {
		mentioned[m[2:]] = true
	}
	newEventsCommand().Flags().VisitAll(func(f *pflag.Flag) {
		if !mentioned[f.Name] && f.Shorthand == "" {
			t.Errorf("docs/events.md does not mention --%s", f.Name)
		}
		delete(mentioned, f.Name)
	})
	for name := range mentioned {
		t.Errorf("docs/events.md mentions --%s, which is no flag", name)
	}
}
