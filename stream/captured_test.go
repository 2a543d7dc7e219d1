package stream_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"tailwater/stream"
)

func TestCapturedView_NamesOfTables(t *testing.T) {
	for _, c := range []struct{ database, table, want string }{
		{"shop", "orders", "shop.orders"},
		{"shop_00", "order_items", "shop_00.order_items"},
		{"Shop", "Orders", "Shop.Orders"},
		{"a.b", "c", "a-2eb.c"},
		{"a", "b.c", "a.b-2ec"},
		{"a-b", "c d", "a-2db.c-20d"},
		{".", "..", "-2e.-2e-2e"},
		{"größe", "表", "gr-c3-b6-c3-9fe.-e8-a1-a8"},
		// tw.<pipeline>.positions.<shard> is taken.
		{"positions", "00", "-70ositions.00"},
		{"positions_", "positions", "positions_.positions"},
		{strings.Repeat("表", 64), strings.Repeat("漢", 64), "--"},
	} {
		got := stream.CapturedView("p", c.database, c.table)
		if strings.HasPrefix(c.want, "--") {
			if !regexp.MustCompile(`^--[0-9a-f]{32}$`).MatchString(got) {
				t.Errorf("a long name is %s", got)
			}
			if _, _, ok := stream.ParseCapturedView(got); ok {
				t.Errorf("%s was read as a name, and is a hash", got)
			}
			continue
		}
		if got != c.want {
			t.Errorf("CapturedView(%q, %q) = %s, want %s", c.database, c.table, got, c.want)
		}
	}
}

func TestParseCapturedView_RefusesWhatIsNoName(t *testing.T) {
	for _, name := range []string{"", "orders", "a.", ".b", "a.b.c", "a-2.b", "a-2", "a-2Eb.c", "a-5fb.c", "a-zz.b", "positions.00", "a.-ff", "a/b.c", "--00112233445566778899aabbccddeeff"} {
		if d, table, ok := stream.ParseCapturedView(name); ok {
			t.Errorf("%q was read as %q, %q", name, d, table)
		}
	}
}

// FuzzCapturedView: a name that is not a hash reads back as the table, every
// topic is one that Kafka takes, and none is a view's or the pipeline's own.
func FuzzCapturedView(f *testing.F) {
	for _, s := range [][2]string{{"shop", "orders"}, {"positions", "00"}, {"a.b", "c-d"}, {"-2e", "_"}, {"表", strings.Repeat("x", 64)}} {
		f.Add(s[0], s[1], s[1], s[0])
	}
	topic := regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)
	f.Fuzz(func(t *testing.T, database, table, database2, table2 string) {
		for _, s := range []string{database, table, database2, table2} {
			// A server's names are UTF-8, not empty and without zero bytes.
			if s == "" || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
				return
			}
		}
		name := stream.CapturedView("pipe_1", database, table)
		if got := stream.TopicName("pipe_1", name); !topic.MatchString(got) || strings.HasPrefix(got, "tw.pipe_1.positions.") || name == "schemas" {
			t.Errorf("topic %q is none", got)
		}
		if d, tb, ok := stream.ParseCapturedView(name); !strings.HasPrefix(name, "--") && (!ok || d != database || tb != table) {
			t.Errorf("%q reads back as %q, %q, %v; want %q, %q", name, d, tb, ok, database, table)
		}
		if other := stream.CapturedView("pipe_1", database2, table2); (other == name) != (database == database2 && table == table2) {
			t.Errorf("%q.%q and %q.%q are %q and %q", database, table, database2, table2, name, other)
		}
	})
}
