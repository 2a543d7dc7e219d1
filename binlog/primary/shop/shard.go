package shop

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"tailwater/binlog/primary/encode"
)

// Shard generates one shard's transactions. It keeps a model of the live rows;
// it is for one goroutine.
type Shard struct {
	// ID is the shard's name, "03".
	ID string

	rng       *rand.Rand
	orders    [OrderTables]*encode.Table
	customers *encode.Table
	live      []place // orders
	people    []encode.Row
	nextID    int64
	maxLive   int
	pay       []byte

	ops  []Op
	undo []func()
	at   int64
	err  error
}

// place is a live order and the table it is in.
type place struct {
	table int
	row   encode.Row
}

// customersPerShard is how many customers a shard starts with.
const customersPerShard = 50

// NewShard returns the generator of the shard with the given place in the list
// of shards. It keeps about maxLive orders; older ones are deleted.
func NewShard(id string, seed uint64, index, maxLive int) (*Shard, error) {
	s := &Shard{ID: id, rng: rand.New(rand.NewPCG(seed, uint64(index)+1)), maxLive: max(maxLive, 1)}
	var err error
	for n := range s.orders {
		if s.orders[n], err = encode.New(OrdersTable(id, n)); err != nil {
			return nil, err
		}
	}
	s.customers, err = encode.New(CustomersTable(id))
	return s, err
}

// Tables returns the shard's tables as they are now.
func (s *Shard) Tables() []*encode.Table { return append(slices.Clone(s.orders[:]), s.customers) }

// Live returns the number of orders.
func (s *Shard) Live() int { return len(s.live) }

// AddColumn makes the shard's rows of table n one column wider, as the target's
// tables are after the same ALTER TABLE.
func (s *Shard) AddColumn(n int, c encode.Column) error {
	wider, err := s.orders[n].AddColumn(c)
	if err != nil {
		return err
	}
	for i := range s.live {
		if s.live[i].table != n {
			continue
		}
		if s.live[i].row, _, err = wider.Encode(append(slices.Clone(s.live[i].row), c.Default), nil); err != nil {
			return err
		}
	}
	s.orders[n] = wider
	return nil
}

// First returns the transaction that fills the customers table. It comes before
// Next.
func (s *Shard) First(commitMicros int64) (*Tx, error) {
	s.begin(commitMicros)
	for i := range customersPerShard {
		row := encode.Row{
			uint64(i + 1), fmt.Sprintf("user%d@shop-%s.example", i+1, s.ID), tiers[s.rng.IntN(len(tiers))], "0.00",
			clock(commitMicros),
		}
		at := len(s.people)
		if row = s.encode(s.customers, row); s.err != nil {
			return nil, s.err
		}
		s.people = append(s.people, row)
		s.undo = append(s.undo, func() { s.people = s.people[:at] })
		s.ops = append(s.ops, Op{Kind: Create, Table: s.customers, After: row})
	}
	return s.end(false)
}

// Next returns the next transaction. Its rows carry commitMicros, which must not
// fall, as their times.
func (s *Shard) Next(commitMicros int64) (*Tx, error) {
	s.begin(commitMicros)
	rollback := false
	switch dice := s.rng.IntN(100); {
	case len(s.live) >= s.maxLive:
		for range 2 {
			s.remove()
		}
	case len(s.live) < 10 || dice < 42:
		s.create()
	case dice < 70:
		s.update()
	case dice < 76:
		s.remove()
	case dice < 80:
		s.renumber()
	case dice < 84:
		s.charge()
	case dice < 88: // one row several times
		s.create()
		s.touch(len(s.live) - 1)
		s.touch(len(s.live) - 1)
	case dice < 92: // something that did not happen
		s.several(1 + s.rng.IntN(3))
		rollback = true
	case dice < 95:
		s.withSavepoint()
	default:
		s.several(2 + s.rng.IntN(5))
		s.charge()
	}
	return s.end(rollback)
}

func (s *Shard) begin(commitMicros int64) {
	s.ops, s.undo, s.at, s.err = nil, s.undo[:0], commitMicros, nil
}

// end closes the transaction; one that does not commit leaves no trace in the model.
func (s *Shard) end(rollback bool) (*Tx, error) {
	if s.err != nil {
		return nil, fmt.Errorf("generate transaction of shard %s: %w", s.ID, s.err)
	}
	tx := &Tx{Shard: s.ID, Ops: s.ops, CommitMicros: s.at, Rollback: rollback}
	if rollback {
		s.rewind(0)
		return tx, nil
	}
	tx.Changes, tx.Rows = changes(s.ID, s.ops, s.at)
	return tx, nil
}

// rewind undoes changes of the model down to the given number of them.
func (s *Shard) rewind(to int) {
	for i := len(s.undo) - 1; i >= to; i-- {
		s.undo[i]()
	}
	s.undo = s.undo[:to]
}

func (s *Shard) several(n int) {
	for range n {
		switch s.rng.IntN(4) {
		case 0:
			s.update()
		case 1:
			s.remove()
		default:
			s.create()
		}
	}
}

func (s *Shard) withSavepoint() {
	s.create()
	mark := len(s.undo)
	s.ops = append(s.ops, Op{Kind: Savepoint})
	s.several(2)
	s.ops = append(s.ops, Op{Kind: RollbackTo})
	s.rewind(mark)
	s.update()
}

