package budget

import "testing"

func TestCheck_Failpoints(t *testing.T) {
	own := map[string]string{
		"internal/failpoint/names.go": goSource("failpoint", "// The names.\nconst (\n\tOne = \"one\"\n\tTwo = \"two\"\n)"),
		"internal/failpoint/list.go":  goSource("failpoint", "// Failing lists.\nfunc Failing() []string { return []string{Two} }"),
	}
	with := func(body string) map[string]string {
		out := map[string]string{"binlog/a.go": goSource("binlog", body)}
		for name, text := range own {
			out[name] = text
		}
		return out
	}
	const good = "func f() {\n\tfailpoint.At(failpoint.One)\n\t_ = failpoint.Err(failpoint.Two, nil)\n"
	runBreaches(t, []breach{
		{"each in one place", with(good + "}"), ""},
		{"one in two places", with(good + "\tfailpoint.At(failpoint.One)\n}"),
			"internal/failpoint/names.go:6: One stands in 2 places of the product, want one (failpoint)"},
		{"one in no place", with("func f() {\n\t_ = failpoint.Err(failpoint.Two, nil)\n}"),
			"internal/failpoint/names.go:6: One stands in 0 places of the product, want one (failpoint)"},
		{"one that cannot fail", with("func f() {\n\tfailpoint.At(failpoint.One)\n\tfailpoint.At(failpoint.Two)\n}"),
			"internal/failpoint/names.go:7: Two stands in Err: false, and Failing has it: true (failpoint)"},
		{"one that nobody says fails", with("func f() {\n\t_ = failpoint.Err(failpoint.One, nil)\n\t_ = failpoint.Err(failpoint.Two, nil)\n}"),
			"internal/failpoint/names.go:6: One stands in Err: true, and Failing has it: false (failpoint)"},
		{"one that is passed on", with(good + "\tx := failpoint.One\n}"),
			"binlog/a.go:7: One is not the first argument of At or Err (failpoint)"},
	})
}
