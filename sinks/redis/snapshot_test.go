package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// image is the content of a store, without times to live.
type image struct {
	hashes  map[string]map[string]string
	zsets   map[string][]goredis.Z
	streams map[string][]goredis.XMessage
}

// snapshot copies everything that the store holds.
func (b *bench) snapshot() image {
	b.Helper()
	ctx := context.Background()
	im := image{map[string]map[string]string{}, map[string][]goredis.Z{}, map[string][]goredis.XMessage{}}
	names, err := b.client.Keys(ctx, "*").Result()
	if err != nil {
		b.Fatalf("list keys: %v", err)
	}
	for _, k := range names {
		switch b.client.Type(ctx, k).Val() {
		case "hash":
			im.hashes[k] = b.client.HGetAll(ctx, k).Val()
		case "zset":
			im.zsets[k] = b.client.ZRangeWithScores(ctx, k, 0, -1).Val()
		case "stream":
			im.streams[k] = b.client.XRange(ctx, k, "-", "+").Val()
		default:
			b.Fatalf("key %s is neither hash, zset nor stream", k)
		}
	}
	return im
}

// restore makes the store what it was, as a failover does that loses the
// newest writes. The server's clock has gone on by two milliseconds at least.
func (b *bench) restore(im image) {
	b.Helper()
	ctx := context.Background()
	pipe := b.client.Pipeline()
	pipe.FlushAll(ctx)
	for k, h := range im.hashes {
		pipe.HSet(ctx, k, h)
	}
	for k, z := range im.zsets {
		pipe.ZAdd(ctx, k, z...)
	}
	for k, messages := range im.streams {
		for _, m := range messages {
			pipe.XAdd(ctx, &goredis.XAddArgs{Stream: k, ID: m.ID, Values: m.Values})
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		b.Fatalf("restore: %v", err)
	}
	b.tick()
}

// tick waits until the server's clock has gone on by two milliseconds.
func (b *bench) tick() {
	b.Helper()
	first := b.serverTime()
	for b.serverTime().Sub(first) < 2*time.Millisecond {
		// Each question is a round trip; a few of them are two milliseconds.
	}
}

func (b *bench) serverTime() time.Time {
	b.Helper()
	t, err := b.client.Time(context.Background()).Result()
	if err != nil {
		b.Fatalf("ask for the time: %v", err)
	}
	return t
}
