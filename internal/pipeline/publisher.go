package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tailwater/binlog"
	"tailwater/change"
	"tailwater/internal/failpoint"
	"tailwater/internal/view"
	"tailwater/stream"
)

// errEnded is what the handler methods return once the publishing goroutine
// has failed; the cause is what Wait returns.
var errEnded = errors.New("publishing has ended")

// publisherOptions are the options of newPublisher.
type publisherOptions struct {
	Shard   string
	Session stream.Session
	Log     stream.Log
	Views   *viewSet
	// BatchBytes bounds the keys and values of one publish; a transaction
	// larger than it is published in pieces.
	BatchBytes int
	// SaveEvery is the least time between two positions that are stored on
	// their own, or that are large beside the rows they go with; see light.
	SaveEvery time.Duration
	// Gate blocks before each publish, of so many bytes, while the stream has
	// no room.
	Gate func(ctx context.Context, bytes int) error
	// Counters are the shard's, over all its sessions.
	Counters *counters
	// ServerChanged reports whether the server is another one than the
	// recovered position was made on: keys of skipped events are then compared.
	// It is asked once, when the reader is connected.
	ServerChanged func() bool
	// Interrupt ends the reader from another goroutine. It may be nil.
	Interrupt func(cause error)
	Now       func() time.Time
	Logger    *slog.Logger
}

// publisher makes records of one shard's row changes and publishes them. It is
// the binlog.Handler of one session:
//
//	reader goroutine: Begin, Row, Commit, Idle -> fills one batch
//	publishing goroutine (run): one Publish in flight, then Save when due;
//	                            both are one PublishAt on a log with transactions
//
// Two batches go round: while one is published the other is filled, so that
// transactions gather exactly as long as the log is busy. The publishing
// goroutine fetches the other one itself when the reader has none in hand: the
// reader may wait for its server, for as long as a heartbeat takes.
type publisher struct {
	o     publisherOptions
	epoch uint32
	// together is the session when its log has transactions, else nil.
	together stream.TransactionalSession
	// marksSize is about what a position has beside the source's own.
	marksSize int

	// mu guards cur and what decides whether a position may be stored. The
	// reader's goroutine holds it while a transaction is open.
	mu sync.Mutex
	// held is whether the reader's goroutine has mu; it is that goroutine's own.
	held bool

	cur  *batch
	free chan *batch
	work chan *batch
	// ended is closed when run returns; err is valid then.
	ended chan struct{}
	err   error
	// inFlight counts batches handed over and not yet given back.
	inFlight atomic.Int32

	skip   *skipList
	plans  planCache
	emit   func(view.Event) error
	target *target
	tx     *binlog.Transaction
	txSkip *skipTx
	row    uint32
	// table is the buffer of the event of a whole table.
	table []byte
	last  change.LSN
	// events counts those of the open transaction.
	events uint64
	// partial is set while rows of the open transaction are published already:
	// no position may be stored then.
	partial   bool
	position  []byte
	watermark int64
	lastSave  time.Time
	beats     heartbeats
	finish    sync.Once
	// serverChanged is Options.ServerChanged, asked once.
	serverChanged func() bool
	// halt is set once the session ends for captured tables; it belongs to the
	// reader's goroutine. broken is the error of add, which stops the shard and
	// never only a table.
	halt   *halt
	broken error
}

var _ binlog.Handler = (*publisher)(nil)

func newPublisher(o publisherOptions) *publisher {
	p := &publisher{
		o:     o,
		epoch: o.Session.Epoch(),
		free:  make(chan *batch, 2),
		work:  make(chan *batch, 1),
		ended: make(chan struct{}),
		cur:   &batch{oldest: &o.Counters.waiting.batches[0]},
		skip:  newSkipList(o.Session.Recovered().Skip),
	}
	p.free <- &batch{oldest: &o.Counters.waiting.batches[1]}
	p.last = change.LSN{Epoch: p.epoch}
	p.emit = p.add
	p.lastSave = o.Now()
	p.beats = newHeartbeats(o.Views.targets, p.lastSave)
	p.plans.views = o.Views
	p.together, _ = o.Session.(stream.TransactionalSession)
	for _, t := range o.Views.targets {
		p.marksSize += t.partitions * markSize
	}
	p.serverChanged = sync.OnceValue(o.ServerChanged)
	return p
}

