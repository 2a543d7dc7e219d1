package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"tailwater/internal/failpoint"
	"tailwater/windowing"
)

// A changed definition is another generation: it is built beside the one before
// and takes over when it has read as far.
//
// Whose windows readers see is written in one place, the metric's own key of
// generations, so that a metric changes as a whole. Each bucket has a key of the
// same form for itself, which says who writes under its public keys; without
// buckets the two are one key, and one script does everything.
//
// With buckets on either side the steps are, each of them one script and each
// good to be stopped behind:
//
//	freeze   each old bucket that has read no more than any of the new ones
//	         refuses merges from now on
//	flip     when all are frozen, the metric's key names the new generation and
//	         its number of buckets
//	promote  each new bucket moves its windows to its public keys, where an old
//	         one was; until then readers find them beside
//	retire   old buckets that nobody has any more are deleted, or time out

// public is the generation whose windows readers see.
type public struct {
	generation string
	buckets    int
}

// parsePublic reads the fields current and buckets.
func parsePublic(v []any) public {
	gen, _ := v[0].(string)
	text, _ := v[1].(string)
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > windowing.MaxBuckets {
		n = 1
	}
	return public{gen, n}
}

// root is the metric's own key of generations.
func (s *Store) root(metric string) string { return s.keys(metric, "", current).generations() }

// shown reports whether readers see this generation.
func (t *table) shown() bool { return t.rival.generation == "" }

// claim learns the role of this generation, and makes it a candidate when
// another one is public.
func (t *table) claim(ctx context.Context) error {
	r, seen, err := t.claimKey(ctx, t.keys.generations(), 1)
	if err != nil {
		return err
	}
	t.setRole(r, seen.generation)
	if t.b.wide() {
		return t.claimRoot(ctx)
	}
	t.compete(r, seen)
	return nil
}

// claimRoot is claim for the metric as a whole.
func (t *table) claimRoot(ctx context.Context) error {
	r, seen, err := t.claimKey(ctx, t.s.root(t.m.Name), t.b.of)
	if err != nil {
		return err
	}
	t.compete(r, seen)
	return nil
}

func (t *table) claimKey(ctx context.Context, key string, buckets int) (role, public, error) {
	reply, err := t.s.run(ctx, claimScript, []string{key}, []any{t.m.Generation(), millis(t.stateTTL()), buckets})
	if err != nil {
		return "", public{}, explain("claim generation", err)
	}
	if err := replyError(reply); err != nil {
		return "", public{}, fmt.Errorf("claim generation: %w", err)
	}
	failpoint.At(failpoint.RedisGenerationMade)
	return role(reply[1]), parsePublic([]any{reply[2], reply[3]}), nil
}

func (t *table) setRole(r role, other string) {
	t.role, t.other = r, other
	t.keys = t.s.keys(t.tag, t.m.Generation(), r)
}

// compete remembers who is public in this generation's place.
func (t *table) compete(r role, seen public) {
	if t.rival = seen; r == current {
		t.rival = public{}
	}
}

// follow learns the role without claiming anything: a generation that is
// neither public nor the candidate was superseded.
func (t *table) follow(ctx context.Context) error {
	v, err := t.s.client.HMGet(ctx, t.keys.generations(), "current", "buckets", "candidate", "frozen").Result()
	if err != nil {
		return explain("read generations", err)
	}
	seen := parsePublic(v)
	cand, _ := v[2].(string)
	frozen, _ := v[3].(string)
	r := current
	switch gen := t.m.Generation(); {
	case frozen == gen:
		return t.superseded(seen.generation, cand)
	case seen.generation == gen:
	case cand == gen:
		r = candidate
	case seen.generation == "":
		return t.claim(ctx)
	default:
		return t.superseded(seen.generation, cand)
	}
	t.setRole(r, seen.generation)
	if t.b.wide() {
		return t.look(ctx)
	}
	t.compete(r, seen)
	return nil
}

// superseded ends a generation that another took the place of: its role is
// over, whatever it was.
func (t *table) superseded(cur, cand string) error {
	t.setRole(current, cur)
	return fmt.Errorf("%w: current is %s, candidate %q; start every process with the same configuration", ErrSuperseded, cur, cand)
}

