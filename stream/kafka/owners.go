package kafka

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tailwater/stream"
)

const (
	// ownTimeout is after how long of silence an owner is taken for dead.
	ownTimeout = 8 * time.Second
	// ownEvery is how often an owner says that it lives, and hears that the
	// group changes: every hand-over waits for it once or twice.
	ownEvery = 500 * time.Millisecond
	// ownRetry is the pause after the group could not be asked.
	ownRetry = time.Second
	// leaveWait bounds how long a process that ends tries to say so.
	leaveWait = 2 * time.Second
)

// The type of the group, which is none of consumers, and the name of what its
// members tell each other.
const (
	ownProtocolType = "tailwater"
	ownProtocol     = "shards"
)

var (
	// errRejoin says that the group is about to be formed anew.
	errRejoin = errors.New("the group changes")
	// errOutside says that the group goes on without this process.
	errOutside = errors.New("the group goes on without this process, which it has not heard of for too long")
)

// owning is this process's part in a group that divides shards:
//
//	who is there? -> (join -> sync -> heartbeat*)* -> leave
//
// It is the group protocol of Kafka with a type of its own, as that of Kafka
// Connect is: what is divided are names, and no partitions. A member goes on
// with what it has while the group is formed anew, is told what to give up, and
// joins once more when it has given that up; only then another one gets it.
type owning struct {
	log        *Log
	o          stream.OwnOptions
	client     *kgo.Client
	clientID   string
	member     string
	generation int32
	// told is what the group believes to be held since the last round: what was
	// said then, and what came by it; knows is what could be.
	told, knows []string
}

// Own divides shards by a group. See stream.Owners.
func (l *Log) Own(ctx context.Context, o stream.OwnOptions) error {
	w := &owning{log: l, o: o, clientID: "tailwater-" + l.o.Name + "-" + o.Process}
	var err error
	w.client, err = l.newClient(clientIDOf(w)...)
	if err != nil {
		return err
	}
	defer w.client.Close()
	defer w.leave(ctx)
	for began := false; ctx.Err() == nil; {
		if !began {
			w.first(ctx)
			began = true
		}
		err := w.round(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, errRejoin):
		case errors.Is(err, errOutside):
			w.member, w.generation, began = "", 0, false
			o.Assign(stream.Ownership{Standing: stream.Lost})
		default:
			o.Failing(l.explain("divide the shards", err))
			pause(ctx, ownRetry)
		}
	}
	return nil
}

// clientIDOf names the client after the process: the brokers show that to whoever
// describes the group.
func clientIDOf(w *owning) []kgo.Opt {
	return []kgo.Opt{kgo.ClientID(w.clientID), kgo.RetryTimeout(ownTimeout)}
}

// first looks who is in the group before it is joined: brokers wait for some
// seconds for others before they form a new one, and for as long as an owner may
// be silent for those who died. The ones that had this process's place are
// dead, and are taken out. When nobody else is there, every shard is its own at
// once: should another process begin at the same moment, only one of the two can
// claim a shard, and the group decides a little later.
func (w *owning) first(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, ownTimeout)
	defer cancel()
	members, err := w.members(ctx)
	if err != nil {
		return // to join tells why
	}
	var dead []string
	for _, m := range members {
		if m.ClientID == w.clientID {
			dead = append(dead, m.MemberID)
		}
	}
	if len(dead) > 0 {
		w.remove(ctx, dead)
	}
	if len(dead) == len(members) {
		w.o.Assign(stream.Ownership{Standing: stream.Alone, Mine: slices.Sorted(slices.Values(w.o.Shards()))})
	}
}

// members lists who is in the group. It waits for brokers that have just started,
// and for those that make the topic of all groups.
func (w *owning) members(ctx context.Context) ([]kadm.DescribedGroupMember, error) {
	for {
		described, err := w.log.admin.DescribeGroups(ctx, w.o.Group)
		group := described[w.o.Group]
		if err = cmp.Or(err, group.Err); err == nil || errors.Is(err, kerr.GroupIDNotFound) {
			return group.Members, nil
		}
		if !kerr.IsRetriable(err) || !pause(ctx, pollEvery) {
			return nil, err
		}
	}
}

// remove takes members out of the group. What cannot be removed is missed when
// it has been silent for long enough.
func (w *owning) remove(ctx context.Context, members []string) {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = w.o.Group, members[0]
	for _, id := range members {
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID = id
		req.Members = append(req.Members, m)
	}
	_, _ = req.RequestWith(ctx, w.client)
}

// leave tells the group that this process is gone, so that others need not wait.
func (w *owning) leave(ctx context.Context) {
	if w.member == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWait)
	defer cancel()
	w.remove(ctx, []string{w.member})
}

// round joins the group, takes what it is given, and stays until the group
// changes.
func (w *owning) round(ctx context.Context) error {
	select {
	case <-w.o.Changed: // what has changed so far is told
	default:
	}
	plan, err := w.join(ctx)
	if err != nil {
		return err
	}
	mine, err := w.sync(ctx, plan)
	if err != nil {
		return err
	}
	w.o.Failing(nil)
	w.o.Assign(mine)
	w.told = slices.Compact(slices.Sorted(slices.Values(slices.Concat(w.told, mine.Mine))))
	return w.stay(ctx)
}

