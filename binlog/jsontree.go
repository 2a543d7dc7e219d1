package binlog

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"sort"
)

var errJSONOrder = errors.New("the keys of a JSON object are not in order")

// jsonTree is a document of binary JSON that can be changed. Only what changes
// lead through is taken apart; the rest stays as the bytes it came in.
type jsonTree struct {
	root jsonNode
	// budget falls with every element that is taken apart: a document whose
	// parts overlap could be taken apart into more than its bytes.
	budget int
}

// jsonNode is a value in the tree: its type and the bytes from its start on,
// and once it is opened, its elements.
type jsonNode struct {
	// key is the node's own in the object around it.
	key      []byte
	kind     byte
	data     []byte
	opened   bool
	entries  jsonbEntries
	children []jsonChild
}

// jsonChild is an element of an opened node: a node of the tree where it was
// opened or changed, else element number at of the bytes.
type jsonChild struct {
	own *jsonNode
	at  int32
}

func (n *jsonNode) isObject() bool {
	return n.kind == jsonbSmallObject || n.kind == jsonbLargeObject
}

func (n *jsonNode) isArray() bool {
	return n.kind == jsonbSmallArray || n.kind == jsonbLargeArray
}

// compareKeys is the order of keys in an object: the shorter first.
func compareKeys(a, b []byte) int {
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return bytes.Compare(a, b)
}

// open lists the elements of n, an object or array.
func (t *jsonTree) open(n *jsonNode) error {
	if n.opened {
		return nil
	}
	e, err := parseJSONBEntries(n.kind, n.data)
	if err != nil {
		return err
	}
	if t.budget -= e.count; t.budget < 0 {
		return errJSONOverlap
	}
	n.entries, n.opened = e, true
	n.children = make([]jsonChild, e.count)
	var last []byte
	for i := range n.children {
		n.children[i].at = int32(i)
		if !n.isObject() {
			continue
		}
		key, err := e.key(i)
		if err != nil {
			return err
		}
		if i > 0 && compareKeys(last, key) >= 0 {
			return errJSONOrder
		}
		last = key
	}
	return nil
}

// keyOf returns the key of element i of an opened object, whose bytes are known
// to be there.
func (n *jsonNode) keyOf(i int) []byte {
	if own := n.children[i].own; own != nil {
		return own.key
	}
	key, _ := n.entries.key(int(n.children[i].at))
	return key
}

// child returns element i of an opened node as a node of the tree.
func (n *jsonNode) child(i int) (*jsonNode, error) {
	c := &n.children[i]
	if c.own != nil {
		return c.own, nil
	}
	kind, data, err := n.entries.value(int(c.at))
	if err != nil {
		return nil, err
	}
	own := &jsonNode{kind: kind, data: data}
	if n.isObject() {
		own.key = n.keyOf(i)
	}
	c.own = own
	return own, nil
}

// find returns which element of n the leg means, and whether it is there: else
// at is where it would be. An element behind an array's end would be its last,
// one before its begin its first.
func (t *jsonTree) find(n *jsonNode, leg *jsonLeg) (at int, found bool, err error) {
	if leg.member && !n.isObject() || !leg.member && !n.isArray() {
		return 0, false, errDiffMissing
	}
	if err := t.open(n); err != nil {
		return 0, false, err
	}
	size := len(n.children)
	if leg.member {
		at, found = sort.Find(size, func(i int) int { return compareKeys(leg.key, n.keyOf(i)) })
		return at, found, nil
	}
	found = leg.index < uint64(size)
	switch {
	case found && leg.fromEnd:
		at = size - 1 - int(leg.index)
	case found:
		at = int(leg.index)
	case !leg.fromEnd:
		at = size
	}
	return at, found, nil
}

// apply makes one change.
func (t *jsonTree) apply(d *jsonDiff) error {
	n := &t.root
	last := len(d.path) - 1
	for i := range d.path[:last] {
		at, found, err := t.find(n, &d.path[i])
		if err == nil && !found {
			err = errDiffMissing
		}
		if err != nil {
			return err
		}
		if n, err = n.child(at); err != nil {
			return err
		}
	}
	leg := &d.path[last]
	at, found, err := t.find(n, leg)
	switch {
	case err != nil:
		return err
	case d.op != diffInsert && !found:
		return errDiffMissing
	case d.op == diffRemove:
		n.children = slices.Delete(n.children, at, at+1)
		return nil
	}
	own := &jsonNode{key: leg.key, kind: d.value[0], data: d.value[1:]}
	switch {
	case d.op == diffReplace:
		n.children[at].own = own
	case leg.member && found:
		return errDiffExists
	default:
		n.children = slices.Insert(n.children, at, jsonChild{own: own})
	}
	return nil
}

// render appends the text of n, as jsonbText does for what was not opened. No
// path is so long that it opens a node at a depth where jsonbText would stop,
// and no more nodes are open than paths have legs.
func (n *jsonNode) render(t *jsonbText, depth int) error {
	if !n.opened {
		return t.value(n.kind, n.data, depth)
	}
	opening, closing := byte('['), byte(']')
	if n.isObject() {
		opening, closing = '{', '}'
	}
	t.dst = append(t.dst, opening)
	for i := range n.children {
		if i > 0 {
			t.dst = append(t.dst, ',', ' ')
		}
		if n.isObject() {
			if err := t.text(n.keyOf(i)); err != nil {
				return err
			}
			t.dst = append(t.dst, ':', ' ')
		}
		if err := n.renderChild(t, i, depth+1); err != nil {
			return err
		}
	}
	t.dst = append(t.dst, closing)
	return nil
}

// renderChild appends the text of element i.
func (n *jsonNode) renderChild(t *jsonbText, i, depth int) error {
	c := n.children[i]
	if c.own != nil {
		return c.own.render(t, depth)
	}
	kind, data, err := n.entries.value(int(c.at))
	if err != nil {
		return err
	}
	return t.value(kind, data, depth)
}
