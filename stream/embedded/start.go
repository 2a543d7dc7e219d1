package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"tailwater/internal/failpoint"
	"tailwater/stream/internal/position"
)

// parallelRecoveries bounds how many partitions are read at once.
const parallelRecoveries = 4

func (l *Log) cleanPath() string { return filepath.Join(l.dir, "CLEAN") }

// removeUnused removes files of the broker that hold nothing of ours, so that
// no damage of them can keep it from starting: accounts, rules and quotas that
// nobody sets, and the numbers of idempotent producers, which we are not.
func (l *Log) removeUnused() error {
	var err error
	for _, name := range []string{"acls.json", "broker_configs.json", "pids.log", "quotas.json", "sasl.json", "seq_windows.json"} {
		if rerr := os.RemoveAll(filepath.Join(l.logDir, name)); rerr != nil {
			err = errors.Join(err, fmt.Errorf("remove a file that is not needed: %w", rerr))
		}
	}
	return err
}

// markClean notes that the broker was closed in order.
func (l *Log) markClean() error {
	dirs := []string{l.logDir}
	for _, t := range l.topics.all() {
		for _, p := range t.partitions {
			if p.files.base >= 0 {
				dirs = append(dirs, p.dir)
			}
		}
	}
	for _, d := range dirs {
		if err := syncDir(d); err != nil {
			return err
		}
	}
	if err := writeFile(l.cleanPath(), nil); err != nil {
		return err
	}
	failpoint.At(failpoint.StreamMarkedClean)
	return nil
}

// recover reads what is stored, brings every partition into order, and
// compares what is there with what was promised.
func (l *Log) recover() error {
	_, err := os.Stat(l.cleanPath())
	clean := err == nil && !l.o.AcceptLoss
	if err == nil {
		if err := errors.Join(removeIfThere(l.cleanPath()), syncDir(l.dir)); err != nil {
			return err
		}
	}
	l.topics = topicSet{byName: make(map[string]*topic), name: l.o.Name, file: slots{kind: kindTopics, path: filepath.Join(l.dir, "topics")}}
	stored, err := l.topics.load()
	if err != nil {
		return err
	}
	if stored.damage != nil {
		l.logger.Warn("a file of topics is damaged; the generation before it is used", "error", stored.damage)
	}
	if stored.Pipeline != l.o.Name && len(stored.Topics) > 0 {
		return fmt.Errorf("the directory %s belongs to the pipeline %q, not to %q", l.dir, stored.Pipeline, l.o.Name)
	}
	l.topics.nextID = stored.NextID
	for _, r := range stored.Topics {
		l.topics.byName[r.Name] = l.newTopic(r)
	}
	if l.positions, err = openPositions(filepath.Join(l.dir, "positions"), l.logger.Warn); err != nil {
		return err
	}
	promised, err := l.openEnds()
	if err != nil {
		return err
	}
	changed, err := l.recoverTopics(clean)
	if err != nil {
		return err
	}
	lost, err := l.compare(promised)
	if err != nil {
		return err
	}
	if changed || lost {
		if err := l.topics.save(nil); err != nil {
			return err
		}
	}
	failpoint.At(failpoint.StreamRecovered)
	return l.ends.save(l.topics.all(), nil)
}

func (l *Log) openEnds() (map[partitionID]int64, error) {
	ends, promised, err := openEnds(filepath.Join(l.dir, "ends"))
	l.ends = ends
	return promised, err
}

// recoverTopics recovers every partition and reports whether a first offset is
// another than the stored one.
func (l *Log) recoverTopics(clean bool) (bool, error) {
	var g errgroup.Group
	g.SetLimit(parallelRecoveries)
	before := make(map[*partition]int64)
	for _, t := range l.topics.all() {
		for _, p := range t.partitions {
			before[p] = p.first.Load()
			g.Go(func() error {
				got, err := recovery{dir: p.dir, first: p.first.Load(), accept: l.o.AcceptLoss}.run(clean)
				if err != nil {
					return fmt.Errorf("topic %s, partition %d: %w", p.tp.Topic, p.tp.Partition, err)
				}
				p.first.Store(got.first)
				p.synced.Store(got.next)
				p.files.reset(got.newest, got.next)
				p.sizes, err = segmentSizes(p.dir)
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return false, err
	}
	changed := false
	for p, first := range before {
		changed = changed || p.first.Load() != first
	}
	return changed, nil
}

// compare holds the recovered ends against those that were acknowledged and
// against the saved positions. A topic that ends below an acknowledged offset
// gets a new incarnation, for its offsets will mean other records. One that
// ends below a saved position has lost records that nobody will write again:
// that is an error, unless the loss is accepted.
func (l *Log) compare(promised map[partitionID]int64) (bool, error) {
	lost := false
	for _, t := range l.topics.all() {
		below := false
		for i, p := range t.partitions {
			if end, want := p.synced.Load(), promised[partitionID{t.id, int32(i)}]; end < want {
				l.logger.Warn("the embedded stream has lost acknowledged records; the topic gets a new incarnation",
					"topic", t.name, "partition", i, "end", end, "acknowledged", want)
				below = true
			}
		}
		for _, sh := range l.positions.shards() {
			loss := positionLoss(t, sh)
			if loss != nil && !l.o.AcceptLoss {
				return lost, loss
			}
			if loss != nil {
				l.logger.Warn("loss accepted", "error", loss)
				below = true
			}
		}
		if !below {
			continue
		}
		lost = true
		t.incarnation = newIncarnation()
		if err := l.movePositions(t); err != nil {
			return lost, err
		}
	}
	return lost, nil
}

// positionLoss returns what a shard's saved position has before it and the
// topic has not, or nil.
func positionLoss(t *topic, sh *shard) error {
	pos := sh.get()
	if pos == nil {
		return nil
	}
	for i, q := range pos.Topics[t.name].Partitions {
		if i >= len(t.partitions) {
			break
		}
		if end := t.partitions[i].synced.Load(); q.Next > end {
			return &LossError{t.partitions[i].dir, fmt.Sprintf("the partition ends at offset %d, shard %s has saved a position behind offset %d", end, sh.name, q.Next)}
		}
	}
	return nil
}

// movePositions takes the positions over to the topic's new incarnation. What
// they have before them is the same as it was, or is lost and accepted; a mark
// may lie above everything in the log, for the next epoch's fence lies above
// the mark.
func (l *Log) movePositions(t *topic) error {
	for _, sh := range l.positions.shards() {
		err := sh.update(func(pos *position.Position) (*position.Position, error) {
			if pos == nil {
				return pos, nil
			}
			at, ok := pos.Topics[t.name]
			if !ok {
				return pos, nil
			}
			next := pos.Clone()
			at = next.Topics[t.name]
			at.Incarnation = t.incarnation
			for i := range at.Partitions {
				if i < len(t.partitions) {
					at.Partitions[i].Next = min(at.Partitions[i].Next, t.partitions[i].synced.Load())
				}
			}
			next.Clean = false
			next.Topics[t.name] = at
			return next, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
