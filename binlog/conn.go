package binlog

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"tailwater/internal/failpoint"
)

// conn is one connection to the server. It is the library's, but for three
// things: its end is a plain close of the socket and never a KILL of a
// connection id through a second one, which hits a stranger once an address
// has moved to another server; every wait ends with a context; and checksums
// are asked for.
type conn struct {
	*client.Conn
	// raw is the socket: closing it from another goroutine is safe, and ends
	// whatever waits on it.
	raw net.Conn
}

// dial connects and logs in within Options.ConnectTimeout. Later reads fail
// after silence of readTimeout.
func (o *Options) dial(ctx context.Context, readTimeout time.Duration) (*conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.ConnectTimeout, errConnectTimeout)
	defer cancel()
	network, address := o.address()
	var raw *patientConn
	stop := func() bool { return true }
	dialer := func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		// The library looks at the context while it dials only; the handshake
		// is bounded by closing the socket.
		raw, stop = &patientConn{Conn: c}, context.AfterFunc(ctx, func() { c.Close() })
		return raw, nil
	}
	configure := func(c *client.Conn) error {
		c.SetAttributes(map[string]string{"program_name": "tailwater"})
		if network == "tcp" && o.TLS != nil {
			c.SetTLSConfig(o.tlsConfig())
		}
		return nil
	}
	c, err := handshake(func() (*client.Conn, error) {
		return client.ConnectWithDialer(ctx, network, address, o.User, o.Password, "", dialer, configure)
	})
	if alive := stop(); err == nil && !alive {
		err = context.Cause(ctx)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		if raw != nil {
			raw.Close()
		}
		return nil, fmt.Errorf("connect to %s as %s: %w", address, o.User, explainLogin(err))
	}
	raw.limit = readTimeout
	if err := failpoint.Err(failpoint.BinlogConnected, syscall.ECONNRESET); err != nil {
		raw.Close()
		return nil, fmt.Errorf("connect to %s as %s: %w", address, o.User, err)
	}
	return &conn{Conn: c, raw: raw}, nil
}

// handshake calls connect. The library trusts what a server says of itself, and
// panics at an answer that is cut short or made of something else.
func handshake(connect func() (*client.Conn, error)) (c *client.Conn, err error) {
	defer func() {
		if v := recover(); v != nil {
			c, err = nil, fmt.Errorf("what answers there does not speak the protocol of MySQL (%v); look at host and port", v)
		}
	}()
	return connect()
}

// explainLogin leaves of a server's refusal what the server said, and adds what
// to look at.
func explainLogin(err error) error {
	var my *mysql.MyError
	if !errors.As(err, &my) {
		return err
	}
	switch my.Code {
	case mysql.ER_ACCESS_DENIED_ERROR, 1698, mysql.ER_HOST_NOT_PRIVILEGED:
		return fmt.Errorf("%w; look at user and password of the shard, and from which hosts the server lets that account in", my)
	}
	return my
}

// patientConn gives up a read or write that takes longer than limit; 0 waits
// for ever. The time counts while it waits only, so that a handler that blocks
// is not taken for a silent server. One goroutine reads and writes it.
type patientConn struct {
	net.Conn
	limit time.Duration
}

// Read waits for bytes no longer than the limit.
func (c *patientConn) Read(b []byte) (int, error) {
	if c.limit > 0 {
		if err := c.SetReadDeadline(time.Now().Add(c.limit)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(b)
}

// Write waits no longer than the limit.
func (c *patientConn) Write(b []byte) (int, error) {
	if c.limit > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(c.limit)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}

// errConnectTimeout ends a connection attempt. It is a time-out, thus retried.
var errConnectTimeout = fmt.Errorf("no answer within the connect time-out: %w", os.ErrDeadlineExceeded)

// tlsConfig returns the configuration with the server's name in it.
func (o *Options) tlsConfig() *tls.Config {
	c := o.TLS.Clone()
	if c.ServerName == "" {
		c.ServerName = o.Host
	}
	return c
}

// close ends the connection by closing its socket. It is safe to call from any
// goroutine, more than once.
func (c *conn) close() { c.raw.Close() }

// query runs one statement. It ends when ctx does, by closing the connection.
func (c *conn) query(ctx context.Context, statement string) (*mysql.Result, error) {
	stop := context.AfterFunc(ctx, c.close)
	defer stop()
	r, err := c.Execute(statement)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("query %q: %w", abridge(statement), err)
	}
	return r, nil
}

// Commands and flags of the replication protocol.
const (
	// dumpHeartbeatV2 asks for HEARTBEAT_V2, whose offsets have 64 bits;
	// servers that do not know it send HEARTBEAT.
	dumpHeartbeatV2 = 0x02
)

// prepareDump sets what a dump thread reads from its session. Checksums are
// asked for, so that the CRC of the server's file reaches us. A handler that
// blocks must not cost the connection, hence the long net_write_timeout. There
// is no semi-synchronous replication: we acknowledge nothing that we have not
// made durable.
func (o *Options) prepareDump(ctx context.Context, c *conn, replicaUUID string) error {
	period := o.Heartbeat.Nanoseconds()
	for _, statement := range []string{
		fmt.Sprintf("SET @master_heartbeat_period = %d, @source_heartbeat_period = %d", period, period),
		sqlChecksum,
		fmt.Sprintf("SET @slave_uuid = '%s', @replica_uuid = '%s'", replicaUUID, replicaUUID),
		"SET SESSION net_write_timeout = 3600",
	} {
		if _, err := c.query(ctx, statement); err != nil {
			return err
		}
	}
	if err := c.command(registerReplica(o.ServerID)); err != nil {
		return fmt.Errorf("register as a replica: %w", err)
	}
	if _, err := c.ReadOKPacket(); err != nil {
		return fmt.Errorf("register as a replica: %w", err)
	}
	return nil
}

// command sends a command packet.
func (c *conn) command(payload []byte) error {
	c.ResetSequence()
	return c.WritePacket(append(make([]byte, 4, 4+len(payload)), payload...))
}

// registerReplica is COM_REGISTER_SLAVE: server id, then host, user and
// password as it would be reached (empty), port, rank and source id.
func registerReplica(serverID uint32) []byte {
	host := "tailwater"
	b := binary.LittleEndian.AppendUint32([]byte{mysql.COM_REGISTER_SLAVE}, serverID)
	b = append(b, byte(len(host)))
	b = append(b, host...)
	b = append(b, 0, 0)                        // user, password
	b = binary.LittleEndian.AppendUint16(b, 0) // port
	b = binary.LittleEndian.AppendUint32(b, 0) // rank
	return binary.LittleEndian.AppendUint32(b, 0)
}

// dumpGTID is COM_BINLOG_DUMP_GTID: everything that set does not hold.
func dumpGTID(serverID uint32, set *GTIDSet) []byte {
	code := set.encode()
	b := binary.LittleEndian.AppendUint16([]byte{mysql.COM_BINLOG_DUMP_GTID}, dumpHeartbeatV2)
	b = binary.LittleEndian.AppendUint32(b, serverID)
	b = binary.LittleEndian.AppendUint32(b, 0) // length of the file's name
	b = binary.LittleEndian.AppendUint64(b, firstEvent)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(code)))
	return append(b, code...)
}

// dumpFile is COM_BINLOG_DUMP: everything from an offset of 32 bits.
func dumpFile(serverID uint32, flags uint16, file string, pos uint32) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{mysql.COM_BINLOG_DUMP}, pos)
	b = binary.LittleEndian.AppendUint16(b, flags)
	b = binary.LittleEndian.AppendUint32(b, serverID)
	return append(b, file...)
}
