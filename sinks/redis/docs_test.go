package redis

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"tailwater/internal/testenv"
	"tailwater/windowing"
)

const keysPage = "../../docs/format/redis-keys.md"

// example is a command of the page with the lines that it answers.
type example struct{ command, want string }

// examples are those of a console block of the page.
func examples(t *testing.T, number int) (out []example) {
	t.Helper()
	page, err := os.ReadFile(keysPage)
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```console\n")
	if len(blocks) <= 1+number {
		t.Fatalf("the page has %d console blocks", len(blocks)-1)
	}
	block, _, _ := strings.Cut(blocks[1+number], "```")
	for line := range strings.Lines(block) {
		line = strings.TrimSuffix(line, "\n")
		if command, ok := strings.CutPrefix(line, "> "); ok {
			out = append(out, example{command: command})
		} else {
			e := &out[len(out)-1]
			e.want = strings.TrimPrefix(e.want+"\n"+line, "\n")
		}
	}
	return out
}

func TestKeysPage_ExamplesAreWhatRedisCLISays(t *testing.T) {
	for number, buckets := range []int{1, 3} {
		t.Run(strconv.Itoa(buckets), func(t *testing.T) { tryExamples(t, number, buckets) })
	}
}

func tryExamples(t *testing.T, number, buckets int) {
	srv := testenv.Redis(t)
	b := newBench(t, nil, "redis://"+srv.Addr)
	l := newFakeLog(1)
	m := b.metric(func(d *windowing.Definition) { oneShard(d); d.Size, d.Buckets = 5*time.Minute, buckets })
	s0 := l.shard("00")
	s0.event(0, 1763632205, `"city":"Pune","amount":12.50`)
	s0.event(0, 1763632206, `"city":"Pune","amount":-0.25`)
	s0.event(0, 1763632207, `"city":null,"amount":null`)
	s0.event(0, 1763632208, `"city":"Delhi","amount":7`)
	s0.event(0, 1763632500, `"city":"Pune","amount":1`)
	b.hand(l, m).sync()
	all := examples(t, number)
	if len(all) < 5 {
		t.Fatalf("found %d examples on the page", len(all))
	}
	for _, e := range all {
		args := append([]string{"-p", strconv.Itoa(srv.Port)}, strings.Fields(e.command)...)
		out, err := exec.Command("redis-cli", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("redis-cli %s: %v\n%s", e.command, err, out)
		}
		if got := strings.TrimSpace(string(out)); got != e.want {
			t.Errorf("%s: got %q, want %q", e.command, got, e.want)
		}
	}
}

// fieldNumber is the number at the end of a field: a partition or a window.
var fieldNumber = regexp.MustCompile(`:\d+$`)

func TestKeysPage_NamesEveryKeyAndField(t *testing.T) {
	onMini(t, func(b *bench) {
		l := newFakeLog(1)
		m := b.metric(oneShard)
		s0 := l.shard("00")
		s0.event(0, 101, `"city":"Pune","amount":1`)
		s0.event(0, 300, `"city":"Pune","amount":1`)
		l.trim(0, 1) // a gap, for its counter
		b.hand(l, m).sync()
		next := b.metric(func(d *windowing.Definition) { oneShard(d); d.GroupBy = nil })
		b.hand(l, next).sync()
		wide := b.metric(oneShardIn3)
		h := b.hand(l, wide)
		h.sync()
		h.all[2].t.rival = public{next.Generation(), 1}
		if ok, err := h.all[2].t.freeze(context.Background(), "gmv", []windowing.Position{{Incarnation: l.incarnation, Offset: 1 << 40}}); !ok || err != nil {
			b.Fatalf("freeze: got %v, %v", ok, err)
		}
		page, err := os.ReadFile(keysPage)
		if err != nil {
			t.Fatal(err)
		}
		im := b.snapshot()
		fields := 0
		for key, hash := range im.hashes {
			for field := range hash {
				if strings.HasPrefix(field, "[") {
					continue // a group
				}
				name := fieldNumber.ReplaceAllString(field, ":<")
				fields++
				if !strings.Contains(string(page), "`"+name) {
					t.Errorf("the page does not name the field %s of %s", field, key)
				}
			}
		}
		if fields < 20 {
			t.Errorf("looked at %d fields only", fields)
		}
	})
}
