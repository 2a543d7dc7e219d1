package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// client returns a client of Kafka that is closed with the test.
func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// within bounds what a server may take to answer; no test depends on it.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func createTopic(t *testing.T, addr, topic string, partitions int32) {
	t.Helper()
	if _, err := kadm.NewClient(client(t, addr)).CreateTopic(within(t), partitions, 1, nil, topic); err != nil {
		t.Fatalf("create topic %s: %v", topic, err)
	}
}

func produce(t *testing.T, addr, topic string, values ...string) {
	t.Helper()
	cl := client(t, addr)
	for _, v := range values {
		if err := cl.ProduceSync(within(t), &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatalf("produce %q to %s: %v", v, topic, err)
		}
	}
}

// consume returns the values of the first n committed records of a topic, in
// the order of values.
func consume(t *testing.T, addr, topic string, n int) []string {
	t.Helper()
	cl := client(t, addr, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx := within(t)
	var got []string
	for len(got) < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("consume %s: %v after %q", topic, err, got)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	slices.Sort(got)
	return got
}

func TestKafka_HasNoTopicUntilAClientMakesOne(t *testing.T) {
	s := Kafka(t)
	topics, err := kadm.NewClient(client(t, s.Addr)).ListTopics(within(t))
	if err != nil || len(topics) != 0 {
		t.Fatalf("topics of a new server: got %v, %v, want none", topics.Names(), err)
	}
	err = client(t, s.Addr, kgo.UnknownTopicRetries(0)).
		ProduceSync(within(t), &kgo.Record{Topic: "orders", Value: []byte("x")}).FirstErr()
	if err == nil {
		t.Error("produce to a topic that nobody made: got success, want an error")
	}
	createTopic(t, s.Addr, "orders", 3)
	// A client answers from what it has learned; a second one asks.
	topics, err = kadm.NewClient(client(t, s.Addr)).ListTopics(within(t))
	if err != nil || len(topics["orders"].Partitions) != 3 {
		t.Errorf("after the topic was made: got %v, %v, want orders with 3 partitions", topics, err)
	}
}

func TestKafka_CommittedReadersSeeCommittedTransactionsOnly(t *testing.T) {
	s := Kafka(t)
	createTopic(t, s.Addr, "orders", 1)
	cl := client(t, s.Addr, kgo.TransactionalID("shop"), kgo.DefaultProduceTopic("orders"))
	for i, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(within(t), kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatalf("produce in transaction %d: %v", i, err)
		}
		if err := cl.EndTransaction(within(t), commit); err != nil {
			t.Fatalf("end transaction %d: %v", i, err)
		}
	}
	if got, want := consume(t, s.Addr, "orders", 2), []string{"1", "3"}; !slices.Equal(got, want) {
		t.Errorf("committed records: got %q, want %q", got, want)
	}
}

func TestKafka_KeepsRecordsTopicsAndAddressOverKillAndStop(t *testing.T) {
	s := Kafka(t)
	createTopic(t, s.Addr, "orders", 1)
	produce(t, s.Addr, "orders", "before the kill")
	s.Kill(t)
	s.Restart(t)
	produce(t, s.Addr, "orders", "before the stop")
	s.Stop(t)
	s.Restart(t)
	produce(t, s.Addr, "orders", "in the end")
	want := []string{"before the kill", "before the stop", "in the end"}
	if got := consume(t, s.Addr, "orders", len(want)); !slices.Equal(got, want) {
		t.Errorf("records after kill and stop: got %q, want %q", got, want)
	}
}

func TestKafka_KilledInATransactionItForgetsTheTransactionAndKeepsGroups(t *testing.T) {
	s := Kafka(t)
	createTopic(t, s.Addr, "orders", 1)
	offsets := make(kadm.Offsets)
	offsets.AddOffset("orders", 0, 7, -1)
	if err := kadm.NewClient(client(t, s.Addr)).CommitAllOffsets(within(t), "readers", offsets); err != nil {
		t.Fatal(err)
	}
	open := func(value string) *kgo.Client {
		t.Helper()
		cl := client(t, s.Addr, kgo.TransactionalID("shop"), kgo.DefaultProduceTopic("orders"))
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(within(t), kgo.StringRecord(value)).FirstErr(); err != nil {
			t.Fatalf("produce %q in a transaction: %v", value, err)
		}
		return cl
	}
	open("left open")
	s.Kill(t)
	s.Restart(t)
	if err := open("committed").EndTransaction(within(t), kgo.TryCommit); err != nil {
		t.Fatalf("end the second transaction: %v", err)
	}
	if got, want := consume(t, s.Addr, "orders", 1), []string{"committed"}; !slices.Equal(got, want) {
		t.Errorf("committed records: got %q, want %q", got, want)
	}
	got, err := kadm.NewClient(client(t, s.Addr)).FetchOffsets(within(t), "readers")
	if o, ok := got.Lookup("orders", 0); err != nil || !ok || o.At != 7 {
		t.Errorf("the group's offset after the kill: got %v, %v, want 7", got, err)
	}
}

