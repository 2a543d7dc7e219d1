package config

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of the walk: a file of a few lines can name billions of nodes through
// its aliases, or itself.
const (
	maxVisited  = 200_000
	maxDepth    = 64
	maxFindings = 500
)

// loader walks the node tree of one file. It goes on after every mistake.
type loader struct {
	doc      *document
	env      Lookup
	lint     bool
	findings Findings
	warnings int
	visited  int
	depth    int
	spent    bool
	// later are the sections with a key that is not supported yet.
	later map[string]bool
}

// place is a path and where it stands.
type place struct {
	at           string
	line, column int
}

// report adds an error at a place. Of very many only the first are kept;
// warnings have a bound of their own, so that they never hide an error.
func (l *loader) report(p place, code, format string, args ...any) *Finding {
	if l.full() {
		return &Finding{}
	}
	excerpt, caret := l.doc.excerpt(p.line, p.column)
	l.findings = append(l.findings, Finding{
		Severity: Error, Code: code, Message: scrub(fmt.Sprintf(format, args...)), Path: scrub(p.at),
		File: l.doc.file, Line: p.line, Column: p.column, Excerpt: excerpt, caret: caret,
	})
	return &l.findings[len(l.findings)-1]
}

// full reports whether no more errors are kept.
func (l *loader) full() bool { return len(l.findings)-l.warnings >= maxFindings }

// warning turns the error that report has just added into a warning.
func (l *loader) warning(f *Finding) *Finding {
	f.Severity = Warning
	if n := len(l.findings); n == 0 || f != &l.findings[n-1] {
		return f
	}
	if l.warnings >= maxFindings {
		l.findings = l.findings[:len(l.findings)-1]
		return &Finding{}
	}
	l.warnings++
	return f
}

// account matches the password of an account, which is a secret wherever it
// stands, even in a key.
var account = regexp.MustCompile(`:[^:@/\s]+@`)

// scrub removes passwords from the text of a finding.
func scrub(s string) string {
	if !strings.Contains(s, "@") {
		return s
	}
	return account.ReplaceAllString(s, ":"+redacted+"@")
}

// on adds an error at a node.
func (l *loader) on(at string, n *yaml.Node, code, format string, args ...any) *Finding {
	return l.report(place{at, n.Line, n.Column}, code, format, args...)
}

// at adds an error at the value of a path, at the key of a whole section, or at
// what is nearest.
func (l *loader) at(at string, code, format string, args ...any) *Finding {
	if m, ok := l.doc.marks[at]; ok && (m.key == nil || m.value.Kind == yaml.ScalarNode) {
		return l.on(at, m.value, code, format, args...)
	}
	line, column := l.doc.near(at)
	return l.report(place{at, line, column}, code, format, args...)
}

// warn is at for warnings.
func (l *loader) warn(at string, code, format string, args ...any) *Finding {
	return l.warning(l.at(at, code, format, args...))
}

// within adds an error at an offset of a scalar's text.
func (l *loader) within(at string, n *yaml.Node, offset int, err error) *Finding {
	e := asTextError(err)
	line, column := l.doc.locate(n, offset)
	f := l.report(place{at, line, column}, e.code, "%s", e.msg)
	f.Suggestion = e.hint
	if e.fix != "" {
		f.Fix, f.Suggestion = e.fix, fmt.Sprintf("did you mean `%s`?", e.fix)
	}
	return f
}

// enter counts a visit and follows an alias. It returns nil where the walk
// must not go on; leave undoes it otherwise.
func (l *loader) enter(at string, n *yaml.Node) *yaml.Node {
	if l.spent {
		return nil
	}
	l.visited++
	l.depth++
	if l.visited > maxVisited || l.depth > maxDepth {
		l.spent = true
		l.on(at, n, "too-large", "aliases or nesting make this file larger than %d values or deeper than %d levels", maxVisited, maxDepth)
		return nil
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Style&yaml.TaggedStyle != 0 {
		l.on(at, n, "yaml-tag", "tags such as %s are not supported: remove it", n.Tag)
		l.depth--
		return nil
	}
	return n
}

func (l *loader) leave() { l.depth-- }
