package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"tailwater/internal/config"
	"tailwater/stream"
	"tailwater/stream/embedded"
	"tailwater/stream/kafka"
)

// streamLog is what a pipeline needs of its stream, whichever it is.
type streamLog interface {
	stream.Log
	// SavedPosition returns the position that a shard has saved.
	SavedPosition(ctx context.Context, shard string) (stream.SourcePosition, bool, error)
}

var (
	_ streamLog = (*embedded.Log)(nil)
	_ streamLog = (*kafka.Log)(nil)
)

func (p *Pipeline) openStream(ctx context.Context) error {
	if p.cfg.Stream.Type == "embedded" {
		return p.openEmbedded()
	}
	l, err := OpenKafka(ctx, p.cfg, p.logger)
	if err != nil {
		return p.streamError(ctx, err)
	}
	p.log = l
	return nil
}

// StreamError says that a Kafka cluster does not answer, or has topics that are
// not as they must be.
type StreamError struct{ Err error }

// Error is the cause's: it names the brokers or the topic, and the way out.
func (e *StreamError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *StreamError) Unwrap() error { return e.Err }

// streamError sorts what a cluster said at the start.
func (p *Pipeline) streamError(ctx context.Context, err error) error {
	if p.cfg.Stream.Type != "kafka" || ctx.Err() != nil {
		return err
	}
	return &StreamError{err}
}

// OpenKafka connects to the Kafka cluster of a configuration.
func OpenKafka(ctx context.Context, cfg *config.Resolved, logger *slog.Logger) (*kafka.Log, error) {
	s := &cfg.Stream
	o := kafka.Options{
		Brokers: s.Brokers, Name: cfg.Name, Replication: s.Replication, Retention: s.Retention.Age,
		Timeout: s.Connect.Timeout, Logger: logger,
		SASL: kafka.SASL{Mechanism: s.SASL.Mechanism, User: s.SASL.User, Password: s.SASL.Password.Reveal()},
	}
	var err error
	if o.TLS, err = s.TLS.Config(""); err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	return kafka.Open(ctx, o)
}

func (p *Pipeline) openEmbedded() error {
	c := p.cfg.Stream
	listen, err := p.address("stream.listen", c.Listen)
	if err != nil {
		return err
	}
	l, err := embedded.Open(embedded.Options{
		Dir: p.state.path + "/stream", Name: p.cfg.Name, Listen: listen, MemoryBytes: p.budget.stream,
		Retention:    embedded.Retention{MaxAge: c.Retention.Age, MaxBytes: int64(c.Retention.Bytes)},
		SegmentBytes: segmentBytes(int64(c.Retention.Bytes), p.partitions()),
		Logger:       p.logger, AcceptLoss: p.o.AcceptStreamLoss,
	})
	var loss *embedded.LossError
	if errors.As(err, &loss) {
		return fmt.Errorf("%w; to accept it, start once with tailwater run --accept-stream-loss", err)
	}
	if err != nil {
		return err
	}
	p.log, p.embedded = l, l
	return nil
}

// capturedPartitions is about how many partitions the tables of a source have
// that captures them.
const capturedPartitions = 256

// partitions is about how many partitions the stream will have.
func (p *Pipeline) partitions() int {
	n := len(p.cfg.Views) * max(1, p.cfg.Stream.Partitions)
	for i := range p.cfg.Sources {
		if p.cfg.Sources[i].Capture != nil {
			n += capturedPartitions
		}
	}
	return n
}

// StreamAddr is where Kafka clients reach the stream.
func (p *Pipeline) StreamAddr() string {
	if p.embedded != nil {
		return p.embedded.Addr()
	}
	return strings.Join(p.cfg.Stream.Brokers, ",")
}
