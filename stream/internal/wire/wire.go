// Package wire holds the bytes of a record that every stream implementation
// shares: the two headers, and the values of heartbeats. docs/format/stream.md
// is their specification.
//
//	header tw     "ev", "hb" or "fence"
//	header tw.id  version 1 byte | lsn 16 | n | watermark | row | shard | txid
//
// n and row are unsigned varints, watermark is a zig-zag varint, shard and txid
// are an unsigned varint length and that many bytes. Decoding is strict: every
// byte is accounted for, varints have their shortest form, so that two
// different headers never mean the same record.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"unsafe"

	"tailwater/change"
	"tailwater/internal/jsontext"
	"tailwater/stream"
)

// The names of the headers.
const (
	HeaderKind = "tw"
	HeaderID   = "tw.id"
)

// Version is the version of the id header.
const Version = 1

// The bounds of the two texts of an id.
const (
	MaxShard = 255
	MaxTxID  = 4096
)

// MaxID is the longest id header.
const MaxID = 1 + change.LSNSize + 3*binary.MaxVarintLen64 + 2*3 + MaxShard + MaxTxID

// KindName returns the text of the kind header, or "" for an unknown kind.
func KindName(k stream.Kind) string {
	switch k {
	case stream.Event:
		return "ev"
	case stream.Heartbeat:
		return "hb"
	case stream.Fence:
		return "fence"
	}
	return ""
}

func parseKind(s []byte) (stream.Kind, bool) {
	switch string(s) {
	case "ev":
		return stream.Event, true
	case "hb":
		return stream.Heartbeat, true
	case "fence":
		return stream.Fence, true
	}
	return 0, false
}

// Check reports what makes a record impossible to write, or nil.
func Check(r *stream.Record) error {
	switch {
	case KindName(r.Kind) == "":
		return fmt.Errorf("unknown kind %q of record", r.Kind)
	case r.Shard == "" || len(r.Shard) > MaxShard:
		return fmt.Errorf("shard id of %d bytes: want 1 to %d", len(r.Shard), MaxShard)
	case len(r.TxID) > MaxTxID:
		return fmt.Errorf("transaction id of %d bytes: at most %d", len(r.TxID), MaxTxID)
	case r.LSN.Txn > change.MaxTxn:
		return fmt.Errorf("transaction number %d does not fit an lsn", r.LSN.Txn)
	case r.Kind == stream.Event && !wholeEvent(r):
		return errEvent
	case r.Kind != stream.Event && r.Key != nil:
		return errors.New("only events have keys")
	}
	return nil
}

var errEvent = errors.New("an event needs a key and a value, and without a key the value of a table's event")

// wholeEvent reports whether an event has what it needs.
func wholeEvent(r *stream.Record) bool {
	if r.Key == nil {
		return len(r.Value) > len(stream.TablePrefix) && string(r.Value[:len(stream.TablePrefix)]) == stream.TablePrefix
	}
	return len(r.Value) > 0
}

// AppendID appends the id header of r, which Check has passed.
func AppendID(dst []byte, r *stream.Record) []byte {
	lsn := r.LSN.Bytes()
	dst = append(dst, Version)
	dst = append(dst, lsn[:]...)
	dst = binary.AppendUvarint(dst, r.N)
	dst = binary.AppendVarint(dst, r.Watermark)
	dst = binary.AppendUvarint(dst, uint64(r.Row))
	dst = binary.AppendUvarint(dst, uint64(len(r.Shard)))
	dst = append(dst, r.Shard...)
	dst = binary.AppendUvarint(dst, uint64(len(r.TxID)))
	return append(dst, r.TxID...)
}

// MostID is at least the length of what AppendID appends.
func MostID(r *stream.Record) int {
	return 1 + change.LSNSize + 5*binary.MaxVarintLen64 + len(r.Shard) + len(r.TxID)
}

// AppendHeartbeat appends the JSON value of a heartbeat.
func AppendHeartbeat(dst []byte, r *stream.Record) []byte {
	dst = append(dst, `{"_op":"h","_shard":`...)
	dst = jsontext.AppendQuoted(dst, []byte(r.Shard))
	dst = append(dst, `,"_ts_us":`...)
	dst = strconv.AppendInt(dst, r.Watermark, 10)
	dst = append(dst, `,"_lsn":"`...)
	dst = r.LSN.Append(dst)
	dst = append(dst, `","_n":`...)
	dst = strconv.AppendUint(dst, r.N, 10)
	return append(dst, '}')
}

// Decoder decodes headers. It keeps shard and transaction ids, so
// that rows of one transaction share their strings. The zero value is ready;
// one goroutine uses it.
type Decoder struct {
	shards map[string]string
	last   string
	txid   string
}

// Decode fills in r from the headers. r.Key and r.Value are set already, and
// are checked against the kind. The bytes of id become the record's: nobody may
// write to them any more. It never panics, whatever the bytes.
func (d *Decoder) Decode(kind, id []byte, r *stream.Record) error {
	if kind == nil || id == nil {
		return fmt.Errorf("the header %s or %s is missing", HeaderKind, HeaderID)
	}
	k, ok := parseKind(kind)
	if !ok {
		return fmt.Errorf("header %s is %q", HeaderKind, clip(kind))
	}
	if len(id) == 0 || id[0] != Version {
		return fmt.Errorf("header %s has not version %d: it was written by a newer Tailwater, or damaged", HeaderID, Version)
	}
	if len(id) < 1+change.LSNSize {
		return fmt.Errorf("header %s has only %d bytes", HeaderID, len(id))
	}
	r.Kind = k
	r.LSN = change.LSNFromBytes(id[1:])
	c := cursor{b: id[1+change.LSNSize:]}
	r.N = c.uvarint()
	r.Watermark = c.varint()
	row := c.uvarint()
	shard := c.text(MaxShard)
	txid := c.text(MaxTxID)
	switch {
	case c.bad || len(c.b) > 0 || row > 1<<32-1 || len(shard) == 0:
		return fmt.Errorf("header %s is damaged", HeaderID)
	case k == stream.Event && !wholeEvent(r):
		return errEvent
	case k != stream.Event && r.Key != nil:
		return fmt.Errorf("a %s with a key", kind)
	case k == stream.Fence && len(r.Value) != 0:
		return errors.New("a fence with a value")
	}
	r.Row = uint32(row)
	r.Shard = d.shard(shard)
	if d.txid != string(txid) {
		// The text shares the header's bytes, which like key and value belong to
		// the record and are never written again: a string of its own for every
		// transaction would be the only allocation of reading.
		d.txid = unsafe.String(unsafe.SliceData(txid), len(txid))
	}
	r.TxID = d.txid
	return nil
}

// maxShards bounds the interned shard ids; a pipeline has far fewer.
const maxShards = 1 << 14

func (d *Decoder) shard(b []byte) string {
	if d.last == string(b) {
		return d.last // without its hash
	}
	d.last = d.intern(b)
	return d.last
}

func (d *Decoder) intern(b []byte) string {
	if s, ok := d.shards[string(b)]; ok {
		return s
	}
	if d.shards == nil || len(d.shards) >= maxShards {
		d.shards = make(map[string]string)
	}
	s := string(b)
	d.shards[s] = s
	return s
}

func clip(b []byte) []byte { return b[:min(len(b), 16)] }

// cursor reads an id; bad is set by the first thing that is not as it must be.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 || n > 1 && c.b[n-1] == 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) varint() int64 {
	u := c.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (c *cursor) text(limit int) []byte {
	n := c.uvarint()
	if n > uint64(limit) || n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	s := c.b[:n]
	c.b = c.b[n:]
	return s
}
