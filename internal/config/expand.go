package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// hole stands for what lint cannot know, inside a text of which it knows the
// rest. It is of the private use area, and refused in files.
const hole = "\uE000"

// maxSecretFile bounds a file that ${file:…} names.
const maxSecretFile = 64 << 10

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// text returns a scalar's value with its references replaced. known is false
// when it cannot be told: after a mistake, and in lint wherever only a machine
// knows, which leaves a hole. Only values are looked at, after parsing, so no variable can change
// the structure of the file.
func (l *loader) text(at string, n *yaml.Node) (text string, known bool) {
	raw := n.Value
	if !strings.ContainsRune(raw, '$') {
		return raw, true
	}
	var b strings.Builder
	known = true
	for i := 0; i < len(raw); {
		if raw[i] != '$' || i+1 == len(raw) || raw[i+1] != '$' && raw[i+1] != '{' {
			b.WriteByte(raw[i])
			i++
			continue
		}
		if raw[i+1] == '$' {
			b.WriteByte('$')
			i += 2
			continue
		}
		end := strings.IndexByte(raw[i:], '}')
		if end < 0 {
			l.within(at, n, i, badText("bad-reference", "${ has no end: write ${NAME}, or $${ for the characters themselves"))
			return "", false
		}
		value, ok, err := l.reference(raw[i+2 : i+end])
		if err != nil {
			l.within(at, n, i, err)
		}
		known = known && ok && err == nil
		b.WriteString(value)
		i += end + 1
	}
	return b.String(), known
}

// reference returns what stands for the inside of ${…}.
func (l *loader) reference(inside string) (value string, known bool, err error) {
	if strings.Contains(inside, "${") {
		return "", false, badText("bad-reference", "references do not nest: the text behind :- is taken as it is")
	}
	if path, isFile := strings.CutPrefix(inside, "file:"); isFile {
		return l.secretFile(path)
	}
	name, def, hasDefault := strings.Cut(inside, ":-")
	var message string
	hasMessage := false
	if !hasDefault {
		name, message, hasMessage = strings.Cut(inside, ":?")
	}
	if !variable.MatchString(name) {
		return "", false, badText("bad-reference", "this is no reference: write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${file:/path}, or $$ for a dollar sign")
	}
	if l.lint && !hasDefault {
		return hole, false, nil
	}
	if l.lint {
		return def, true, nil
	}
	value, set := l.env(name)
	switch {
	case hasDefault && value == "":
		return def, true, nil
	case hasMessage && value == "":
		return "", false, badText("unset-variable", "variable %s is not set: %s", name, message)
	case !set:
		return "", false, badText("unset-variable", "variable %s is not set: set it, or give a default as in ${%s:-value}", name, name)
	case !utf8.ValidString(value):
		return "", false, badText("bad-reference", "variable %s is not UTF-8", name)
	}
	return value, true, nil
}

// secretFile returns the text of a file without the line break at its end. In
// lint it only looks at who may read the file, if it is there.
func (l *loader) secretFile(path string) (value string, known bool, err error) {
	if path == "" {
		return "", false, badText("bad-reference", "${file:} names no file: write ${file:/run/secrets/name}")
	}
	full := l.doc.abs(path)
	if l.lint {
		return hole, false, nil
	}
	b, err := readBounded(full, maxSecretFile)
	switch {
	case err != nil:
		return "", false, badText("unreadable-file", "read %s: %s", full, reason(err))
	case len(b) > maxSecretFile:
		return "", false, badText("unreadable-file", "%s has more than %d bytes, too many for a value", full, maxSecretFile)
	case !utf8.Valid(b):
		return "", false, badText("unreadable-file", "%s is not UTF-8 text", full)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if text == "" {
		return "", false, badText("unreadable-file", "%s is empty", full)
	}
	return text, true, nil
}

// abs makes a path of the file absolute, from the file's directory.
func (d *document) abs(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.dir, path)
	}
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

// reason is what went wrong with a file, without its name.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

var fileReference = regexp.MustCompile(`\$\{file:([^}]+)\}`)

// fileOrVariable finds every reference.
var fileOrVariable = regexp.MustCompile(`\$\{[^}]*\}`)

// warnReadable warns of files of secrets that everybody may read.
func (l *loader) warnReadable(at string, n *yaml.Node) {
	for _, m := range fileReference.FindAllStringSubmatchIndex(n.Value, -1) {
		path := n.Value[m[2]:m[3]]
		l.warnMode(at, n, m[0], l.doc.abs(path))
	}
}

func (l *loader) warnMode(at string, n *yaml.Node, offset int, path string) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o004 == 0 {
		return
	}
	f := l.warning(l.within(at, n, offset, badText("readable-secret", "every user of this machine can read %s", path)))
	f.Suggestion = fmt.Sprintf("chmod %04o %s", info.Mode().Perm()&^0o007, path)
}
