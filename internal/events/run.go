package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"tailwater/binlog"
)

// The ends that are no errors.
var (
	// errDone is everything that was asked for.
	errDone = errors.New("everything was printed")
	// errTime is the end of Options.For.
	errTime = errors.New("the time is over")
)

// Run prints until ctx or one of the options ends it, or an error; the error is
// nil for all that was asked for, also when ctx ended. The result is valid in
// either case. It blocks while the output does, also when ctx has ended.
func Run(ctx context.Context, o Options) (Result, error) {
	p := &printer{o: &o}
	if err := p.prepare(); err != nil {
		return Result{}, &UsageError{err}
	}
	limited := ctx
	if o.For > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, o.For, errTime)
		defer cancel()
	}
	read, cancel := context.WithCancelCause(limited)
	defer cancel(nil)
	p.end = cancel
	err := p.connect(read)
	if err == nil {
		p.out = newOutput(o.Out, cancel)
		err = p.reader.Run(read, nil, p)
		// What ends the output is the cause of whatever else ended.
		if werr := p.out.close(); errors.Is(werr, errClosed) {
			p.total.Closed = true
			return p.result(), nil
		} else if werr != nil {
			return p.result(), fmt.Errorf("write events: %w", werr)
		}
	}
	return p.result(), p.verdict(ctx, read, err)
}

// prepare checks the options and makes what depends on them only.
func (p *printer) prepare() error {
	o := p.o
	if err := o.settle(); err != nil {
		return err
	}
	var err error
	if p.mode, p.auto, err = o.positionMode(); err != nil {
		return err
	}
	if p.follows, err = o.filter(); err != nil {
		return err
	}
	p.plans.shard, p.plans.envelope, p.plans.connector = o.Shard.ID, o.Envelope, o.Source.Type
	if p.plans.drop, err = parsePatterns("--drop", "database.table.column", o.Drop); err != nil {
		return err
	}
	for _, text := range o.Accept {
		id, err := binlog.CanonicalID(binlog.Flavor(o.Source.Type), text)
		if err != nil {
			return fmt.Errorf("--accept: %w", err)
		}
		p.unaccepted = append(p.unaccepted, id)
	}
	if o.UntilGTID != "" {
		if p.until, err = untilGTID(binlog.Flavor(o.Source.Type), o.UntilGTID); err != nil {
			return fmt.Errorf("--until-gtid: %w", err)
		}
	}
	p.emit = p.add
	return p.open()
}

// open makes the reader of the mode.
func (p *printer) open() error {
	ro, err := p.o.reader(p.mode, p.follows)
	if err != nil {
		return err
	}
	ro.Logger, ro.Began = slog.New(notes{p.warned}), p.begins
	p.reader, err = binlog.New(ro)
	return err
}

// connect asks the server whether it can be followed, and where it is now if
// that is where the run ends.
func (p *printer) connect(ctx context.Context) error {
	err := p.reader.PreflightFrom(ctx, nil)
	var preflight *binlog.PreflightError
	if p.auto && errors.As(err, &preflight) && len(preflight.Findings) == 1 && preflight.Findings[0].Check == "gtid_mode" {
		p.mode = binlog.ByFile
		p.o.Note("the server has gtid_mode " + preflight.Findings[0].Got + ": places are file and offset, as with --position file")
		if err := p.open(); err != nil {
			return err
		}
		err = p.reader.PreflightFrom(ctx, nil)
	}
	if err == nil && p.o.UntilNow {
		err = p.askEnd(ctx)
	}
	if err != nil {
		return &UnreachableError{err}
	}
	return nil
}

// askEnd learns where the server's binlog ends.
func (p *printer) askEnd(ctx context.Context) error {
	end, err := p.reader.End(ctx)
	if err != nil {
		return err
	}
	at, err := readBeginning(end, "")
	p.until.server, p.until.file, p.until.pos = at.server, at.file, at.pos
	return err
}

// verdict sorts what ended a run.
func (p *printer) verdict(ctx, read context.Context, err error) error {
	var unreachable *UnreachableError
	switch {
	case err == nil, errors.Is(err, errDone):
		return nil
	case ctx.Err() != nil:
		return nil // told to stop
	case errors.Is(context.Cause(read), errTime) && p.start.server != "":
		if p.until.active() || p.o.UntilNow {
			return &IncompleteError{"the time of --for is over, and what --until asks for has not come"}
		}
		return nil
	}
	inFlags(err)
	var stop *binlog.StopError
	switch {
	case errors.As(err, &stop) && stop.Start:
		return &UsageError{err}
	case errors.As(err, &unreachable):
		return err
	case binlog.Classify(err) == binlog.Retry:
		return &UnreachableError{fmt.Errorf("the server was lost: %w", err)}
	}
	return err
}

// flagOf says as flags what the reader says as keys of a configuration. Keys go
// with their values: a sentence may say position and put a colon behind it.
var flagOf = strings.NewReplacer("start: earliest", "--start earliest", "start: latest", "--start latest",
	"start: gtid:", "--start gtid:", "start: file:", "--start file:",
	"position: gtid", "--position gtid", "position: file", "--position file", "the saved position", "--start",
	"give the source type: mysql", "write mysql:// in --source", "give the source type: mariadb", "write mariadb:// in --source")

// inFlags rewrites the way out of an error for who has no configuration.
func inFlags(err error) {
	var preflight *binlog.PreflightError
	if errors.As(err, &preflight) {
		for i := range preflight.Findings {
			f := &preflight.Findings[i]
			f.Got, f.Fix = flagOf.Replace(f.Got), flagOf.Replace(f.Fix)
		}
	}
	var stop *binlog.StopError
	if !errors.As(err, &stop) {
		return
	}
	stop.Reason, stop.Hint = flagOf.Replace(stop.Reason), flagOf.Replace(stop.Hint)
	if strings.Contains(stop.Hint, "accept transaction ") {
		before, _, ok := strings.Cut(stop.Hint, "if the stream shall ")
		if !ok {
			before = ""
		}
		stop.Hint = before + "--accept " + stop.ID + " goes on behind it"
		if stop.Table.Database != "" {
			stop.Hint += ", --exclude leaves a table out"
		}
	}
}
