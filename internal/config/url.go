package config

import (
	"net/url"
	"strconv"
	"strings"
)

// redisURL checks the form of a Redis URL. Its findings never quote it: a
// password may be in it.
func (l *loader) redisURL(at, text string) {
	if strings.Contains(text, hole) {
		return
	}
	const form = "write redis://user:password@host:6379/0"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" && u.Scheme != "unix":
		l.at(at, "bad-url", "this is no URL of a Redis server: %s", form)
		return
	case u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		l.at(at, "bad-url", "the URL of a Redis server begins with redis://, rediss:// (TLS) or unix://")
		return
	}
	if db := strings.Trim(u.Path, "/"); u.Scheme != "unix" && db != "" {
		if n, err := strconv.Atoi(db); err != nil || n < 0 {
			l.at(at, "bad-url", "the URL names no number of a database behind its last /")
		}
	}
	if u.RawQuery != "" {
		l.at(at, "bad-url", "the URL takes no parameters behind ?: %s", form)
	}
	if _, hasPassword := u.User.Password(); hasPassword && u.Scheme == "redis" && !isLoopback(u.Hostname()) {
		l.warn(at, "plain-password", "the password and every value go over the network in plain text").Suggestion = "use rediss://"
	}
}
