package mutants

import (
	"encoding/json"
	"regexp"
	"strings"
)

// outcome is what one run of go test came to.
type outcome int

const (
	// passed: every chosen test passed, and there was at least one.
	passed outcome = iota
	// failed: a test failed by an assertion, and the process ended in order.
	failed
	// failedBefore: what failed is none of the chosen tests, but one that holds
	// them.
	failedBefore
	// panicked: the process ended by a panic of the product or of a test.
	panicked
	// timedOut: the time for the test ran out.
	timedOut
	// crashed: the process ended otherwise, without a word.
	crashed
	// notBuilt: the package or what it imports does not compile.
	notBuilt
	// noTest: the pattern chooses none.
	noTest
	// leftOut: a chosen test was skipped, and none failed.
	leftOut
)

// String returns the outcome as messages say it.
func (o outcome) String() string {
	return [...]string{"passed", "failed", "failed before the chosen test", "panicked", "timed out", "crashed", "does not build", "chooses no test", "was skipped"}[o]
}

// event is a line of go test -json (go doc cmd/test2json).
type event struct {
	Action      string
	Test        string
	Output      string
	FailedBuild string
}

// reading folds the events of one run of go test, of one package.
type reading struct {
	// chosen are the parts of the pattern that chose the tests.
	chosen                  []*regexp.Regexp
	passed, failed, skipped int
	broken, red             bool
	panicked, timedOut      bool
	inOrder                 bool
	// lines are the first line of each test that has its place in front, said
	// that of the first one that failed.
	lines map[string]string
	said  string
	// build is the compiler's first message, dying what a panic or the process
	// said last.
	build, dying string
}

// assertion is a line that testing puts its place in front of.
var assertion = regexp.MustCompile(`^\s+\S+\.go:\d+: `)

func (r *reading) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil || e.Action == "" {
		r.dying = strings.TrimSpace(string(line))
		return
	}
	switch e.Action {
	case "build-output":
		if r.build == "" && !strings.HasPrefix(e.Output, "#") {
			r.build = strings.TrimSpace(e.Output)
		}
	case "build-fail":
		r.broken = true
	case "output":
		// Only a process that ran all chosen tests says so.
		r.inOrder = r.inOrder || e.Test == "" && e.Output == "FAIL\n"
		r.output(e.Test, e.Output)
	case "pass", "fail", "skip":
		r.end(e)
	}
}

// output looks for what only the testing package and the runtime say at the
// beginning of a line: a test's own text is indented.
func (r *reading) output(test, text string) {
	switch {
	case strings.HasPrefix(text, "panic: test timed out after"):
		r.timedOut = true
	case strings.HasPrefix(text, "panic: "):
		r.panicked = true
	case strings.HasPrefix(text, "fatal error: "), strings.HasPrefix(text, "signal: "), strings.HasPrefix(text, "exit status "):
	case assertion.MatchString(text):
		if r.lines[test] == "" {
			r.lines[test] = strings.TrimSpace(text)
		}
		return
	default:
		return
	}
	if r.dying == "" {
		r.dying = strings.TrimSpace(text)
	}
}

func (r *reading) end(e event) {
	if r.said == "" && e.Action != "pass" {
		r.said = r.lines[e.Test]
	}
	switch {
	case e.Test == "":
		r.red = e.Action == "fail"
		r.broken = r.broken || e.FailedBuild != ""
	case !r.isChosen(e.Test):
	case e.Action == "pass":
		r.passed++
	case e.Action == "fail":
		r.failed++
	case e.Action == "skip":
		r.skipped++
	}
}

// newReading returns a reading of the tests that pattern chooses.
func newReading(pattern string) (*reading, error) {
	r := &reading{lines: map[string]string{}}
	for part := range strings.SplitSeq(pattern, "/") {
		re, err := regexp.Compile(part)
		if err != nil {
			return nil, err
		}
		r.chosen = append(r.chosen, re)
	}
	return r, nil
}

// isChosen reports whether a test is one that the whole pattern names. What
// fails before it, in a test that holds it, is not its verdict.
func (r *reading) isChosen(test string) bool {
	parts := strings.Split(test, "/")
	if len(parts) < len(r.chosen) {
		return false
	}
	for i, re := range r.chosen {
		if !re.MatchString(parts[i]) {
			return false
		}
	}
	return true
}

// outcome returns what the run came to, and what it said about it.
func (r *reading) outcome() (outcome, string) {
	switch {
	case r.broken:
		return notBuilt, r.build
	case r.timedOut:
		return timedOut, r.dying
	case r.failed > 0 && r.inOrder:
		return failed, r.said
	case r.panicked:
		return panicked, r.dying
	case r.failed > 0, r.red && !r.inOrder:
		return crashed, r.dying
	case r.red:
		return failedBefore, r.said
	case r.skipped > 0:
		return leftOut, r.said
	case r.passed == 0:
		return noTest, ""
	}
	return passed, ""
}
