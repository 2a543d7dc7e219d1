package status

import (
	"math"
	"sync"
	"time"
)

// Latency counts durations in logarithmic buckets 2 % wide, from 10 µs to an
// hour, so that quantiles can be read at any time in constant memory. The zero
// value is ready; it is safe for concurrent use.
type Latency struct {
	mu     sync.Mutex
	counts [latencyBuckets]uint64
	n      uint64
	max    time.Duration
}

const (
	latencyFloor   = 10 * time.Microsecond
	latencyGrowth  = 1.02
	latencyBuckets = 1000
)

var logGrowth = math.Log(latencyGrowth)

// Observe counts one duration n times. Negative durations count as zero.
func (l *Latency) Observe(d time.Duration, n uint64) {
	if n == 0 {
		return
	}
	i := 0
	if d > latencyFloor {
		i = min(int(math.Log(float64(d)/float64(latencyFloor))/logGrowth)+1, latencyBuckets-1)
	}
	l.mu.Lock()
	l.counts[i] += n
	l.n += n
	l.max = max(l.max, d)
	l.mu.Unlock()
}

// Quantiles returns what was counted so far, in milliseconds. A quantile is the
// upper bound of its bucket, at most 2 % above the true value.
func (l *Latency) Quantiles() Quantiles {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := Quantiles{Count: l.n, Max: milliseconds(l.max)}
	if l.n == 0 {
		return q
	}
	q.P50, q.P99 = l.quantile(0.50), l.quantile(0.99)
	return q
}

func (l *Latency) quantile(f float64) float64 {
	rank := uint64(math.Ceil(f * float64(l.n)))
	var seen uint64
	for i, c := range l.counts {
		if seen += c; seen >= rank {
			bound := time.Duration(float64(latencyFloor) * math.Pow(latencyGrowth, float64(i)))
			return milliseconds(min(bound, l.max))
		}
	}
	return milliseconds(l.max)
}

func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*100) / 100
}