// Begin opens a transaction. Rows of one that was left open are dropped: the
// reader hands them over again.
func (p *publisher) Begin(tx *binlog.Transaction) error {
	if p.halt != nil {
		return nil
	}
	p.hold()
	p.dropOpen()
	p.tx, p.events = tx, 0
	p.cur.begin(tx.CommitMicros)
	p.o.Counters.waiting.begin(tx.CommitMicros)
	p.txSkip = p.skip.transaction(tx.ID)
	return nil
}

// Commit closes the transaction; what gathered is handed over at once when the
// publishing goroutine is idle.
func (p *publisher) Commit(tx *binlog.Transaction, position []byte) error {
	if p.halt != nil {
		return nil
	}
	p.hold()
	err := p.commit(tx, position)
	p.release()
	if err != nil || p.inFlight.Load() > 0 {
		return err
	}
	// The publish that was in flight may have ended since commit looked, and
	// found that the batch was in the reader's hand.
	p.hold()
	defer p.release()
	if p.cur.committed == 0 {
		return nil
	}
	return p.seal()
}

func (p *publisher) commit(tx *binlog.Transaction, position []byte) error {
	b := p.cur
	if tx.Rows > tx.Tables {
		// DDL may carry another clock than the rows of a workload that sets
		// its commit times; an idle shard's watermark does not need it.
		p.watermark = max(p.watermark, tx.CommitMicros)
	}
	if n := len(b.records) - b.committed; n > 0 {
		b.commits = append(b.commits, commit{tx.CommitMicros, uint64(n)})
	}
	b.settle()
	if p.txSkip != nil {
		p.skip.done(tx.ID)
		p.txSkip = nil
	}
	p.tx = nil
	b.transactions++
	p.mark(position)
	p.beat(p.watermark)
	p.o.Counters.commit(tx, p.events, p.beats.now)
	if len(b.records) == 0 && !p.saveDue() {
		return nil
	}
	if b.bytes >= p.o.BatchBytes || p.inFlight.Load() == 0 {
		return p.seal()
	}
	return nil
}

// Idle moves the watermark and the position of a shard to which nothing happens.
func (p *publisher) Idle(watermark int64, position []byte) error {
	if p.halt != nil {
		return errHalted
	}
	p.hold()
	defer p.release()
	p.dropOpen()
	p.o.Counters.waiting.idle()
	p.watermark = max(p.watermark, watermark)
	p.mark(position)
	p.beat(p.watermark)
	if len(p.cur.records) == 0 && !p.saveDue() {
		return nil
	}
	return p.seal()
}

// began notes where a shard without a position begins: where that is the end of
// a log, a session that ends before it has stored one would begin elsewhere.
func (p *publisher) began(position []byte) {
	if p.o.Session.Recovered().Found {
		return
	}
	p.hold()
	defer p.release()
	p.mark(position)
}

// mark notes that everything in the batch is behind position.
func (p *publisher) mark(position []byte) {
	b := p.cur
	b.position = append(b.position[:0], position...)
	p.position, p.partial = b.position, false
	b.lsn = p.last
	b.committed = len(b.records)
}

// beat adds a heartbeat for each partition that had no event for a while.
func (p *publisher) beat(watermark int64) {
	b := p.cur
	p.beats.due(p.o.Now(), func(t *target, part int32) {
		b.add(stream.Record{
			Topic: t.topic, Partition: part, Kind: stream.Heartbeat,
			Shard: p.o.Shard, LSN: p.last, Watermark: watermark, Bare: t.foreign,
		})
		b.committed = len(b.records)
	})
}

// dropOpen forgets the rows of a transaction that was not committed.
func (p *publisher) dropOpen() {
	b := p.cur
	clear(b.records[b.committed:])
	b.records = b.records[:b.committed]
	b.settle()
	p.tx, p.txSkip = nil, nil
}

func (p *publisher) saveDue() bool {
	return p.o.Now().Sub(p.lastSave) >= p.o.SaveEvery
}

// seal hands the batch over and takes the other one. It blocks while a publish
// is in flight: that is the back-pressure on the source.
func (p *publisher) seal() error {
	b := p.cur
	if b.empty() {
		return nil
	}
	p.ready(b)
	select {
	case p.work <- b:
	case <-p.ended:
		return p.cause()
	}
	select {
	case p.cur = <-p.free:
		if p.tx != nil {
			p.cur.begin(p.tx.CommitMicros)
		}
		return nil
	case <-p.ended:
		return p.cause()
	}
}

