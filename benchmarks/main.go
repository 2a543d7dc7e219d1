// Command benchmarks measures Tailwater against other ways to do the same
// work, on one machine, in one run, and says what it cannot say.
//
//	go run ./benchmarks list
//	go run ./benchmarks record [-quick]
//	go run ./benchmarks decode [-quick] [-fixture a] [-o json]
//	go run ./benchmarks wire [-quick] [-fixture a] [-o json]
//	go run ./benchmarks pipeline [-quick] [-fixture a] [-o json]
//	go run ./benchmarks twelve [-quick] [-o json]
//	go run ./benchmarks kafka [-quick] [-fixture a] [-o json]
//	go run ./benchmarks demo [-o json]
//
// # Method
//
// What is compared are ratios, and every ratio comes from one run. The ways to
// do the work, the arms, are processes of their own that take turns: A B C C B
// A, one lap each, so that whatever the machine does besides hits all alike. A
// pair of laps that stand next to each other gives one ratio of rows per
// CPU-second; the figure is the median of the pairs, with a bootstrap interval.
//
// Two things void a ratio. The arms of a group must make the same output: rows,
// canonical bytes and the sum of the rows' hashes are compared before anything
// is timed. And the first arm runs twice, as itself and as its own rival: when
// the interval of that ratio leaves 1 +- 3 %, the run is thrown away. Three
// such runs in a row end with exit code 3.
//
// # Output
//
// One JSON line for each arm and one for each ratio; README.md says what each
// member means. Exit code 0 is a valid measurement, 1 a failure, 2 a wrong
// command, 3 a machine that is too noisy.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// The exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
	exitNoisy  = 3
)

// settings are the flags of a command.
type settings struct {
	quick bool
	// rounds is how many pairs a ratio has.
	rounds  int
	fixture string
	// group is the only one to run.
	group  string
	output string
	cache  string
	// profile is a folder: the arms run once, profiled, and nothing is measured.
	profile string
	out     io.Writer
	// log is told what goes on.
	log io.Writer
}

// command is one word of the command line.
type command struct {
	name, help string
	run        func(ctx context.Context, s *settings) error
}

func commands() []command {
	return []command{
		{"list", "the measurements, their fixtures and their arms", list},
		{"record", "record the fixtures from a real MySQL server, where the cache has none", record},
		{"decode", "binlog bytes to flat JSON events, in memory", decodeBench.run},
		{"pipeline", "a server's binlog to the stream, the windows, the lake: whole processes", pipelineBench.run},
		{"wire", "a server's binlog to flat JSON events: a reader, over loopback", wireBench.run},
		{"twelve", "twelve servers' binlogs against one with all the rows: whole processes", twelveBench.run},
		{"kafka", "a shard's session on Kafka against the client library alone", kafkaBench.run},
		{"demo", "tailwater demo, three times: lag, memory", demoBench},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without its process.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 3 && args[0] == armCommand {
		return serveArm(ctx, args[1], args[2], stdin, stdout, stderr)
	}
	all := commands()
	i := -1
	if len(args) > 0 {
		i = slices.IndexFunc(all, func(c command) bool { return c.name == args[0] })
	}
	if i < 0 {
		usage(stderr, all)
		return exitUsage
	}
	s := &settings{out: stdout, log: stderr}
	flags := flag.NewFlagSet(all[i].name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&s.quick, "quick", false, "small fixtures and few laps: whether it works, not how fast")
	flags.IntVar(&s.rounds, "rounds", fullRounds, "pairs for each ratio; fewer than 15 are a first look, no claim")
	flags.StringVar(&s.fixture, "fixture", "", "only these, by their letters; list names them")
	flags.StringVar(&s.group, "group", "", "only this group of arms; list names them")
	flags.StringVar(&s.output, "o", "text", "text or json")
	flags.StringVar(&s.cache, "cache", defaultCache(), "folder of the recorded fixtures")
	flags.StringVar(&s.profile, "profile", "", "measure nothing, write a CPU profile of each arm into this folder")
	if err := flags.Parse(args[1:]); err != nil {
		return exitUsage
	}
	if flags.NArg() > 0 || s.rounds < 1 || s.output != "text" && s.output != "json" {
		usage(stderr, all)
		return exitUsage
	}
	err := all[i].run(ctx, s)
	var noisy *noisyError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &noisy):
		fmt.Fprintln(stderr, "benchmarks:", err)
		return exitNoisy
	}
	fmt.Fprintln(stderr, "benchmarks:", err)
	return exitFailed
}

func usage(w io.Writer, all []command) {
	var b strings.Builder
	b.WriteString("usage: go run ./benchmarks <command> [-quick] [-fixture x] [-group x] [-o text|json] [-cache dir] [-profile dir]\n\n")
	for _, c := range all {
		fmt.Fprintf(&b, "  %-10s %s\n", c.name, c.help)
	}
	_, _ = io.WriteString(w, b.String())
}

// benches are the measurements that have arms.
func benches() []*bench {
	return []*bench{decodeBench, wireBench, pipelineBench, twelveBench, kafkaBench}
}

func list(_ context.Context, s *settings) error {
	for _, f := range fixtures() {
		full, _ := f.size(f.rows)
		quick, _ := f.size(f.quick)
		fmt.Fprintf(s.out, "fixture %s: %s; %d row changes (-quick: %d)\n", f.name, f.what, full, quick)
	}
	for _, b := range benches() {
		fmt.Fprintf(s.out, "%s, fixtures %s: %s\n", b.name, strings.Join(strings.Split(b.fixtures+b.onRequest, ""), " "), b.what)
		for _, g := range b.groups() {
			for i, a := range g.arms {
				role := "rival"
				switch {
				case i == 0:
					role = "subject"
				case a.ceiling:
					role = "ceiling"
				}
				fmt.Fprintf(s.out, "  %-8s %-8s %-28s %s\n", g.name, role, a.name, a.what)
			}
		}
	}
	return nil
}
