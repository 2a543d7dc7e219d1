package primary

import (
	"hash/maphash"

	"tailwater/binlog/primary/encode"
)

// state is everything that SELECT can see, as of one commit. It is immutable:
// a commit builds the next state and publishes it whole, so whoever holds one
// has a consistent snapshot for nothing.
type state struct {
	executed gtidSet
	names    map[tableName]int // replaced, never changed, by DDL
	tables   []*version        // by slot; nil after DROP
}

// tableName is how tables are addressed.
type tableName struct{ database, table string }

// version is one table as of one commit.
type version struct {
	def *encode.Table
	// id is the number that table maps carry; DDL changes it.
	id    uint64
	root  *node
	count int
}

// record is one row: its canonical values and its bytes in a row event.
type record struct {
	row   encode.Row
	image []byte
}

// node is one row in a persistent treap: a binary search tree by key that is
// also a heap by a hash of the key. Changes copy the path from the root.
type node struct {
	key         string
	priority    uint64
	rec         *record
	left, right *node
}

var prioritySeed = maphash.MakeSeed()

// find returns the record at key, or nil.
func (n *node) find(key string) *record {
	for n != nil {
		switch {
		case key < n.key:
			n = n.left
		case key > n.key:
			n = n.right
		default:
			return n.rec
		}
	}
	return nil
}

// put returns n with rec at key.
func (n *node) put(key string, rec *record) *node {
	if n == nil {
		return &node{key: key, priority: maphash.String(prioritySeed, key), rec: rec}
	}
	c := *n
	switch {
	case key < n.key:
		c.left = n.left.put(key, rec)
		if l := c.left; l.priority > c.priority { // rotate; put made l, so it may change
			c.left, l.right = l.right, &c
			return l
		}
	case key > n.key:
		c.right = n.right.put(key, rec)
		if r := c.right; r.priority > c.priority {
			c.right, r.left = r.left, &c
			return r
		}
	default:
		c.rec = rec
	}
	return &c
}

// remove returns n without key.
func (n *node) remove(key string) *node {
	if n == nil {
		return nil
	}
	if key == n.key {
		return merge(n.left, n.right)
	}
	c := *n
	if key < n.key {
		c.left = n.left.remove(key)
	} else {
		c.right = n.right.remove(key)
	}
	return &c
}

// merge joins two trees of which every key of a is below every key of b.
func merge(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.priority > b.priority:
		c := *a
		c.right = merge(a.right, b)
		return &c
	}
	c := *b
	c.left = merge(a, b.left)
	return &c
}

// scan calls yield for every record from the first key >= from on, in key
// order, until it returns false.
func (n *node) scan(from string, yield func(*record) bool) bool {
	if n == nil {
		return true
	}
	if from <= n.key {
		if !n.left.scan(from, yield) || !yield(n.rec) {
			return false
		}
	}
	return n.right.scan(from, yield)
}

// with returns a copy of st in which slot holds v.
func (st *state) with(slot int, v *version) *state {
	c := *st
	c.tables = append([]*version(nil), st.tables...)
	c.tables[slot] = v
	return &c
}

// lookup returns the table's slot and version.
func (st *state) lookup(name tableName) (int, *version) {
	slot, ok := st.names[name]
	if !ok {
		return -1, nil
	}
	return slot, st.tables[slot]
}
