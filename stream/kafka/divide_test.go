package kafka

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// anyone is a member with random shards of those named, all of them half of the
// time, as where every process has the same file.
func anyone(rng *rand.Rand, id string, shards []string) wish {
	w := wish{Version: divideVersion, Name: "host:" + id, member: id}
	for _, s := range shards {
		if rng.IntN(2) == 0 {
			w.Knows = append(w.Knows, s)
		}
	}
	if rng.IntN(2) == 0 {
		w.Knows = slices.Clone(shards)
	}
	return w
}

// portionsOf are the shards of each member of a division.
func portionsOf(d division) map[string][]string {
	out := make(map[string][]string)
	for _, p := range d.Portions {
		out[p.Member] = p.Shards
	}
	return out
}

// checkDivision holds a division against what divide promises.
func checkDivision(t *testing.T, members []wish, d division) {
	t.Helper()
	got, owner := portionsOf(d), make(map[string]string)
	for member, shards := range got {
		for _, s := range shards {
			if owner[s] != "" {
				t.Fatalf("shard %s is given to %s and to %s", s, owner[s], member)
			}
			owner[s] = member
		}
	}
	for _, m := range members {
		for _, s := range got[m.member] {
			if !slices.Contains(m.Knows, s) {
				t.Fatalf("%s gets shard %s, which it does not know", m.member, s)
			}
			for _, other := range members {
				if other.member != m.member && slices.Contains(other.Holds, s) && !slices.Contains(m.Holds, s) {
					t.Fatalf("%s gets shard %s while %s holds it", m.member, s, other.member)
				}
			}
		}
	}
}

// settle repeats rounds, in which each member gives up what it is told to, until
// nothing changes. It returns what each has then.
func settle(t *testing.T, members []wish) map[string][]string {
	t.Helper()
	for round := int32(1); round < 10; round++ {
		d := divide(members)
		checkDivision(t, members, d)
		got, same := portionsOf(d), true
		for i := range members {
			same = same && slices.Equal(members[i].Holds, got[members[i].member])
			members[i].Holds, members[i].Generation = got[members[i].member], round
		}
		if same {
			return got
		}
	}
	t.Fatalf("the shards still move after ten rounds: %+v", members)
	return nil
}

func TestDivide_RandomMembershipsKeepItsPromises(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var shards []string
		for i := range 1 + rng.IntN(20) {
			shards = append(shards, fmt.Sprintf("%02d", i))
		}
		var members []wish
		for step := range 8 {
			if len(members) > 0 && rng.IntN(2) == 0 {
				i := rng.IntN(len(members))
				members = slices.Delete(members, i, i+1)
			} else {
				members = append(members, anyone(rng, fmt.Sprintf("m%d", step), shards))
			}
			before := make(map[string]string)
			for _, m := range members {
				for _, s := range m.Holds {
					before[s] = m.member
				}
			}
			got := settle(t, members)
			checkEven(t, members, got)
			checkSticky(t, members, before, got)
		}
	}
}

// checkEven wants every shard that somebody knows to have an owner, and nobody
// to have two more than one who knows any of its shards.
func checkEven(t *testing.T, members []wish, got map[string][]string) {
	t.Helper()
	owned := make(map[string]bool)
	for _, shards := range got {
		for _, s := range shards {
			owned[s] = true
		}
	}
	for _, m := range members {
		for _, s := range m.Knows {
			if !owned[s] {
				t.Fatalf("nobody has shard %s, which %s knows", s, m.member)
			}
		}
		for _, other := range members {
			for _, s := range got[other.member] {
				if slices.Contains(m.Knows, s) && len(got[other.member]) > len(got[m.member])+1 {
					t.Fatalf("%s has %v and %s has %v, and both know %s", other.member, got[other.member], m.member, got[m.member], s)
				}
			}
		}
	}
}

// checkSticky wants that where all know all, no more shards have moved than had
// to: a member loses none while it has no more than the others get.
func checkSticky(t *testing.T, members []wish, before map[string]string, got map[string][]string) {
	t.Helper()
	total := 0
	for _, m := range members {
		if !slices.Equal(m.Knows, members[0].Knows) {
			return
		}
		total = len(m.Knows)
	}
	for _, m := range members {
		var had, kept int
		for s, who := range before {
			if who == m.member {
				had++
				if slices.Contains(got[m.member], s) {
					kept++
				}
			}
		}
		if least := min(had, total/len(members)); kept < least {
			t.Fatalf("%s had %d shards and keeps %d of them, want at least %d", m.member, had, kept, least)
		}
	}
}

// Whoever leads decides the same, in whatever order the members come.
func TestDivide_IsAFunctionOfTheMembers(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var members []wish
	for i := range 5 {
		m := anyone(rng, fmt.Sprintf("m%d", i), []string{"a", "b", "c", "d", "e", "f", "g"})
		m.Holds, m.Generation = m.Knows[:len(m.Knows)/2], int32(rng.IntN(3))
		members = append(members, m)
	}
	want := divide(members)
	for range 50 {
		rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		if got := divide(members); !reflect.DeepEqual(got, want) {
			t.Fatalf("divide = %+v, want %+v whatever the order", got, want)
		}
	}
}

// One that was away believes that it holds what another has got since.
func TestDivide_WhoGotAShardLaterHoldsIt(t *testing.T) {
	all := []string{"00", "01"}
	got := portionsOf(divide([]wish{
		{member: "a", Knows: all, Holds: all, Generation: 3},
		{member: "b", Knows: all, Holds: []string{"01"}, Generation: 4},
	}))
	if want := (map[string][]string{"a": {"00"}, "b": {"01"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A shard that its holder no longer knows goes to nobody before it is given up.
func TestDivide_AHolderThatForgotAShardGivesItUpFirst(t *testing.T) {
	members := []wish{
		{member: "a", Knows: []string{"00"}, Holds: []string{"00", "01"}},
		{member: "b", Knows: []string{"00", "01"}},
	}
	if got := portionsOf(divide(members)); len(got["b"]) != 0 {
		t.Errorf("b gets %v while a still holds it", got["b"])
	}
	if got := settle(t, members); !slices.Equal(got["b"], []string{"01"}) {
		t.Errorf("b has %v in the end, want 01", got["b"])
	}
}

// docs/format/stream.md shows these bytes.
func TestDivide_WhatMembersTellEachOther(t *testing.T) {
	w := wish{Version: divideVersion, Name: "db1:4711", Generation: 7, Knows: []string{"00", "01"}, Holds: []string{"00"}}
	d := division{Version: divideVersion, Portions: []portion{{Member: "tailwater-shop-K7-1", Name: "db1:4711", Shards: []string{"00"}}}}
	for want, v := range map[string]any{
		`{"v":1,"name":"db1:4711","generation":7,"knows":["00","01"],"holds":["00"]}`:             w,
		`{"v":1,"portions":[{"member":"tailwater-shop-K7-1","name":"db1:4711","shards":["00"]}]}`: d,
	} {
		if got, err := json.Marshal(v); err != nil || string(got) != want {
			t.Errorf("encoded %s, %v, want %s", got, err, want)
		}
	}
	for _, bad := range []string{"", "{}", `{"v":2}`, "\x00\x01"} {
		if err := decode([]byte(bad), &wish{}); err == nil || !strings.Contains(err.Error(), "another version") {
			t.Errorf("decode(%q) = %v, want a version error", bad, err)
		}
	}
}
