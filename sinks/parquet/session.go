package parquet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tailwater/change"
	"tailwater/internal/failpoint"
	"tailwater/stream"
)

// emptyEvery is how often a partition without rows gets a batch without files,
// so that its heartbeats do not hold the stream's retention.
const emptyEvery = 15 * time.Minute

// maxDirs bounds the directories of one batch; a batch is cut where the next
// row would need one more.
const maxDirs = 512

// session is a Worker's work from one look at the chains to the next error.
type session struct {
	w     *Worker
	o     *Options
	parts []part
	// last is the index of the part of the record before.
	last     int
	consumer stream.Consumer
	schemas  schemas
	known    knownSchemas
	held     int
	taker    *taker
	maxDirs  int
}

func newSession(w *Worker) *session {
	return &session{w: w, o: &w.o, schemas: schemas{store: w.o.Store, view: w.o.View}, maxDirs: maxDirs}
}

// part is one partition: its chain, and the batch that is being gathered.
type part struct {
	n     int32
	chain chain
	// next is the offset behind the last record taken, marks the marks there.
	next  int64
	marks stream.Marks
	batch
	began time.Time
	// stale says that what is left of the last poll lies behind a batch of
	// another worker and is read again.
	stale bool
}

// open loads every chain, finishes what is unfinished, and starts to read.
func (s *session) open(ctx context.Context) error {
	s.known = make(knownSchemas)
	s.taker = newTaker(&s.o.Layout)
	if err := s.schemas.load(ctx); err != nil {
		return err
	}
	bounds, err := s.o.Log.Bounds(ctx, s.o.Topic.Name)
	if err != nil {
		return fmt.Errorf("read bounds of %s: %w", s.o.Topic.Name, err)
	}
	s.parts = make([]part, len(s.o.Partitions))
	for i, n := range s.o.Partitions {
		p := &s.parts[i]
		p.n = n
		p.chain = chain{store: s.o.Store, prefix: chainPrefix(s.o.View, s.o.Layout.Name, s.o.Topic.Incarnation, p.n)}
		if err := s.resume(ctx, p, bounds[n]); err != nil {
			return err
		}
	}
	if s.consumer, err = s.o.Log.NewConsumer(ctx, stream.ConsumerOptions{}); err != nil {
		return fmt.Errorf("open consumer of %s: %w", s.o.Topic.Name, err)
	}
	if err := s.consumer.Assign(s.offsets()); err != nil {
		return errors.Join(err, s.consumer.Close())
	}
	s.report()
	return nil
}

// resume brings a partition to the end of its chain.
func (s *session) resume(ctx context.Context, p *part, b stream.Bounds) error {
	if err := p.chain.load(ctx); err != nil {
		return err
	}
	failpoint.At(failpoint.LakeChainLoaded)
	// Another worker may have cut what the stream got since the bounds were read.
	if p.chain.next > b.Next || p.chain.open != nil && p.chain.open.Last > b.Next {
		now, err := s.o.Log.Bounds(ctx, s.o.Topic.Name)
		if err != nil {
			return fmt.Errorf("read bounds of %s: %w", s.o.Topic.Name, err)
		}
		b = now[p.n]
	}
	if p.chain.empty {
		if err := s.begin(ctx, p, b); err != nil {
			return err
		}
	}
	if m := p.chain.open; m != nil {
		if len(m.Files) > 0 && m.First < b.First || m.Last > b.Next {
			return &BehindError{p.chain.prefix, fmt.Sprintf("the batch of offsets %d to %d is promised but not written, and the stream has %d to %d", m.First, m.Last, b.First, b.Next)}
		}
		if err := s.obey(ctx, p, m); err != nil {
			return err
		}
	}
	switch {
	case p.chain.next > b.Next:
		return &BehindError{p.chain.prefix, fmt.Sprintf("it ends at offset %d, the stream at %d", p.chain.next, b.Next)}
	case p.chain.next < b.First:
		return &BehindError{p.chain.prefix, fmt.Sprintf("it ends at offset %d, and the stream has nothing before %d", p.chain.next, b.First)}
	}
	p.restart()
	return nil
}

