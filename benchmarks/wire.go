package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"tailwater/binlog"
	"tailwater/change"
	"tailwater/internal/view"
)

// wireBench is decode as a reader does it: the events come from a server.
var wireBench = &bench{
	name: "wire", what: "a server's binlog over loopback to flat JSON events, on one core; the server's CPU is not counted",
	procs: 1, serve: serveRecording, fixtures: "abcg", onRequest: "d", minLap: 500 * time.Millisecond,
	groups: func() []*group {
		return []*group{
			{name: "json", arms: []*arm{
				{name: "tailwater", what: "a reader, row decoding and a view's plan", run: followView},
				{name: "transport", what: "go-mysql's syncer in raw mode with VerifyChecksum: what it costs to have the events, and no row of them", ceiling: true, run: syncTransport},
			}},
		}
	},
}

// errAll ends a stream of events behind the last transaction of the recording.
var errAll = errors.New("that was all")

// counted ends a reader behind the last transaction.
type counted struct {
	*planned
	left int64
}

// Commit counts down.
func (c *counted) Commit(*binlog.Transaction, []byte) error {
	if c.left--; c.left == 0 {
		return errAll
	}
	return nil
}

func followView(ctx context.Context, j *job, t *tally) error {
	host, port, err := splitAddr(j.Addr)
	if err != nil {
		return err
	}
	r, err := binlog.New(binlog.Options{Shard: shardID, Host: host, Port: port, User: user, Password: password, ServerID: 4711})
	if err != nil {
		return err
	}
	p := &planned{tally: t, plans: make(map[*change.Table]*view.Plan), definition: ordersView()}
	p.emit = func(e view.Event) error { return t.event(e.Value) }
	if err := r.Run(ctx, nil, &counted{p, j.Transactions}); !errors.Is(err, errAll) {
		return err
	}
	return nil
}

// splitAddr divides the address of a server.
func splitAddr(addr string) (string, uint16, error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return host, uint16(port), err
}

// rawCounter counts down the transactions that go-mysql's syncer hands over.
type rawCounter struct {
	left int64
	done chan struct{}
}

// HandleEvent takes the events one after the other, with no channel between.
func (c *rawCounter) HandleEvent(e *replication.BinlogEvent) error {
	if e.Header.EventType == replication.GTID_EVENT {
		if c.left--; c.left == 0 {
			close(c.done)
		}
	}
	return nil
}

func syncTransport(ctx context.Context, j *job, t *tally) error {
	host, port, err := splitAddr(j.Addr)
	if err != nil {
		return err
	}
	c := &rawCounter{left: j.Transactions, done: make(chan struct{})}
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: 4711, Flavor: mysql.MySQLFlavor, Host: host, Port: port, User: user, Password: password,
		VerifyChecksum: true, RawModeEnabled: true, DiscardGTIDSet: true, SynchronousEventHandler: c, Logger: slog.New(slog.DiscardHandler),
	})
	defer syncer.Close()
	from, err := mysql.ParseMysqlGTIDSet("")
	if err != nil {
		return err
	}
	if _, err := syncer.StartSyncGTID(from); err != nil {
		return err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	t.count += j.Count
	return nil
}
