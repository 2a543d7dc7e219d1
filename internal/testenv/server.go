package testenv

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the client of DB, Exec and Query
)

// Server is a real server that a test has started. Its methods fail the test
// when they cannot do what they promise. They are not safe for concurrent use,
// but different servers may be used at the same time.
type Server struct {
	// Kind is mysql, mariadb, redis, s3 or kafka.
	Kind string `json:"kind"`
	// Name is the server's number in its set as text: "00", "01", ...
	Name string `json:"name"`
	// Host is 127.0.0.1.
	Host string `json:"host"`
	// Port stays the same over Restart.
	Port int `json:"port"`
	// ServerID is the server_id of MySQL and MariaDB.
	ServerID uint32 `json:"server_id"`
	// Version is what the server calls itself.
	Version string `json:"version"`
	// Dir holds all that the server has; Log, DataDir and Socket lie in it.
	Dir     string `json:"dir"`
	Log     string `json:"log"`
	DataDir string `json:"datadir"`
	Socket  string `json:"socket"`
	// User may do everything, ReplUser may replicate and SELECT. Both come in
	// by TCP; MySQL checks them with caching_sha2_password. Kafka has a User
	// only for SASLAddr.
	User         string `json:"user"`
	Password     string `json:"password"`
	ReplUser     string `json:"repl_user"`
	ReplPassword string `json:"repl_password"`
	// CA is the file of the certificate that signed MySQL's own, or Kafka's.
	CA string `json:"ca"`
	// DSN is User's, for go-sql-driver/mysql, without a database.
	DSN string `json:"dsn"`
	// Addr is host:port. It is a seed broker of Kafka that asks for nothing.
	Addr string `json:"addr"`
	// URL is the endpoint of S3, Bucket a bucket that is there; User is the
	// access key, Password the secret key.
	URL    string `json:"url"`
	Bucket string `json:"bucket"`
	// SASLAddr is a seed broker that lets User in, by PLAIN, SCRAM-SHA-256 or
	// SCRAM-SHA-512; TLSAddr one that speaks TLS. Each is empty unless asked for.
	SASLAddr string `json:"sasl_addr"`
	TLSAddr  string `json:"tls_addr"`

	db *sql.DB
}

// MySQL starts n MySQL servers, with extra mysqld options such as
// "--max-binlog-size=4096", and returns them when all of them serve. Their
// GTID sets are empty; row format, full row image and full row metadata are on.
func MySQL(t testing.TB, n int, options ...string) []*Server {
	t.Helper()
	return start(t, "mysql", []string{"--shards", strconv.Itoa(n)}, options)
}

// MySQLReplica starts a read-only replica of source that follows it by GTID.
func MySQLReplica(t testing.TB, source *Server, options ...string) *Server {
	t.Helper()
	// A server_id of its own, far from those of the sets.
	id := strconv.Itoa(int(source.ServerID) + 1000)
	return start(t, "mysql", []string{"--server-id", id, "--replica-of", source.Dir}, options)[0]
}

// MariaDB starts a MariaDB 11.8 server with extra mariadbd options.
func MariaDB(t testing.TB, options ...string) *Server {
	t.Helper()
	return start(t, "mariadb", nil, options)[0]
}

// MariaDBs starts n MariaDB servers of a series, 11.8 or 10.11, with extra
// mariadbd options.
func MariaDBs(t testing.TB, series string, n int, options ...string) []*Server {
	t.Helper()
	return start(t, "mariadb", []string{"--series", series, "--shards", strconv.Itoa(n)}, options)
}

// Redis starts a Redis server with extra redis-server options such as
// "--appendonly", "yes". Without options it keeps nothing over a restart.
func Redis(t testing.TB, options ...string) *Server {
	t.Helper()
	return start(t, "redis", nil, options)[0]
}

// S3 starts an S3 server with an empty bucket, whose objects are files below
// DataDir, and gives this process its credentials and nobody else's. A test
// that calls it does not run in parallel with others.
func S3(t testing.TB, options ...string) *Server {
	t.Helper()
	s := start(t, "s3", nil, options)[0]
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": s.User, "AWS_SECRET_ACCESS_KEY": s.Password, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_REGION": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_ENDPOINT_URL": "", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	return s
}

// These options of Kafka add a listener each: SASLAddr and TLSAddr.
const (
	KafkaSASL = "--sasl"
	KafkaTLS  = "--tls"
)

