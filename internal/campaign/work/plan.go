package work

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"tailwater/internal/campaign/check"
)

// plan is one transaction, or one change of a table, before it is done.
type plan struct {
	kind string
	seq  int64
	// statements run in one transaction, unless single is set.
	statements []string
	single     bool
	// rolled ends it by ROLLBACK, and then it has no number.
	rolled bool
	// lines are its events in canonical form, cents what the ledger says.
	lines []string
	cents int64
	// events is the number of lines, which are given up once they are digested.
	events int64
	// there is a query that counts more than 0 once the plan is done.
	there string
	// changes move the model to behind the plan.
	changes []func()
	pause   time.Duration
}

// execute does the plan once. After an error nobody knows whether it is done.
func (p *plan) execute(ctx context.Context, db *sql.DB) error {
	if p.single {
		for _, q := range p.statements {
			if _, err := db.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		return nil
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, q := range p.statements {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			_ = tx.Rollback()
			return err
		}
	}
	if p.rolled {
		return tx.Rollback()
	}
	return tx.Commit()
}

func (p *plan) settle() {
	for _, do := range p.changes {
		do()
	}
}

// span is the rows of one bulk insert: from to to, all with one tag.
type span struct {
	from, to int64
	tag      string
}

// planner makes the plans of one lane, from what it has made before.
type planner struct {
	o    Options
	rng  *rand.Rand
	lane int64
	seq  int64

	accounts, moves, items []check.Row
	bulk                   *span
	nextID                 int64
	// column is the number of the column that is added to items, 0 for none;
	// columns counts the changes.
	column, columns int
}

func newPlanner(o Options, shard, lane int) *planner {
	return &planner{o: o, rng: rand.New(rand.NewPCG(o.Seed, uint64(shard)<<16|uint64(lane))), lane: int64(lane), nextID: 1}
}

// tables makes the lane's tables, and the one of numbers that bulk inserts
// select from, which nobody follows.
func (g *planner) tables() []string {
	out := []string{
		"CREATE DATABASE IF NOT EXISTS " + check.Database,
		"CREATE TABLE IF NOT EXISTS bank.numbers (k INT PRIMARY KEY)",
		"INSERT IGNORE INTO bank.numbers WITH RECURSIVE s AS (SELECT 0 AS k UNION ALL SELECT k + 1 FROM s WHERE k < 999) SELECT k FROM s",
		fmt.Sprintf("CREATE TABLE bank.ledger_%d (lane INT NOT NULL, id BIGINT NOT NULL PRIMARY KEY, n INT NOT NULL, cents BIGINT NOT NULL, "+
			"digest CHAR(64) NOT NULL, kind VARCHAR(20) NOT NULL, at TIMESTAMP(6) NOT NULL)", g.lane),
	}
	for _, table := range check.Tables {
		out = append(out, fmt.Sprintf("CREATE TABLE bank.%s_%d (lane INT NOT NULL, id BIGINT NOT NULL PRIMARY KEY, n BIGINT NOT NULL, "+
			"ver BIGINT NOT NULL, tag VARCHAR(64) NOT NULL, body LONGTEXT)", table, g.lane))
	}
	return out
}

// kinds are what a lane does, and how often of a hundred.
var kinds = []struct {
	share int
	make  func(*planner, *plan)
}{
	{34, (*planner).transfer}, {16, (*planner).insert}, {12, (*planner).update}, {8, (*planner).delete}, {8, (*planner).chain},
	{6, (*planner).several}, {4, (*planner).large}, {2, (*planner).bulky}, {4, (*planner).rollback}, {4, (*planner).savepoint}, {2, (*planner).alter},
}

// next makes the next plan.
func (g *planner) next() *plan {
	p := &plan{pause: time.Duration(g.rng.ExpFloat64() * float64(g.o.Pause))}
	if g.rng.IntN(200) == 0 {
		p.pause = time.Duration(g.rng.Float64() * float64(g.o.Idle))
	}
	if len(g.accounts) == 0 {
		g.open(p)
	} else {
		pick := g.rng.IntN(100)
		for _, k := range kinds {
			if pick -= k.share; pick < 0 {
				k.make(g, p)
				break
			}
		}
	}
	p.number(g)
	return p
}

// number gives the plan its number and its row in the ledger.
func (p *plan) number(g *planner) {
	if p.rolled || p.single {
		return
	}
	g.seq++
	p.seq, p.events = g.seq, int64(len(p.lines))
	p.statements = append(p.statements, fmt.Sprintf("INSERT INTO ledger_%d VALUES (%d, %d, %d, %d, '%s', '%s', CURRENT_TIMESTAMP(6))",
		g.lane, g.lane, p.seq, p.events, p.cents, check.Digest(p.lines), p.kind))
	p.there = fmt.Sprintf("SELECT COUNT(*) FROM ledger_%d WHERE id = %d", g.lane, p.seq)
	p.lines = nil
}

// tag names the rows that a plan writes.
func (g *planner) tag() string { return fmt.Sprintf("%d-%d", g.lane, g.seq+1) }

// created is one more row of a table.
func (g *planner) created(p *plan, table string, r check.Row, text string) {
	body := "NULL"
	if r.Body != "" {
		body = "'" + text + "'"
	}
	p.statements = append(p.statements, fmt.Sprintf("INSERT INTO %s_%d (lane, id, n, ver, tag, body) VALUES (%d, %d, %d, %d, '%s', %s)",
		table, g.lane, r.Lane, r.ID, r.N, r.Ver, r.Tag, body))
	p.lines = append(p.lines, check.Line(table, "c", r))
}

func (g *planner) row(n int64) check.Row {
	r := check.Row{Lane: g.lane, ID: g.nextID, N: n, Ver: 1, Tag: g.tag()}
	g.nextID++
	return r
}

// open makes the accounts and the rows that move.
func (g *planner) open(p *plan) {
	p.kind = "open"
	var accounts, moves []check.Row
	for range 8 {
		accounts = append(accounts, g.row(100_000))
		g.created(p, "accounts", accounts[len(accounts)-1], "")
	}
	for range 4 {
		moves = append(moves, g.row(0))
		g.created(p, "moves", moves[len(moves)-1], "")
	}
	p.changes = append(p.changes, func() { g.accounts, g.moves = accounts, moves })
}

// updated is a row whose n grows by d, with its version and tag.
func (g *planner) updated(p *plan, table string, r *check.Row, d int64) {
	next := *r
	next.N, next.Ver, next.Tag = r.N+d, r.Ver+1, g.tag()
	p.lines = append(p.lines, check.Line(table, "u", next))
	p.changes = append(p.changes, func() { *r = next })
}

// transfer moves cents from one account to another, by two statements: their
// sum never changes, and half of it is a torn transaction.
func (g *planner) transfer(p *plan) {
	p.kind = "transfer"
	from := g.rng.IntN(len(g.accounts))
	to := (from + 1 + g.rng.IntN(len(g.accounts)-1)) % len(g.accounts)
	cents := 1 + g.rng.Int64N(500)
	p.cents = cents
	for i, d := range []int64{-cents, cents} {
		r := &g.accounts[[]int{from, to}[i]]
		p.statements = append(p.statements, fmt.Sprintf("UPDATE accounts_%d SET n = n + %d, ver = ver + 1, tag = '%s' WHERE id = %d", g.lane, d, g.tag(), r.ID))
		g.updated(p, "accounts", r, d)
	}
}

// insert adds some items, few of them with a short text.
func (g *planner) insert(p *plan) {
	p.kind, p.cents = "insert", g.rng.Int64N(1000)-500
	for range 1 + g.rng.IntN(20) {
		g.item(p, g.rng.IntN(3)*g.rng.IntN(60))
	}
}

// item adds one item with a text of so many bytes, none for 0.
func (g *planner) item(p *plan, size int) {
	r, text := g.row(g.rng.Int64N(1000)), ""
	if size > 0 {
		text = g.text(size)
		r.Body = check.BodyHash(text)
	}
	g.created(p, "items", r, text)
	p.changes = append(p.changes, func() { g.items = append(g.items, r) })
}

// text is so many hex digits, which need no quoting and hardly compress.
func (g *planner) text(size int) string {
	var b strings.Builder
	b.Grow(size + 16)
	for b.Len() < size {
		fmt.Fprintf(&b, "%016x", g.rng.Uint64())
	}
	return b.String()[:size]
}

// scale is a number from 1 to most, each order of magnitude as likely up to
// often; one in thirty goes beyond.
func (g *planner) scale(often, most int) int {
	if g.rng.IntN(30) != 0 {
		most = min(often, most)
	}
	return max(1, int(math.Exp(g.rng.Float64()*math.Log(float64(most)))))
}

// large adds one item with a text of any size.
func (g *planner) large(p *plan) {
	p.kind = "large"
	g.item(p, g.scale(64<<10, g.o.MaxBody))
}

// oversize adds one item with a text of so many bytes, which the model leaves
// alone from then on.
func (g *planner) oversize(p *plan, size int) {
	p.kind = "oversize"
	r := check.Row{Lane: g.lane, ID: math.MaxInt32, N: 1, Ver: 1, Tag: "oversize"}
	text := strings.Repeat("0123456789abcdef", size/16+1)[:size]
	r.Body = check.BodyHash(text)
	g.created(p, "items", r, text)
}

// several changes two tables by one statement.
func (g *planner) several(p *plan) {
	p.kind = "several"
	a, m := &g.accounts[g.rng.IntN(len(g.accounts))], &g.moves[g.rng.IntN(len(g.moves))]
	p.statements = append(p.statements, fmt.Sprintf("UPDATE accounts_%d AS a JOIN moves_%d AS m SET a.ver = a.ver + 1, a.tag = '%s', "+
		"m.ver = m.ver + 1, m.tag = '%s' WHERE a.id = %d AND m.id = %d", g.lane, g.lane, g.tag(), g.tag(), a.ID, m.ID))
	g.updated(p, "accounts", a, 0)
	g.updated(p, "moves", m, 0)
}

// chain moves every key of moves up by one in one statement: each takes the
// place of the one above it.
func (g *planner) chain(p *plan) {
	p.kind = "chain"
	p.statements = append(p.statements, fmt.Sprintf("UPDATE moves_%d SET id = id + 1, ver = ver + 1, tag = '%s' ORDER BY id DESC", g.lane, g.tag()))
	for i := range g.moves {
		r := &g.moves[i]
		next := *r
		next.ID, next.Ver, next.Tag = r.ID+1, r.Ver+1, g.tag()
		p.lines = append(p.lines, check.Line("moves", "d", *r), check.Line("moves", "c", next))
		p.changes = append(p.changes, func() { *r = next })
	}
}

// update changes a stretch of items.
func (g *planner) update(p *plan) {
	from, to, ok := g.stretch()
	if !ok {
		g.insert(p)
		return
	}
	p.kind, p.cents = "update", 1
	p.statements = append(p.statements, fmt.Sprintf("UPDATE items_%d SET n = n + 3, ver = ver + 1, tag = '%s' WHERE %s", g.lane, g.tag(), where(g.items[from:to])))
	for i := from; i < to; i++ {
		g.updated(p, "items", &g.items[i], 3)
	}
}

// delete takes a stretch of items away, so that their number stays bounded.
func (g *planner) delete(p *plan) {
	from, to, ok := g.stretch()
	if !ok {
		g.insert(p)
		return
	}
	if len(g.items) > 300 {
		from, to = 0, 150
	}
	p.kind = "delete"
	p.statements = append(p.statements, fmt.Sprintf("DELETE FROM items_%d WHERE %s", g.lane, where(g.items[from:to])))
	for _, r := range g.items[from:to] {
		p.lines = append(p.lines, check.Line("items", "d", r))
	}
	p.changes = append(p.changes, func() { g.items = slices.Delete(g.items, from, to) })
}

func (g *planner) stretch() (from, to int, ok bool) {
	if len(g.items) == 0 {
		return 0, 0, false
	}
	from = g.rng.IntN(len(g.items))
	return from, min(len(g.items), from+1+g.rng.IntN(12)), true
}

func where(rows []check.Row) string {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = fmt.Sprint(r.ID)
	}
	return "id IN (" + strings.Join(ids, ", ") + ")"
}