// look is follow for the metric as a whole. It keeps the metric's key alive,
// and writes it again when it is lost.
func (t *table) look(ctx context.Context) error {
	root := t.s.root(t.m.Name)
	pipe := t.s.client.Pipeline()
	got := pipe.HMGet(ctx, root, "current", "buckets", "candidate")
	pipe.PExpire(ctx, root, t.stateTTL())
	if _, err := pipe.Exec(ctx); err != nil {
		return explain("read generations", err)
	}
	seen := parsePublic(got.Val())
	cand, _ := got.Val()[2].(string)
	switch gen := t.m.Generation(); {
	case seen.generation == gen:
		t.rival = public{}
	case cand == gen:
		t.rival = seen
	case seen.generation == "":
		return t.claimRoot(ctx)
	default:
		return t.superseded(seen.generation, cand)
	}
	return nil
}

// advance does what is due to make this generation the public one, and reports
// whether readers see it. The last bucket speaks for all: a worker flushes it
// after the others.
func (t *table) advance(ctx context.Context) (bool, error) {
	if t.b.wide() {
		if err := t.look(ctx); err != nil {
			return false, err
		}
	}
	switch {
	case t.shown() && t.role == candidate:
		_, err := t.promote(ctx)
		return true, err
	case t.shown():
		return true, nil
	case !t.b.wide() && t.rival.buckets == 1:
		return t.promote(ctx)
	case !t.b.speaks():
		return false, nil
	}
	return t.takeOver(ctx)
}

// nearby is how many records of a partition a generation may be behind another
// that it begins to freeze.
const nearby = 50_000

// takeOver is advance when buckets change: it takes the place of the rival when
// each of its buckets has read as far as all of the rival's.
func (t *table) takeOver(ctx context.Context) (bool, error) {
	rival := t.rival
	mine, err := t.positions(ctx, public{t.m.Generation(), t.b.of})
	if err != nil {
		return false, err
	}
	theirs, err := t.positions(ctx, rival)
	if err != nil {
		return false, err
	}
	at := lowest(mine)
	for _, x := range theirs {
		if behind(at, x, nearby) {
			return false, nil
		}
	}
	frozen := true
	for _, b := range bucketsOf(rival.buckets) {
		ok, err := t.freeze(ctx, b.tag(t.m.Name), at)
		if err != nil {
			return false, err
		}
		frozen = frozen && ok
	}
	if !frozen {
		return false, nil
	}
	if !t.b.wide() {
		if done, err := t.promote(ctx); err != nil || !done {
			return false, err
		}
	} else {
		args := []any{t.m.Generation(), rival.generation, t.b.of, millis(t.stateTTL())}
		if err := t.call(ctx, "take over", flipScript, []string{t.s.root(t.m.Name)}, args); err != nil {
			return false, err
		}
		t.rival = public{}
	}
	return true, t.retire(ctx, rival)
}

// positions reads those of every bucket of a generation, by partition. What
// cannot be read is no position.
func (t *table) positions(ctx context.Context, g public) ([][]windowing.Position, error) {
	fields := make([]string, t.m.Partitions)
	for p := range fields {
		fields[p] = "p:" + strconv.Itoa(p)
	}
	var out [][]windowing.Position
	for _, b := range bucketsOf(g.buckets) {
		v, err := t.s.client.HMGet(ctx, t.s.keys(b.tag(t.m.Name), g.generation, current).state(), fields...).Result()
		if err != nil {
			return nil, explain("read positions", err)
		}
		of := make([]windowing.Position, len(v))
		for p := range v {
			text, _ := v[p].(string)
			of[p], _ = parsePosition(text)
		}
		out = append(out, of)
	}
	return out, nil
}

// lowest is the position that every bucket has reached, by partition: none where
// they are not of one log.
func lowest(all [][]windowing.Position) []windowing.Position {
	out := slices.Clone(all[0])
	for _, of := range all[1:] {
		for p := range out {
			if out[p].Offset = min(out[p].Offset, of[p].Offset); out[p].Incarnation != of[p].Incarnation {
				out[p] = windowing.Position{}
			}
		}
	}
	return out
}

