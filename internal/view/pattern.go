package view

import (
	"fmt"
	"regexp"
	"strings"
)

// pattern is a compiled pattern of database or table names. The whole name
// must match.
type pattern struct {
	re *regexp.Regexp
	// names are the {x} of the pattern, in order; groups are their groups.
	names  []string
	groups []int
	// literals are the texts between them.
	literals []string
}

// patternError is a mistake in a pattern.
type patternError struct {
	offset    int
	msg, hint string
}

func (e *patternError) Error() string { return e.msg }

// defaultCapture is what {x} matches.
const defaultCapture = "[A-Za-z0-9]+"

// captureName is what may stand in {x}.
var captureName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// parsePattern reads text with {x} and {x:regex} in it. Everything else stands
// for itself.
func parsePattern(s string) (*pattern, error) {
	fail := func(at int, hint, format string, args ...any) (*pattern, error) {
		return nil, &patternError{offset: at, msg: fmt.Sprintf(format, args...), hint: hint}
	}
	if s == "" {
		return fail(-1, "", "the pattern is empty")
	}
	p := &pattern{}
	var re strings.Builder
	re.WriteString(`^(?s:`)
	for i := 0; i < len(s); {
		switch s[i] {
		case '{':
			end := closingBrace(s, i)
			if end < 0 {
				return fail(i, "", "the brace is not closed")
			}
			name, expr, has := strings.Cut(s[i+1:end], ":")
			if !has {
				expr = defaultCapture
			}
			if !captureName.MatchString(name) {
				return fail(i+1, "{part} or {part:[0-9]+}", "%q is no name of a capture", name)
			}
			if _, err := regexp.Compile(expr); err != nil {
				return fail(i+2+len(name), "", "the regular expression of {%s} cannot be compiled: %v", name, err)
			}
			for _, other := range p.names {
				if strings.EqualFold(other, name) {
					return fail(i+1, "", "{%s} stands twice in the pattern", name)
				}
			}
			fmt.Fprintf(&re, "(?P<tw%d>%s)", len(p.names), expr)
			p.names = append(p.names, name)
			i = end + 1
		case '}':
			return fail(i, "", "a brace closes that was not opened")
		default:
			j := i
			for j < len(s) && s[j] != '{' && s[j] != '}' {
				j++
			}
			re.WriteString(regexp.QuoteMeta(s[i:j]))
			p.literals = append(p.literals, s[i:j])
			i = j
		}
	}
	re.WriteString(`)$`)
	var err error
	if p.re, err = regexp.Compile(re.String()); err != nil {
		return fail(-1, "", "the pattern cannot be compiled: %v", err)
	}
	for i := range p.names {
		p.groups = append(p.groups, p.re.SubexpIndex(fmt.Sprintf("tw%d", i)))
	}
	return p, nil
}

// closingBrace returns where the brace that opens at i closes, or -1. Braces
// inside count, those behind a backslash do not.
func closingBrace(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// match adds the captures of name to into. It is false when the name does not
// match, or gives a capture another value than it has already.
func (p *pattern) match(name string, into map[string]string) bool {
	m := p.re.FindStringSubmatch(name)
	if m == nil {
		return false
	}
	for i, x := range p.names {
		v := m[p.groups[i]]
		if old, ok := into[x]; ok && old != v {
			return false
		}
		into[x] = v
	}
	return true
}
