package expr

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
)

// The bounds of an expression. Nothing in the language loops, so the work for
// a row is at most one visit of each node; these keep it small.
const (
	maxSource = 8 << 10
	maxNodes  = 1000
	maxDepth  = 100
)

// SyntaxError is a mistake in the text of an expression, found before any row
// is read: its grammar, its names or its types.
type SyntaxError struct {
	// Offset is where the mistake stands, in bytes from the expression's start.
	Offset int
	// Msg says what is wrong, Hint what to write instead. Hint may be empty.
	Msg, Hint string
}

// Error names the offset, the mistake and the hint.
func (e *SyntaxError) Error() string {
	s := fmt.Sprintf("offset %d: %s", e.Offset, e.Msg)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// CheckSyntax reports the first mistake of src that shows without knowing the
// columns, as a *SyntaxError: its grammar, unknown functions, wrong numbers of
// arguments, patterns that do not compile.
func CheckSyntax(src string) error {
	root, err := parse(src)
	if err != nil {
		return err
	}
	return checkCalls(root)
}

var parserEnv = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewCustomEnv(
		cel.ClearMacros(),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserErrorRecoveryLimit(1),
	)
})

// source is a parsed expression: CEL's tree and what its numbers were.
type source struct {
	text string
	expr ast.Expr
	info *ast.SourceInfo
	// starts maps CEL's offsets, which count code points, to bytes; nil when
	// the text is ASCII.
	starts []int
}

// parse reads src with CEL's parser. CEL's macros are off: there are no loops.
func parse(src string) (*source, error) {
	switch {
	case strings.TrimSpace(src) == "":
		return nil, &SyntaxError{Msg: "the expression is empty"}
	case len(src) > maxSource:
		return nil, &SyntaxError{Offset: maxSource, Msg: fmt.Sprintf("the expression has %d bytes, at most %d are allowed", len(src), maxSource)}
	case !utf8.ValidString(src):
		return nil, &SyntaxError{Msg: "the expression is not UTF-8"}
	}
	env, err := parserEnv()
	if err != nil {
		return nil, fmt.Errorf("set up the expression parser: %w", err)
	}
	s := &source{text: src, starts: runeStarts(src)}
	tree, issues := env.Parse(hideLongIntegers(src))
	if errs := issues.Errors(); len(errs) > 0 {
		e := errs[0]
		at := s.lineOffset(e.Location.Line(), e.Location.Column())
		return nil, &SyntaxError{Offset: at, Msg: plainSyntaxMessage(e.Message), Hint: syntaxHint(src, at, e.Message)}
	}
	s.expr, s.info = tree.NativeRep().Expr(), tree.NativeRep().SourceInfo()
	return s, nil
}

// runeStarts returns the byte at which each code point of src begins.
func runeStarts(src string) []int {
	if utf8.RuneCountInString(src) == len(src) {
		return nil
	}
	starts := make([]int, 0, len(src)+1)
	for i := range src {
		starts = append(starts, i)
	}
	return append(starts, len(src))
}

func (s *source) byteOffset(runes int) int {
	if s.starts != nil {
		return s.starts[min(max(runes, 0), len(s.starts)-1)]
	}
	return min(max(runes, 0), len(s.text))
}

// lineOffset turns a line from 1 and a column in code points into bytes.
func (s *source) lineOffset(line, column int) int {
	start := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(s.text[start:], '\n')
		if i < 0 {
			break
		}
		start += i + 1
	}
	for i := range s.text[start:] {
		if column == 0 {
			return start + i
		}
		column--
	}
	return len(s.text)
}

// offset returns where node e begins, or its operator stands.
func (s *source) offset(e ast.Expr) int {
	r, ok := s.info.GetOffsetRange(e.ID())
	if !ok {
		return 0
	}
	return s.byteOffset(int(r.Start))
}

// literal returns the text of a literal as it was written.
func (s *source) literal(e ast.Expr) string {
	r, ok := s.info.GetOffsetRange(e.ID())
	if !ok {
		return ""
	}
	return s.text[s.byteOffset(int(r.Start)):s.byteOffset(int(r.Stop))]
}

