package redis

import (
	"context"
	"embed"
	"fmt"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var sources embed.FS

// The scripts. Each is whole in itself: what they share is put in front.
var (
	flushScript   = script("common", "decimal", "values", "flush")
	gapScript     = script("common", "gap")
	claimScript   = script("common", "claim")
	shardsScript  = script("common", "shards")
	rebuildScript = script("common", "rebuild")
	promoteScript = script("common", "promote")
	freezeScript  = script("common", "freeze")
	flipScript    = script("common", "flip")
	retireScript  = script("common", "retire")
)

func script(names ...string) *goredis.Script {
	var src []byte
	for _, n := range names {
		b, err := sources.ReadFile("lua/" + n + ".lua")
		if err != nil {
			panic("redis: script is not embedded: " + err.Error())
		}
		src = append(src, b...)
	}
	return goredis.NewScript(string(src))
}

// run runs a script and returns its reply, a list of texts. A server that does
// not know the script is given it.
func (s *Store) run(ctx context.Context, sc *goredis.Script, keys []string, args []any) ([]string, error) {
	v, err := sc.Run(ctx, s.client, keys, args...).Slice()
	if err != nil {
		return nil, err
	}
	out := make([]string, len(v))
	for i := range v {
		text, ok := v[i].(string)
		if !ok {
			return nil, fmt.Errorf("reply holds %T at place %d, want text", v[i], i)
		}
		out[i] = text
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("reply is empty")
	}
	return out, nil
}