// behind reports whether one has read less than the other by more than some
// records of a partition.
func behind(mine, theirs []windowing.Position, by int64) bool {
	for p := range theirs {
		a, b := mine[p], theirs[p]
		if b.Incarnation != "" && (a.Incarnation == "" || a.Incarnation == b.Incarnation && a.Offset+by < b.Offset) {
			return true
		}
	}
	return false
}

// freeze ends the rival's merges in a bucket when it has read no more than what
// at says, and reports whether it did.
func (t *table) freeze(ctx context.Context, tag string, at []windowing.Position) (bool, error) {
	k := t.s.keys(tag, t.rival.generation, current)
	args := []any{t.rival.generation, millis(t.stateTTL()), len(at)}
	for _, p := range at {
		args = append(args, positionText(p))
	}
	reply, err := t.s.run(ctx, freezeScript, []string{k.generations(), k.state()}, args)
	switch {
	case err != nil:
		return false, explain("freeze generation", err)
	case reply[0] == "BEHIND":
		return false, nil
	}
	if err := replyError(reply); err != nil {
		return false, fmt.Errorf("freeze generation: %w", err)
	}
	return true, nil
}

// retire deletes what a rival that is no longer public has in buckets that this
// generation does not have. What is left of it, were this to end in between,
// ends by its time to live.
func (t *table) retire(ctx context.Context, rival public) error {
	var mine []string
	for _, b := range bucketsOf(t.b.of) {
		mine = append(mine, b.tag(t.m.Name))
	}
	for _, b := range bucketsOf(rival.buckets) {
		tag := b.tag(t.m.Name)
		if slices.Contains(mine, tag) {
			continue // its windows go when the bucket is promoted
		}
		k := t.s.keys(tag, rival.generation, current)
		if b.wide() {
			cur, err := t.s.client.HMGet(ctx, k.generations(), "current").Result()
			if err != nil {
				return explain("read generations", err)
			}
			if cur[0] != rival.generation {
				k = t.s.keys(tag, rival.generation, candidate)
			}
		}
		starts, err := t.s.client.ZRange(ctx, k.windows(), 0, -1).Result()
		if err != nil {
			return explain("list windows", err)
		}
		names := []string{k.generations(), k.state(), k.windows()}
		args := []any{rival.generation, len(starts)}
		for _, start := range starts {
			names = k.window(names, start)
			args = append(args, start)
		}
		err = t.retryNeed(ctx, "retire generation", retireScript, names, args)
		if err != nil && !errors.Is(err, errNeed) && !errors.Is(err, errRefused) {
			return err
		}
	}
	return nil
}

// promote gives a candidate the public keys of its bucket. It reports whether it
// did; a candidate that is still behind is no error.
func (t *table) promote(ctx context.Context) (bool, error) {
	old := t.s.keys(t.tag, t.other, current)
	mine, err := t.s.client.ZRange(ctx, t.keys.windows(), 0, -1).Result()
	if err != nil {
		return false, explain("list windows", err)
	}
	theirs, err := t.s.client.ZRange(ctx, old.windows(), 0, -1).Result()
	if err != nil {
		return false, explain("list windows", err)
	}
	names := []string{t.keys.generations(), t.keys.state(), old.state(), t.keys.windows(), old.windows(), old.events()}
	args := []any{t.m.Generation(), t.other, millis(t.stateTTL()), t.maxEvents(), t.size(), len(mine)}
	for _, start := range mine {
		names = append(names, t.keys.values(start), t.keys.meta(start), old.values(start), old.meta(start))
		args = append(args, start)
	}
	args = append(args, len(theirs))
	for _, start := range theirs {
		names = append(names, old.values(start), old.meta(start), old.accumulators(start), old.ordered(start))
		args = append(args, start)
	}
	reply, err := t.s.run(ctx, promoteScript, names, args)
	if err != nil {
		return false, explain("promote generation", err)
	}
	switch reply[0] {
	case "BEHIND", "NEED":
		return false, nil
	}
	if err := replyError(reply); err != nil {
		return false, fmt.Errorf("promote generation: %w", err)
	}
	failpoint.At(failpoint.RedisPromoted)
	t.setRole(current, t.m.Generation())
	t.rival = public{}
	return true, nil
}