// hideLongIntegers replaces every whole number of more than 18 digits by a
// floating-point literal of the same length: CEL's parser refuses integers
// beyond 64 bits. The checker reads all numbers from the source text, so what
// stands here does not matter, only its place.
func hideLongIntegers(src string) string {
	var out []byte
	for i := 0; i < len(src); {
		end := tokenEnd(src, i)
		if tok := src[i:end]; end-i > 18 && isDigits(tok) {
			if out == nil {
				out = []byte(src)
			}
			copy(out[i:end], "1e"+strings.Repeat("0", end-i-2))
		}
		i = end
	}
	if out == nil {
		return src
	}
	return string(out)
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// tokenEnd returns the end of the token that begins at i: a string, a comment,
// a word or number with its point and letters, or one other byte.
func tokenEnd(src string, i int) int {
	switch c := src[i]; {
	case c == '"' || c == '\'':
		return stringEnd(src, i)
	case c == '/' && strings.HasPrefix(src[i:], "//"):
		if n := strings.IndexByte(src[i:], '\n'); n >= 0 {
			return i + n
		}
		return len(src)
	case isWordByte(c):
		j := i
		for j < len(src) && (isWordByte(src[j]) || src[j] == '.' && c >= '0' && c <= '9') {
			j++
		}
		if word := strings.ToLower(src[i:j]); j < len(src) && (src[j] == '"' || src[j] == '\'') && strings.Trim(word, "rb") == "" {
			return rawEnd(src, j, strings.Contains(word, "r"))
		}
		return j
	}
	return i + 1
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

func stringEnd(src string, i int) int { return rawEnd(src, i, false) }

// rawEnd returns the end of the string whose quote stands at i. In a raw
// string a backslash is a character like others.
func rawEnd(src string, i int, raw bool) int {
	quote := src[i : i+1]
	if strings.HasPrefix(src[i:], strings.Repeat(quote, 3)) {
		quote = strings.Repeat(quote, 3)
	}
	for j := i + len(quote); j < len(src); j++ {
		if src[j] == '\\' && !raw {
			j++
			continue
		}
		if strings.HasPrefix(src[j:], quote) {
			return j + len(quote)
		}
	}
	return len(src)
}

// plainSyntaxMessage shortens the parser's message to what a person needs.
func plainSyntaxMessage(msg string) string {
	if strings.Contains(msg, "recursion") {
		return "the expression is nested too deeply"
	}
	msg = strings.TrimPrefix(msg, "Syntax error: ")
	msg = strings.TrimSuffix(msg, " expecting <EOF>")
	if i := strings.Index(msg, " expecting {"); i >= 0 {
		msg = msg[:i]
	}
	msg = strings.ReplaceAll(msg, "'<EOF>'", "the end")
	msg = strings.ReplaceAll(msg, "<EOF>", "the end")
	msg = strings.Replace(msg, "token recognition error at: ", "unknown character ", 1)
	return strings.Replace(msg, "mismatched input ", "unexpected ", 1)
}

// syntaxHint knows the habits of SQL.
func syntaxHint(src string, at int, msg string) string {
	if word, ok := strings.CutPrefix(msg, "reserved identifier: "); ok {
		return fmt.Sprintf("a column of that name is written col(%q)", word)
	}
	rest := src[min(at, len(src)):]
	switch {
	case strings.HasPrefix(rest, "=") && !strings.HasPrefix(rest, "=="):
		return "equality is written =="
	case strings.HasPrefix(rest, ">") && at > 0 && src[at-1] == '<':
		return "inequality is written !="
	case strings.HasPrefix(rest, "'") || strings.HasPrefix(rest, `"`):
		return "is a quote missing?"
	case strings.HasPrefix(rest, "`"):
		return `a column whose name is no identifier is written col("name")`
	}
	word := rest
	for i := range len(rest) {
		if !isWordByte(rest[i]) {
			word = rest[:i]
			break
		}
	}
	switch strings.ToLower(word) {
	case "and":
		return "and is written &&"
	case "or":
		return "or is written ||"
	case "is":
		return "IS NULL is written == null, IS NOT NULL is written != null"
	case "not":
		return "not is written !, x NOT IN y is written !(x in y)"
	case "in":
		return "a list stands in brackets: x in [1, 2]"
	case "like":
		return "LIKE is written with startsWith, endsWith, contains or matches"
	case "between":
		return "BETWEEN is written x >= a && x <= b"
	}
	return ""
}