// ready finishes a batch that is about to be published.
func (p *publisher) ready(b *batch) {
	p.partial = p.partial || b.committed < len(b.records)
	if !p.partial && b.position != nil && (p.saveDue() || p.light(b)) {
		b.save, b.skip = true, p.skip.list()
		p.lastSave = p.o.Now()
	}
	p.inFlight.Add(1)
	failpoint.At(failpoint.PublishCut)
}

// What a position weighs: markSize for each partition and skipSize for each
// event to skip. Up to smallPosition it goes with every publish.
const (
	markSize      = 36
	skipSize      = 16
	smallPosition = 4 << 10
)

// light reports whether a batch takes its position along although none is due:
// it costs no transaction of its own then, and no more bytes than the rows do.
func (p *publisher) light(b *batch) bool {
	size := len(b.position) + p.marksSize + p.skip.events*skipSize
	return p.together != nil && len(b.records) > 0 && size <= max(smallPosition, b.bytes)
}

// hold takes mu for the reader's goroutine, which may have it already: a
// transaction that broke off was never released.
func (p *publisher) hold() {
	if !p.held {
		p.mu.Lock()
		p.held = true
	}
}

func (p *publisher) release() {
	p.held = false
	p.mu.Unlock()
}

// next gives back a batch that is published, and returns the one that the
// reader has filled meanwhile; nil when there is none, or when the reader is
// about to hand it over itself.
func (p *publisher) next(done *batch) *batch {
	done.reset()
	if p.inFlight.Add(-1) == 0 && p.mu.TryLock() {
		defer p.mu.Unlock()
		// Between Add and TryLock the reader may have handed one over.
		if b := p.cur; b.committed > 0 && p.inFlight.Load() == 0 {
			p.ready(b)
			p.cur = done
			return b
		}
	}
	p.free <- done
	return nil
}

func (p *publisher) cause() error {
	if p.err != nil {
		return p.err
	}
	return errEnded
}

// run publishes until Finish or an error. ctx is the hard stop.
func (p *publisher) run(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("publish of shard %s: %w", p.o.Shard, caught(p.o.Logger, "publisher", v))
		}
		p.err = err
		close(p.ended)
	}()
	for {
		select {
		case b, open := <-p.work:
			if !open {
				return nil
			}
			for b != nil {
				if err := p.publish(ctx, b); err != nil {
					return err
				}
				b = p.next(b)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (p *publisher) publish(ctx context.Context, b *batch) error {
	if err := p.o.Gate(ctx, b.bytes); err != nil {
		return err
	}
	failpoint.At(failpoint.PublishSending)
	asked := &p.o.Counters.waiting.asked
	asked.Store(p.o.Now().UnixNano())
	defer asked.Store(0)
	position := stream.SourcePosition{Source: b.position, LSN: b.lsn, Skip: b.skip}
	together := b.save && len(b.records) > 0 && p.together != nil
	var err error
	switch {
	case together:
		err = p.together.PublishAt(ctx, b.records, position)
	case len(b.records) > 0:
		err = p.o.Session.Publish(ctx, b.records)
	}
	if err != nil {
		return fmt.Errorf("publish %d records of shard %s: %w", len(b.records), p.o.Shard, nameLarge(b, err))
	}
	if len(b.records) > 0 {
		failpoint.At(failpoint.PublishSent)
		p.o.Counters.published(b, p.o.Now())
	}
	if !b.save {
		return nil
	}
	if !together {
		failpoint.At(failpoint.PositionSaving)
		if err := p.o.Session.Save(ctx, position); err != nil {
			return fmt.Errorf("save position of shard %s: %w", p.o.Shard, err)
		}
	}
	failpoint.At(failpoint.PositionSaved)
	p.o.Counters.saved(p.o.Now())
	return nil
}

// Finish hands over what is committed, waits for it, and stores the last
// position. The reader must have returned. It is idempotent.
func (p *publisher) Finish() error {
	p.finish.Do(func() {
		failpoint.At(failpoint.PublishFinishing)
		p.hold()
		defer p.release()
		p.dropOpen()
		if !p.partial {
			p.cur.position, p.cur.lsn = p.position, p.last
			p.lastSave = time.Time{}
		}
		_ = p.seal() // an error is the one that run returns
		close(p.work)
	})
	<-p.ended
	failpoint.At(failpoint.PublishFinished)
	return p.err
}
