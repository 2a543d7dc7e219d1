package binlog

import (
	"errors"
	"strings"
	"testing"

	"tailwater/internal/testenv"
)

// lowerNamed are servers that keep the names of databases and tables in lower
// case.
var lowerNamed = map[Flavor]func(*testing.T) *testenv.Server{
	MySQL:   func(t *testing.T) *testenv.Server { return testenv.MySQL(t, 1, "--lower-case-table-names=1")[0] },
	MariaDB: func(t *testing.T) *testenv.Server { return testenv.MariaDB(t, "--lower-case-table-names=1") },
}

func TestPreflight_NamesWithCapitalsWhereTheServerHasNone(t *testing.T) {
	t.Parallel()
	for flavor, start := range lowerNamed {
		t.Run(string(flavor), func(t *testing.T) {
			server := start(t)
			server.Exec(t, "CREATE DATABASE Shop", "CREATE TABLE Shop.Orders (id INT PRIMARY KEY)")
			named := func(database, table string) *Options {
				return &Options{Names: []string{database, table}, Filter: func(d, n string) bool { return d == database && n == table }}
			}
			with := func(from *Options) func(*Options, *journal) {
				return func(o *Options, _ *journal) { o.Names, o.Filter, o.Start = from.Names, from.Filter, "latest" }
			}
			r, err := New(Options{Shard: "00", Host: server.Host, Port: uint16(server.Port), User: server.User, Password: server.Password, Flavor: flavor,
				Start: "latest", Names: named("Shop", "Orders").Names})
			if err != nil {
				t.Fatal(err)
			}
			var preflight *PreflightError
			if err := r.Preflight(t.Context()); !errors.As(err, &preflight) || !strings.Contains(err.Error(), `lower_case_table_names is 1`) ||
				!strings.Contains(err.Error(), `write "shop" in place of "Shop", "orders" in place of "Orders"`) {
				t.Errorf("preflight says %v, want the names to write", err)
			}
			f := follow(t, server, nil, with(named("shop", "orders"))).ready()
			server.Exec(t, "INSERT INTO SHOP.ORDERS VALUES (1)", "TRUNCATE Shop.Orders")
			f.upTo(server)
			f.wantRows("c shop.orders#1 [1]", "t shop.orders#1 truncate")
		})
	}
}
