package campaign

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The words of Options.Servers.
const (
	MySQL    = "mysql"
	Kafka    = "kafka"
	Embedded = "embedded"
	Redis    = "redis"
	S3       = "s3"
)

// words are all of them.
var words = []string{MySQL, Kafka, Embedded, Redis, S3}

// Options say what a campaign is.
type Options struct {
	// Kills is how many kills have to count.
	Kills int
	// Seed decides workload and faults.
	Seed uint64
	// Servers is a list of words: mysql, always there; kafka or embedded, the
	// stream; redis, else the embedded store when the stream is embedded too;
	// s3, else a directory.
	Servers []string
	// Program is the tailwater that is run, built with the tag failpoints when
	// steps shall be hit by name.
	Program string
	// Points says that Program is built with the tag failpoints, so that its
	// processes can be told the step at which they die.
	Points bool
	// Shards and Lanes size the workload, MaxRows and MaxBody its largest
	// transaction and text.
	Shards, Lanes, MaxRows, MaxBody int
	Pause, Idle                     time.Duration
	// MaxRecord is stream.max_record in bytes until a row above it has stopped
	// its shard; then it is raised to four times as much.
	MaxRecord int
	// Limit is the time after which no more kills begin. A campaign that has not
	// come to all of them compares what there is, and has failed.
	Limit time.Duration
	// Dir is where folders are made; "" is that for temporary files.
	Dir string
}

// Full returns the sizes of a whole campaign.
func Full(kills int, seed uint64) Options {
	return Options{
		Kills: kills, Seed: seed, Shards: 4, Lanes: 2, MaxRows: 1_000_000, MaxBody: 12 << 20, MaxRecord: 16 << 20,
		Pause: 60 * time.Millisecond, Idle: 20 * time.Second, Limit: 5*time.Minute + time.Duration(kills)*12*time.Second,
	}
}

// Short returns those of one that `make test` has the time for.
func Short(kills int, seed uint64) Options {
	return Options{
		Kills: kills, Seed: seed, Shards: 2, Lanes: 2, MaxRows: 4000, MaxBody: 60 << 10, MaxRecord: 128 << 10,
		Pause: 30 * time.Millisecond, Idle: 3 * time.Second, Limit: 3 * time.Minute,
	}
}

// ParseServers reads a list of words separated by commas.
func ParseServers(list string) ([]string, error) {
	var out []string
	for _, w := range strings.Split(list, ",") {
		w = strings.TrimSpace(w)
		if !slices.Contains(words, w) {
			return nil, fmt.Errorf("SERVERS has %q: want some of %s, such as mysql,kafka,redis,s3 or embedded", w, strings.Join(words, ", "))
		}
		out = append(out, w)
	}
	if slices.Contains(out, Kafka) == slices.Contains(out, Embedded) {
		return nil, fmt.Errorf("SERVERS=%s: want exactly one of kafka and embedded, which is the stream", list)
	}
	if slices.Contains(out, Kafka) && !slices.Contains(out, Redis) {
		return nil, fmt.Errorf("SERVERS=%s: the processes on kafka share a redis: add it", list)
	}
	return out, nil
}

func (o *Options) has(word string) bool { return slices.Contains(o.Servers, word) }
