package binlog

import (
	"math/rand/v2"
	"time"
)

// Backoff is the pause between attempts: each doubles the one before up to a
// cap, with jitter over its upper half, so that many shards that lost one
// network do not come back in one instant. The zero value pauses 250ms to 30s.
// It is not safe for concurrent use.
type Backoff struct {
	// Min is the first pause, 250ms by default; Max caps the pauses, 30s by default.
	Min, Max time.Duration
	// Rand returns a number in [0,1); nil is math/rand.
	Rand func() float64

	attempts int
}

// StopEvery is the pause between attempts after an error of class Stop.
const StopEvery = time.Minute

// Next returns how long to wait after an error of a class, and counts the attempt.
func (b *Backoff) Next(class Class) time.Duration {
	if class == Stop {
		return StopEvery
	}
	low, high := b.Min, b.Max
	if low <= 0 {
		low = 250 * time.Millisecond
	}
	if high <= 0 {
		high = 30 * time.Second
	}
	pause := low
	for range b.attempts {
		if pause >= high/2 {
			pause = high
			break
		}
		pause *= 2
	}
	pause = min(pause, high)
	b.attempts++
	random := b.Rand
	if random == nil {
		random = rand.Float64
	}
	return pause/2 + time.Duration(random()*float64(pause-pause/2))
}

// Attempts is how many pauses there were since the last Reset.
func (b *Backoff) Attempts() int { return b.attempts }

// Reset begins anew; call it once a reader has made progress.
func (b *Backoff) Reset() { b.attempts = 0 }
