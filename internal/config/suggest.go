package config

import "strings"

// closest returns the candidate that a person probably meant by text, or
// nothing. Case, _ and - do not count as differences.
func closest(text string, candidates []string) string {
	plain := strings.NewReplacer("_", "", "-", "")
	want := plain.Replace(strings.ToLower(text))
	if want == "" || len(want) > 64 {
		return ""
	}
	best, bestDistance := "", len(want)/3+1
	for _, c := range candidates {
		got := plain.Replace(strings.ToLower(c))
		if d := distance(want, got); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours between a and b (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
