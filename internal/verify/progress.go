package verify

import "sync"

// Progress is where a run is. Total is 0 where it is not known.
type Progress struct {
	Stage       string
	Done, Total int64
}

// progress holds the Progress of a run. It is safe for concurrent use.
type progress struct {
	mu  sync.Mutex
	now Progress
}

func (p *progress) begin(stage string, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = Progress{Stage: stage, Total: total}
}

func (p *progress) add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Done += n
}

func (p *progress) get() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}
