package windowing

import "hash/maphash"

// values counts the values of the cells of one batch, by cell and order text.
// It allocates nothing once it has grown to the size of the batches.
type values struct {
	seed  maphash.Seed
	heads map[uint64]int32
	all   []value
	text  []byte
}

// value is one value of one cell. next is the value before it with the same
// hash, sibling the one before it in the same cell; both are places in all
// plus one, and 0 is none.
type value struct {
	cell          int32
	n             int64
	order, public span
	next, sibling int32
}

// span is a part of the text of values.
type span struct{ from, to int32 }

func newValues() values {
	return values{seed: maphash.MakeSeed(), heads: map[uint64]int32{}}
}

func (v *values) of(s span) []byte { return v.text[s.from:s.to] }

func (v *values) keep(text []byte) span {
	from := int32(len(v.text))
	v.text = append(v.text, text...)
	return span{from, int32(len(v.text))}
}

// add adds n of a value to a cell, whose newest value is last, and returns the
// place of its newest value.
func (v *values) add(cell, last int32, order, public []byte, n int64) int32 {
	h := maphash.Bytes(v.seed, order) ^ uint64(cell)*0x9e3779b97f4a7c15
	for i := v.heads[h]; i != 0; i = v.all[i-1].next {
		if x := &v.all[i-1]; x.cell == cell && string(v.of(x.order)) == string(order) {
			x.n += n
			return last
		}
	}
	v.all = append(v.all, value{cell: cell, n: n, order: v.keep(order), public: v.keep(public), next: v.heads[h], sibling: last})
	v.heads[h] = int32(len(v.all))
	return int32(len(v.all))
}

// best keeps the better of a value and the only one of a cell, and returns the
// place of that.
func (v *values) best(e extreme, cell, last int32, order, public []byte) int32 {
	if last == 0 {
		v.all = append(v.all, value{cell: cell, n: 1, order: v.keep(order), public: v.keep(public)})
		return int32(len(v.all))
	}
	if x := &v.all[last-1]; e.better(order, v.of(x.order)) {
		x.order, x.public = v.keep(order), v.keep(public)
	}
	return last
}

// deltas appends the values of a cell.
func (v *values) deltas(dst []ValueDelta, last int32) []ValueDelta {
	for i := last; i != 0; i = v.all[i-1].sibling {
		x := &v.all[i-1]
		dst = append(dst, ValueDelta{Order: string(v.of(x.order)), Text: string(v.of(x.public)), N: x.n})
	}
	return dst
}

func (v *values) clear() {
	clear(v.heads)
	v.all, v.text = v.all[:0], v.text[:0]
}
