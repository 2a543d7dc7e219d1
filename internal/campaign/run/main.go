// Command run runs one campaign (package campaign) and prints what it came to
// as one JSON object.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"tailwater/internal/campaign"
	"tailwater/internal/testenv"
)

const usage = `campaign: kill a pipeline on real servers, and check from outside that each
committed row is delivered once.

	make campaign KILLS=200 SEED=1 SERVERS=mysql,kafka,redis,s3
	make campaign KILLS=200 SEED=1 SERVERS=embedded

	go run ./internal/campaign/run [options]

Standard output gets one JSON object, standard error what happens and the first
violations. The same seed repeats the choices. What was found at fault keeps its
folder, which is named.

Exit codes: 0 nothing is wrong, 1 violations, or no fault injected, or no row
compared; 2 an option is wrong; 130 interrupted.

Options:
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("campaign", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage); flags.PrintDefaults() }
	kills := flags.Int("kills", 200, "kills that have to fall into work")
	seed := flags.Uint64("seed", 1, "what decides workload and faults")
	servers := flags.String("servers", "mysql,kafka,redis,s3", "mysql, kafka or embedded, redis, s3; separated by commas")
	short := flags.Bool("short", false, "the sizes that make test uses")
	dir := flags.String("dir", "", "where folders are made (default: that for temporary files)")
	limit := flags.Duration("limit", 0, "when to begin no more kills (default: by their number)")
	program := flags.String("program", "", "a tailwater to run (default: build one with the tag failpoints)")
	if err := flags.Parse(args); err == flag.ErrHelp {
		return 0
	} else if err != nil {
		return 2
	}
	words, err := campaign.ParseServers(*servers)
	switch {
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case *kills < 1:
		err = fmt.Errorf("KILLS=%d: want a number above 0", *kills)
	}
	if err != nil {
		fmt.Fprintf(stderr, "campaign: %v; -h shows the options\n", err)
		return 2
	}
	o := campaign.Full(*kills, *seed)
	if *short {
		o = campaign.Short(*kills, *seed)
	}
	o.Servers, o.Dir, o.Points = words, *dir, true
	if *limit > 0 {
		o.Limit = *limit
	}
	if *program != "" {
		if o.Program, err = filepath.Abs(*program); err != nil {
			fmt.Fprintf(stderr, "campaign: find %s: %v\n", *program, err)
			return 2
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return carryOut(ctx, o, stdout, stderr)
}

// carryOut runs the campaign and returns the exit code.
func carryOut(ctx context.Context, o campaign.Options, stdout, stderr io.Writer) int {
	var report *campaign.Report
	fine := campaign.RunHost(ctx, stderr, func(tb testing.TB) {
		if o.Program == "" {
			o.Program = testenv.TailwaterFailpoints(tb)
		}
		report = campaign.Run(tb, o)
		for _, v := range report.First {
			tb.Error(v.String())
		}
	})
	if report != nil {
		out, _ := json.Marshal(report) // a struct of numbers and texts
		fmt.Fprintln(stdout, string(out))
	}
	switch {
	case ctx.Err() != nil:
		return 130
	case !fine || report == nil || report.Failed():
		return 1
	}
	return 0
}
