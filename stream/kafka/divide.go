package kafka

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// divideVersion is the version of what members tell each other.
const divideVersion = 1

// wish is what a member of a group of readers tells its leader when it joins.
// docs/format/stream.md describes it.
type wish struct {
	Version int    `json:"v"`
	Name    string `json:"name"`
	// Generation is that of the group in which the member got what it holds; 0
	// before it got anything.
	Generation int32 `json:"generation"`
	// Knows are the shards that it can follow, Holds those that it follows or has
	// not given up yet.
	Knows []string `json:"knows"`
	Holds []string `json:"holds"`
	// member is its id in the group.
	member string
}

// portion is what one member gets.
type portion struct {
	Member string   `json:"member"`
	Name   string   `json:"name"`
	Shards []string `json:"shards"`
}

// division is what every member is told: the portion of each.
type division struct {
	Version  int       `json:"v"`
	Portions []portion `json:"portions"`
}

// versioned is what wish and division are, to whoever reads them.
type versioned interface{ version() int }

func (w *wish) version() int     { return w.Version }
func (d *division) version() int { return d.Version }

var errDivideVersion = errors.New("it was written by another version of Tailwater, or not by Tailwater")

// decode reads what a member or the leader has told.
func decode(b []byte, into versioned) error {
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%w: %w", errDivideVersion, err)
	}
	if into.version() != divideVersion {
		return errDivideVersion
	}
	return nil
}

// divide divides the shards that any member knows among those who know them.
// It is a function of its argument, in whatever order that comes:
//
//   - No shard has two owners, none goes to a member that does not know it, and
//     one that another member still holds goes to nobody until it is given up.
//   - Of two members of which one has a shard that the other knows, the first
//     has at most one more than the second, counted with what is on its way.
//   - A shard leaves who holds it only for that.
func divide(members []wish) division {
	d := dividing{members: slices.SortedFunc(slices.Values(members), func(a, b wish) int { return cmp.Compare(a.member, b.member) })}
	d.begin()
	for d.even() {
	}
	out := division{Version: divideVersion, Portions: make([]portion, len(d.members))}
	for i := range d.members {
		out.Portions[i] = portion{Member: d.members[i].member, Name: d.members[i].Name, Shards: []string{}}
	}
	for _, shard := range d.shards {
		to := d.owner[shard]
		if from, held := d.holder[shard]; held && from != to {
			continue
		}
		out.Portions[to].Shards = append(out.Portions[to].Shards, shard)
	}
	return out
}

// dividing is the work of divide. Members go by their place in members.
type dividing struct {
	members []wish
	// shards are all that somebody knows, ascending.
	shards []string
	knows  []map[string]bool
	holder map[string]int
	owner  map[string]int
	load   []int
}

// begin leaves every shard with its holder, and gives each of the others to the
// member that has the fewest of those who know it.
func (d *dividing) begin() {
	d.holder, d.owner = make(map[string]int), make(map[string]int)
	d.knows, d.load = make([]map[string]bool, len(d.members)), make([]int, len(d.members))
	all := make(map[string]bool)
	for i := range d.members {
		d.knows[i] = make(map[string]bool)
		for _, shard := range d.members[i].Knows {
			d.knows[i][shard], all[shard] = true, true
		}
		for _, shard := range d.members[i].Holds {
			// Who got it later has it: the other was away.
			if was, ok := d.holder[shard]; !ok || d.members[was].Generation < d.members[i].Generation {
				d.holder[shard] = i
			}
		}
	}
	d.shards = slices.Sorted(maps.Keys(all))
	var free []string
	for _, shard := range d.shards {
		if i, ok := d.holder[shard]; ok && d.knows[i][shard] {
			d.give(shard, i)
		} else {
			free = append(free, shard)
		}
	}
	for _, shard := range free {
		least := -1
		for i := range d.members {
			if d.knows[i][shard] && (least < 0 || d.load[i] < d.load[least]) {
				least = i
			}
		}
		d.give(shard, least)
	}
}

// give gives a shard to a member, and takes it from who had it.
func (d *dividing) give(shard string, to int) {
	if from, ok := d.owner[shard]; ok {
		d.load[from]--
	}
	d.owner[shard] = to
	d.load[to]++
}

// step is how a path of moves reaches a member: from another one, by a shard.
type step struct {
	from  int
	shard string
}

// even takes a shard from a member and gives one to another that has at least
// two fewer, by way of others where the two know nothing in common. It reports
// whether there was such a path.
func (d *dividing) even() bool {
	order := make([]int, len(d.members))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(d.load[b], d.load[a]) })
	for _, from := range order {
		path := map[int]step{from: {}}
		for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
			for to, shard := range d.next(queue[0], path) {
				path[to] = step{queue[0], shard}
				if d.load[to] > d.load[from]-2 {
					queue = append(queue, to)
					continue
				}
				for at := to; at != from; at = path[at].from {
					d.give(path[at].shard, at)
				}
				return true
			}
		}
	}
	return false
}

// next goes over the members that know a shard of member from and are on no
// path yet, each with the shard to move: one that nobody holds, if there is.
func (d *dividing) next(from int, path map[int]step) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		for to := range d.members {
			if _, seen := path[to]; seen {
				continue
			}
			move := ""
			for _, shard := range d.shards {
				if d.owner[shard] != from || !d.knows[to][shard] {
					continue
				}
				if holder, held := d.holder[shard]; !held || holder != from {
					move = shard
					break
				}
				move = cmp.Or(move, shard)
			}
			if move != "" && !yield(to, move) {
				return
			}
		}
	}
}