// bulky inserts many rows by one statement, or deletes those of the last time.
func (g *planner) bulky(p *plan) {
	if g.bulk == nil {
		g.many(p, g.scale(2000, g.o.MaxRows))
		return
	}
	s := g.bulk
	p.kind = "many deleted"
	p.statements = append(p.statements, fmt.Sprintf("DELETE FROM items_%d WHERE id BETWEEN %d AND %d", g.lane, s.from, s.to))
	p.lines = s.lines("d", g.lane)
	p.changes = append(p.changes, func() { g.bulk = nil })
}

// many inserts so many rows by one statement. Rows of an earlier one that were
// not deleted stay.
func (g *planner) many(p *plan, rows int) {
	p.kind = "many"
	n := int64(rows)
	s := &span{g.nextID, g.nextID + n - 1, g.tag()}
	g.nextID += n
	p.statements = append(p.statements, fmt.Sprintf("INSERT INTO items_%d (lane, id, n, ver, tag, body) SELECT %d, %d + a.k * 1000 + b.k, b.k, 1, '%s', NULL "+
		"FROM numbers AS a JOIN numbers AS b WHERE a.k <= %d AND a.k * 1000 + b.k < %d", g.lane, g.lane, s.from, s.tag, (n-1)/1000, n))
	p.lines = s.lines("c", g.lane)
	p.changes = append(p.changes, func() { g.bulk = s })
}

