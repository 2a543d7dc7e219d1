package view

import (
	"fmt"
	"slices"

	"tailwater/change"
)

// isRaw reports whether a cell holds bytes in place of a text.
func (m *image) isRaw(i int) bool { return len(m.raw) > 0 && slices.Contains(m.raw, i) }

// appendRaw appends the member _raw, of which marks are the text before the names
// and the one behind them: the columns of an image that hold bytes in place of a
// text, of those that which says. It appends nothing when there are none.
func (p *Plan) appendRaw(dst []byte, m *image, which func(cell int) bool, marks [2]string) []byte {
	open := false
	for _, i := range m.raw {
		if i >= p.shown || which != nil && !which(i) {
			continue
		}
		key := p.cells[i].key // ,"name":
		if !open {
			dst, key, open = append(dst, marks[0]...), key[1:], true
		}
		dst = append(dst, key[:len(key)-1]...)
	}
	if open {
		dst = append(dst, marks[1]...)
	}
	return dst
}

// refuseRaw is the error for an image that has bytes in place of a text, where
// the form of the events cannot say so.
func (p *Plan) refuseRaw(m *image) error {
	if len(m.raw) == 0 {
		return nil
	}
	c := &p.cells[m.raw[0]]
	return fmt.Errorf("column %s (%s): %w, and only flat events can say so: correct the row on the server and start behind it, mask the column with hash, or leave it out of the view", c.name, c.expr, change.ErrInvalidText)
}