// restart begins an empty batch at the end of the chain.
func (p *part) restart() {
	p.next, p.marks = p.chain.next, p.chain.marks.Clone()
	p.reset()
	p.began, p.stale = time.Time{}, false
}

// step polls once and cuts what is due.
func (s *session) step(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, s.untilDue())
	records, err := s.consumer.Poll(wait)
	over := wait.Err()
	cancel()
	if err != nil && (over == nil || !errors.Is(err, over)) {
		return fmt.Errorf("read %s: %w", s.o.Topic.Name, err)
	}
	for i := range s.parts {
		s.parts[i].stale = false
	}
	for i := range records {
		if err := s.take(ctx, &records[i]); err != nil {
			return err
		}
	}
	s.report()
	return s.cutDue(ctx)
}

// untilDue is how long a poll may wait: until the oldest batch must be cut.
func (s *session) untilDue() time.Duration {
	wait := time.Second
	now := s.o.Now()
	for i := range s.parts {
		if p := &s.parts[i]; !p.began.IsZero() && len(p.rows) > 0 {
			wait = min(wait, p.began.Add(s.o.RollEvery).Sub(now))
		}
	}
	return max(wait, time.Millisecond)
}

// take adds one record to the batch of its partition.
func (s *session) take(ctx context.Context, r *stream.Record) error {
	if s.parts[s.last].n != r.Partition { // records come in runs of one partition
		i, ok := slices.BinarySearch(s.o.Partitions, r.Partition)
		if !ok {
			return fmt.Errorf("read %s: a record of partition %d, which was not asked for", s.o.Topic.Name, r.Partition)
		}
		s.last = i
	}
	p := &s.parts[s.last]
	if r.Offset < p.next || p.stale {
		return nil
	}
	if p.began.IsZero() {
		p.began = s.o.Now()
	}
	if r.Kind == stream.Event && len(p.dirs) >= s.maxDirs {
		if err := s.cut(ctx, p); err != nil {
			return err
		}
		if p.stale {
			return nil
		}
		p.began = s.o.Now()
	}
	accepted, err := p.marks.Accept(r)
	if err != nil {
		return err
	}
	p.next = r.Offset + 1
	if r.Kind != stream.Event {
		return nil
	}
	if !accepted {
		s.w.update(func(st *Status) { st.Duplicates++ })
		return nil
	}
	if err := p.add(r, s.taker); err != nil {
		return fmt.Errorf("view %s, partition %d, offset %d: %w", s.o.View, r.Partition, r.Offset, err)
	}
	s.held += len(r.Value) + rowOverhead
	return nil
}

// cutDue cuts every batch that is large or old enough, and the largest ones
// while too much is held.
func (s *session) cutDue(ctx context.Context) error {
	now := s.o.Now()
	for i := range s.parts {
		p := &s.parts[i]
		age := now.Sub(p.began)
		due := len(p.rows) > 0 && (p.bytes >= s.o.RollBytes || len(p.rows) >= s.o.RollRows || age >= s.o.RollEvery)
		due = due || !p.began.IsZero() && p.next > p.chain.next && age >= max(emptyEvery, s.o.RollEvery)
		if due {
			if err := s.cut(ctx, p); err != nil {
				return err
			}
		}
	}
	for s.held > s.o.MemoryBytes {
		largest := &s.parts[0]
		for i := range s.parts {
			if s.parts[i].memory() > largest.memory() {
				largest = &s.parts[i]
			}
		}
		if err := s.cut(ctx, largest); err != nil {
			return err
		}
	}
	return nil
}

