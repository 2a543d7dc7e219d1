package shop

import (
	"fmt"

	"tailwater/binlog/primary/encode"
)

// OrderTables is how many orders tables a shard has.
const OrderTables = 4

// The columns of an orders table, by index.
const (
	OrderID = iota
	OrderUserID
	OrderStatus
	OrderCity
	OrderAmount
	OrderCoupon
	OrderEmail
	OrderPayload
	OrderCreatedAt
	OrderUpdatedAt
)

// The columns of the customers table, by index.
const (
	CustomerID = iota
	CustomerEmail
	CustomerTier
	CustomerBalance
	CustomerUpdatedAt
)

// Statuses are the members of an order's status, in order.
var Statuses = []string{"new", "paid", "shipped", "cancelled"}

// Database returns the database of a shard: shop_03.
func Database(shard string) string { return "shop_" + shard }

// OrdersTable returns the shape of orders_n of a shard.
func OrdersTable(shard string, n int) encode.Table {
	return encode.Table{
		Database: Database(shard), Name: fmt.Sprintf("orders_%d", n), PrimaryKey: []int{OrderID},
		Columns: []encode.Column{
			{Name: "id", Kind: encode.BigInt},
			{Name: "user_id", Kind: encode.BigInt},
			{Name: "status", Kind: encode.Enum, Members: Statuses},
			{Name: "city", Kind: encode.Varchar, Length: 64},
			{Name: "amount", Kind: encode.Decimal, Precision: 12, Scale: 2},
			{Name: "coupon", Kind: encode.Varchar, Length: 32, Nullable: true},
			{Name: "email", Kind: encode.Varchar, Length: 128},
			{Name: "payload", Kind: encode.JSON},
			{Name: "created_at", Kind: encode.DateTime, Scale: 3},
			{Name: "updated_at", Kind: encode.Timestamp, Scale: 3},
		},
	}
}

// CustomersTable returns the shape of a shard's customers.
func CustomersTable(shard string) encode.Table {
	return encode.Table{
		Database: Database(shard), Name: "customers", PrimaryKey: []int{CustomerID},
		Columns: []encode.Column{
			{Name: "id", Kind: encode.BigInt, Unsigned: true},
			{Name: "email", Kind: encode.Varchar, Length: 128},
			{Name: "tier", Kind: encode.Enum, Members: []string{"basic", "silver", "gold"}},
			{Name: "balance", Kind: encode.Decimal, Precision: 14, Scale: 2},
			{Name: "updated_at", Kind: encode.Timestamp, Scale: 3},
		},
	}
}

// ChannelColumn is what the scripted ALTER TABLE adds to a shard's orders.
func ChannelColumn() encode.Column {
	return encode.Column{Name: "channel", Kind: encode.Varchar, Length: 16, Nullable: true}
}

var (
	cities  = []string{"Pune", "Delhi", "Mumbai", "Chennai", "Kolkata", "Jaipur", "Kochi", "Zürich", "São Paulo", "東京"}
	coupons = []string{"WELCOME10", "DIWALI", "FREESHIP", "O'CLOCK"}
	skus    = []string{"tea", "mug", "lamp", "sari", "book", "rug"}
	tiers   = []string{"basic", "silver", "gold"}
	routes  = []string{"web", "app", "phone"}
)
