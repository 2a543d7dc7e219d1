package config

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// valueOf parses text and returns the value of its key where.
func valueOf(t *testing.T, text string) (*document, *yaml.Node) {
	t.Helper()
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	content := root.Content[0].Content
	for i := 0; i < len(content); i += 2 {
		if content[i].Value == "where" {
			return newDocument("t.yaml", text), content[i+1]
		}
	}
	t.Fatal("the text has no where")
	return nil, nil
}

func TestLocate_PointsIntoScalars(t *testing.T) {
	for _, c := range []struct {
		name, text, at string
		line, column   int
	}{
		{"plain", "where: status == x and y\n", "and", 1, 20},
		{"double quotes", "where: \"status == x and y\"\n", "and", 1, 21},
		{"single quotes", "where: 'status == x and y'\n", "and", 1, 21},
		{"flow", "a: 1\nwhere: 'ünï == x and y'\n", "and", 2, 18},
		{"escapes", "where: \"\\\"q\\\" and y\"\n", "and", 1, 8},
		{"doubled quote", "where: 'it''s and y'\n", "and", 1, 8},
		{"literal, first line", "where: |\n  status and y\n  && z\n", "and", 2, 10},
		{"literal, second line", "where: |\n  status\n  and y\n", "and", 3, 3},
		{"literal, indented by hand", "where: |2\n    status\n   and y\n", "and", 3, 4},
		{"folded, first line", "where: >-\n  status and y\n  z\n", "and", 2, 10},
		{"folded, second line", "where: >-\n  status\n  and y\n", "and", 1, 8},
		{"plain over two lines", "where: status\n  and y\n", "and", 1, 8},
	} {
		d, n := valueOf(t, c.text)
		line, column := d.locate(n, strings.Index(n.Value, c.at))
		if line != c.line || column != c.column {
			t.Errorf("%s: got %d:%d, want %d:%d", c.name, line, column, c.line, c.column)
		}
	}
}

func TestLocate_TakesAnyOffset(t *testing.T) {
	for _, text := range []string{"where: abc\n", "where: |\n  abc\n  def\n", "where: >\n  abc\n  def\n", "where: \"a\\nb\"\n", "where: ''\n", "where: |\n\n  x"} {
		d, n := valueOf(t, text)
		for offset := range 2*len(n.Value) + 3 {
			if line, column := d.locate(n, offset); line < 1 || column < 1 || line > len(d.lines) {
				t.Errorf("%q, offset %d: got %d:%d", text, offset, line, column)
			}
		}
	}
}

func TestExcerpt_KeepsTheCaretBelowItsCharacter(t *testing.T) {
	text := "a: { password: hunter2, wrong: 1 }"
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	d := newDocument("t.yaml", text)
	d.hideSecrets(&root, 0)
	got, caret := d.excerpt(1, strings.Index(text, "wrong")+1)
	if want := "a: { password: ***, wrong: 1 }"; got != want || got[caret-1:caret+4] != "wrong" {
		t.Errorf("got %q with the caret at %d, want %q and the caret at wrong", got, caret, want)
	}
	if got, caret := d.excerpt(1, strings.Index(text, "hunter2")+3); caret < 1 || caret > len(got) {
		t.Errorf("a caret inside of a secret is at %d of %q", caret, got)
	}
}

func TestExcerpt_ClipsLongLines(t *testing.T) {
	text := strings.Repeat("ä", 500) + "X" + strings.Repeat("ö", 500)
	d := newDocument("t.yaml", text)
	d.parsed = true
	for _, column := range []int{1, 60, 501, 1001, 5000} {
		got, caret := d.excerpt(1, column)
		runes := []rune(got)
		if len(runes) > maxExcerpt+2 || caret < 1 || caret > len(runes)+1 {
			t.Errorf("column %d: %d characters with the caret at %d", column, len(runes), caret)
		}
		if column == 501 && runes[caret-1] != 'X' {
			t.Errorf("the caret is at %c, want X", runes[caret-1])
		}
	}
}

func TestGuess_HidesSecretsOfTextThatIsNotYAML(t *testing.T) {
	text := strings.Join([]string{
		`password: hunter2`,
		`  pasword = "hunter2"`,
		`- { host: h, user: u, passwd: 'hunter2' }`,
		`dsn: tw:hunter2@tcp(db)/`,
		`url: redis://:hunter2@cache`,
		`secret_token: |`,
		`    hunter2 and`,
		`    hunter2 more`,
		`"masking_salt": hunter2`,
	}, "\n")
	d := newDocument("t.yaml", text)
	for i := range d.lines {
		got, caret := d.excerpt(i+1, len(d.lines[i]))
		if strings.Contains(got, "hunter2") || caret > len(got)+1 {
			t.Errorf("line %d shows %q, caret %d", i+1, got, caret)
		}
	}
	if got, _ := newDocument("t.yaml", "host: db1, user: tw").excerpt(1, 1); got != "host: db1, user: tw" {
		t.Errorf("a line without a secret shows %q", got)
	}
}

func TestNear_FindsTheSectionAround(t *testing.T) {
	findings := LintBytes("t.yaml", []byte("version: 1\nsources:\n  orders:\n    shards:\n      list:\n        - host: h\n"))
	for _, want := range []string{"t.yaml:3:3: error: `server_id` is missing in sources.orders", "t.yaml:6:11: error: `name` is missing in sources.orders.shards.list[0]", "t.yaml:1:1: error: `name` is missing in the file"} {
		if !strings.Contains(findings.String(), want) {
			t.Errorf("want %q in\n%s", want, findings)
		}
	}
}

func TestAt_TellsWhereAKeyStands(t *testing.T) {
	c, findings := Parse("dir/t.yaml", withUser("tw"), nil)
	if c == nil {
		t.Fatal(findings)
	}
	for path, want := range map[string]string{
		"name": "dir/t.yaml:2:7", "sources.orders.server_id": "dir/t.yaml:11:16",
		"sources.orders.shards.list[0].user": "dir/t.yaml:10:17", "stream.type": "dir/t.yaml", "no.such": "dir/t.yaml",
	} {
		if got := c.At(path); got != want {
			t.Errorf("At(%s) = %s, want %s", path, got, want)
		}
	}
}
