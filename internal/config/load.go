package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds the bytes of a configuration file.
const maxFile = 1 << 20

// Lookup returns the value of an environment variable, and whether it is set:
// os.LookupEnv in a process.
type Lookup func(name string) (string, bool)

// Load reads a file for a pipeline that is to run: variables are looked up and
// files of secrets read. The Config is nil when any finding is an error.
func Load(path string, env Lookup) (*Config, Findings) {
	data, finding := readFile(path)
	if finding != nil {
		return nil, Findings{*finding}
	}
	return Parse(path, data, env)
}

// Parse is Load of bytes that stand in no file; file is the name for findings,
// and its directory is where relative paths start. A nil env has no variables.
func Parse(file string, data []byte, env Lookup) (*Config, Findings) {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	return parse(file, data, &loader{env: env})
}

// Lint checks a file without a machine: no variable is looked up, no secret
// read, nothing connected to.
func Lint(path string) Findings {
	data, finding := readFile(path)
	if finding != nil {
		return Findings{*finding}
	}
	return LintBytes(path, data)
}

// LintBytes is Lint of bytes that stand in no file.
func LintBytes(file string, data []byte) Findings {
	_, findings := parse(file, data, &loader{lint: true})
	return findings
}

func readFile(path string) ([]byte, *Finding) {
	fail := func(message, suggestion string) ([]byte, *Finding) {
		return nil, &Finding{Severity: Error, Code: "unreadable-file", Message: message, File: path, Suggestion: suggestion}
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fail("this is a directory, not a file", "name the file in it")
	}
	data, err := readBounded(path, maxFile)
	if err != nil {
		return fail("read file: "+reason(err), "")
	}
	return data, nil
}

// parse is every step from bytes to a Config.
func parse(file string, data []byte, l *loader) (*Config, Findings) {
	text := strings.TrimPrefix(string(data), "\uFEFF")
	l.doc, l.later = newDocument(file, text), map[string]bool{}
	c := &Config{doc: l.doc}
	if root := l.tree(data, text); root != nil {
		l.doc.hideSecrets(root, 0)
		l.value("", &field{}, root, reflect.ValueOf(c).Elem())
		if !l.spent && root.Kind == yaml.MappingNode {
			l.check(c)
		}
	}
	findings := l.findings.sort()
	if findings.Errors() > 0 {
		return nil, findings
	}
	return c, findings
}

// tree returns the root value of the file's one YAML document.
func (l *loader) tree(data []byte, text string) *yaml.Node {
	switch {
	case len(data) > maxFile:
		l.report(place{"", 0, 0}, "too-large", "the file has more than %d bytes", maxFile)
		return nil
	case bytes.HasPrefix(data, []byte("\xFE\xFF")), bytes.HasPrefix(data, []byte("\xFF\xFE")):
		l.report(place{"", 0, 0}, "not-utf8", "the file is UTF-16: save it as UTF-8")
		return nil
	case !utf8.ValidString(text):
		l.invalidUTF8()
		return nil
	case strings.Contains(text, hole):
		l.report(place{"", 1, 1}, "not-utf8", "the file holds the private character U+E000: remove it")
		return nil
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		l.report(place{"", 1, 1}, "empty-file", "the file is empty").Suggestion = "begin with version: 1"
		return nil
	} else if err != nil {
		l.syntax(err)
		return nil
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		l.doc.hideSecrets(&document, 0)
		l.report(place{"", second.Line, second.Column}, "several-documents", "a second document begins here: a pipeline is one document")
	} else if !errors.Is(err, io.EOF) {
		l.syntax(err)
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		l.report(place{"", 1, 1}, "empty-file", "the file is empty").Suggestion = "begin with version: 1"
		return nil
	}
	return root
}

func (l *loader) invalidUTF8() {
	for i := range l.doc.lines {
		text := l.doc.lines[i]
		if utf8.ValidString(text) {
			continue
		}
		column := 1
		for len(text) > 0 {
			r, size := utf8.DecodeRuneInString(text)
			if r == utf8.RuneError && size == 1 {
				break
			}
			text, column = text[size:], column+1
		}
		l.report(place{"", i + 1, column}, "not-utf8", "this is not UTF-8")
		return
	}
}

var (
	yamlLine      = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)$`)
	unknownAnchor = regexp.MustCompile(`unknown anchor '.*' referenced`)
	leadingTab    = regexp.MustCompile(`^ *\t`)
)

// syntax reports what the YAML parser stopped at. It names a line at best, and
// knows nothing of what stands behind.
func (l *loader) syntax(err error) {
	parts := yamlLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	line, _ := strconv.Atoi(parts[1])
	if line == 0 {
		line = 1
	}
	line = min(line, len(l.doc.lines))
	message := parts[2]
	if strings.Contains(message, "cannot start any token") && l.tabs() {
		return
	}
	text := l.doc.line(line)
	column := len([]rune(text)) - len([]rune(strings.TrimLeft(text, " \t"))) + 1
	f := l.report(place{"", line, column}, "yaml-syntax", "this is not YAML: %s", unknownAnchor.ReplaceAllString(message, "unknown anchor referenced"))
	switch {
	case strings.Contains(message, "anchor"):
		f.Suggestion = "text that begins with * or & needs quotes"
	case strings.Contains(message, "mapping values are not allowed"):
		f.Suggestion = "text with a colon and a space inside needs quotes; keys of one section begin in one column"
	case strings.Contains(message, "end of stream"), strings.Contains(message, "did not find expected"), strings.Contains(message, "could not find expected"):
		f.Suggestion = "look for a missing quote, bracket or colon at or above this line"
	}
}

// tabs reports every line indented by tabs, which YAML forbids.
func (l *loader) tabs() bool {
	found := false
	for i, text := range l.doc.lines {
		if at := leadingTab.FindString(text); at != "" && strings.TrimSpace(text) != "" {
			l.report(place{"", i + 1, len(at)}, "tab", "a tab indents this line, and YAML takes spaces only").Suggestion = fmt.Sprintf("write %d spaces", 2*len(at))
			found = true
		}
	}
	return found
}
