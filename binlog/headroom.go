package binlog

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Headroom says how far a position is from the end of a server's binlog, and
// from being purged there.
type Headroom struct {
	// At is when the server was asked, by its own clock.
	At time.Time
	// Behind counts the bytes of binlog from the position to the end.
	Behind uint64
	// Retention is how long the server keeps a binlog behind its last write; 0 is
	// for ever, as far as its settings say.
	Retention time.Duration
	// Left is how long the position's file is still kept: it may be purged once
	// its last write is older than Retention. 0 or less is overdue. It means
	// nothing without a Retention.
	Left time.Duration
	// MostBytes is how much binlog the server keeps at most (MariaDB's
	// max_binlog_total_size), 0 for no bound.
	MostBytes uint64
	// Method says where Left comes from, as a person reads it.
	Method string
}

// The methods of Headroom.
const (
	methodLast   = "the position is in the newest binlog"
	methodNext   = "age of the binlog behind the position's, by its first event"
	methodPurged = "the position's binlog is gone"
	methodNever  = "binlogs do not expire"
)

// The bounds below which headroom is low: a tenth of the retention, or an hour
// where that is more and the retention longer.
const (
	lowShare = 10
	lowTime  = time.Hour
)

// Low reports whether a person should look before binlogs are purged that are
// still to be read.
func (h *Headroom) Low() bool {
	if h.MostBytes > 0 && h.Behind > h.MostBytes-h.MostBytes/lowShare {
		return true
	}
	if h.Retention == 0 {
		return false
	}
	bound := h.Retention / lowShare
	if h.Retention > lowTime {
		bound = max(bound, lowTime)
	}
	return h.Left < bound
}

// retention reads how long a server keeps its binlogs.
func (v variables) retention() time.Duration {
	if v["binlog_expire_logs_auto_purge"] == "OFF" {
		return 0
	}
	if s := v.number("binlog_expire_logs_seconds"); s > 0 {
		return time.Duration(min(s, 1<<32)) * time.Second
	}
	days, err := strconv.ParseFloat(v["expire_logs_days"], 64)
	if err != nil || days <= 0 {
		return 0
	}
	return time.Duration(days * 24 * float64(time.Hour))
}

// Headroom asks the server how far a position is from being purged. It makes one
// connection of its own, and a second one where the position is not in the
// newest binlog. It is an error when the position's place is of another server,
// or not known.
func (r *Reader) Headroom(ctx context.Context, position []byte) (h Headroom, err error) {
	defer r.caught(&err)
	p, err := ParsePosition(position)
	if err != nil {
		return h, err
	}
	h, err = r.headroom(ctx, p)
	if err != nil {
		return h, fmt.Errorf("shard %s: %w", r.o.Shard, err)
	}
	return h, nil
}

func (r *Reader) headroom(ctx context.Context, p *Position) (Headroom, error) {
	var h Headroom
	if p.File == "" {
		return h, fmt.Errorf("the position names no binlog yet")
	}
	c, err := r.o.dial(ctx, r.o.ConnectTimeout)
	if err != nil {
		return h, err
	}
	defer c.close()
	vars, err := c.readVariables(ctx, r.o.Flavor)
	if err != nil {
		return h, err
	}
	if vars["server_uuid"] != p.ServerUUID {
		return h, fmt.Errorf("%w: it is %s, and the position is of %s", errOtherServer, vars["server_uuid"], p.ServerUUID)
	}
	now, err := c.readClock(ctx)
	if err != nil {
		return h, err
	}
	files, err := c.readBinlogs(ctx)
	if err != nil {
		return h, err
	}
	h = Headroom{At: time.UnixMicro(now).UTC(), Retention: vars.retention(), MostBytes: vars.number("max_binlog_total_size")}
	next, found := h.measure(place{p.File, p.Pos}, files)
	switch {
	case !found:
		h.Method, h.Left = methodPurged, 0
	case h.Retention == 0:
		h.Method = methodNever
	case next == "":
		// Only a binlog that nothing is written to any more expires.
		h.Method, h.Left = methodLast, h.Retention
	default:
		closed, err := r.created(ctx, next, p.ServerUUID)
		if err != nil {
			return h, err
		}
		h.Method, h.Left = methodNext, closed.Add(h.Retention).Sub(h.At)
	}
	return h, nil
}

// measure counts the bytes behind a place, and returns the file behind the one
// that it is in: empty when that is the newest.
func (h *Headroom) measure(at place, files []binlogFile) (next string, found bool) {
	for _, f := range files {
		switch {
		case found:
			h.Behind += f.size
			if next == "" {
				next = f.name
			}
		case f.name == at.file:
			found = true
			h.Behind = f.size - min(at.pos, f.size)
		}
	}
	if !found {
		for _, f := range files {
			h.Behind += f.size
		}
	}
	return next, found
}

// dumpNonBlock asks for an end of the dump at the binlog's end. With it, a server
// id of 0 and no uuid a server takes a dump for mysqlbinlog's, and ends nobody
// else's for it.
const dumpNonBlock = 0x01

// created returns when a binlog was begun, by its server's clock: what stands
// first in it says so. Nothing else of the protocol tells the age of a file. It is
// earlier than the truth where a session that has set TIMESTAMP made the server
// go on to that binlog.
func (r *Reader) created(ctx context.Context, file, uuid string) (time.Time, error) {
	o := &r.o
	c, err := o.dial(ctx, o.ConnectTimeout)
	if err != nil {
		return time.Time{}, err
	}
	defer c.close()
	defer context.AfterFunc(ctx, c.close)()
	if err := c.isServer(ctx, o.Flavor, uuid); err != nil {
		return time.Time{}, err
	}
	if _, err := c.query(ctx, sqlChecksum); err != nil {
		return time.Time{}, err
	}
	if err := c.command(dumpFile(0, dumpNonBlock, file, firstEvent)); err != nil {
		return time.Time{}, err
	}
	d := &dump{c: c, buffer: packetBuffer{limit: o.MaxEvent, lead: 1}}
	defer d.buffer.reset()
	for {
		ev, err := d.next()
		if err != nil {
			return time.Time{}, fmt.Errorf("read when %s was begun: %w", file, err)
		}
		if ev.kind == evFormat {
			return time.Unix(int64(ev.seconds), 0).UTC(), nil
		}
	}
}
