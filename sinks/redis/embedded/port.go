package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alicebob/miniredis/v2/server"
)

// What a client from outside may take. The server behind takes memory for
// whatever length is announced, ends the process over an empty command, and
// runs a script that never ends for ever; so nothing reaches it unseen.
const (
	// maxClients is how many connections from outside are open at once.
	maxClients = 200
	// maxCommand bounds the bytes of a command, maxWords its words.
	maxCommand = 256 << 10
	maxWords   = 4096
	// commandTime is how long a command may take to arrive once it has begun,
	// answerTime how long an answer may take to be taken.
	commandTime = 10 * time.Second
	answerTime  = time.Minute
)

// clientMay are the commands of those who read. Consumer groups of the events
// are theirs: nothing of Tailwater's depends on them.
var clientMay = words(`
	AUTH CLIENT COMMAND DBSIZE ECHO EXISTS HELLO INFO KEYS PING PTTL QUIT SCAN SELECT TIME TTL TYPE
	GET GETRANGE MGET STRLEN
	HEXISTS HGET HGETALL HKEYS HLEN HMGET HSCAN HSTRLEN HVALS
	SCARD SISMEMBER SMEMBERS SMISMEMBER SSCAN
	ZCARD ZCOUNT ZLEXCOUNT ZMSCORE ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE
	ZREVRANK ZSCAN ZSCORE
	XACK XAUTOCLAIM XCLAIM XGROUP XINFO XLEN XPENDING XRANGE XREAD XREADGROUP XREVRANGE
	DISCARD EXEC MULTI UNWATCH WATCH`)

func words(s string) map[string]bool {
	out := make(map[string]bool)
	for _, w := range strings.Fields(s) {
		out[w] = true
	}
	return out
}

// refuse is the command that stands in for one that is refused, so that its
// answer keeps its place among the others'.
const refuse = "TAILWATER.REFUSED"

// answerRefusal answers what stands in.
func answerRefusal(c *server.Peer, _ string, args []string) {
	c.WriteError("ERR " + strings.Join(args, " ") + "; set windows.store to a Redis of yours to do more with it")
}

// client is a connection from outside. Read yields commands that were looked at
// whole. The server reads it from one goroutine.
type client struct {
	net.Conn
	in *bufio.Reader
	// rest is what the server has not read of the last command.
	rest []byte
}

func newClient(c net.Conn) *client {
	return &client{Conn: c, in: bufio.NewReaderSize(c, 4<<10)}
}

// Read implements io.Reader.
func (c *client) Read(b []byte) (int, error) {
	for len(c.rest) == 0 {
		args, err := c.next()
		if err != nil {
			if errors.Is(err, errProtocol) {
				_, _ = io.WriteString(c, "-ERR Protocol error: commands are arrays of bulk strings, of at most "+strconv.Itoa(maxCommand)+" bytes\r\n")
			}
			return 0, err
		}
		c.rest = admit(args)
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Write implements io.Writer.
func (c *client) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(answerTime)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// errProtocol says that what came is no command.
var errProtocol = errors.New("protocol error")

// next reads a command: an array of bulk strings, or words on a line. It is
// empty for an empty line.
func (c *client) next() ([]string, error) {
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if _, err := c.in.Peek(1); err != nil {
		return nil, err
	}
	if err := c.SetReadDeadline(time.Now().Add(commandTime)); err != nil {
		return nil, err
	}
	line, err := c.line()
	if err != nil {
		return nil, err
	}
	count, isArray := strings.CutPrefix(line, "*")
	if !isArray {
		return strings.Fields(line), nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n > maxWords {
		return nil, errProtocol
	}
	var args []string
	left := maxCommand
	for range n {
		word, err := c.bulk(left)
		if err != nil {
			return nil, err
		}
		left -= len(word)
		args = append(args, word)
	}
	return args, nil
}

// line reads a line without its end. One that does not fit into the buffer is
// none.
func (c *client) line() (string, error) {
	b, err := c.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errProtocol
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// bulk reads a bulk string of at most so many bytes. Memory is taken as they
// arrive.
func (c *client) bulk(most int) (string, error) {
	line, err := c.line()
	if err != nil {
		return "", err
	}
	length, ok := strings.CutPrefix(line, "$")
	n, err := strconv.Atoi(length)
	if !ok || err != nil || n < 0 || n > most {
		return "", errProtocol
	}
	var b strings.Builder
	if _, err := io.CopyN(&b, c.in, int64(n)); err != nil {
		return "", err
	}
	if end, err := c.line(); err != nil || end != "" {
		return "", errors.Join(err, errProtocol)
	}
	return b.String(), nil
}

// admit returns a command as the server may have it, nothing for an empty one.
func admit(args []string) []byte {
	if len(args) == 0 {
		return nil
	}
	name := strings.ToUpper(args[0])
	switch {
	case !clientMay[name]:
		args = []string{refuse, strings.Map(printable, name[:min(len(name), 40)]) + " is refused: the embedded Redis can be read only"}
	case slices.ContainsFunc(args[1:], hazardous) || scans[name] && slices.ContainsFunc(args[1:], unscannable):
		args = []string{refuse, name + " with such arguments is refused: the embedded Redis knows no patterns with [ or \\, no numbers below 0 in a scan, and UTF-8 only"}
	}
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

// hazardous reports an argument that no reader needs: one that makes a key, and
// text that is not UTF-8, over which the server's patterns end the process.
func hazardous(arg string) bool { return strings.EqualFold(arg, "MKSTREAM") || !utf8.ValidString(arg) }

// scans are the commands with patterns and cursors.
var scans = words("HSCAN KEYS SCAN SSCAN ZSCAN")

// unscannable reports an argument of a scan over which the server would end the
// process.
func unscannable(arg string) bool {
	return strings.HasPrefix(arg, "-") || strings.ContainsAny(arg, `[\`)
}

// printable replaces what would break an error's line.
func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}