// cut promises the batch in a manifest, and writes what the manifest at that
// place says, be it ours or another worker's.
func (s *session) cut(ctx context.Context, p *part) error {
	failpoint.At(failpoint.LakeBatchCut)
	m, files, err := s.plan(ctx, p)
	if err != nil {
		return err
	}
	failpoint.At(failpoint.LakeFilesBuilt)
	won, err := p.chain.propose(ctx, m)
	if err != nil {
		return err
	}
	memory := p.memory()
	if same(won, m) {
		if err := s.finish(ctx, p, won, files); err != nil {
			return err
		}
		s.held -= memory
		p.restart()
		return nil
	}
	if err := s.obey(ctx, p, won); err != nil {
		return err
	}
	s.held -= memory
	p.restart()
	p.stale = true
	return s.consumer.Assign(s.offsets())
}

// offsets is where each partition is read from next.
func (s *session) offsets() map[stream.TopicPartition]int64 {
	out := make(map[stream.TopicPartition]int64, len(s.parts))
	for i := range s.parts {
		out[stream.TopicPartition{Topic: s.o.Topic.Name, Partition: s.parts[i].n}] = s.parts[i].next
	}
	return out
}

// plan describes the batch in a manifest and builds its files. They are built
// before the manifest is proposed, because only the rows tell which values
// their columns cannot hold, and those need columns of their own.
func (s *session) plan(ctx context.Context, p *part) (*Manifest, []built, error) {
	if err := s.known.refresh(ctx, s.o.Log, s.o.View, p.prints); err != nil {
		return nil, nil, err
	}
	var misfits []string
	for {
		version, err := s.agree(ctx, p, misfits)
		if err != nil {
			return nil, nil, err
		}
		m := s.manifest(p, version)
		w := newFileWriter(m, s.known, s.w.codecs)
		files, err := w.build(p.rows)
		if len(w.misfits) > 0 {
			misfits = append(misfits, w.misfits...)
			continue
		}
		return m, files, err
	}
}

func (s *session) manifest(p *part, version schemaVersion) *Manifest {
	m := &Manifest{
		Version: formatVersion, View: s.o.View, Topic: s.o.Topic.Name, Incarnation: s.o.Topic.Incarnation,
		Partition: p.n, First: p.chain.next, Last: p.next,
		Before: toManifestMarks(p.chain.marks), After: toManifestMarks(p.marks),
		Layout: s.o.Layout, SchemaVersion: version.Number, Columns: version.Columns,
		Codec: s.o.Codec, Rows: int64(len(p.rows)),
	}
	counts := p.counts()
	for i, dir := range p.dirs {
		m.Files = append(m.Files, FileRef{Key: fileKey(m, dir), Dir: dir, Rows: counts[i]})
	}
	return m
}

// agree settles the typed schema of a batch.
func (s *session) agree(ctx context.Context, p *part, misfits []string) (schemaVersion, error) {
	need := make(map[string]*change.Schema)
	for print := range p.prints {
		if sch := s.known[print]; sch != nil {
			need[print] = sch
		}
	}
	if _, unnamed := p.prints[""]; unnamed {
		need = s.known
	}
	return s.schemas.agree(ctx, wanted{sortedSchemas(need), misfits, p.tables})
}

// finish writes the files of a manifest and counts them.
func (s *session) finish(ctx context.Context, p *part, m *Manifest, files []built) error {
	done, err := p.chain.finish(ctx, m, files)
	if err != nil {
		return err
	}
	now := s.o.Now()
	s.w.update(func(st *Status) {
		st.Rows += uint64(m.Rows)
		st.Files += uint64(len(done.Files))
		for _, f := range done.Files {
			st.Bytes += uint64(f.Bytes)
		}
		st.LastCommit = now
	})
	s.w.moves()
	return nil
}

// report publishes the offsets.
func (s *session) report() {
	s.w.update(func(st *Status) {
		st.Read, st.Saved = slices.Repeat([]int64{-1}, s.o.Topic.Partitions), slices.Repeat([]int64{-1}, s.o.Topic.Partitions)
		for i := range s.parts {
			p := &s.parts[i]
			st.Read[p.n], st.Saved[p.n] = p.next, p.chain.next
		}
	})
}
