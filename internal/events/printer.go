package events

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"tailwater/binlog"
	"tailwater/change"
	"tailwater/internal/envelope"
	"tailwater/internal/view"
)

// printer is the binlog.Handler of a run: it renders the rows of a transaction
// into a buffer, and hands that to the output at the commit.
type printer struct {
	o       *Options
	mode    binlog.PositionMode
	auto    bool
	follows binlog.Filter
	reader  *binlog.Reader
	// end ends the reader.
	end   func(error)
	out   *output
	plans plans
	until until
	emit  func(view.Event) error
	tx    *binlog.Transaction
	// change is that of the row at hand; it is here to be allocated once.
	change view.Change
	// gathered are the full pieces of the open transaction's lines, of held bytes,
	// and buf the one at hand: a buffer that grows would take several times its
	// size.
	gathered [][]byte
	held     int
	buf      []byte
	// last is where the last line of buf begins.
	last   int
	events uint64
	// over is what the beginning has ended the run with.
	over error
	// cut is set when the limit came inside the open transaction.
	cut bool
	// unaccepted are the transactions of Options.Accept of which nothing was passed
	// over.
	unaccepted []string

	start beginning
	// following is true from the beginning on.
	following atomic.Bool
	// position is behind the last transaction that was printed whole.
	position []byte
	total    Result
}

var _ binlog.Handler = (*printer)(nil)

// begins takes the reader's word of where it begins.
func (p *printer) begins(position []byte, version string) {
	at, err := readBeginning(position, version)
	if err != nil {
		p.over = err
		p.end(err)
		return
	}
	p.began(at)
}

// began takes where the reader begins.
func (p *printer) began(at beginning) {
	p.start = at
	p.following.Store(true)
	p.o.Note(p.greeting(at))
	if p.over = finish(p.until.begin(at)); p.over == nil {
		return
	}
	if errors.Is(p.over, errDone) {
		p.o.Note("everything that --until asks for lies before the start")
	}
	// The end of the context closes the connection, and Begin refuses what was
	// read before that.
	p.end(p.over)
}

// warned takes a warning of the reader. Those before the beginning are about what
// a crash of the server or a fail-over does to whoever keeps a position, and those
// that are errors about what will end the run.
func (p *printer) warned(l slog.Level, text string) {
	if p.following.Load() || l >= slog.LevelError {
		p.o.Note(text)
	}
}

// greeting says where the run begins, and how to get what is before.
func (p *printer) greeting(at beginning) string {
	text := fmt.Sprintf("%s %s at %s, from ", p.o.Source.Type, at.version, p.o.Shard.Addr)
	if p.o.Start == "latest" {
		return text + "now on, which is --start " + p.startText(at.gtid, at.file, at.pos) + "; --start earliest prints the past"
	}
	return text + p.o.Start
}

// startText is the Options.Start of a place.
func (p *printer) startText(gtid, file string, pos uint64) string {
	switch {
	case p.mode == binlog.ByFile:
		return fmt.Sprintf("file:%s:%d", file, pos)
	case gtid == "":
		return "earliest"
	}
	return "gtid:" + gtid
}

// pieceSize is how many bytes of a transaction's lines lie in one buffer, but for
// a line that is longer.
const pieceSize = 1 << 20

// Begin opens a transaction. Nothing of one that was left open is kept.
func (p *printer) Begin(tx *binlog.Transaction) error {
	if p.over != nil {
		return p.over
	}
	if p.until.before(tx) {
		return errDone
	}
	clear(p.gathered)
	p.gathered, p.held = p.gathered[:0], 0
	p.tx, p.buf, p.events, p.cut = tx, reuse(p.buf), 0, false
	return nil
}

// Row renders one row change.
func (p *printer) Row(tx *binlog.Transaction, rc *binlog.RowChange) error {
	if p.full() {
		p.cut = true
		return nil
	}
	plan, err := p.plans.of(rc.Table)
	if err != nil {
		return p.broken(rc.Table, err)
	}
	if plan == nil {
		p.total.Skipped[rc.Table.Database+"."+rc.Table.Name]++
		return nil
	}
	p.change = view.Change{
		Op: rc.Op, Shard: p.o.Shard.ID, TSMicros: tx.CommitMicros, GTID: tx.ID,
		LSN: change.LSN{Txn: tx.Number, Row: rc.Row}, Before: rc.Before, After: rc.After,
		File: tx.File, Pos: tx.Pos, Server: tx.ServerID, ReadMicros: tx.ReadAt.UnixMicro(),
	}
	if err := plan.Apply(&p.change, p.emit); err != nil {
		return p.refused(rc.Table, err)
	}
	return nil
}

