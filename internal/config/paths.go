package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// maxWalked bounds the files that one directory may give.
const maxWalked = 10_000

// Linted is what LintPaths looked at.
type Linted struct {
	// Documents names every file, and file:line for every block of a Markdown
	// file, in order.
	Documents []string
	Findings  Findings
}

// LintPaths checks files and whole directories. In a directory it takes the
// YAML files that look like a configuration, and the Markdown files; in a
// Markdown file it takes the fenced yaml blocks that begin with version:. Names
// that begin with a dot, testdata, vendor and node_modules are left out.
func LintPaths(paths []string) Linted {
	var out Linted
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			out.file(path)
			continue
		}
		before := len(out.Documents)
		out.directory(path)
		if len(out.Documents) == before {
			out.Findings = append(out.Findings, Finding{Severity: Error, Code: "nothing-to-lint", File: path,
				Message: "no configuration is in this directory", Suggestion: nothingHint})
		}
	}
	if len(out.Documents) == 0 && len(out.Findings) == 0 {
		out.Findings = Findings{{Severity: Error, Code: "nothing-to-lint", File: strings.Join(paths, " "),
			Message: "no configuration is in what was named", Suggestion: nothingHint}}
	}
	return out
}

// nothingHint says what LintPaths takes for a configuration.
const nothingHint = "a configuration is a YAML file, or a fenced yaml block in Markdown, that begins with version:"

func isMarkdown(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".md" || ext == ".markdown"
}

// file checks a file that was named.
func (o *Linted) file(path string) {
	data, finding := readFile(path)
	switch {
	case finding != nil:
		o.Documents = append(o.Documents, path)
		o.Findings = append(o.Findings, *finding)
	case isMarkdown(path):
		o.markdown(path, string(data))
	default:
		o.yaml(path, data)
	}
}

func (o *Linted) yaml(path string, data []byte) {
	o.Documents = append(o.Documents, path)
	o.Findings = append(o.Findings, LintBytes(path, data)...)
}

func (o *Linted) fail(path, message string) {
	o.Findings = append(o.Findings, Finding{Severity: Error, Code: "unreadable-file", File: path, Message: message})
}

// directory checks what a directory and those in it hold.
func (o *Linted) directory(root string) {
	walked := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			o.fail(path, "read: "+reason(err))
			return nil
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "vendor" || name == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if walked++; walked > maxWalked {
			o.fail(root, fmt.Sprintf("the directory has more than %d files: name the ones to check", maxWalked))
			return fs.SkipAll
		}
		if d.Type().IsRegular() && !strings.HasPrefix(name, ".") {
			o.found(path)
		}
		return nil
	})
	if err != nil {
		o.fail(root, "read: "+reason(err))
	}
}

// found checks a file of a directory if it looks like a configuration.
func (o *Linted) found(path string) {
	ext := strings.ToLower(filepath.Ext(path))
	if ext != ".yaml" && ext != ".yml" && !isMarkdown(path) {
		return
	}
	data, finding := readFile(path)
	switch {
	case finding != nil:
		o.fail(path, finding.Message)
	case isMarkdown(path):
		o.markdown(path, string(data))
	case beginsWithVersion(string(data)):
		o.yaml(path, data)
	}
}

// beginsWithVersion reports whether the first key of a text is version.
func beginsWithVersion(text string) bool {
	for line := range strings.Lines(strings.TrimPrefix(text, "\uFEFF")) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" || line == "---" || strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		return strings.HasPrefix(line, "version:")
	}
	return false
}

var fence = regexp.MustCompile("^( *)(```+|~~~+) *([A-Za-z]*)")

// markdown checks the fenced yaml blocks that begin with version:. Findings
// carry the lines and columns of the Markdown file.
func (o *Linted) markdown(path, text string) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		open := fence.FindStringSubmatch(lines[i])
		if open == nil {
			continue
		}
		indent, first := len(open[1]), i+1
		var block strings.Builder
		for i++; i < len(lines) && !closes(lines[i], open[2]); i++ {
			block.WriteString(dedent(lines[i], indent) + "\n")
		}
		language := strings.ToLower(open[3])
		if (language != "yaml" && language != "yml") || !beginsWithVersion(block.String()) {
			continue
		}
		o.Documents = append(o.Documents, fmt.Sprintf("%s:%d", path, first+1))
		for _, f := range LintBytes(path, []byte(strings.Repeat("\n", first)+block.String())) {
			if f.Line > 0 {
				f.Column += indent
			}
			o.Findings = append(o.Findings, f)
		}
	}
}

// closes reports whether a line ends a block that mark began.
func closes(line, mark string) bool {
	line = strings.TrimSpace(line)
	return len(line) >= len(mark) && strings.Trim(line, mark[:1]) == ""
}

// dedent removes up to n spaces from the front of a line.
func dedent(line string, n int) string {
	for n > 0 && strings.HasPrefix(line, " ") {
		line, n = line[1:], n-1
	}
	return line
}