// Kafka starts an Apache Kafka cluster of one node, with KafkaSASL, KafkaTLS
// and settings such as "message.max.bytes=2097152". It has no topics, and makes
// one only when a client asks it to. Acknowledged records outlive Kill.
func Kafka(t testing.TB, options ...string) *Server {
	t.Helper()
	var args, settings []string
	for _, o := range options {
		if o == KafkaSASL || o == KafkaTLS {
			args = append(args, o)
		} else {
			settings = append(settings, o)
		}
	}
	return start(t, "kafka", args, settings)[0]
}

// RedisCluster starts a Redis Cluster of primaries with replicas for each, and
// returns its nodes, the primaries first, when every node sees all slots served.
func RedisCluster(t testing.TB, primaries, replicas int, options ...string) []*Server {
	t.Helper()
	nodes := strconv.Itoa(primaries * (1 + replicas))
	return start(t, "redis", []string{"--shards", nodes, "--cluster", strconv.Itoa(replicas)}, options)
}

// RedisSentinels starts n sentinels that watch primary and call it "windows".
// All of them must agree before a replica is promoted.
func RedisSentinels(t testing.TB, primary *Server, n int, options ...string) []*Server {
	t.Helper()
	return start(t, "redis", []string{"--shards", strconv.Itoa(n), "--sentinel", primary.Addr}, options)
}

// RedisTLS starts a Redis server that speaks TLS only, with the ca.crt,
// server.crt and server.key of a folder. It asks clients for a certificate only
// with the options "--tls-auth-clients", "yes".
func RedisTLS(t testing.TB, dir string, options ...string) *Server {
	t.Helper()
	return start(t, "redis", []string{"--tls", dir}, options)[0]
}

// RedisClusterTLS is RedisCluster of nodes like RedisTLS.
func RedisClusterTLS(t testing.TB, dir string, primaries int, options ...string) []*Server {
	t.Helper()
	return start(t, "redis", []string{"--shards", strconv.Itoa(primaries), "--cluster", "0", "--tls", dir}, options)
}

// RedisSentinelsTLS is RedisSentinels that speak TLS only, as their primary
// does, with the files of a folder as in RedisTLS.
func RedisSentinelsTLS(t testing.TB, dir string, primary *Server, n int, options ...string) []*Server {
	t.Helper()
	return start(t, "redis", []string{"--shards", strconv.Itoa(n), "--sentinel", primary.Addr, "--tls", dir}, options)
}

func start(t testing.TB, kind string, args, options []string) []*Server {
	t.Helper()
	// Not t.TempDir: its path can be longer than a socket's may be.
	dir, err := os.MkdirTemp("", "tailwater-"+kind+"-")
	if err != nil {
		t.Fatalf("make a folder for %s: %v", kind, err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the folder of %s: %v", kind, err)
		}
	})
	args = append([]string{"--dir", dir, "--owner", strconv.Itoa(os.Getpid())}, args...)
	out := script(t, kind+"-start", append(append(args, "--"), options...)...)
	servers, err := parseServers(out)
	if err != nil {
		t.Fatalf("read what %s-start prints: %v", kind, err)
	}
	t.Cleanup(func() {
		for _, s := range servers {
			s.close(t)
		}
	})
	return servers
}

// parseServers reads the JSON lines of a start script.
func parseServers(lines []byte) ([]*Server, error) {
	var servers []*Server
	for dec := json.NewDecoder(bytes.NewReader(lines)); dec.More(); {
		s := new(Server)
		if err := dec.Decode(s); err != nil {
			return nil, fmt.Errorf("decode %q: %w", lines, err)
		}
		s.Addr = s.Host + ":" + strconv.Itoa(s.Port)
		servers = append(servers, s)
	}
	if len(servers) == 0 {
		return nil, errors.New("no server was started")
	}
	return servers, nil
}

// close ends the server without ceremony: its data goes with it.
func (s *Server) close(t testing.TB) {
	if s.db != nil {
		_ = s.db.Close()
	}
	if t.Failed() {
		if log, err := os.ReadFile(s.Log); err == nil {
			t.Logf("the end of the log of %s %s:\n%s", s.Kind, s.Name, lastLines(string(log), 10))
		}
	}
	if pid, ok := s.running(); ok {
		_ = syscall.Kill(pid, syscall.SIGCONT)
		_ = syscall.Kill(pid, syscall.SIGKILL)
		s.awaitEnd(t)
	}
}

