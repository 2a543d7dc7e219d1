package config

import (
	"slices"
	"strings"
	"testing"
)

const restartFile = `version: 1
name: shop
state: { dir: ./state }
sources:
  s:
    server_id: 100-199
    shards:
      list:
        - { name: "00", dsn: "tailwater:x@tcp(db0:3306)/" }
        - { name: "01", dsn: "tailwater:x@tcp(db1:3306)/" }
tables:
  orders: { from: { source: s, schema: shop, table: orders }, key: [id] }
views:
  orders: { from: orders, select: { city: payload.city, "*": "*" } }
windows:
  metrics:
    gmv: { view: orders, value: sum(amount), where: status == 'paid' }
lake: { url: file://./lake }
`

func TestRestart_NamesTheKeysThatARunningProcessCannotTake(t *testing.T) {
	load := func(edit ...string) *Resolved {
		t.Helper()
		c, findings := Parse("tailwater.yaml", []byte(strings.NewReplacer(edit...).Replace(restartFile)), nil)
		if c == nil {
			t.Fatalf("%s", findings)
		}
		return c.Resolved()
	}
	was := load()
	for name, c := range map[string]struct {
		next *Resolved
		want []string
	}{
		"nothing":           {load(), nil},
		"a comment":         {load("version: 1", "# how it is\nversion: 1"), nil},
		"a shard more":      {load(`        - { name: "00"`, "        - { name: \"02\", dsn: \"tailwater:x@tcp(db2:3306)/\" }\n        - { name: \"00\""), nil},
		"a shard less":      {load("        - { name: \"01\", dsn: \"tailwater:x@tcp(db1:3306)/\" }\n", ""), nil},
		"a shard elsewhere": {load("db1:", "db9:"), []string{"sources.s.shards, of which 01 has another address, account or protection"}},
		"a password":        {load("x@tcp(db0", "y@tcp(db0"), []string{"sources.s.shards, of which 00 has another address, account or protection"}},
		"server ids":        {load("100-199", "200-299"), []string{"sources.s.server_id"}},
		"a column":          {load("payload.city", "payload.town"), []string{"views.orders.select"}},
		"a condition":       {load("'paid'", "'sent'"), []string{"windows.metrics.gmv.where"}},
		"no lake, a stream": {load("lake: { url: file://./lake }", "stream: { partitions: 3 }"), []string{"stream.partitions", "lake"}},
		"another metric":    {load("    gmv:", "    sales:"), []string{"windows.metrics.gmv", "windows.metrics.sales"}},
	} {
		if got := was.Restart(c.next); !slices.Equal(got, c.want) {
			t.Errorf("%s: Restart = %q, want %q", name, got, c.want)
		}
	}
}