// encode returns the row in canonical form.
func (s *Shard) encode(t *encode.Table, row encode.Row) encode.Row {
	canonical, image, err := t.Encode(row, s.pay[:0])
	if err != nil {
		s.err = err
		return row
	}
	s.pay = image
	return canonical
}

// create adds an order.
func (s *Shard) create() {
	n := s.rng.IntN(OrderTables)
	s.nextID++
	user := s.rng.IntN(customersPerShard) + 1
	city := cities[s.rng.IntN(len(cities))]
	now := clock(s.at)
	row := encode.Row{
		s.nextID, int64(user), Statuses[0], city, s.amount(), nil,
		fmt.Sprintf("user%d@shop-%s.example", user, s.ID), s.payload(city), now, now,
	}
	if s.rng.IntN(4) == 0 {
		row[OrderCoupon] = coupons[s.rng.IntN(len(coupons))]
	}
	if len(s.orders[n].Columns) > len(row) {
		row = append(row, routes[s.rng.IntN(len(routes))])
	}
	if row = s.encode(s.orders[n], row); s.err != nil {
		return
	}
	s.live = append(s.live, place{n, row})
	s.undo = append(s.undo, func() { s.live = s.live[:len(s.live)-1] })
	s.ops = append(s.ops, Op{Kind: Create, Table: s.orders[n], After: row})
}

// amount is 1.00 to 5000.99, now and then negative: a refund.
func (s *Shard) amount() string {
	cents := 100 + s.rng.IntN(500_000)
	sign := ""
	if s.rng.IntN(50) == 0 {
		sign = "-"
	}
	return fmt.Sprintf("%s%d.%02d", sign, cents/100, cents%100)
}

func (s *Shard) payload(city string) string {
	items := ""
	for i := range 1 + s.rng.IntN(3) {
		if i > 0 {
			items += ", "
		}
		items += fmt.Sprintf(`{"sku": %q, "qty": %d, "price": %d.5}`, skus[s.rng.IntN(len(skus))], 1+s.rng.IntN(5), s.rng.IntN(900))
	}
	return fmt.Sprintf(`{"ship": {"city": %q, "express": %t}, "items": [%s], "note": null}`, city, s.rng.IntN(3) == 0, items)
}

// pick returns the index of a random order, -1 when there is none.
func (s *Shard) pick() int {
	if len(s.live) == 0 {
		return -1
	}
	return s.rng.IntN(len(s.live))
}

func (s *Shard) update() { s.touch(s.pick()) }

// touch moves order i on: its status, or its amount.
func (s *Shard) touch(i int) {
	if i < 0 {
		return
	}
	row := slices.Clone(s.live[i].row)
	switch {
	case row[OrderStatus] == Statuses[0] && s.rng.IntN(6) == 0:
		row[OrderStatus] = Statuses[3]
	case row[OrderStatus] == Statuses[0]:
		row[OrderStatus] = Statuses[1]
	case row[OrderStatus] == Statuses[1] && s.rng.IntN(2) == 0:
		row[OrderStatus] = Statuses[2]
	default:
		for before := row[OrderAmount]; row[OrderAmount] == before; {
			row[OrderAmount] = s.amount()
		}
	}
	s.replace(i, row)
}

// renumber gives an order another primary key.
func (s *Shard) renumber() {
	i := s.pick()
	if i < 0 {
		return
	}
	row := slices.Clone(s.live[i].row)
	s.nextID++
	row[OrderID] = s.nextID
	s.replace(i, row)
}

// replace updates order i.
func (s *Shard) replace(i int, row encode.Row) {
	p := s.live[i]
	row[OrderUpdatedAt] = clock(s.at)
	if row = s.encode(s.orders[p.table], row); s.err != nil {
		return
	}
	s.live[i].row = row
	s.undo = append(s.undo, func() { s.live[i] = p })
	s.ops = append(s.ops, Op{Kind: Update, Table: s.orders[p.table], Before: p.row, After: row})
}

// remove deletes a random order.
func (s *Shard) remove() {
	i := s.pick()
	if i < 0 {
		return
	}
	p := s.live[i]
	last := len(s.live) - 1
	s.live[i] = s.live[last]
	s.live = s.live[:last]
	s.undo = append(s.undo, func() {
		s.live = append(s.live, p)
		s.live[i], s.live[last] = s.live[last], s.live[i]
	})
	s.ops = append(s.ops, Op{Kind: Delete, Table: s.orders[p.table], Before: p.row})
}

// charge changes a customer's balance.
func (s *Shard) charge() {
	if len(s.people) == 0 {
		return
	}
	i := s.rng.IntN(len(s.people))
	before := s.people[i]
	row := slices.Clone(before)
	for row[CustomerBalance] == before[CustomerBalance] {
		row[CustomerBalance] = s.amount()
	}
	row[CustomerUpdatedAt] = clock(s.at)
	if row = s.encode(s.customers, row); s.err != nil {
		return
	}
	s.people[i] = row
	s.undo = append(s.undo, func() { s.people[i] = before })
	s.ops = append(s.ops, Op{Kind: Update, Table: s.customers, Before: before, After: row})
}