func (s *span) lines(op string, lane int64) []string {
	out := make([]string, 0, s.to-s.from+1)
	for id := s.from; id <= s.to; id++ {
		out = append(out, check.Line("items", op, check.Row{Lane: lane, ID: id, N: (id - s.from) % 1000, Ver: 1, Tag: s.tag}))
	}
	return out
}

// rolledBack are statements whose rows must never be seen.
func (g *planner) rolledBack() []string {
	var out []string
	for range 1 + g.rng.IntN(30) {
		out = append(out, fmt.Sprintf("INSERT INTO items_%d (lane, id, n, ver, tag) VALUES (%d, %d, 0, 1, '%s-%s')", g.lane, g.lane, g.nextID, check.Rolled, g.tag()))
		g.nextID++
	}
	return out
}

func (g *planner) rollback(p *plan) {
	p.kind, p.rolled = "rollback", true
	p.statements = g.rolledBack()
}

// savepoint rolls a part of a transaction back.
func (g *planner) savepoint(p *plan) {
	p.kind = "savepoint"
	g.item(p, 0)
	p.statements = append(p.statements, "SAVEPOINT here")
	p.statements = append(p.statements, g.rolledBack()...)
	p.statements = append(p.statements, "ROLLBACK TO SAVEPOINT here")
	g.item(p, 0)
}

