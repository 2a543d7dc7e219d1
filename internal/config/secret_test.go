package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// holder is a struct as they are logged by mistake.
type holder struct {
	Name     string
	Password Secret
	Nested   map[string]Secret
	Pointer  *Secret
	hidden   Secret
}

func TestSecret_NoFormShowsTheValue(t *testing.T) {
	const value = "hunter2"
	s := NewSecret(value)
	h := holder{"a", s, map[string]Secret{"k": s}, &s, s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10.3s", "%-5v", "%t", "%w"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", []Secret{s})
	}
	fmt.Fprintln(&out, s, h, s.String(), s.GoString(), s.LogValue())
	for _, v := range []any{s, h, map[string]any{"x": s}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	text, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("connect", "password", s, "all", h, "group", slog.GroupValue(slog.Any("p", s)))
	}
	fmt.Fprintln(&out, fmt.Errorf("connect as %v: %s", h, s))
	got := out.String()
	for _, form := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value), fmt.Sprintf("%d", []byte(value))} {
		if strings.Contains(got, form) {
			t.Errorf("the value is shown as %q in:\n%s", form, got)
		}
	}
	if !strings.Contains(got, redacted) {
		t.Errorf("nothing shows that there is a value:\n%s", got)
	}
	if got := s.Reveal(); got != value {
		t.Errorf("Reveal() = %q, want the value", got)
	}
}

func TestSecret_EmptyShowsNothing(t *testing.T) {
	var s Secret
	if got := fmt.Sprintf("%v%s%#v", s, s, s); got != "" || !s.IsZero() {
		t.Errorf("an empty secret shows %q, IsZero %t", got, s.IsZero())
	}
}
