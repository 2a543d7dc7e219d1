package position

import (
	"fmt"

	"tailwater/stream"
	"tailwater/stream/internal/wire"
)

// Numbers are the marks of one session in every partition that it may write
// to. They check what is published and give each event its number.
type Numbers struct {
	Shard string
	Epoch uint32
	At    map[stream.TopicPartition]Partition
}

// Numbers returns the marks at which a session continues that claimed epoch
// and whose fences the fold has read.
func (f *Fold) Numbers(epoch uint32) *Numbers {
	n := &Numbers{Shard: f.shard, Epoch: epoch, At: make(map[stream.TopicPartition]Partition, len(f.next))}
	for tp := range f.next {
		n.At[tp] = f.At(tp)
	}
	return n
}

// Number checks the records, gives them their numbers and heartbeats their
// values, and returns the marks that hold when all of them are written. check
// is asked about each.
func (n *Numbers) Number(records []stream.Record, check func(*stream.Record) error) (map[stream.TopicPartition]Partition, error) {
	next := make(map[stream.TopicPartition]Partition)
	for i := range records {
		r := &records[i]
		tp := stream.TopicPartition{Topic: r.Topic, Partition: r.Partition}
		at, ok := next[tp]
		if !ok {
			if at, ok = n.At[tp]; !ok {
				return nil, fmt.Errorf("publish to topic %s, partition %d: the session was not opened with it", r.Topic, r.Partition)
			}
		}
		if err := n.number(r, &at); err != nil {
			return nil, err
		}
		if err := check(r); err != nil {
			return nil, err
		}
		next[tp] = at
	}
	return next, nil
}

func (n *Numbers) number(r *stream.Record, at *Partition) error {
	if r.Shard != n.Shard || r.LSN.Epoch != n.Epoch {
		return fmt.Errorf("publish to topic %s: a record of shard %s, epoch %d", r.Topic, r.Shard, r.LSN.Epoch)
	}
	c := r.LSN.Compare(at.Mark.LSN)
	switch r.Kind {
	case stream.Event:
		if c <= 0 {
			return fmt.Errorf("publish to topic %s, partition %d: lsn %s is not above %s", r.Topic, r.Partition, r.LSN, at.Mark.LSN)
		}
		at.Mark.N++
	case stream.Heartbeat:
		if c < 0 {
			return fmt.Errorf("publish to topic %s, partition %d: the heartbeat's lsn %s is below %s", r.Topic, r.Partition, r.LSN, at.Mark.LSN)
		}
	default:
		return fmt.Errorf("publish to topic %s: a record of kind %q", r.Topic, r.Kind)
	}
	r.N = at.Mark.N
	if r.Kind == stream.Heartbeat && !r.Bare {
		r.Value = wire.AppendHeartbeat(nil, r)
	}
	at.Mark.LSN, at.Known = r.LSN, true
	at.Mark.Watermark = max(at.Mark.Watermark, r.Watermark)
	return nil
}

// Published takes over the marks of Number once the records are written.
func (n *Numbers) Published(next map[stream.TopicPartition]Partition) {
	for tp, at := range next {
		n.At[tp] = at
	}
}