// running returns the process id of the server while that process is there.
// The start scripts store it with its start time, so that another process that
// got the same number is never taken for the server.
func (s *Server) running() (pid int, ok bool) {
	stored, err := os.ReadFile(filepath.Join(s.Dir, "pid"))
	if err != nil {
		return 0, false
	}
	var startedAt string
	if _, err := fmt.Sscan(string(stored), &pid, &startedAt); err != nil {
		return 0, false
	}
	state, at, threads := processState(pid)
	dead := state == "" || at != startedAt || (state == "Z" || state == "X") && threads <= 1
	return pid, !dead
}

// processState reads /proc/pid/stat as proc(5) describes it: state is field 3,
// the number of threads field 20, the start time field 22.
func processState(pid int) (state, startedAt string, threads int) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", "", 0
	}
	// The name in parentheses may hold spaces and parentheses of its own.
	_, rest, ok := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')'):]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return "", "", 0
	}
	threads, _ = strconv.Atoi(fields[17])
	return fields[0], fields[19], threads
}

func (s *Server) awaitEnd(t testing.TB) {
	t.Helper()
	Wait(t, 30*time.Second, fmt.Sprintf("the end of %s %s", s.Kind, s.Name), func() error {
		if pid, ok := s.running(); ok {
			return fmt.Errorf("process %d is still there", pid)
		}
		return nil
	})
}

func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	pid, ok := s.running()
	if !ok {
		t.Fatalf("signal %s %s: it does not run", s.Kind, s.Name)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("signal %s %s: %v", s.Kind, s.Name, err)
	}
}

// Kill ends the server as kill -9 does and returns when it is gone.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGKILL)
	s.awaitEnd(t)
}

// Pause makes the server silent, its connections open, until Resume.
func (s *Server) Pause(t testing.TB) { t.Helper(); s.signal(t, syscall.SIGSTOP) }

// Resume ends Pause.
func (s *Server) Resume(t testing.TB) { t.Helper(); s.signal(t, syscall.SIGCONT) }

// Stop shuts the server down in order and returns when it is gone.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	script(t, s.Kind+"-stop", s.Dir)
}

// Restart starts the server again after Kill or Stop, on the same port with
// the same data and options, and returns when it serves.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	script(t, s.Kind+"-start", "--owner", strconv.Itoa(os.Getpid()), "--again", s.Dir)
}

// Follow waits until a MySQL replica has executed all that its source has.
func (s *Server) Follow(t testing.TB, source *Server) {
	t.Helper()
	executed := source.Query(t, "SELECT @@GLOBAL.gtid_executed")[0][0]
	if late := s.Query(t, "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 90)", executed)[0][0]; late != "0" {
		t.Fatalf("%s %s has not executed %s of its source after 90 s; see %s", s.Kind, s.Name, executed, s.Log)
	}
}

// Promote makes a MySQL replica a primary, after it has executed all that it
// has received.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	script(t, "mysql-promote", s.Dir)
}

// DB returns a pool of connections as User. Several statements may stand in
// one text. It is closed with the test.
func (s *Server) DB(t testing.TB) *sql.DB {
	t.Helper()
	if s.db == nil {
		db, err := sql.Open("mysql", s.DSN+"?multiStatements=true")
		if err != nil {
			t.Fatalf("open %s %s: %v", s.Kind, s.Name, err)
		}
		s.db = db
	}
	return s.db
}

// Exec runs the statements one after the other in one session of their own,
// so that SET SESSION, BEGIN and USE hold for what follows.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	conn, err := s.DB(t).Conn(ctx)
	if err != nil {
		t.Fatalf("connect to %s %s: %v", s.Kind, s.Name, err)
	}
	// The session's settings must not reach the next one: drop the connection.
	defer func() { _ = conn.Raw(func(any) error { return errDrop }); _ = conn.Close() }()
	for _, q := range statements {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			t.Fatalf("execute on %s %s: %v\n%s", s.Kind, s.Name, err, firstLine(q))
		}
	}
}

// Query returns the rows of a query as text; NULL is "NULL".
func (s *Server) Query(t testing.TB, query string, args ...any) [][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := queryText(ctx, s.DB(t), query, args...)
	if err != nil {
		t.Fatalf("query %s %s: %v\n%s", s.Kind, s.Name, err, firstLine(query))
	}
	return out
}

func firstLine(s string) string {
	const most = 200
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s[:min(len(s), most)]
}
