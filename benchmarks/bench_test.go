package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"tailwater/internal/testenv"
)

// TestMain lets the test binary run as an arm, as the program does.
func TestMain(m *testing.M) {
	if os.Getenv(selfVariable) != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// harness runs a command in -quick mode over fixtures that are recorded into a
// folder of the test's, and returns its JSON lines.
func harness(t *testing.T, args ...string) []map[string]any {
	t.Helper()
	var out, log bytes.Buffer
	if code := run(t.Context(), append(args, "-quick", "-o", "json"), nil, &out, &log); code != 0 {
		t.Fatalf("%v: exit code %d\n%s", args, code, log.String())
	}
	var lines []map[string]any
	for line := range strings.Lines(out.String()) {
		var members map[string]any
		if err := json.Unmarshal([]byte(line), &members); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		lines = append(lines, members)
	}
	return lines
}

// number returns a member that has to be a number and not below least.
func number(t *testing.T, line map[string]any, name string, least float64) float64 {
	t.Helper()
	v, ok := line[name].(float64)
	if !ok || math.IsNaN(v) || v < least {
		t.Errorf("%s is %v in %v, want a number not below %v", name, line[name], line, least)
	}
	return v
}

// checkLines checks the lines of a bench over one fixture: one for each arm,
// one for each rival, and one digest for all arms of a group.
func checkLines(t *testing.T, b *bench, fixture string, lines []map[string]any) {
	t.Helper()
	digests := make(map[any]any)
	var arms, rivals []string
	for _, l := range lines {
		if l["bench"] != b.name || l["fixture"] != fixture || l["quick"] != true {
			t.Errorf("line %v, want bench %s, fixture %s, quick", l, b.name, fixture)
		}
		if l["rival"] != nil {
			rivals = append(rivals, l["group"].(string)+"/"+l["rival"].(string))
			low, ratio, high := number(t, l, "low", 0), number(t, l, "ratio", 0), number(t, l, "high", 0)
			if low > ratio || ratio > high {
				t.Errorf("ratio %v outside its interval [%v, %v]", ratio, low, high)
			}
			number(t, l, "aa", 0)
			continue
		}
		arms = append(arms, l["group"].(string)+"/"+l["arm"].(string))
		for _, name := range []string{"rows", "rows_per_cpu_s", "peak_rss_mb"} {
			number(t, l, name, 1)
		}
		for _, name := range []string{"bytes", "cpu_s", "wall_s", "allocs_per_row"} {
			number(t, l, name, 0)
		}
		digest, group := l["output"], l["group"]
		if l["arm"] == "transport" {
			continue // it has no output
		}
		if want := digests[group]; want != nil && want != digest {
			t.Errorf("group %v: outputs %v and %v, want one", group, want, digest)
		}
		if text, _ := digest.(string); text == "" || strings.HasPrefix(text, "0/") {
			t.Errorf("group %v: output %v, want some", group, digest)
		}
		digests[group] = digest
	}
	var wantArms, wantRivals []string
	for _, g := range b.groups() {
		for i, a := range g.arms {
			wantArms = append(wantArms, g.name+"/"+a.name)
			if i > 0 {
				wantRivals = append(wantRivals, g.name+"/"+a.name)
			}
		}
	}
	if !slices.Equal(arms, wantArms) || !slices.Equal(rivals, wantRivals) {
		t.Errorf("arms %q and rivals %q, want %q and %q", arms, rivals, wantArms, wantRivals)
	}
}

func TestHarness_ArmsOfAGroupMakeTheSameOutput(t *testing.T) {
	cache := t.TempDir()
	lines := harness(t, "decode", "-cache", cache, "-fixture", "abcdefg")
	for _, fixture := range strings.Split("abcdefg", "") {
		checkLines(t, decodeBench, fixture, slices.DeleteFunc(slices.Clone(lines), func(l map[string]any) bool { return l["fixture"] != fixture }))
	}
	checkLines(t, pipelineBench, "a", harness(t, "pipeline", "-fixture", "a", "-cache", cache))
	for _, b := range []*bench{twelveBench, kafkaBench} {
		lines := harness(t, b.name, "-fixture", "ab", "-cache", cache)
		for _, fixture := range []string{"a", "b"} {
			checkLines(t, b, fixture, slices.DeleteFunc(slices.Clone(lines), func(l map[string]any) bool { return l["fixture"] != fixture }))
		}
	}
}

func TestHarness_DemoPrintsBestAndMedian(t *testing.T) {
	t.Setenv("TAILWATER_BIN", testenv.Tailwater(t))
	lines := harness(t, "demo")
	if len(lines) != 6 {
		t.Fatalf("%d lines, want 6", len(lines))
	}
	for _, l := range lines {
		if best, middle := number(t, l, "best", 0), number(t, l, "median", 0); best > middle {
			t.Errorf("%v: best %v above the median %v", l["figure"], best, middle)
		}
	}
}

func TestRun_RefusesWhatItDoesNotKnow(t *testing.T) {
	for _, args := range [][]string{nil, {"run"}, {"decode", "-fast"}, {"decode", "a"}, {"decode", "-o", "xml"}, {"decode", "-rounds", "0"}, {armCommand, "decode", "json/none"}} {
		if code := run(t.Context(), args, strings.NewReader(""), io.Discard, io.Discard); code != exitUsage {
			t.Errorf("%q: exit code %d, want %d", args, code, exitUsage)
		}
	}
	var log bytes.Buffer
	if code := run(t.Context(), []string{"decode", "-fixture", "z"}, nil, io.Discard, &log); code != exitFailed || !strings.Contains(log.String(), "abcdfge, and not z") {
		t.Errorf("unknown fixture: exit code %d, %q", code, log.String())
	}
	log.Reset()
	if code := run(t.Context(), []string{"pipeline", "-fixture", "ac"}, nil, io.Discard, &log); code != exitFailed || !strings.Contains(log.String(), "and not c") {
		t.Errorf("a fixture of another bench: exit code %d, %q", code, log.String())
	}
	log.Reset()
	if code := run(t.Context(), []string{"pipeline", "-group", "lakes"}, nil, io.Discard, &log); code != exitFailed || !strings.Contains(log.String(), "stream, windows, lake") {
		t.Errorf("an unknown group: exit code %d, %q", code, log.String())
	}
}

func TestList_NamesEveryArmAndFixture(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"list"}, nil, &out, io.Discard); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	for _, want := range []string{"fixture a:", "fixture b:", "fixture c:", "fixture d:", "fixture e:", "fixture f:", "fixture g:", "ceiling  transport", "go-mysql-canal", "go-mysql-kafka-parquet-go", "subject  twelve", "franz-go "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("list lacks %q:\n%s", want, out.String())
		}
	}
}

