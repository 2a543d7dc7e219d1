package binlog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"syscall"

	"github.com/go-mysql-org/go-mysql/mysql"

	"tailwater/internal/failpoint"
)

// dump is a running binlog dump.
type dump struct {
	c      *conn
	framer framer
	buffer packetBuffer
}

// startDump opens a connection and asks for the binlog from a position.
func (r *Reader) startDump(ctx context.Context, from *Position) (*dump, error) {
	o := &r.o
	if o.Position == ByFile && from.Pos > math.MaxUint32 {
		return nil, &StopError{Shard: o.Shard, File: from.File, Pos: from.Pos, Reason: "a dump cannot begin behind 4 GiB of a file",
			Hint: "use position: gtid, or start at the next file"}
	}
	c, err := o.dial(ctx, o.ReadTimeout)
	if err != nil {
		return nil, err
	}
	err = c.isServer(ctx, o.Flavor, from.ServerUUID)
	if err == nil {
		err = o.prepareDump(ctx, c, r.uuid.String())
	}
	if err == nil {
		err = c.requestDump(ctx, o, from)
	}
	if err == nil {
		err = failpoint.Err(failpoint.BinlogDumpBegun, syscall.ECONNRESET)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	d := &dump{c: c, buffer: packetBuffer{limit: o.MaxEvent, lead: 1}}
	if o.Room != nil {
		o.Room.share(ctx, o, &d.buffer)
	}
	return d, nil
}

// requestDump sends the command that turns the connection into a dump.
func (c *conn) requestDump(ctx context.Context, o *Options, from *Position) error {
	switch {
	case o.Flavor == MariaDB:
		return c.requestMariaDB(ctx, o, from)
	case o.Position == ByGTID:
		return c.command(dumpGTID(o.ServerID, from.GTID))
	}
	return c.command(dumpFile(o.ServerID, dumpHeartbeatV2, from.File, uint32(from.Pos)))
}

// close ends the connection and gives up the event at hand.
func (d *dump) close() {
	d.c.close()
	d.buffer.reset()
}

// explainDump adds to a server's refusal of a dump what to look at.
func explainDump(err error) error {
	var my *mysql.MyError
	if errors.As(err, &my) && sameReplica(my) {
		return fmt.Errorf("read binlog: %w; another replica of the server, or another pipeline, uses this server_id: give the source another range of server_id", my)
	}
	return fmt.Errorf("read binlog: %w", err)
}

// The first byte of a packet of a dump.
const (
	packetEvent = 0x00
	packetError = 0xff
	packetEnd   = 0xfe
)

// next reads the next event, which is valid until the next call. It blocks
// until the server sends one: a heartbeat at the least.
func (d *dump) next() (event, error) {
	d.buffer.reset()
	if err := failpoint.Err(failpoint.BinlogPacketRead, syscall.ECONNRESET); err != nil {
		return event{}, fmt.Errorf("read binlog: %w", err)
	}
	if err := d.c.ReadPacketTo(&d.buffer); err != nil {
		if d.buffer.refused != nil {
			// The library does not keep the cause.
			return event{}, d.buffer.refused
		}
		return event{}, fmt.Errorf("read binlog: %w", err)
	}
	packet := d.buffer.b
	if len(packet) == 0 {
		return event{}, fmt.Errorf("read binlog: an empty packet")
	}
	switch packet[0] {
	case packetEvent:
		return d.framer.next(packet[1:])
	case packetError:
		return event{}, explainDump(d.c.HandleErrorPacket(packet))
	case packetEnd:
		return event{}, errStreamEnded
	}
	return event{}, fmt.Errorf("read binlog: a packet begins with %#02x", packet[0])
}
