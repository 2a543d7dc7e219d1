package budget

import (
	"strings"
	"testing"
)

// broken joins the halves of a word that must not stand here in one piece.
func broken(halves ...string) string { return strings.Join(halves, "") }

func TestCheck_TestsThatProveNothing(t *testing.T) {
	source := func(body string) map[string]string {
		return map[string]string{"change/a_test.go": "package change\n\nimport (\n\t\"testing\"\n\t\"testing/synctest\"\n\t\"time\"\n)\n\n" +
			"var _ = synctest.Wait\n\nvar _ = time.Second\n\n" + body + "\n"}
	}
	runBreaches(t, []breach{
		{"a verdict", source("func TestX(t *testing.T) { t.Error(1) }"), ""},
		{"a verdict of a helper", source("func TestX(t *testing.T) { check(t) }"), ""},
		{"no verdict", source("func TestX(t *testing.T) { t.Log(1) }"),
			"change/a_test.go:13: TestX cannot fail: say what it got and what it wants (verdict)"},
		{"a sleep in real time", source("func TestX(t *testing.T) {\n\ttime.Sleep(1)\n\tt.Error(1)\n}"),
			"change/a_test.go:14: TestX sleeps in real time: wait on a channel, poll with a limit, or use testing/synctest (sleep)"},
		{"a sleep in virtual time", source("func TestX(t *testing.T) {\n\tsynctest.Test(t, func(t *testing.T) { time.Sleep(1) })\n}"), ""},
		{"a helper beside virtual time", source("func help() { time.Sleep(1) }"), ""},
		{"a helper in real time", map[string]string{"change/a_test.go": "package change\n\nimport \"time\"\n\nfunc help() { time.Sleep(1) }\n"},
			"change/a_test.go:5: help sleeps in real time: wait on a channel, poll with a limit, or use testing/synctest (sleep)"},
		{"a skip", source("func TestX(t *testing.T) {\n\tt.Skip()\n\tt.Error(1)\n}"),
			"change/a_test.go:14: TestX may be left out: what it needs comes from package testenv, which fails or says so (skip)"},
		{"a short run", source("func TestX(t *testing.T) {\n\tif testing.Short() {\n\t\treturn\n\t}\n\tt.Error(1)\n}"),
			"change/a_test.go:14: TestX may be left out: what it needs comes from package testenv, which fails or says so (skip)"},
		{"a fuzz target that refuses an input", source("func FuzzX(f *testing.F) {\n\tf.Fuzz(func(t *testing.T, b []byte) { t.Skip() })\n}"), ""},
	})
}

func TestCheck_WordsThatDoNotBelong(t *testing.T) {
	note, ticket, machine := broken("TO", "DO"), broken("iss", "ue 7"), broken("/wo", "rk/main")
	host, later := broken("proxy.go", "lang.org"), broken("for n", "ow")
	runBreaches(t, []breach{
		{"in a comment", map[string]string{"change/a.go": goSource("change", "// "+note+": more.")},
			"change/a.go:4: \"" + note + "\" is a note to self: do it or leave it out (words)"},
		{"in a document", map[string]string{"a.md": "# A\n\nSee " + ticket + ".\n\nIt stays " + later + ".\n"},
			"a.md:3: \"" + ticket + "\" is the number of a ticket: say what it is about (words)\n" +
				"a.md:5: \"" + later + "\" is a promise instead of the present: say what holds (words)"},
		{"in a script", map[string]string{"deploy/a": "#!/usr/bin/env bash\ncd " + machine + "\ncurl " + host + "\n"},
			"deploy/a:2: \"" + broken("/wo", "rk/") + "\" is the folder of one machine (words)\n" +
				"deploy/a:3: \"" + host + "\" is the host of a package registry: it is the user's choice (words)"},
		{"words that only look alike", map[string]string{"a.md": "The tissue 7 of method networks/work/x, mastodons. Therefore nowhere.\n"}, ""},
		{"in test data", map[string]string{"change/testdata/a.txt": note + "\n"}, ""},
	})
}

func TestCheck_Links(t *testing.T) {
	runBreaches(t, []breach{
		{"to files, folders, headings and other sites", map[string]string{
			"README.md":   "# Top\n\n[a](docs/a.md) [b](docs) [c](docs/a.md#the-second-part) [d](#top) [e](https://example.org/x) [f](mailto:a@example.org)\n\n[g]: docs/a.md\n",
			"docs/a.md":   "# A\n\n## The second part!\n\n[up](../README.md)\n",
			"docs/b.yaml": "[x](y)\n",
		}, ""},
		{"to nothing", map[string]string{"README.md": "# Top\n\n[a](docs/a.md) and\n[b][c]\n\n[c]: no.md\n"},
			"README.md:3: docs/a.md leads to nothing (link)\nREADME.md:6: no.md leads to nothing (link)"},
		{"to a heading that is not there", map[string]string{"README.md": "# Top\n\n[a](#bottom)\n"},
			"README.md:3: #bottom leads to a heading that is not there (link)"},
		{"out of the repository", map[string]string{"README.md": "[a](../x.md) [b](/etc/passwd)\n"},
			"README.md:1: ../x.md leads out of the repository (link)\nREADME.md:1: /etc/passwd leads out of the repository (link)"},
		{"in code", map[string]string{"README.md": "`[a](no.md)`\n\n```\n[b](no.md)\n```\n"}, ""},
	})
}

func TestCheck_ScriptsAndFormatting(t *testing.T) {
	got := checkBut(t, map[string]string{
		"deploy/good":    "#!/usr/bin/env bash\necho \"$1\"\n",
		"deploy/bad":     "#!/usr/bin/env bash\nif true; then\n",
		"deploy/lib.sh":  "x() {\n",
		"deploy/plain":   "#!/usr/bin/env bash\ntrue\n",
		"change/a.go":    "// Package change is documented.\npackage change\n\nvar  x = 1\n",
		"change/good.go": "package change\n",
	}, "test code")
	for _, want := range []string{
		"change/a.go: not formatted: run gofmt -w (gofmt)",
		"deploy/bad: bash -n: ",
		"deploy/lib.sh: bash -n: ",
		"deploy/plain: not executable: chmod +x (script)",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got:\n%s\nwant a line with %q", got, want)
		}
	}
	if strings.Contains(got, "good") {
		t.Errorf("got:\n%s\nwant nothing about the good ones", got)
	}
}

func TestCheck_RepositoryThatCannotBeReadIsAnError(t *testing.T) {
	if got, err := Check("testdata/no-such-folder"); err == nil {
		t.Errorf("got %v, want an error", got)
	}
}
