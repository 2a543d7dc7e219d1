package budget

import (
	"bytes"
	"fmt"
	"go/format"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// forbidden are words that speak of something else than the project. They are
// written so that this file does not hold them.
var forbidden = []struct {
	what    string
	pattern *regexp.Regexp
}{
	{"a note to self: do it or leave it out", regexp.MustCompile(`\b(TO[D]O|FIX[M]E|XX[X]|HAC[K])\b`)},
	{"a promise instead of the present: say what holds", regexp.MustCompile(`(?i)\bfor no[w]\b|\bnot (yet )?implemente[d]\b|\bunimplemente[d]\b`)},
	{"the folder of one machine", regexp.MustCompile(`(^|[\s"'=(:` + "`" + `])/(wor[k]|roo[t]|far[m]|hom[e]/\w+)/`)},
	{"the host of a package registry: it is the user's choice", regexp.MustCompile(`(?i)\b(proxy\.golan[g]\.org|registry\.npmj[s]\.org|files\.pythonhoste[d]\.org|repo1\.mave[n]\.org|deb\.debia[n]\.org)\b`)},
	{"the number of a ticket: say what it is about", regexp.MustCompile(`(?i)\bissu[e] #?\d+\b`)},
}

func checkText(t *tree) []Finding {
	var out []Finding
	for _, f := range t.files {
		out = append(out, checkWords(f)...)
		if strings.HasSuffix(f.path, ".md") {
			out = append(out, checkLinks(t.root, f)...)
		}
		if f.isScript() || strings.HasSuffix(f.path, ".sh") {
			out = append(out, checkScript(t.root, f)...)
		}
		if f.ast != nil {
			if want, err := format.Source(f.src); err == nil && !bytes.Equal(want, f.src) {
				out = append(out, Finding{"gofmt", f.path, 0, "not formatted: run gofmt -w"})
			}
		}
	}
	return out
}

func checkWords(f *file) []Finding {
	// The licence is others' text, sums are hashes.
	if f.path == "LICENSE" || f.path == "go.sum" {
		return nil
	}
	var out []Finding
	n := 0
	for line := range bytes.Lines(f.src) {
		n++
		for _, w := range forbidden {
			if m := w.pattern.Find(line); m != nil {
				out = append(out, Finding{"words", f.path, n, fmt.Sprintf("%q is %s", bytes.TrimSpace(m), w.what)})
			}
		}
	}
	return out
}

var (
	linkPattern = regexp.MustCompile(`\]\(<?([^()<>\s]+)>?(?:\s+"[^"]*")?\)`)
	refPattern  = regexp.MustCompile(`^\[[^\]]+\]:\s+<?([^<>\s]+)>?`)
	codeSpan    = regexp.MustCompile("`[^`]*`")
)

// checkLinks wants every relative link of a Markdown file to lead to a file or
// folder of the repository, and every #anchor of a Markdown file to a heading.
func checkLinks(root string, f *file) []Finding {
	var out []Finding
	inFence := false
	n := 0
	for line := range strings.Lines(string(f.src)) {
		n++
		if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "```") || strings.HasPrefix(trimmed, "~~~") {
			inFence = !inFence
		}
		if inFence {
			continue
		}
		line = codeSpan.ReplaceAllString(line, "")
		for _, m := range append(linkPattern.FindAllStringSubmatch(line, -1), refPattern.FindAllStringSubmatch(line, -1)...) {
			if text := checkLink(root, f, m[1]); text != "" {
				out = append(out, Finding{"link", f.path, n, text})
			}
		}
	}
	return out
}

func checkLink(root string, f *file, link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return fmt.Sprintf("%s is no link: %v", link, err)
	}
	if u.Scheme != "" || u.Host != "" {
		return ""
	}
	target := f.path
	if u.Path != "" {
		target = path.Join(f.dir(), u.Path)
	}
	if target == ".." || strings.HasPrefix(target, "../") || strings.HasPrefix(u.Path, "/") {
		return link + " leads out of the repository"
	}
	name := filepath.Join(root, filepath.FromSlash(target))
	if _, err := os.Stat(name); err != nil {
		return link + " leads to nothing"
	}
	if u.Fragment == "" || !strings.HasSuffix(target, ".md") {
		return ""
	}
	text, err := os.ReadFile(name)
	if err != nil || !slices.Contains(anchors(string(text)), u.Fragment) {
		return link + " leads to a heading that is not there"
	}
	return ""
}

var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)

// anchors returns the names that a forge gives to the headings of a Markdown
// text: lower case, punctuation removed, spaces as hyphens.
func anchors(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if heading := strings.TrimLeft(line, "#"); heading != line && strings.HasPrefix(heading, " ") {
			name := notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			out = append(out, strings.ReplaceAll(name, " ", "-"))
		}
	}
	return out
}

func checkScript(root string, f *file) []Finding {
	if f.isScript() && f.mode&0o111 == 0 {
		return []Finding{{"script", f.path, 0, "not executable: chmod +x"}}
	}
	cmd := exec.Command("bash", "-n", filepath.Join(root, filepath.FromSlash(f.path)))
	if text, err := cmd.CombinedOutput(); err != nil {
		return []Finding{{"script", f.path, 0, fmt.Sprintf("bash -n: %v: %s", err, bytes.TrimSpace(text))}}
	}
	return nil
}
