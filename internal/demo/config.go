package demo

import (
	"fmt"
	"strings"
	"time"

	"tailwater/binlog/primary/encode"
	"tailwater/binlog/primary/shop"
)

// windowSize is the size of the demo's windows.
const windowSize = 5 * time.Minute

// The demo's metrics, as the configuration names them.
const (
	metricChanges = "order_changes"
	metricGMV     = "gmv"
)

// Accounts are the books for the demo's metrics.
func Accounts() []shop.Account {
	return []shop.Account{
		{Name: metricChanges, Prefix: "orders_", Window: windowSize, GroupBy: []string{"status"}},
		{Name: metricGMV, Prefix: "orders_", Window: windowSize, GroupBy: []string{"city"}, Sum: "amount",
			Where: func(t *encode.Table, row encode.Row) bool {
				i := t.ColumnIndex("status")
				text, _ := t.Columns[i].Text(row[i])
				return text == "paid"
			}},
	}
}

// configText is the demo's configuration: an ordinary one, kept with --keep as
// a start for one's own.
func configText(s servers, dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# The demo's configuration. tailwater run %[4]s/tailwater.yaml goes on where the demo stopped,
# as long as its servers are there.
version: 1
name: demo
state: { dir: %[1]q }
sources:
  shop:
    type: %[3]s
    server_id: 5400-5499
    heartbeat: { every: 1s, stall_after: 3s }
    connect: { tls: %[2]s, retry: { min: 200ms, max: 5s } }
    shards:
      list:
`, dir+"/state", s.tls(), s.kind(), dir)
	for _, sh := range s.shards() {
		fmt.Fprintf(&b, "        - { name: %q, host: 127.0.0.1, port: %d, user: %q, password: %q }\n", sh.id, sh.port, sh.user, sh.password)
	}
	fmt.Fprintf(&b, `tables:
  orders:   # shop_00.orders_0 … shop_11.orders_3: one logical table
    from: { source: shop, schema: "shop_{db}", table: "orders_{part}" }
    key: [shard, id]
    masking: { email: hash }
    masking_salt: "a demo has no secrets"
  customers:
    from: { source: shop, schema: "shop_{db}", table: customers }
    key: [shard, id]
    masking: { email: drop }
views:
  orders:
    from: orders
    select: { ship_city: payload.ship.city, "*": "*" }
  customers:
    from: customers
stream: { type: embedded, partitions: 12 }
windows:
  store: { type: embedded }
  metrics:
    %s: { view: orders, value: count(), group_by: [status] }
    %s: { view: orders, value: sum(amount), where: status == 'paid', group_by: [city], unit: INR }
lake:
  url: %q
  file: { roll_every: 3s }
http: { listen: 127.0.0.1:8080 }
limits: { memory: 512MiB }
`, metricChanges, metricGMV, "file://"+dir+"/lake")
	return b.String()
}