// residentMemory returns the bytes of memory that the server's process holds.
func residentMemory(t *testing.T, s *Server) int {
	t.Helper()
	pid, ok := s.running()
	if !ok {
		t.Fatalf("%s %s does not run", s.Kind, s.Name)
	}
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		t.Fatalf("read %q: %v", statm, err)
	}
	return resident * os.Getpagesize()
}

func TestKafka_TwoServersAtOnceAreTwoClusters(t *testing.T) {
	var servers [2]*Server
	for i := range servers {
		servers[i] = Kafka(t)
	}
	createTopic(t, servers[0].Addr, "orders", 1)
	var ids []string
	for _, s := range servers {
		const most = 700 << 20
		if got := residentMemory(t, s); got == 0 || got > most {
			t.Errorf("memory of %s: got %d bytes, want at most %d", s.Addr, got, most)
		}
		meta, err := kadm.NewClient(client(t, s.Addr)).Metadata(within(t))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, meta.Cluster)
		if got, want := meta.Topics.Names(), []string{"orders"}; s == servers[0] && !slices.Equal(got, want) || s != servers[0] && len(got) != 0 {
			t.Errorf("topics of %s: got %q", s.Addr, got)
		}
	}
	if ids[0] == ids[1] {
		t.Errorf("both clusters have the id %s", ids[0])
	}
}

// fakeProgram puts a shell script on a PATH folder.
func fakeProgram(t *testing.T, path, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path, name), []byte("#!/usr/bin/env bash\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestKafkaTree_LeavesNothingWhenTheJarsCannotBeHad(t *testing.T) {
	path := onlyTools(t, "bash", "env", "basename", "dirname", "mkdir", "flock", "rm", "mktemp", "sed", "cat", "tail", "sleep")
	for _, name := range []string{"java", "openssl"} {
		fakeProgram(t, path, name, "exit 9")
	}
	for name, mvn := range map[string]string{
		"no network":             `libs=${!#}; mkdir "${libs#*=}"; echo 'no route to host'; exit 1`,
		"no jar of that version": `libs=${!#}; mkdir "${libs#*=}"`,
	} {
		fakeProgram(t, path, "mvn", mvn)
		r := ends(t, func(tb testing.TB) { script(tb, "kafka-tree") })
		if !r.failed || !strings.Contains(r.text, "missing: ") || !strings.Contains(r.text, "kafka-tree") {
			t.Errorf("%s: got failed %t and %q, want what is missing and the script to run again", name, r.failed, r.text)
		}
		left, err := filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "tailwater", "kafka-[0-9]*[0-9]*"))
		left = slices.DeleteFunc(left, func(f string) bool { return strings.HasSuffix(f, ".lock") })
		if err != nil || len(left) != 0 {
			t.Errorf("%s: the cache holds %q, %v, want nothing", name, left, err)
		}
	}
}

func TestKafkaTree_RefusesAnOldJavaByName(t *testing.T) {
	path := onlyTools(t, "bash", "env", "basename", "dirname", "mkdir", "mv", "flock", "rm", "mktemp", "sed", "cat", "tail",
		"sleep", "touch", "readlink", "stat", "cksum", "cut")
	fakeProgram(t, path, "java", `echo 'openjdk version "11.0.2" 2019-01-15' >&2`)
	fakeProgram(t, path, "openssl", "exit 9")
	fakeProgram(t, path, "mvn", `libs=${!#}; libs=${libs#*=}; mkdir "$libs"; touch "$libs/kafka_2.13-4.1.0.jar"`)
	r := ends(t, func(tb testing.TB) { script(tb, "kafka-tree") })
	if want := "missing: Java 17 or later ("; !r.failed || !strings.Contains(r.text, want) || !strings.Contains(r.text, "is 11)") {
		t.Errorf("got failed %t and %q, want %q and the version that is there", r.failed, r.text, want)
	}
}

func TestKafka_ShowsWhyAServerDoesNotStart(t *testing.T) {
	dir, err := os.MkdirTemp("", "tw-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := ends(t, func(tb testing.TB) { script(tb, "kafka-start", "--dir", dir, "--", "num.partitions=none") })
	if want := "Invalid value none for configuration num.partitions"; !r.failed || !strings.Contains(r.text, want) {
		t.Errorf("got failed %t and %q, want %q", r.failed, r.text, want)
	}
}
