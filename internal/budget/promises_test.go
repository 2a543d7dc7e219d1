package budget

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The pages of promises and of rules name a test for each: all of them must be
// there, and so must those of the suite that every stream passes.
func TestDocuments_NameTestsThatExist(t *testing.T) {
	const root = "../.."
	var pages strings.Builder
	for _, name := range []string{"guarantees.md", "protocol.md"} {
		page, err := os.ReadFile(filepath.Join(root, "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		pages.Write(page)
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9_]+)`").FindAllStringSubmatch(pages.String(), -1)
	if len(named) < 100 {
		t.Errorf("the pages name %d tests, want one for each promise and rule", len(named))
	}
	suite, err := os.ReadFile(filepath.Join(root, "stream", "streamtest", "suite.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`TestConformance/([A-Za-z0-9]+)`").FindAllStringSubmatch(pages.String(), -1) {
		if !strings.Contains(string(suite), `{"`+m[1]+`", `) {
			t.Errorf("a page names TestConformance/%s, and the suite has no such test", m[1])
		}
	}
	var source strings.Builder
	err = filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
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
			t.Errorf("a page names %s, and there is no such test", m[1])
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
