package redis

import (
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

func examples(t *testing.T) (out []example) {
	t.Helper()
	page, err := os.ReadFile(keysPage)
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(page), "```console\n")
	block, _, ok2 := strings.Cut(block, "```")
	if !ok || !ok2 {
		t.Fatal("the page has no console block")
	}
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
	srv := testenv.Redis(t)
	b := newBench(t, nil, "redis://"+srv.Addr)
	l := newFakeLog(1)
	m := b.metric(func(d *windowing.Definition) { oneShard(d); d.Size = 5 * time.Minute })
	s0 := l.shard("00")
	s0.event(0, 1763632205, `"city":"Pune","amount":12.50`)
	s0.event(0, 1763632206, `"city":"Pune","amount":-0.25`)
	s0.event(0, 1763632207, `"city":null,"amount":null`)
	s0.event(0, 1763632208, `"city":"Delhi","amount":7`)
	s0.event(0, 1763632500, `"city":"Pune","amount":1`)
	b.hand(l, m).sync()
	all := examples(t)
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