// join joins the group, and divides the shards if this process leads it.
func (w *owning) join(ctx context.Context) ([]kmsg.SyncGroupRequestGroupAssignment, error) {
	w.knows, w.told = slices.Sorted(slices.Values(w.o.Shards())), slices.Sorted(slices.Values(w.o.Held()))
	asks, err := json.Marshal(wish{Version: divideVersion, Name: w.o.Name, Generation: w.generation, Knows: w.knows, Holds: w.told})
	if err != nil {
		return nil, fmt.Errorf("encode what this process asks for: %w", err)
	}
	for {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.MemberID, req.ProtocolType = w.o.Group, w.member, ownProtocolType
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(ownTimeout.Milliseconds()), int32(ownTimeout.Milliseconds())
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = ownProtocol, asks
		req.Protocols = append(req.Protocols, p)
		resp, err := req.RequestWith(ctx, w.client)
		if err != nil {
			return nil, err
		}
		err = kerr.ErrorForCode(resp.ErrorCode)
		if errors.Is(err, kerr.MemberIDRequired) {
			w.member = resp.MemberID
			continue
		}
		if err != nil {
			return nil, outside(err)
		}
		w.member, w.generation = resp.MemberID, resp.Generation
		if resp.LeaderID != resp.MemberID {
			return nil, nil
		}
		return lead(resp.Members)
	}
}

// lead divides the shards as the leader of the group. A member that says what
// cannot be read, as one of a later version may, gets nothing.
func lead(members []kmsg.JoinGroupResponseMember) ([]kmsg.SyncGroupRequestGroupAssignment, error) {
	wishes := make([]wish, len(members))
	for i, m := range members {
		if err := decode(m.ProtocolMetadata, &wishes[i]); err != nil {
			wishes[i] = wish{Name: m.MemberID}
		}
		wishes[i].member = m.MemberID
	}
	told, err := json.Marshal(divide(wishes))
	if err != nil {
		return nil, fmt.Errorf("encode whose the shards are: %w", err)
	}
	plan := make([]kmsg.SyncGroupRequestGroupAssignment, len(members))
	for i, m := range members {
		plan[i] = kmsg.NewSyncGroupRequestGroupAssignment()
		plan[i].MemberID, plan[i].MemberAssignment = m.MemberID, told
	}
	return plan, nil
}

// sync waits for what the leader has decided.
func (w *owning) sync(ctx context.Context, plan []kmsg.SyncGroupRequestGroupAssignment) (stream.Ownership, error) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.Generation, req.MemberID, req.GroupAssignment = w.o.Group, w.generation, w.member, plan
	req.ProtocolType, req.Protocol = kmsg.StringPtr(ownProtocolType), kmsg.StringPtr(ownProtocol)
	resp, err := req.RequestWith(ctx, w.client)
	if err == nil {
		err = outside(kerr.ErrorForCode(resp.ErrorCode))
	}
	if err != nil {
		return stream.Ownership{}, err
	}
	var d division
	if err := decode(resp.MemberAssignment, &d); err != nil {
		return stream.Ownership{}, fmt.Errorf("read whose the shards are: %w; run one version of Tailwater", err)
	}
	out := stream.Ownership{Standing: stream.Member, Owners: make(map[string]string)}
	for _, p := range d.Portions {
		for _, shard := range p.Shards {
			out.Owners[shard] = p.Name
		}
		if p.Member == w.member {
			out.Mine = slices.Sorted(slices.Values(p.Shards))
		}
	}
	return out, nil
}

// stay says again and again that this process lives, until the group changes,
// or what this process has to tell it.
func (w *owning) stay(ctx context.Context) error {
	every := time.NewTicker(ownEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.o.Changed:
			if w.differs() {
				return errRejoin
			}
		case <-every.C:
			if err := w.beat(ctx); err != nil {
				return err
			}
		}
	}
}

// differs reports whether the group believes what is so no longer.
func (w *owning) differs() bool {
	return !slices.Equal(slices.Sorted(slices.Values(w.o.Held())), w.told) || !slices.Equal(slices.Sorted(slices.Values(w.o.Shards())), w.knows)
}

// beat says once that this process lives. Brokers that do not answer change
// nothing: whoever else is given a shard fences its reader here.
func (w *owning) beat(ctx context.Context) error {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.Generation, req.MemberID = w.o.Group, w.generation, w.member
	wait, cancel := context.WithTimeout(ctx, ownTimeout)
	defer cancel()
	resp, err := req.RequestWith(wait, w.client)
	if err == nil {
		err = outside(kerr.ErrorForCode(resp.ErrorCode))
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errRejoin), errors.Is(err, errOutside):
		return err
	case err != nil:
		w.o.Failing(w.log.explain("divide the shards", err))
		pause(ctx, ownRetry)
	default:
		w.o.Failing(nil)
	}
	return nil
}

// outside tells apart what the group answers.
func outside(err error) error {
	switch {
	case errors.Is(err, kerr.RebalanceInProgress):
		return errRejoin
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.FencedInstanceID):
		return fmt.Errorf("%w: %w", errOutside, err)
	}
	return err
}
