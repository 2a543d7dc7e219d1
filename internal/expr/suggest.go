package expr

import "strings"

// nearest returns the name that want was probably meant to be, or "".
func nearest(want string, names []string) string {
	best, bestDistance := "", len(want)/3+1
	for _, name := range names {
		if d := distance(strings.ToLower(want), strings.ToLower(name)); d <= bestDistance && (best == "" || d < bestDistance) {
			best, bestDistance = name, d
		}
	}
	return best
}

// DidYouMean returns `did you mean "x"?` for the name that want was probably
// meant to be, or "" when none is near.
func DidYouMean(want string, names []string) string {
	if n := nearest(want, names); n != "" {
		return `did you mean "` + n + `"?`
	}
	return ""
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment).
func distance(a, b string) int {
	prev2, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+b2i(a[i-1] != b[j-1]))
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev, row = prev, row, prev2
	}
	return prev[len(b)]
}
