package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is the text of a file and where each key stands in it.
type document struct {
	// file is the name that findings show, dir where relative paths start.
	file, dir string
	lines     []string
	// marks tells where each path stands.
	marks map[string]mark
	// unknown holds the paths whose values lint cannot know.
	unknown map[string]bool
	// hidden are the parts of lines that hold secrets, by line.
	hidden map[int][]span
	// done are the nodes that hideAll has seen: aliases may lead to one often.
	done map[*yaml.Node]bool
	// parsed is false when there is no tree to find secrets by.
	parsed bool
}

// mark is where a key and its value stand. Key is nil for list elements.
type mark struct{ key, value *yaml.Node }

// span is a part of a line, both columns counting from 1; end 0 is its end.
type span struct{ start, end int }

// lineBreak is what YAML counts as the end of a line.
var lineBreak = regexp.MustCompile("\r\n|[\r\n\u0085\u2028\u2029]")

func newDocument(file string, text string) *document {
	return &document{
		file:    file,
		dir:     filepath.Dir(file),
		lines:   lineBreak.Split(text, -1),
		marks:   map[string]mark{},
		unknown: map[string]bool{},
		hidden:  map[int][]span{},
		done:    map[*yaml.Node]bool{},
	}
}

// At returns file:line:column of a path such as metrics.gmv.value, or the file
// alone when the path does not stand in it.
func (c *Config) At(path string) string {
	if c.doc == nil {
		return ""
	}
	if m, ok := c.doc.marks[path]; ok {
		return fmt.Sprintf("%s:%d:%d", c.doc.file, m.value.Line, m.value.Column)
	}
	return c.doc.file
}

// line returns the text of line n without its end, or nothing.
func (d *document) line(n int) string {
	if n < 1 || n > len(d.lines) {
		return ""
	}
	return d.lines[n-1]
}

// near returns the position of path, or of the nearest section around it.
func (d *document) near(path string) (line, column int) {
	for {
		if m, ok := d.marks[path]; ok {
			n := m.key
			if n == nil {
				n = m.value
			}
			return n.Line, n.Column
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return 1, 1
		}
		path = path[:i]
	}
}

// locate returns the position of the byte at offset of a scalar's value: exact
// where the value stands literally in the source, its beginning elsewhere.
func (d *document) locate(n *yaml.Node, offset int) (line, column int) {
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return d.locateInBlock(n, offset)
	}
	start := n.Column
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		start++
	}
	if offset > len(n.Value) || !strings.HasPrefix(dropRunes(d.line(n.Line), start-1), n.Value) {
		return n.Line, n.Column
	}
	return n.Line, start + len([]rune(n.Value[:offset]))
}

// locateInBlock is locate for | and >, whose lines stand below the node's own.
// Folding joins lines, so only the first line of a folded block is exact.
func (d *document) locateInBlock(n *yaml.Node, offset int) (line, column int) {
	if offset > len(n.Value) {
		return n.Line, n.Column
	}
	before := n.Value[:offset]
	row := strings.Count(before, "\n")
	text := n.Value
	for range row {
		_, text, _ = strings.Cut(text, "\n")
	}
	text, _, _ = strings.Cut(text, "\n")
	source := d.line(n.Line + 1 + row)
	i := strings.Index(source, text)
	if n.Style&yaml.FoldedStyle != 0 {
		trimmed := strings.TrimLeft(source, " ")
		if row > 0 || !strings.HasPrefix(n.Value, trimmed) || offset >= len(trimmed) {
			return n.Line, n.Column
		}
		i = len(source) - len(trimmed)
	}
	if i < 0 {
		return n.Line, n.Column
	}
	return n.Line + 1 + row, i + 1 + len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))
}

// dropRunes returns s without its first n characters.
func dropRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[i:]
		}
		n--
	}
	return ""
}

// secretKey matches the keys whose values are hidden whatever they are.
var secretKey = regexp.MustCompile(`(?i)pass|pwd|secret|salt|token|credential`)

// isSecretKey reports whether a key is one of a secret, or probably meant to be.
func isSecretKey(key string) bool {
	return secretKey.MatchString(key) || closest(key, []string{"password", "passphrase", "masking_salt"}) != ""
}

// dsnKey matches the keys of a dsn, which is hidden whole when it has no form.
var dsnKey = regexp.MustCompile(`(?i)dsn`)

// hideSecrets finds what excerpts must not show. It goes by the names of keys
// and the look of values, not by the structs: a misspelt password is one too.
func (d *document) hideSecrets(n *yaml.Node, depth int) {
	if depth > maxDepth {
		return
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			key := n.Content[i-1].Value
			switch {
			case isSecretKey(key):
				d.hideAll(child, depth)
			case dsnKey.MatchString(key):
				d.hideScalar(child, credentials)
			}
		}
		if child.Kind == yaml.ScalarNode && strings.Contains(child.Value, "@") {
			d.hideScalar(child, credentials)
		}
		d.hideSecrets(child, depth+1)
	}
	d.parsed = true
}

