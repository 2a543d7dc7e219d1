package stream

import "context"

// Owners is a Log whose shards may be followed by several processes.
type Owners interface {
	// Own joins a group of processes that divide shards among themselves, and
	// tells by OwnOptions.Assign which are this process's, again after each
	// change. It blocks until ctx ends, and then leaves the group at once: what
	// this process has followed must be given up by then.
	//
	// The group is about who tries, never about who may: that a process was told
	// that a shard is its own proves nothing, and OpenShard alone decides.
	Own(ctx context.Context, o OwnOptions) error
}

// OwnOptions are the options of Own. The functions are called from its
// goroutine and must not block.
type OwnOptions struct {
	// Group is the name of the group.
	Group string
	// Process names this process and those that had its place before it, of
	// which none can live any more: the group does not wait for them. Nobody
	// else may have the name.
	Process string
	// Name is what others are told that a shard's owner is called.
	Name string
	// Shards returns those that this process can follow.
	Shards func() []string
	// Held returns those that it follows, and those that were taken from it and
	// are not given up yet: nobody else is given these meanwhile.
	Held func() []string
	// Changed is signalled when Shards or Held return something else.
	Changed <-chan struct{}
	// Assign is told whose the shards are.
	Assign func(Ownership)
	// Failing is told why the group cannot be asked, and nil each time that it has
	// answered. What was assigned before stays so.
	Failing func(error)
}

// Standing is where a process stands in a group that divides shards.
type Standing int

// The standings.
const (
	// Alone: nobody is in the group, which takes its time to form. Every shard is
	// this process's until the group says otherwise.
	Alone Standing = iota
	// Member: the group has divided the shards.
	Member
	// Lost: the group goes on without this process, and others may have its
	// shards by now. None is its own until it has joined again.
	Lost
)

// Ownership says whose the shards are.
type Ownership struct {
	Standing Standing
	// Mine are those of this process, ascending.
	Mine []string
	// Owners names the owner of each shard of any process. A shard that moves
	// from one to another has none.
	Owners map[string]string
}
