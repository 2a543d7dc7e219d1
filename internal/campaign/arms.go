package campaign

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"tailwater/internal/failpoint"
)

// arms chooses the steps at which processes die, those first that have not been
// hit yet.
type arms struct {
	rng   *rand.Rand
	o     *Options
	tries map[failpoint.Name]int
	hits  map[failpoint.Name]int
}

func newArms(rng *rand.Rand, o *Options) *arms {
	return &arms{rng: rng, o: o, tries: map[failpoint.Name]int{}, hits: map[failpoint.Name]int{}}
}

// roleOf says by the first word of a name which role comes by it; all roles come
// by those that are not here.
var roleOf = map[string]string{
	"binlog": "reader", "session": "reader", "publish": "reader", "position": "reader", "schema": "reader", "table": "reader",
	"capture": "reader", "statefile": "reader", "kafka": "reader", "stream": "", "redis": "windows", "lake": "lake", "dir": "lake", "s3": "lake",
}

// far are steps that a campaign does not lead to: nothing is captured, no table
// emptied, nothing trimmed, no metric redefined.
var far = []string{"capture.", "table.event", "stream.trim", "redis.gap", "redis.promoted", "redis.touched", "statefile."}

// reaches reports whether a process of a role may come by a step.
func (a *arms) reaches(role string, n failpoint.Name) bool {
	if slices.ContainsFunc(far, func(f string) bool { return strings.HasPrefix(string(n), f) }) {
		return false
	}
	first, _, _ := strings.Cut(string(n), ".")
	switch {
	case n == failpoint.KafkaPolled:
		return role != "" && role != "reader"
	case first == "stream":
		return a.o.has(Embedded)
	case first == "kafka" && !a.o.has(Kafka), first == "s3" && !a.o.has(S3), first == "dir" && a.o.has(S3):
		return false
	}
	of, known := roleOf[first]
	return role == "" || !known || of == role
}

// next chooses a step for a process of a role, and the rule for it: a step that
// was tried in vain is waited for from the start.
func (a *arms) next(role string) (failpoint.Name, string) {
	if !a.o.Points {
		return "", ""
	}
	var fresh, known []failpoint.Name
	for _, n := range failpoint.Names() {
		switch {
		case !a.reaches(role, n):
		case a.hits[n] > 0:
			known = append(known, n)
		case a.tries[n] < 2:
			fresh = append(fresh, n)
		}
	}
	if len(fresh) == 0 {
		fresh = known
	}
	if len(fresh) == 0 {
		return "", ""
	}
	n := fresh[a.rng.IntN(len(fresh))]
	rule := fmt.Sprintf("%s=kill@%d", n, 1)
	if a.tries[n] == 0 && a.rng.IntN(2) == 0 {
		rule = fmt.Sprintf("%s=kill@%d+%v", n, 1+a.rng.IntN(3), time.Duration(a.rng.IntN(800))*time.Millisecond)
	}
	a.tries[n]++
	return n, rule
}

func (a *arms) hit(n failpoint.Name) { a.hits[n]++ }

// atEnd reports whether a step is on the way of an orderly end.
func atEnd(n failpoint.Name) bool {
	return strings.HasPrefix(string(n), "drain.") || slices.Contains([]failpoint.Name{
		failpoint.PublishFinishing, failpoint.PublishFinished, failpoint.StreamMarkedClean}, n)
}
