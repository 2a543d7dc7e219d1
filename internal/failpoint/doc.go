// Package failpoint names the steps between a binlog and what is durable, so
// that a test can end the process, stop it, hold it up or let it fail at each
// of them.
//
// A step is a line of the product: At where the process can only be disturbed,
// Err where what the step does can fail too:
//
//	failpoint.At(failpoint.PublishSent)
//	if err := failpoint.Err(failpoint.FileSynced, syscall.EIO); err != nil { … }
//
// In the product both are empty and vanish by inlining: no instruction, no name
// and no look at the environment is left. Only a build with the tag failpoints
// (make build-failpoints) has more. It reads, when the process starts:
//
//	TAILWATER_FAILPOINTS      what shall happen, below
//	TAILWATER_FAILPOINT_SEED  a number that decides what p draws; 1 without it
//	TAILWATER_FAILPOINT_LOG   a file that gets a line for each thing that
//	                          happens, before it does
//
// What shall happen is a list of rules, separated by semicolons:
//
//	rule   = name "=" action [ "@" when ] [ "+" duration ]
//	action = "kill" | "stop" | "delay:" duration | "error"
//	when   = n [ "x" count ] | "p" probability [ "x" count ]
//
//	publish.sent=kill@3                    kill -9 at the third time
//	lake.manifest.put=delay:200ms@5        wait at the fifth
//	redis.script.sent=error@2x3            fail at the second, third and fourth
//	stream.acked=stop@p0.01x1+5s           SIGSTOP once, at each time with
//	                                       probability 0.01, from 5 s on
//
// Without when it is the first time, without count once, but with a probability
// every time. Times are counted over all goroutines, and from the duration
// behind the plus sign on. A mistake in a rule is an error at the start.
//
// The lines of the file are appended, so that they outlive the process:
//
//	fired <name> <action> <time it was> pid <pid> after <time since the start>
//	hit <name> <times>
//
// The second form says how often each name was come by. It is written at an
// orderly end and at SIGUSR1, a line for every name, those with 0 included. A
// process that shall be killed and was not has it too.
package failpoint
