package verify

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"

	"tailwater/change"
)

// entry is what is known of a key from its last event.
type entry struct {
	lsn    [change.LSNSize]byte
	values [16]byte
	// table is the number of the row's physical table.
	table  uint32
	schema uint16
	state  uint8
}

// The bits of an entry's state.
const (
	live  uint8 = 1 << iota // the last event was no delete
	busy                    // a transaction between the two reads touched it
	found                   // the source has the row
	older                   // the last event is from the lake
	dark                    // the values of the last event cannot be read
)

// keyRange is a part of the keys, by the upper half of their hash; both ends
// are part of it.
type keyRange struct{ first, last uint32 }

var allKeys = keyRange{0, math.MaxUint32}

func (r keyRange) has(hash uint64) bool {
	top := uint32(hash >> 32)
	return r.first <= top && top <= r.last
}

// halves divides a range; ok is false when it cannot be divided any more.
func (r keyRange) halves() (low, high keyRange, ok bool) {
	if r.first == r.last {
		return r, r, false
	}
	middle := r.first + (r.last-r.first)/2
	return keyRange{r.first, middle}, keyRange{middle + 1, r.last}, true
}

// hasher hashes sequences of texts.
type hasher struct{ buf []byte }

func (h *hasher) reset() { h.buf = h.buf[:0] }

func (h *hasher) text(s string) {
	h.buf = binary.AppendUvarint(h.buf, uint64(len(s)))
	h.buf = append(h.buf, s...)
}

func (h *hasher) cell(t change.Type, c cell) {
	if c.null {
		h.buf = append(h.buf, 0)
		return
	}
	if c.raw {
		h.buf = append(h.buf, 2)
		h.text(c.text)
		return
	}
	h.buf = append(h.buf, 1)
	h.text(canonical(t, c.text))
}

func (h *hasher) sum() (out [16]byte) {
	sum := sha256.Sum256(h.buf)
	copy(out[:], sum[:])
	if cap(h.buf) > 1<<20 {
		h.buf = nil
	}
	return out
}

// identity is the hash of a key of a shard: the upper half is of the key alone,
// by which the keys are divided before anything else is read; the lower half is
// of the physical table too, where events name it.
func (h *hasher) identity(types []change.Type, shard string, key []cell) uint64 {
	h.reset()
	h.text(shard)
	for i, c := range key {
		t := change.Text
		if i < len(types) {
			t = types[i]
		}
		h.cell(t, c)
	}
	s := h.sum()
	return binary.BigEndian.Uint64(s[:])
}

// within adds the physical table to an identity.
func (h *hasher) within(identity uint64, database, table string) uint64 {
	if database == "" && table == "" {
		return identity
	}
	h.reset()
	h.buf = binary.BigEndian.AppendUint64(h.buf, identity)
	h.text(database)
	h.text(table)
	s := h.sum()
	return identity&^math.MaxUint32 | uint64(binary.BigEndian.Uint32(s[:]))
}

// parseKey reads the key of a record.
func parseKey(raw []byte, into []cell) ([]cell, error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return nil, fmt.Errorf("the key is no JSON array: %w", err)
	}
	into = into[:0]
	for _, p := range parts {
		if c, err := plainJSON(p); len(p) > 0 && (p[0] == '"' || p[0] == 'n') && err == nil {
			into = append(into, c)
			continue
		}
		var bytes struct {
			Raw *string `json:"_raw"`
		}
		if err := json.Unmarshal(p, &bytes); err != nil || bytes.Raw == nil {
			return nil, fmt.Errorf("the key has a part that is neither a string, nor null, nor an object of _raw")
		}
		into = append(into, cell{text: *bytes.Raw, raw: true})
	}
	return into, nil
}
