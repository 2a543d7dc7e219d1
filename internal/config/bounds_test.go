package config

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// within fails when f takes longer than a loader of a small file may.
func within(t *testing.T, what string, f func() Findings) Findings {
	t.Helper()
	start := time.Now()
	findings := f()
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("%s took %v", what, took)
	}
	if findings.Errors() > maxFindings || findings.Warnings() > maxFindings {
		t.Errorf("%s gives %d errors and %d warnings, more than %d", what, findings.Errors(), findings.Warnings(), maxFindings)
	}
	return findings
}

func lintString(text string) Findings { return LintBytes("t.yaml", []byte(text)) }

// only checks that there is one finding of a code.
func only(t *testing.T, findings Findings, code string) {
	t.Helper()
	if len(findings) != 1 || findings[0].Code != code {
		t.Errorf("want one finding %s, got\n%s", code, findings)
	}
}

func TestParse_RefusesMoreThanOneMebibyte(t *testing.T) {
	text := "version: 1\n# " + strings.Repeat("x", maxFile)
	only(t, within(t, "a large file", func() Findings { return lintString(text) }), "too-large")
}

func TestParse_CountsWhatAliasesExpandTo(t *testing.T) {
	var b strings.Builder
	b.WriteString(string(withUser("tw")))
	b.WriteString("lake:\n  url: file:///l\n  layouts:\n    orders: &many\n")
	for range 1000 {
		b.WriteString("      - { by: [dt] }\n")
	}
	for i := range 1000 {
		fmt.Fprintf(&b, "    v%d: *many\n", i)
	}
	findings := within(t, "a file of a million layouts", func() Findings { return lintString(b.String()) })
	if !strings.Contains(findings.String(), "[too-large]") {
		t.Errorf("got\n%.2000s", findings)
	}
}

func TestParse_StopsAtAnAliasOfItself(t *testing.T) {
	text := string(withUser("tw")) + "windows: &w { metrics: { a: *w }, store: *w, defaults: *w }\n"
	findings := within(t, "an alias of itself", func() Findings { return lintString(text) })
	if findings.Errors() == 0 {
		t.Error("an alias of itself was taken")
	}
	text = "version: 1\npassword: &a [*a, *a, {x: *a}]\n"
	within(t, "a secret that holds itself", func() Findings { return lintString(text) })
}

func TestParse_HidesNestedAliasesOnce(t *testing.T) {
	var b strings.Builder
	b.WriteString("k0: &k0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 60 {
		fmt.Fprintf(&b, "k%d: &k%d [%s]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*k%d, ", i), 10))
	}
	b.WriteString("password: *k60\n")
	within(t, "a secret of 10^60 values", func() Findings { return lintString(b.String()) })
}

func TestParse_RefusesDeepNesting(t *testing.T) {
	for _, text := range []string{
		"views: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"views: { v: { select: " + strings.Repeat("{ a: ", 5000) + strings.Repeat("}", 5000) + " } }",
		strings.Repeat("- ", 5000) + "x",
		"password: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
	} {
		if findings := within(t, "deep nesting", func() Findings { return lintString(text) }); findings.Errors() == 0 {
			t.Errorf("taken: %.40s", text)
		}
	}
}

func TestParse_BoundsFindings(t *testing.T) {
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, "unknown_key_number_%d: 1\n", i)
	}
	b.WriteString("views: { v: ~, w: [], x: { from: ~ } }\ntables: { t: 1 }\nsources: { s: }\nwindows: { metrics: { m: } }\n")
	if got := within(t, "many unknown keys", func() Findings { return lintString(b.String()) }); len(got) != maxFindings {
		t.Errorf("got %d findings, want the first %d", len(got), maxFindings)
	}
}

func TestParse_WarningsNeverHideAnError(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\nname: shop\nstate: { dir: /s }\nsources:\n  orders:\n    server_id: 1-5000\n    shards:\n      list:\n")
	for i := range 2 * maxFindings {
		fmt.Fprintf(&b, "        - { name: s%d, dsn: \"tw:pw@tcp(h%d)/?tls=false\" }\n", i, i)
	}
	b.WriteString("tables: { t: { from: { source: orders, schema: s, table: t }, key: [id] } }\nviews: { v: { from: nowhere } }\n")
	c, findings := Parse("t.yaml", []byte(b.String()), nil)
	if c != nil || findings.Errors() != 1 || findings.Warnings() != maxFindings {
		t.Errorf("got a Config %t, %d errors, %d warnings", c != nil, findings.Errors(), findings.Warnings())
	}
}

func TestParse_NamesTheEncoding(t *testing.T) {
	for _, text := range []string{"\xFE\xFFv", "\xFF\xFEv", "version: 1\nname: sh\xF6p\n", "version: 1\nname: \xED\xA0\x80\n"} {
		only(t, lintString(text), "not-utf8")
	}
	findings := lintString("version: 1\nname: sh\xF6p\n")
	if findings[0].Line != 2 || findings[0].Column != 9 {
		t.Errorf("got %s, want line 2, column 9", findings[0].Position())
	}
	if got := lintString("version: 1\nname: a\x00b\n"); got.Errors() != 1 {
		t.Errorf("a NUL gives\n%s", got)
	}
}

func TestParse_ByteOrderMarkAndCRLFChangeNoPosition(t *testing.T) {
	plain := []byte("version: 1\nnmae: shop\n")
	want := LintBytes("t.yaml", plain).String()
	for _, got := range []Findings{
		LintBytes("t.yaml", append([]byte("\xEF\xBB\xBF"), plain...)),
		LintBytes("t.yaml", bytes.ReplaceAll(plain, []byte("\n"), []byte("\r\n"))),
	} {
		if got.String() != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestLoad_NamesAFileThatCannotBeRead(t *testing.T) {
	for _, path := range []string{"testdata", "testdata/no-such-file.yaml"} {
		c, findings := Load(path, nil)
		only(t, findings, "unreadable-file")
		only(t, Lint(path), "unreadable-file")
		if c != nil || findings[0].File != path || findings[0].Line != 0 {
			t.Errorf("%s: got %v and\n%s", path, c, findings)
		}
	}
}