// alter adds a column to items, renames it, or drops it. A table takes a bounded
// number of such changes at once; later ones may copy it.
func (g *planner) alter(p *plan) {
	p.kind, p.single = "alter", true
	// Names come back, so that the columns of the lake's table stay few.
	table, next := fmt.Sprintf("items_%d", g.lane), g.column%6+1
	var change string
	wants := 1
	switch {
	case g.column == 0:
		change = fmt.Sprintf("ADD COLUMN x_%d INT NOT NULL DEFAULT %d", next, g.rng.IntN(1000))
	case g.rng.IntN(2) == 0:
		change = fmt.Sprintf("RENAME COLUMN x_%d TO x_%d", g.column, next)
	default:
		change, wants = fmt.Sprintf("DROP COLUMN x_%d", g.column), 0
		next = g.column
	}
	if g.columns < 20 {
		change += ", ALGORITHM=INSTANT"
	}
	p.statements = []string{"ALTER TABLE " + table + " " + change}
	p.there = fmt.Sprintf("SELECT (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = '%s' AND table_name = '%s' AND column_name = 'x_%d') = %d",
		check.Database, table, next, wants)
	p.changes = append(p.changes, func() {
		g.columns++
		if g.column = next; wants == 0 {
			g.column = 0
		}
	})
}