func TestServeArm_TellsAFailureAndGoesOn(t *testing.T) {
	in := strings.NewReader(`{"path":"/does/not/exist"}` + "\nnot JSON\n")
	var out bytes.Buffer
	if code := serveArm(t.Context(), "decode", "json/tailwater", in, &out, io.Discard); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "no such file") || !strings.Contains(lines[1], "error") {
		t.Errorf("got %q, want two lines with errors", lines)
	}
}

func TestLap_AnArmThatCountsOtherwiseFails(t *testing.T) {
	a := &arm{name: "short", run: func(_ context.Context, _ *job, t *tally) error { return t.event([]byte(`{}`)) }}
	if _, err := a.lap(t.Context(), &job{Rows: 2, Count: 2}); err == nil || !strings.Contains(err.Error(), "counts 1 in 1 passes, want 2") {
		t.Errorf("got %v", err)
	}
}

func TestCanonicalEvent_KnowsOneRowInTwoForms(t *testing.T) {
	ours := `{"_op":"c","_lsn":"00","_ts_us":5,"id":1,"amount":12.50,"note":null,"payload":"{\"b\": 1, \"a\": [1.5, \"x\"]}","seen":"2026-11-20T10:10:10.123Z"}`
	theirs := `{"seen":"2026-11-20 10:10:10.123","payload":"{\"a\":[1.5,\"x\"],\"b\":1}","note":null,"amount":"12.50","id":1,"_ts_us":5,"_op":"c","_shard":"00"}`
	a, err := canonicalEvent([]byte(ours))
	if err != nil {
		t.Fatal(err)
	}
	b, err := canonicalEvent([]byte(theirs))
	if err != nil {
		t.Fatal(err)
	}
	if a != b {
		t.Errorf("got\n%s\nand\n%s\nwant one", a, b)
	}
	for name, other := range map[string]string{
		"another value": strings.Replace(theirs, "12.50", "12.5", 1), "text for NULL": strings.Replace(theirs, "null", `"null"`, 1),
		"a missing member": strings.Replace(theirs, `"id":1,`, "", 1), "another document": strings.Replace(theirs, "1.5", "1.25", 1),
	} {
		if c, err := canonicalEvent([]byte(other)); err != nil || c == a {
			t.Errorf("%s: %v, and taken for the same", name, err)
		}
	}
}

func TestDigest_DoesNotDependOnTheOrder(t *testing.T) {
	digest := func(lines ...string) string {
		n := newTally(&job{Check: true})
		for _, l := range lines {
			n.line(l)
		}
		return n.digest()
	}
	if a, b := digest("x", "y", "z"), digest("z", "x", "y"); a != b {
		t.Errorf("%s and %s, want one", a, b)
	}
	if a, b := digest("x", "y"), digest("x", "x"); a == b {
		t.Errorf("a row twice for another one gives the same %s", a)
	}
}

func TestBootstrap_HoldsTheMedianInItsInterval(t *testing.T) {
	same := bootstrap(slices.Repeat([]float64{2}, 16))
	if same.median != 2 || same.low != 2 || same.high != 2 {
		t.Errorf("16 times 2 gives %+v", same)
	}
	values := []float64{1, 1.1, 0.9, 1.2, 0.8, 1.05, 0.95, 40}
	i := bootstrap(values)
	if i.low > i.median || i.median > i.high || i.median < 0.9 || i.median > 1.1 {
		t.Errorf("got %+v, want a median near 1 whatever the outlier", i)
	}
	if e := bootstrap(nil); !math.IsNaN(e.median) {
		t.Errorf("nothing gives %+v, want no number", e)
	}
}

func TestNoisyError_HasAnExitCodeOfItsOwn(t *testing.T) {
	err := errors.Join(io.EOF, &noisyError{"decode json, fixture a"})
	var noisy *noisyError
	if !errors.As(err, &noisy) || !strings.Contains(noisy.Error(), "machine too noisy") {
		t.Errorf("got %v", err)
	}
}
