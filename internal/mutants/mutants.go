// Package mutants plants known bugs into this repository, one at a time, and
// shows that a named test turns red for each. A test that has never failed may
// be unable to; this is where it fails.
//
// The product holds no code for it. A mutant is an entry of a list (list/*.txt)
// that says which lines of which file read differently. It is planted by the
// -overlay flag of the go command, which hands other text to the compiler for
// that file; nothing on disk changes, and several runs do not disturb each other.
//
// # The list
//
// An entry is a paragraph: fields, then a hunk like those of a unified diff,
// whose lines begin with a blank (both texts), a minus (only the old text) or a
// plus (only the new one). The old text stands exactly once in its file, at
// the beginning of a line. A line with @@ begins another hunk of the same file.
//
//	mutant: table-map-without-names
//	stands for: A43: a column gets a name that nobody wrote
//	file: binlog/tablemap.go
//	test: binlog TestHazard_A43_ATableMapWithoutNamesIsRefused$
//	needs: none
//	-	if len(names) == 0 {
//	+	if false {
//
// The test is a package below the repository's top folder and a pattern of go
// test's -run. "needs" is none, mysql, mariadb, kafka or redis: which servers
// the test starts. "ends: panic" says that the mutant is found by a panic of
// the product; without it, only a failed assertion counts.
//
// What can have no mutant has an entry of two fields, "without: A26" and
// "reason: ...". A line that begins with # is a comment.
//
// # What counts as killed
//
// The test passes without the mutant; the package builds with it; the test then
// fails by an assertion, in a process that ends in order. A time-out, a panic
// that the entry does not expect, a crash, a test that was left out and one that
// does not exist are told apart, and are errors of the list.
package mutants

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

//go:embed list/*.txt
var lists embed.FS

// Mutant is one known bug, and the test that finds it.
type Mutant struct {
	// Name says the bug in a few words, joined by hyphens; it is unique.
	Name string
	// For names the hazards and rules that the mutant breaks, and what happens.
	For string
	// File is the slash-separated path of the file that it changes, below the
	// repository's top folder.
	File string
	// Package is the folder whose tests are run, Test the pattern that chooses
	// among them.
	Package, Test string
	// Needs names the servers that the test starts, none for one in process.
	Needs string
	// Panic says that the product panics when it meets the bug.
	Panic bool
	// Hunks are what it changes in the file.
	Hunks []Hunk
	// At is the place of the entry, for messages.
	At string
}

// Hunk is whole lines: what the file says, and what the bug says in their place.
type Hunk struct{ Old, New string }

// Without is a hazard or a rule that can have no mutant.
type Without struct {
	// For names it, Reason says why.
	For, Reason string
}

// List is all that the list says.
type List struct {
	// Mutants are in the order of the list.
	Mutants []Mutant
	// Without are what the list says about that which has no mutant.
	Without []Without
}

// Read returns the list of this repository. The error names every mistake with
// file and line.
func Read() (List, error) {
	names, err := fs.Glob(lists, "list/*.txt")
	if err != nil {
		return List{}, fmt.Errorf("find the list of mutants: %w", err)
	}
	slices.Sort(names)
	var p entries
	for _, name := range names {
		text, err := lists.ReadFile(name)
		if err != nil {
			return List{}, fmt.Errorf("read the list of mutants: %w", err)
		}
		p.file(path.Join("internal/mutants", name), string(text))
	}
	return p.list, p.err()
}

// entries reads entries and gathers mistakes.
type entries struct {
	list     List
	mistakes []string
	at       string
}

func (p *entries) err() error {
	if len(p.mistakes) == 0 {
		return nil
	}
	return fmt.Errorf("read the list of mutants:\n%s", strings.Join(p.mistakes, "\n"))
}

func (p *entries) wrong(format string, args ...any) {
	p.mistakes = append(p.mistakes, p.at+": "+fmt.Sprintf(format, args...))
}

// file reads one file of the list.
func (p *entries) file(name, text string) {
	var entry []string
	first := 0
	for i, line := range append(strings.Split(text, "\n"), "") {
		switch {
		case strings.HasPrefix(line, "#"):
		case line != "":
			if entry == nil {
				first = i + 1
			}
			entry = append(entry, line)
		case entry != nil:
			p.at = fmt.Sprintf("%s:%d", name, first)
			p.entry(entry)
			entry = nil
		}
	}
}

// entry reads one paragraph.
func (p *entries) entry(lines []string) {
	fields := map[string]string{}
	hunks := make([]Hunk, 1)
	for _, line := range lines {
		h := &hunks[len(hunks)-1]
		switch text := line[1:] + "\n"; line[0] {
		case ' ':
			h.Old, h.New = h.Old+text, h.New+text
		case '-':
			h.Old += text
		case '+':
			h.New += text
		case '@':
			hunks = append(hunks, Hunk{})
		default:
			key, value, ok := strings.Cut(line, ": ")
			if _, twice := fields[key]; !ok || twice || *h != (Hunk{}) {
				p.wrong("%q is no field of its own in front of the hunks", line)
			}
			fields[key] = strings.TrimSpace(value)
		}
	}
	take := func(key string) string {
		v := fields[key]
		delete(fields, key)
		return v
	}
	if w := (Without{For: take("without"), Reason: take("reason")}); w.For != "" {
		if w.Reason == "" || len(fields) > 0 || hunks[0] != (Hunk{}) {
			p.wrong("what is without a mutant has a reason and nothing else")
		}
		p.list.Without = append(p.list.Without, w)
		return
	}
	m := Mutant{Name: take("mutant"), For: take("stands for"), File: take("file"), Needs: take("needs"),
		Hunks: hunks, At: p.at}
	m.Package, m.Test, _ = strings.Cut(take("test"), " ")
	ends := take("ends")
	m.Panic = ends == "panic"
	if ends != "" && !m.Panic {
		p.wrong("mutant %s ends by %q; leave it out, or say panic", m.Name, ends)
	}
	for key := range fields {
		p.wrong("%q is no field of a mutant", key)
	}
	p.check(m)
	p.list.Mutants = append(p.list.Mutants, m)
}

var (
	nameForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)
	needs    = []string{"none", "mysql", "mariadb", "kafka", "redis"}
)

// check finds what is missing or wrong in m by itself.
func (p *entries) check(m Mutant) {
	if !nameForm.MatchString(m.Name) {
		p.wrong("mutant %q: a name is two or more words in lower case, joined by hyphens", m.Name)
	}
	if i := slices.IndexFunc(p.list.Mutants, func(o Mutant) bool { return o.Name == m.Name }); i >= 0 {
		p.wrong("mutant %s stands at %s already", m.Name, p.list.Mutants[i].At)
	}
	for key, value := range map[string]string{"stands for": m.For, "file": m.File, "test": m.Test} {
		if value == "" {
			p.wrong("mutant %s has no field %q", m.Name, key)
		}
	}
	if !slices.Contains(needs, m.Needs) {
		p.wrong("mutant %s needs %q, want one of %s", m.Name, m.Needs, strings.Join(needs, ", "))
	}
	if _, err := regexp.Compile(m.Test); err != nil {
		p.wrong("mutant %s: %v", m.Name, err)
	}
	for _, h := range m.Hunks {
		if h.Old == "" || h.Old == h.New {
			p.wrong("mutant %s changes nothing: a hunk needs old text, and another new one", m.Name)
		}
	}
}
