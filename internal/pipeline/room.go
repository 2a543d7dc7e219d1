package pipeline

import (
	"context"
	"fmt"
	"time"

	"tailwater/stream"
)

// The sizes of the stream's files. The newest file of a partition is never
// removed, so all of them together must lie well below what is kept, or readers
// would pause for room that nothing can make.
const (
	maxSegment = 8 << 20
	minSegment = 64 << 10
	// segmentShare is the part of what is kept that the newest files may be.
	segmentShare = 4
)

// segmentBytes is the size of the files of so many partitions, when keep bytes
// of them are kept; 0 is the stream's default of what is kept.
func segmentBytes(keep int64, partitions int) int64 {
	if keep == 0 {
		return maxSegment
	}
	return max(minSegment, min(maxSegment, keep/int64(segmentShare*max(1, partitions))))
}

// roomEvery is how often the stream's disk is looked at.
const roomEvery = time.Second

// diskFullAt is the part of the disk above which readers pause; they go on once
// it is a little below.
const (
	diskFullAt = 0.95
	diskFreeAt = 0.94
)

// keepRoom removes records that every sink has and retention allows, and holds
// the readers back while there is no room for more. It runs until ctx ends.
func (p *Pipeline) keepRoom(ctx context.Context) {
	if p.embedded == nil {
		return // the brokers keep what their retention says
	}
	for pause(ctx, roomEvery) {
		if err := p.trim(ctx); err != nil && ctx.Err() == nil {
			p.logger.Warn("stream is not trimmed", "error", err)
		}
		p.lookForRoom()
	}
}

// lookForRoom holds the readers back, or lets them go on.
func (p *Pipeline) lookForRoom() {
	if p.embedded == nil {
		return
	}
	reason := p.full()
	switch changed := p.gate.set(reason); {
	case changed && reason != "":
		p.logger.Warn("readers pause", "reason", reason)
	case changed:
		p.logger.Info("readers go on")
	}
}

// trim lets the stream drop what every sink has stored. A view without a sink
// holds nothing back.
func (p *Pipeline) trim(ctx context.Context) error {
	keep := make(map[stream.TopicPartition]int64)
	for _, t := range p.topics {
		bounds, err := p.log.Bounds(ctx, t.Name)
		if err != nil {
			return err
		}
		for i, b := range bounds {
			keep[stream.TopicPartition{Topic: t.Name, Partition: int32(i)}] = b.Next
		}
	}
	for _, topic := range p.capturedTopics() {
		bounds, err := p.log.Bounds(ctx, topic)
		if err != nil {
			return err
		}
		for i, b := range bounds {
			keep[stream.TopicPartition{Topic: topic, Partition: int32(i)}] = b.Next
		}
	}
	lower := func(view string, offsets []int64) {
		t := p.topics[view]
		for i := range t.Partitions {
			tp := stream.TopicPartition{Topic: t.Name, Partition: int32(i)}
			at := int64(0)
			if i < len(offsets) {
				at = offsets[i]
			}
			keep[tp] = min(keep[tp], at)
		}
	}
	for _, v := range p.windows {
		if !v.hasNothing(ctx) {
			lower(v.view, v.saved())
		}
	}
	for _, w := range p.lakes {
		st := w.Status()
		lower(st.View, st.Saved)
	}
	_, err := p.embedded.Trim(ctx, keep)
	return err
}

// full says why there is no room, or "".
func (p *Pipeline) full() string {
	u, err := p.embedded.Usage()
	if err != nil {
		return ""
	}
	if limit := p.diskLimit.Load(); limit > 0 && u.Bytes >= limit {
		return fmt.Sprintf("the stream holds %d MiB, as much as limits.disk allows, and a sink has not read it yet; mend the sink that lags, or raise limits.disk", u.Bytes>>20)
	}
	bound := diskFullAt
	if p.gate.closed() {
		bound = diskFreeAt
	}
	if u.Total > 0 && float64(u.Total-u.Free) >= bound*float64(u.Total) {
		return fmt.Sprintf("the disk of %s is %.0f %% full; free some of it", p.state.path, 100*float64(u.Total-u.Free)/float64(u.Total))
	}
	return ""
}
