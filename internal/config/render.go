package config

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Colors of a terminal. State never shows by color alone: the words say it.
const (
	colorRed    = "\x1b[31m"
	colorYellow = "\x1b[33m"
	colorBold   = "\x1b[1m"
	colorOff    = "\x1b[0m"
)

// WantColor reports whether findings written to w should have colors: a
// terminal that is not dumb, and no NO_COLOR.
func WantColor(w io.Writer, env Lookup) bool {
	if v, set := env("NO_COLOR"); set && v != "" {
		return false
	}
	if v, _ := env("TERM"); v == "dumb" {
		return false
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Render writes the findings for a person, each with its place, its line and a
// caret below it:
//
//	tailwater.yaml:3:1: error: unknown key `tabels` in the file [unknown-key]
//	  3 | tabels: {}
//	    | ^
//	    = did you mean `tables`?
func (f Findings) Render(w io.Writer, color bool) error {
	var b strings.Builder
	for i := range f {
		f[i].render(&b, color)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String is Render without colors.
func (f Findings) String() string {
	var b strings.Builder
	_ = f.Render(&b, false)
	return b.String()
}

// Position returns file:line:column, or the file alone.
func (f *Finding) Position() string {
	if f.Line == 0 {
		return f.File
	}
	return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
}

func (f *Finding) render(b *strings.Builder, color bool) {
	paint := func(code, text string) string {
		if !color {
			return text
		}
		return code + text + colorOff
	}
	severity := paint(colorRed, string(f.Severity))
	if f.Severity == Warning {
		severity = paint(colorYellow, string(f.Severity))
	}
	fmt.Fprintf(b, "%s: %s: %s [%s]\n", paint(colorBold, f.Position()), severity, f.Message, f.Code)
	margin := "  "
	if f.Line > 0 && f.Excerpt != "" {
		number := fmt.Sprintf("  %d", f.Line)
		margin = strings.Repeat(" ", len(number))
		fmt.Fprintf(b, "%s | %s\n", number, f.Excerpt)
		fmt.Fprintf(b, "%s | %s%s\n", margin, strings.Repeat(" ", max(0, f.caret-1)), paint(colorRed, "^"))
	}
	if f.Suggestion != "" {
		fmt.Fprintf(b, "%s = %s\n", margin, f.Suggestion)
	}
}