// Table renders one change of a table as a whole.
func (p *printer) Table(tx *binlog.Transaction, t *change.TableChange) error {
	if !p.o.Envelope.IsFlat() {
		p.o.Note(fmt.Sprintf("table %s: %s in transaction %s, which %s has no event of", t.Table, t.DDL, tx.ID, p.o.Envelope))
		return nil
	}
	c := view.TableChange{
		TableChange: t, Shard: p.o.Shard.ID, TSMicros: tx.CommitMicros, GTID: tx.ID, LSN: change.LSN{Txn: tx.Number, Row: t.Row},
	}
	return p.add(view.Event{Op: change.OnTable, LSN: c.LSN, Value: view.AppendTableEvent(nil, &c)})
}

// refused tells what the plan of a table cannot do from what add does not take.
func (p *printer) refused(t *change.Table, err error) error {
	var large *TransactionError
	if errors.As(err, &large) {
		return err
	}
	return p.broken(t, err)
}

// TransactionError is a transaction whose events are larger than the bound.
type TransactionError struct {
	// ID is its GTID, or file:offset.
	ID    string
	Bytes int
}

// Error names the transaction and the bound.
func (e *TransactionError) Error() string {
	return fmt.Sprintf("the events of transaction %s take more than %d bytes, and it is held in memory until its end: raise --max-transaction", e.ID, e.Bytes)
}

// full reports whether the limit is reached.
func (p *printer) full() bool {
	return p.o.Limit > 0 && p.total.Events+p.events >= p.o.Limit
}

// add takes one event of the row at hand.
func (p *printer) add(e view.Event) error {
	if p.full() {
		p.cut = true
		return nil
	}
	size := len(e.Value) + 1
	if p.held+len(p.buf)+size > p.o.MaxTransaction {
		return &TransactionError{p.tx.ID, p.o.MaxTransaction}
	}
	if len(p.buf) > 0 && len(p.buf)+size > max(cap(p.buf), pieceSize) {
		p.gathered, p.held = append(p.gathered, p.buf), p.held+len(p.buf)
		p.buf = nil
	}
	if len(p.buf) == 0 && cap(p.buf) < size {
		p.buf = make([]byte, 0, max(pieceSize, size))
	}
	p.last = len(p.buf)
	p.buf = append(append(p.buf, e.Value...), '\n')
	p.events++
	return nil
}

// broken is what becomes of a table that cannot be printed.
func (p *printer) broken(t *change.Table, err error) error {
	name := t.Database + "." + t.Name
	if cause := errors.Unwrap(err); cause != nil {
		err = cause // without the view, which is nobody's
	}
	if !p.o.SkipBroken {
		// The reader puts the table's name in front.
		return fmt.Errorf("it cannot be printed: %w; --exclude '%s' or --skip-broken leaves the table out, --drop '%s.column' a column", err, name, name)
	}
	if p.total.Skipped == nil {
		p.total.Skipped = make(map[string]uint64)
	}
	if p.total.Skipped[name] == 0 {
		p.o.Note(fmt.Sprintf("table %s is skipped from here on: %v", name, err))
	}
	p.total.Skipped[name]++
	p.plans.giveUp(t)
	return nil
}

// Commit hands the transaction to the output.
func (p *printer) Commit(tx *binlog.Transaction, position []byte) error {
	if p.events > 0 {
		if p.o.Envelope == envelope.Maxwell && !p.cut {
			p.buf = envelope.AddCommit(p.buf, p.last)
		}
		var err error
		for i, piece := range p.gathered {
			p.gathered[i] = nil
			if _, err = p.out.put(piece); err != nil {
				return err
			}
		}
		if p.buf, err = p.out.put(p.buf); err != nil {
			return err
		}
		p.total.Events += p.events
		p.total.Transactions++
	}
	p.events = 0
	if tx.Accepted > 0 {
		p.unaccepted = slices.DeleteFunc(p.unaccepted, func(id string) bool { return id == tx.ID })
	}
	if p.cut {
		return errDone
	}
	p.position = append(p.position[:0], position...)
	if p.full() {
		return errDone
	}
	return finish(p.until.committed(tx, position))
}

// Idle moves the position over what is nobody's transaction.
func (p *printer) Idle(_ int64, position []byte) error {
	p.position = append(p.position[:0], position...)
	return finish(p.until.quiet(position))
}

// finish makes an end of the answer that nothing is left.
func finish(done bool, err error) error {
	if err == nil && done {
		return errDone
	}
	return err
}

// result is what was printed.
func (p *printer) result() Result {
	r := p.total
	r.GoesOn, r.Unaccepted = !p.cut, p.unaccepted
	if p.start.server == "" {
		return r
	}
	r.Next = p.startText(p.start.gtid, p.start.file, p.start.pos)
	if at, err := binlog.ParsePosition(p.position); err == nil {
		r.Next = p.startText(at.GTIDText(), at.File, at.Pos)
	}
	return r
}