// hideAll hides every scalar below n.
func (d *document) hideAll(n *yaml.Node, depth int) {
	if depth > maxDepth {
		return
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if d.done[n] {
		return
	}
	d.done[n] = true
	if n.Kind == yaml.ScalarNode {
		d.hideScalar(n, func(s string) (int, int) { return 0, len(s) })
	}
	for i, child := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			d.hideAll(child, depth+1)
		}
	}
}

// reference matches text that only says where a secret comes from.
var reference = regexp.MustCompile(`^\$\{(file:[^}]*|[A-Za-z_][A-Za-z0-9_]*(:\?[^}]*)?)\}$`)

// hideScalar hides the bytes from..to of a scalar that part returns; nothing
// when they are only a reference.
func (d *document) hideScalar(n *yaml.Node, part func(string) (from, to int)) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		return
	}
	from, to := part(n.Value)
	if from >= to || reference.MatchString(n.Value[from:to]) {
		return
	}
	line, column := d.locate(n, from)
	if endLine, end := d.locate(n, to); endLine == line && end > column {
		d.hidden[line] = append(d.hidden[line], span{column, end})
		return
	}
	// The scalar is escaped, folded or spans lines: hide all of it.
	d.hidden[n.Line] = append(d.hidden[n.Line], span{n.Column, 0})
	indent := len(d.line(n.Line)) - len(strings.TrimLeft(d.line(n.Line), " -"))
	for i := n.Line + 1; i <= len(d.lines); i++ {
		text := d.line(i)
		if trimmed := strings.TrimLeft(text, " "); trimmed != "" && len(text)-len(trimmed) <= indent {
			break
		}
		d.hidden[i] = append(d.hidden[i], span{1, 0})
	}
}

// credentials returns the password's bytes in user:password@… and
// scheme://user:password@…, all of a text that has neither form.
func credentials(s string) (from, to int) {
	at := strings.LastIndexByte(s, '@')
	if i := strings.Index(s, "://"); i >= 0 {
		from = i + 3
	}
	if at < from {
		if from > 0 || strings.HasPrefix(s, "tcp(") || strings.HasPrefix(s, "unix(") {
			return 0, 0
		}
		return 0, len(s)
	}
	colon := strings.IndexByte(s[from:at], ':')
	if colon < 0 {
		return 0, 0
	}
	return from + colon + 1, at
}

// keyText matches a key in a line that no tree explains.
var keyText = regexp.MustCompile(`([A-Za-z_][\w-]*)["']?\s*[:=]\s*`)

// guess hides what looks like a secret in line n, which no tree explains.
func (d *document) guess(n int) string {
	text := scrub(strings.ToValidUTF8(d.line(n), "\uFFFD"))
	for _, m := range keyText.FindAllStringSubmatchIndex(text, -1) {
		if isSecretKey(text[m[2]:m[3]]) {
			return text[:m[1]] + redacted
		}
	}
	// A block of text belongs to the first key above that stands further left.
	indent := len(text) - len(strings.TrimLeft(text, " "))
	for i := n - 1; i > 0; i-- {
		above := d.line(i)
		left := len(above) - len(strings.TrimLeft(above, " "))
		if strings.TrimSpace(above) == "" || left >= indent {
			continue
		}
		if m := keyText.FindStringSubmatch(above); m != nil && isSecretKey(m[1]) {
			return text[:indent] + redacted
		}
		break
	}
	return text
}

// maxExcerpt bounds the characters of an excerpt.
const maxExcerpt = 120

// excerpt returns line n with secrets replaced, and the column in it that
// column became.
func (d *document) excerpt(n, column int) (string, int) {
	text := []rune(strings.ToValidUTF8(d.line(n), "\uFFFD"))
	if !d.parsed {
		text = []rune(d.guess(n))
		column = min(column, len(text)+1)
	}
	for i, r := range text {
		if r < ' ' || r == 0x7f {
			text[i] = ' '
		}
	}
	out := make([]rune, 0, len(text))
	caret := column
	for i := 0; i < len(text); i++ {
		if end := d.hiddenUntil(n, i+1, len(text)); end > i {
			out = append(out, []rune(redacted)...)
			if column > i+1 {
				caret += len(redacted) - (min(column-1, end) - i)
			}
			i = end - 1
			continue
		}
		out = append(out, text[i])
	}
	return clip(out, caret)
}

// hiddenUntil returns the number of characters of line n before the end of the
// hidden part that starts at column, or 0.
func (d *document) hiddenUntil(n, column, length int) int {
	until := 0
	for _, s := range d.hidden[n] {
		end := s.end - 1
		if s.end == 0 {
			end = length
		}
		if s.start <= column && column <= end {
			until = max(until, end)
		}
	}
	return min(until, length)
}

// clip cuts a long line to what surrounds the caret.
func clip(text []rune, caret int) (string, int) {
	caret = max(1, min(caret, len(text)+1))
	if len(text) <= maxExcerpt {
		return string(text), caret
	}
	from := max(0, min(caret-maxExcerpt/2, len(text)-maxExcerpt))
	out := string(text[from:min(len(text), from+maxExcerpt)])
	if from > 0 {
		out, caret = "…"+out, caret-from+1
	}
	if from+maxExcerpt < len(text) {
		out += "…"
	}
	return out, caret
}
