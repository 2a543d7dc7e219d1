package view

import "strings"

// SplitName cuts a pattern of names, such as schema.table, into so many parts. A
// part in backquotes may hold dots, as in `my.db`.orders; a backquote inside is
// doubled, and wildcards stay wildcards. Without quotes each dot divides, and the
// last part takes those that are left. It is false where a part is empty or
// missing, or a quote is not closed.
func SplitName(text string, parts int) ([]string, bool) {
	var out []string
	more := true
	for more && len(out) < parts {
		var part string
		var ok bool
		if part, text, more, ok = cutName(text, len(out) == parts-1); !ok || part == "" {
			return nil, false
		}
		out = append(out, part)
	}
	if more || len(out) < parts {
		return nil, false
	}
	return out, true
}

// cutName cuts the first part off; more is true where a dot follows it.
func cutName(text string, last bool) (part, rest string, more, ok bool) {
	if !strings.HasPrefix(text, "`") {
		if last {
			return text, "", false, true
		}
		part, rest, more = strings.Cut(text, ".")
		return part, rest, more, true
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != '`':
			b.WriteByte(text[i])
		case strings.HasPrefix(text[i:], "``"):
			b.WriteByte('`')
			i++
		case i+1 == len(text):
			return b.String(), "", false, true
		case text[i+1] == '.':
			return b.String(), text[i+2:], true, true
		default:
			return "", "", false, false
		}
	}
	return "", "", false, false
}
