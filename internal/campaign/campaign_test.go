package campaign

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"tailwater/internal/campaign/check"
	"tailwater/internal/testenv"
)

// seed is CAMPAIGN_SEED, or another one each time.
func seed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("CAMPAIGN_SEED")
	if text == "" {
		return uint64(time.Now().UnixNano() % 1_000_000)
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("CAMPAIGN_SEED=%q: want a number", text)
	}
	return n
}

// short runs a short campaign and fails with its first violations.
func short(t *testing.T, kills int, servers ...string) {
	t.Helper()
	o := Short(kills, seed(t))
	o.Servers, o.Program, o.Points, o.Dir = servers, testenv.TailwaterFailpoints(t), true, os.Getenv("E2E_DIR")
	t.Logf("CAMPAIGN_SEED=%d repeats the choices of this run", o.Seed)
	r := Run(t, o)
	text, err := json.Marshal(r)
	t.Logf("%s %v", text, err)
	for _, v := range r.First {
		t.Error(v.String())
	}
}

func TestShortCampaign_OnKafkaRedisAndS3(t *testing.T) {
	short(t, 15, MySQL, Kafka, Redis, S3)
}

func TestShortCampaign_OnTheEmbeddedStream(t *testing.T) {
	short(t, 15, MySQL, Embedded)
}

func TestParseServers_NamesWhatIsWrong(t *testing.T) {
	for list, fine := range map[string]bool{
		"mysql,kafka,redis,s3": true, "embedded": true, "mysql, embedded, redis": true, "kafka": false, "mysql": false,
		"kafka,embedded,redis": false, "mongo,embedded": false, "": false,
	} {
		if got, err := ParseServers(list); (err == nil) != fine {
			t.Errorf("%q: got %v and %v, want it taken: %t", list, got, err, fine)
		}
	}
}

func TestArms_ChooseStepsOfTheRoleThatWereNotHit(t *testing.T) {
	o := Options{Servers: []string{MySQL, Kafka, Redis, S3}, Points: true}
	a := newArms(rand.New(rand.NewPCG(5, 1)), &o)
	seen := map[string]bool{}
	for range 300 {
		for _, role := range []string{"reader", "windows", "lake"} {
			n, rule := a.next(role)
			if n == "" || rule == "" || !a.reaches(role, n) {
				t.Fatalf("role %s: got %q with rule %q", role, n, rule)
			}
			if a.hits[n] > 0 && len(seen) < 40 {
				t.Errorf("%s was chosen again before the others", n)
			}
			a.hit(n)
			seen[string(n)] = true
		}
	}
	if len(seen) < 45 {
		t.Errorf("%d steps can be chosen on these servers, want enough for 40 to be hit", len(seen))
	}
	if n, _ := newArms(rand.New(rand.NewPCG(5, 1)), &Options{Servers: o.Servers}).next("reader"); n != "" {
		t.Errorf("got step %s for a program without failpoints", n)
	}
}

func TestReport_ACheckThatComparedNothingIsAViolation(t *testing.T) {
	r := newReport(&Options{})
	r.found("lake", check.Findings{})
	if !r.Failed() || r.First[0].Text != "lake: nothing was compared" {
		t.Errorf("got %v, want a violation", r.First)
	}
}

func TestHost_FatalEndsTheWorkAndCleansUp(t *testing.T) {
	var order []string
	fine := RunHost(t.Context(), testWriter{t}, func(tb testing.TB) {
		tb.Cleanup(func() { order = append(order, "first") })
		tb.Cleanup(func() { order = append(order, "second"); tb.Fatal("in the cleanup") })
		tb.Fatalf("the end")
		order = append(order, "never")
	})
	if fine || len(order) != 2 || order[0] != "second" || order[1] != "first" {
		t.Errorf("got %t and %v, want a failure, and second and first cleaned up", fine, order)
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}
