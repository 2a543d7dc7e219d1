package pipeline

import (
	"sync/atomic"
	"time"
)

// waiting is what one shard has read and not published, over all its sessions:
// the commit times of the oldest transactions. It is touched once for each
// transaction and each publish, never for a row, and is safe for concurrent use.
type waiting struct {
	// batches are the commit times of the first transaction of each of the two
	// batches that go round, in µs; 0 for one without a transaction.
	batches [2]atomic.Int64
	// owed is that of what a session has left unpublished, until the session
	// after it has read it again; 0 for nothing.
	owed atomic.Int64
	// behind is how old the newest transaction was when it was read, in µs.
	behind atomic.Int64
	// asked is when the publish in flight was sent, in ns; 0 without one.
	asked atomic.Int64
}

// begin notes that a transaction is read: what was committed before it need not
// be read again.
func (w *waiting) begin(micros int64) {
	if owed := w.owed.Load(); owed != 0 && micros >= owed {
		w.owed.Store(0)
	}
}

// idle notes that everything which the server has was read.
func (w *waiting) idle() { w.owed.Store(0) }

// end notes that a session is over: what its batches still hold is owed.
func (w *waiting) end() {
	w.owed.Store(w.oldest())
	for i := range w.batches {
		w.batches[i].Store(0)
	}
}

// oldest is the commit time of the oldest transaction that waits, in µs, 0 when
// none does.
func (w *waiting) oldest() int64 {
	oldest := w.owed.Load()
	for i := range w.batches {
		if v := w.batches[i].Load(); v != 0 && (oldest == 0 || v < oldest) {
			oldest = v
		}
	}
	return oldest
}

// lag is the age of the oldest transaction that waits. When none does it is 0
// if the server is quiet; else more may be unread, and that is about as old as
// the newest transaction was when it came.
func (w *waiting) lag(now time.Time, quiet bool) float64 {
	if oldest := w.oldest(); oldest != 0 {
		return max(0, now.Sub(time.UnixMicro(oldest)).Seconds())
	}
	if quiet {
		return 0
	}
	return max(0, (time.Duration(w.behind.Load()) * time.Microsecond).Seconds())
}

// unanswered is for how long the stream has not answered the publish in flight.
func (w *waiting) unanswered(now time.Time) time.Duration {
	asked := w.asked.Load()
	if asked == 0 {
		return 0
	}
	return now.Sub(time.Unix(0, asked))
}
