package testenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMySQL_ServesSeveralEmptyShardsWithFullRowMetadata(t *testing.T) {
	servers := MySQL(t, 2, "--max-binlog-size=4096")
	if got, want := len(servers), 2; got != want {
		t.Fatalf("got %d servers, want %d", got, want)
	}
	uuids := map[string]bool{}
	for _, s := range servers {
		got := s.Query(t, `SELECT @@server_id, @@gtid_executed, @@gtid_mode, @@binlog_row_metadata,
			@@binlog_row_image, @@binlog_format, @@max_binlog_size, @@port`)
		want := [][]string{{fmt.Sprint(s.ServerID), "", "ON", "FULL", "FULL", "ROW", "4096", fmt.Sprint(s.Port)}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("server %s: got %q, want %q", s.Name, got, want)
		}
		uuids[s.Query(t, "SELECT @@server_uuid")[0][0]] = true
	}
	if got, want := len(uuids), 2; got != want {
		t.Errorf("got %d different server_uuids, want %d", got, want)
	}
	if servers[0].ServerID == servers[1].ServerID {
		t.Errorf("both servers have server_id %d", servers[0].ServerID)
	}
}

func TestServer_KeepsCommittedRowsOverKillAndStop(t *testing.T) {
	s := MySQL(t, 1)[0]
	s.Exec(t, "CREATE DATABASE shop", "USE shop", "CREATE TABLE a (id INT PRIMARY KEY, n VARCHAR(9))", "INSERT INTO a VALUES (1, NULL)")
	s.Kill(t)
	if pid, ok := s.running(); ok {
		t.Errorf("process %d runs after Kill", pid)
	}
	s.Restart(t)
	s.Exec(t, "INSERT INTO shop.a VALUES (2, 'x')")
	s.Stop(t)
	s.Restart(t)
	if got, want := s.Query(t, "SELECT * FROM shop.a ORDER BY id"), [][]string{{"1", "NULL"}, {"2", "x"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("rows after kill, restart, stop, restart: got %q, want %q", got, want)
	}
	if got, want := s.Query(t, "SELECT @@port")[0][0], fmt.Sprint(s.Port); got != want {
		t.Errorf("port after restarts: got %s, want %s", got, want)
	}
}

func TestServer_ExecKeepsSessionSettingsToItself(t *testing.T) {
	s := MySQL(t, 1)[0]
	s.Exec(t, "SET SESSION time_zone = '+05:30'", "CREATE DATABASE d")
	if got, want := s.Query(t, "SELECT @@session.time_zone")[0][0], "SYSTEM"; got != want {
		t.Errorf("time zone of the next session: got %s, want %s", got, want)
	}
}

func TestMySQLReplica_FollowsAndIsPromoted(t *testing.T) {
	source := MySQL(t, 1)[0]
	source.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.a (id INT PRIMARY KEY)", "INSERT INTO shop.a VALUES (1), (2)")
	replica := MySQLReplica(t, source)
	Wait(t, 20*time.Second, "the replica's rows", func() error {
		got, err := queryText(t.Context(), replica.DB(t), "SELECT COUNT(*) FROM shop.a")
		if err != nil {
			return err
		}
		if want := [][]string{{"2"}}; !reflect.DeepEqual(got, want) {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return nil
	})
	if _, err := replica.DB(t).Exec("INSERT INTO shop.a VALUES (9)"); err == nil {
		t.Error("a replica took a write")
	}
	replica.Promote(t)
	replica.Exec(t, "INSERT INTO shop.a VALUES (3)")
	replica.Kill(t)
	replica.Restart(t)
	replica.Exec(t, "INSERT INTO shop.a VALUES (4)")
	if got, want := replica.Query(t, "SELECT COUNT(*) FROM shop.a"), [][]string{{"4"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("rows of the promoted replica: got %q, want %q", got, want)
	}
}

func TestRedis_AnswersAndRestartsOnItsPort(t *testing.T) {
	s := Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	cli := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("redis-cli", append([]string{"-p", fmt.Sprint(s.Port)}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("redis-cli %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got, want := cli("SET", "k", "v"), "OK"; got != want {
		t.Fatalf("SET: got %q, want %q", got, want)
	}
	s.Kill(t)
	s.Restart(t)
	if got, want := cli("GET", "k"), "v"; got != want {
		t.Errorf("value after kill and restart: got %q, want %q", got, want)
	}
}

func TestS3_ServesABucketAndRestartsOnItsPort(t *testing.T) {
	s := S3(t)
	if err := os.WriteFile(filepath.Join(s.DataDir, s.Bucket, "k"), []byte("v"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Kill(t)
	s.Restart(t)
	resp, err := http.Get(s.URL + "/" + s.Bucket + "/k")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, want := resp.StatusCode, http.StatusForbidden; got != want {
		t.Errorf("an unsigned request: status %d, want %d", got, want)
	}
	if got, want := os.Getenv("AWS_ACCESS_KEY_ID"), s.User; got != want {
		t.Errorf("the access key of this process: %q, want %q", got, want)
	}
}

func TestMariaDB_WritesRowEventsWithFullMetadata(t *testing.T) {
	s := MariaDB(t)
	got := s.Query(t, "SELECT @@binlog_format, @@binlog_row_metadata, @@gtid_binlog_pos, VERSION() LIKE '%MariaDB%'")
	if want := [][]string{{"ROW", "FULL", "", "1"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDuckDB_ReadsParquetFromTheHost(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.parquet")
	got := DuckDB(t, `COPY (SELECT 12345678901234567 AS id, 1.50::DECIMAL(10,2) AS amount) TO '`+file+`' (FORMAT parquet);
		SELECT id, amount, NULL AS nothing FROM '`+file+`'`)
	want := []map[string]any{{"id": json.Number("12345678901234567"), "amount": "1.50", "nothing": nil}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := DuckDB(t, "SELECT 1 WHERE false"); len(got) != 0 {
		t.Errorf("rows of an empty result: got %v, want none", got)
	}
}

func TestKcat_Runs(t *testing.T) {
	if got, want := string(Kcat(t, "-V")), "kcat"; !strings.Contains(got, want) {
		t.Errorf("kcat -V: got %q, want it to contain %q", got, want)
	}
}

func TestServer_PausedServerIsStillEnded(t *testing.T) {
	var s *Server
	t.Run("started and paused", func(t *testing.T) {
		s = Redis(t)
		s.Pause(t)
	})
	if pid, ok := s.running(); ok {
		t.Errorf("process %d outlives its test", pid)
	}
	if _, err := os.Stat(s.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of an ended server: got %v, want it gone", err)
	}
}

// recorder stands in for a test of another package and records how it ends.
type recorder struct {
	testing.TB
	failed, skipped bool
	text            string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failed, r.text = true, fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(format string, args ...any) {
	r.skipped, r.text = true, fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// ends runs do with a recorder until it returns or ends its goroutine.
func ends(t *testing.T, do func(tb testing.TB)) *recorder {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(r)
	}()
	<-done
	return r
}

// onlyTools makes the PATH one folder that holds just these programs, and the
// cache an empty one. It returns the folder.
func onlyTools(t *testing.T, names ...string) string {
	t.Helper()
	path := t.TempDir()
	for _, tool := range names {
		real, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(real, filepath.Join(path, tool)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", path)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	return path
}

func TestScript_MissingServerFailsAndNamesTheWayOut(t *testing.T) {
	// No apt-get and an empty cache: nothing can be installed or unpacked.
	onlyTools(t, "bash", "env", "basename", "dirname", "mkdir", "flock", "rm", "id", "mktemp", "sed")
	for name, want := range map[string]string{"mysql-tree": "missing: mmdebstrap", "kafka-tree": "missing: java openssl"} {
		use := func(tb testing.TB) { script(tb, name) }
		t.Setenv("ALLOW_MISSING", "")
		r := ends(t, use)
		if !r.failed || !strings.Contains(r.text, want) || !strings.Contains(r.text, "way out: ") {
			t.Errorf("%s without ALLOW_MISSING: got failed %t and %q, want a failure with %q and the way out", name, r.failed, r.text, want)
		}
		t.Setenv("ALLOW_MISSING", "1")
		r = ends(t, use)
		if !r.skipped || !strings.Contains(r.text, "MISSING, SKIPPED") || !strings.Contains(r.text, want) {
			t.Errorf("%s with ALLOW_MISSING=1: got skipped %t and %q, want a loud skip with %q", name, r.skipped, r.text, want)
		}
	}
}

func TestScript_BrokenServerFailsEvenWhenMissingIsAllowed(t *testing.T) {
	t.Setenv("ALLOW_MISSING", "1")
	dir, err := os.MkdirTemp("", "tw-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := ends(t, func(tb testing.TB) { script(tb, "mysql-start", "--dir", dir, "--", "--no-such-option") })
	if !r.failed || !strings.Contains(r.text, "no-such-option") {
		t.Errorf("got failed %t and %q, want a failure that shows what the server said", r.failed, r.text)
	}
}

func TestServerWatch_EndsServersWhoseOwnerDied(t *testing.T) {
	owner := exec.Command("sleep", "300")
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "tailwater-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	servers, err := parseServers(script(t, "redis-start", "--shards", "2", "--dir", dir, "--owner", fmt.Sprint(owner.Process.Pid)))
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, s := range servers {
		pid, ok := s.running()
		if !ok {
			t.Fatalf("server %s does not run", s.Name)
		}
		pids = append(pids, pid)
	}
	_ = owner.Process.Kill()
	_ = owner.Wait()
	awaitGone(t, pids)
	Wait(t, 10*time.Second, "the removal of the set", func() error {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s is still there (%v)", dir, err)
		}
		return nil
	})
}

func TestServerWatch_EndsServersWhoseFolderIsGone(t *testing.T) {
	s := Redis(t)
	pid, ok := s.running()
	if !ok {
		t.Fatal("the server does not run")
	}
	if err := os.RemoveAll(s.Dir); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, []int{pid})
}

func awaitGone(t *testing.T, pids []int) {
	t.Helper()
	Wait(t, 15*time.Second, "the end of the servers", func() error {
		for _, pid := range pids {
			if state, _, _ := processState(pid); state != "" && state != "Z" {
				return fmt.Errorf("process %d is in state %s", pid, state)
			}
		}
		return nil
	})
}

func TestServer_RunningIgnoresAForeignProcessWithTheSameNumber(t *testing.T) {
	s := &Server{Dir: t.TempDir()}
	_, at, _ := processState(os.Getpid())
	for _, c := range []struct {
		name, stored string
		want         bool
	}{
		{"itself", fmt.Sprintf("%d %s\n", os.Getpid(), at), true},
		{"started at another time", fmt.Sprintf("%d 1%s\n", os.Getpid(), at), false},
		{"no such process", "4194999 1\n", false},
		{"garbage", "x\n", false},
		{"empty", "", false},
	} {
		if err := os.WriteFile(filepath.Join(s.Dir, "pid"), []byte(c.stored), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, got := s.running(); got != c.want {
			t.Errorf("%s: got running %t, want %t", c.name, got, c.want)
		}
	}
}

func TestBoundedLog_KeepsTheEndWithinItsBound(t *testing.T) {
	const bound, lines = 200_000, 300_000
	dir := t.TempDir()
	file := filepath.Join(dir, "log")
	cmd := exec.Command(filepath.Join(Root(t), "deploy", "dev", "bounded-log"), file, fmt.Sprint(bound))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for i := range lines {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	if _, err := in.Write([]byte(text.String())); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	older, err := os.ReadFile(file + ".1")
	if err != nil {
		t.Fatal(err)
	}
	newer, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// A file may exceed its half by what is read at once.
	const slack = 2 * 8 * 64 << 10
	if got := len(older) + len(newer); got > bound+slack {
		t.Errorf("log holds %d bytes, want at most %d", got, bound+slack)
	}
	if got := string(older) + string(newer); !strings.HasSuffix(text.String(), got) || len(newer) == 0 && len(older) == 0 {
		t.Errorf("the log is not the end of what was written: it ends with %q", lastLines(got, 1))
	}
}

func TestBoundedLog_ReadsOnWhenItsFolderIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(Root(t), "deploy", "dev", "bounded-log"), filepath.Join(dir, "log"), "65536")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	block := make([]byte, 1<<20)
	for i := range 20 {
		if i == 5 {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := in.Write(block); err != nil {
			t.Fatalf("block %d: a server would be stopped by its log: %v", i, err)
		}
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat of the removed folder: got %v, want it gone", err)
	}
}

func TestScripts_StopRemovesOnlyFoldersOfServers(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(Root(t), "deploy", "dev", "redis-stop"), "--remove", dir).CombinedOutput()
	if err == nil {
		t.Errorf("remove a foreign folder: got success, want an error\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(dir, "mine")); err != nil {
		t.Errorf("a foreign file: %v", err)
	}
}

func TestScripts_TakenPortIsNamed(t *testing.T) {
	s := Redis(t)
	out, err := exec.Command(filepath.Join(Root(t), "deploy", "dev", "redis-start"), "--dir", t.TempDir(),
		"--port", fmt.Sprint(s.Port)).CombinedOutput()
	if want := fmt.Sprintf("port %d is taken", s.Port); err == nil || !strings.Contains(string(out), want) {
		t.Errorf("got %v and %q, want an error with %q", err, out, want)
	}
}

func TestScripts_TwoSetsStartAtTheSameTime(t *testing.T) {
	for i := range 2 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for _, s := range MySQL(t, 2) {
				if got, want := s.Query(t, "SELECT 1"), [][]string{{"1"}}; !reflect.DeepEqual(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
}

func TestScripts_HaveHelp(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(Root(t), "deploy", "dev", "*"))
	if err != nil || len(files) < 10 {
		t.Fatalf("list the scripts: got %d, %v", len(files), err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o111 == 0 {
			continue
		}
		flag := "--help"
		if filepath.Base(f) == "duckdb" {
			flag = "--help-script"
		}
		out, err := exec.Command(f, flag).CombinedOutput()
		if want := filepath.Base(f) + " "; err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("%s %s: got %v and %q, want text that starts with %q", filepath.Base(f), flag, err, out, want)
		}
	}
}

func TestWait_FailsWithTheLastError(t *testing.T) {
	r := ends(t, func(tb testing.TB) {
		Wait(tb, 50*time.Millisecond, "nothing", func() error { return syscall.EAGAIN })
	})
	if want := "wait for nothing: after 50ms: " + syscall.EAGAIN.Error(); !r.failed || r.text != want {
		t.Errorf("got failed %t and %q, want %q", r.failed, r.text, want)
	}
}

func TestParseServers_RefusesNothingAndGarbage(t *testing.T) {
	for _, in := range []string{"", "\n", "{", "MySQL"} {
		if got, err := parseServers([]byte(in)); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}
