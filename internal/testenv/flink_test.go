package testenv

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFlinkRead_ReadsEventsAndRefusesWhatIsNone(t *testing.T) {
	values := []byte(`{"database":"d","table":"t","type":"insert","ts":1,"data":{"id":1,"name":"é"}}` + "\n\n" +
		`{"database":"d","table":"t","type":"update","ts":1,"data":{"id":1,"name":null},"old":{"name":"é"}}` + "\n")
	got := FlinkRead(t, "maxwell", "id INT, name STRING", values)
	if want := []string{"+I 1|é", "-U 1|é", "+U 1|null"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	r := ends(t, func(tb testing.TB) { FlinkRead(tb, "debezium", "id INT", []byte(`{"_op":"h","_shard":"03"}`+"\n")) })
	if !r.failed || !strings.Contains(r.text, "Corrupt Debezium JSON message") {
		t.Errorf("of a flat heartbeat: got failed %t and %q, want Flink's error", r.failed, r.text)
	}
}

func TestFlinkRead_LeavesNothingWhenTheJarsCannotBeHad(t *testing.T) {
	path := onlyTools(t, "bash", "env", "basename", "dirname", "mkdir", "flock", "rm", "mktemp", "sed", "cat", "tail", "sleep", "cksum", "cut")
	fakeProgram(t, path, "java", "exit 9")
	fakeProgram(t, path, "mvn", `libs=${!#}; mkdir "${libs#*=}"; echo 'no route to host'; exit 1`)
	r := ends(t, func(tb testing.TB) { script(tb, "flink-read", "--get") })
	if !r.failed || !strings.Contains(r.text, "missing: ") || !strings.Contains(r.text, "flink-read --get") {
		t.Errorf("got failed %t and %q, want what is missing and the script to run again", r.failed, r.text)
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "tailwater", "flink-*"))
	left = slices.DeleteFunc(left, func(f string) bool { return strings.HasSuffix(f, ".lock") })
	if err != nil || len(left) != 0 {
		t.Errorf("the cache holds %q, %v, want nothing", left, err)
	}
}
