package redis

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// Errors of a merge. Test with errors.Is. After any of them nothing of the
// batch is stored.
var (
	// errRefused: a stored position is not the one the deltas start from. The
	// worker loads the positions and folds again.
	errRefused = errors.New("stored position is another one")
	// ErrCorrupt: the bookkeeping cannot be trusted. The worker rebuilds the metric.
	ErrCorrupt = errors.New("bookkeeping is corrupt")
	// ErrMaxGroups: a window has more groups than max_groups. The metric stops
	// before the batch; it goes on when max_groups is raised.
	ErrMaxGroups = errors.New("window has more groups than max_groups")
	// ErrMaxWindows: rows are dated so far and wide ahead that the metric would
	// hold too many windows open. The metric stops before the batch.
	ErrMaxWindows = errors.New("metric has too many open windows")
	// ErrSuperseded: another definition of the metric took over while this one
	// ran. The metric stops until the process starts again.
	ErrSuperseded = errors.New("another definition of the metric took over")
	// errShards: the stored list of shards is another one.
	errShards = errors.New("stored list of shards is another one")
	// ErrForeign: a key holds what Tailwater did not write, or a newer
	// Tailwater did. The metric stops until somebody looks.
	ErrForeign = errors.New("key holds something else")
)

// replyError turns a reply that is not OK into an error.
func replyError(reply []string) error {
	at := func(i int) string {
		if i < len(reply) {
			return reply[i]
		}
		return ""
	}
	switch reply[0] {
	case "OK":
		return nil
	case "REFUSED":
		return fmt.Errorf("%w: partition %s", errRefused, at(1))
	case "CORRUPT":
		return fmt.Errorf("%w: %s", ErrCorrupt, at(1))
	case "STOPPED":
		return fmt.Errorf("%w: window %s has more than %s; group by fewer columns, or raise max_groups and start again", ErrMaxGroups, at(2), at(1))
	case "WINDOWS":
		return fmt.Errorf("%w: more than %s, up to the one of %s; give the metric a longer size, or a where that bounds its time column", ErrMaxWindows, at(1), at(2))
	case "GENERATION":
		return fmt.Errorf("%w: current is %s, candidate %s; start every process with the same configuration", ErrSuperseded, at(1), at(2))
	case "SHARDS":
		return fmt.Errorf("%w: %s", errShards, at(1))
	case "PARTITIONS":
		return fmt.Errorf("%w: the metric was built over %s partitions; give the metric another name, or the topic its partitions back", ErrForeign, at(1))
	case "FORMAT":
		return fmt.Errorf("%w: format %s is newer than this program's; run the newer one, or use another prefix", ErrForeign, at(1))
	case "TYPE":
		return fmt.Errorf("%w: %s is a %s, want a %s; use another prefix, or delete the key", ErrForeign, at(1), at(2), at(3))
	}
	return fmt.Errorf("unknown reply %q", reply[0])
}

// ACL is the command that gives a user what a store with a prefix needs, and
// nothing else: it can neither list nor read the keys of others.
func ACL(user, prefix string) string {
	return "ACL SETUSER " + user + " ~" + prefix + "* resetchannels -@all " + strings.Join(commands, " ")
}

// commands are the permissions that a store needs: for its connection, for
// what it reads, and for what its scripts do.
var commands = []string{
	"+@connection", "+info", "+config|get", "+command", "+cluster|slots", "+cluster|shards", "+cluster|nodes",
	"+eval", "+evalsha", "+time", "+@hash", "+@sortedset", "+@string",
	"+exists", "+type", "+pexpire", "+pttl", "+rename", "+unlink", "+del",
}

// tlsKeys are what to look at when a handshake fails.
const tlsKeys = "look at windows.store.tls: ca, server_name, and cert and key where the server asks for them"

// toPrimary is the way out of being sent to a replica.
const toPrimary = "set windows.store.url to the primary's address, or windows.store.sentinel, which follows it"

// explain adds what an operator can do about an error of the server.
func explain(verb string, err error) error {
	hints := []struct{ prefix, hint string }{
		{"LOADING", "the server is reading its data; this passes"},
		{"BUSY", "another script runs; this passes"},
		{"TRYAGAIN", "a slot is moving; this passes"},
		{"CLUSTERDOWN", "the cluster misses a primary; this passes when it is back"},
		{"MASTERDOWN", "the server is a replica that lost its primary; " + toPrimary},
		{"READONLY", "the server is a replica; " + toPrimary},
		{"OOM", "the server is at maxmemory; give it more, or keep windows for a shorter time"},
		{"MISCONF", "the server cannot save its data; look at its log and disk"},
		{"NOREPLICAS", "too few replicas are in step; this passes when they are"},
		{"NOAUTH", "the server wants a password"},
		{"WRONGPASS", "user or password is wrong"},
		{"NOPERM", "let an administrator run: " + ACL("<user>", "<prefix>")},
		{"WRONGTYPE", "a key of this prefix belongs to something else; use another prefix"},
		{"CROSSSLOT", "the keys of a metric must share one slot; keep the braces of the prefix balanced"},
	}
	text := err.Error()
	for _, h := range hints {
		if strings.HasPrefix(text, h.prefix) {
			return fmt.Errorf("%s: %w (%s)", verb, err, h.hint)
		}
	}
	for _, h := range []struct{ part, hint string }{
		{"cluster support disabled", "the server is no cluster; set windows.store.url in place of cluster"},
		{"all sentinels specified", "no sentinel answers or knows the primary; look at windows.store.sentinel: addresses, master, and its own user and password"},
		{"first record does not look like a TLS handshake", "the server speaks plain text at this port; use redis://, or leave tls out"},
		{"certificate", tlsKeys},
		{"remote error: tls", tlsKeys},
		{"DB index is out of range", "the server has fewer databases; name another behind the last / of windows.store.url, or give it more (databases in redis.conf)"},
		// What a script may not do is told without NOPERM.
		{"can't run this command", "let an administrator run: " + ACL("<user>", "<prefix>")},
	} {
		if strings.Contains(text, h.part) {
			return fmt.Errorf("%s: %w (%s)", verb, err, h.hint)
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("%s: %w (the server hung up; where it speaks TLS, use rediss:// or set tls)", verb, err)
	}
	return fmt.Errorf("%s: %w", verb, err)
}
