package verify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"tailwater/change"
	"tailwater/internal/view"
)

// masked returns what a view may see of a cell of a column.
func masked(m view.Mask, c *change.Column, v cell) cell {
	if v.null {
		return v
	}
	if v.raw {
		return maskedRaw(m, v)
	}
	text := string(jsonText(c.Type, v))
	if strings.HasPrefix(text, `"`) {
		var s string
		if json.Unmarshal([]byte(text), &s) == nil {
			text = s
		}
	}
	switch m.Kind {
	case "hash":
		h := hmac.New(sha256.New, m.Salt)
		h.Write([]byte(text))
		return cell{text: hex.EncodeToString(h.Sum(nil))}
	case "truncate":
		runes := []rune(text)
		return cell{text: string(runes[:min(m.Keep, len(runes))])}
	}
	return null
}

// maskedRaw is masked for bytes in place of a text.
func maskedRaw(m view.Mask, v cell) cell {
	raw := v.bytes()
	switch m.Kind {
	case "hash":
		h := hmac.New(sha256.New, m.Salt)
		h.Write(append([]byte{0xff}, raw...))
		return cell{text: hex.EncodeToString(h.Sum(nil))}
	case "truncate":
		return rawCell(raw[:min(m.Keep, len(raw))])
	}
	return null
}

// shows reports whether a column of a view may show a masked one. What it is
// made of is decided by its text: a name of a masked column in it is enough.
func shows(def *view.Definition, column string) bool {
	text := column
	for _, it := range def.Select {
		if change.EqualFold(it.Name, column) && strings.TrimSpace(it.Expr) != "" {
			text = it.Expr
		}
	}
	for name := range def.Masking {
		if strings.Contains(strings.ToLower(text), strings.ToLower(name)) {
			return true
		}
	}
	return false
}
