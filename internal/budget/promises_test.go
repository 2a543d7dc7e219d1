package budget

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The page of promises names a test for each: all of them must be there.
func TestDocuments_NameTestsThatExist(t *testing.T) {
	const root = "../.."
	page, err := os.ReadFile(filepath.Join(root, "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9_]+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) < 30 {
		t.Errorf("the page names %d tests, want one for each promise", len(named))
	}
	var source strings.Builder
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		source.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range named {
		if !strings.Contains(source.String(), "func "+m[1]+"(") {
			t.Errorf("docs/guarantees.md names %s, and there is no such test", m[1])
		}
	}
}

// The page of hazards lists every test that is named after one, and no other.
func TestDocuments_ListTheTestOfEveryHazard(t *testing.T) {
	const root = "../.."
	page, err := os.ReadFile(filepath.Join(root, "docs", "hazards.md"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`Hazard_(?:[AB][0-9]+_)+[A-Za-z0-9]+`)
	listed, there := map[string]bool{}, map[string]bool{}
	for _, n := range name.FindAllString(string(page), -1) {
		listed[n] = true
	}
	err = filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, n := range name.FindAllString(string(b), -1) {
			there[n] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(there) < 100 {
		t.Errorf("found %d tests of hazards, want at least 100", len(there))
	}
	for n := range there {
		if !listed[n] {
			t.Errorf("docs/hazards.md does not list %s", n)
		}
	}
	for n := range listed {
		if !there[n] {
			t.Errorf("docs/hazards.md lists %s, and there is no such test", n)
		}
	}
}
