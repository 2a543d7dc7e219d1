package redis

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"tailwater/internal/testenv"
)

// TestAverage_IsMySQLs lets a real MySQL say what averages are, at every scale
// of a DECIMAL, halves and quotients without end among them.
func TestAverage_IsMySQLs(t *testing.T) {
	server := testenv.MySQL(t, 1)[0]
	server.Exec(t, "CREATE DATABASE d")
	rng := rand.New(rand.NewPCG(11, 12))
	var args []any
	var want []string
	for scale := range 31 {
		table := fmt.Sprintf("d.s%d", scale)
		server.Exec(t, fmt.Sprintf("CREATE TABLE %s (g INT, v DECIMAL(65,%d))", table, scale))
		var rows []string
		for g := range 40 {
			sum, values := new(big.Int), 1+rng.IntN(12)
			for range values {
				n := randomDigits(rng, 1+rng.IntN(65))
				if rng.IntN(3) > 0 { // small numbers are where rounding shows
					n = big.NewInt(rng.Int64N(7) - 3)
				}
				sum.Add(sum, n)
				rows = append(rows, fmt.Sprintf("(%d,%s)", g, point(n, scale)))
			}
			args = append(args, sum.String(), values, scale)
		}
		server.Exec(t, "INSERT INTO "+table+" VALUES "+strings.Join(rows, ","))
		for _, row := range server.Query(t, "SELECT AVG(v) FROM "+table+" GROUP BY g ORDER BY g") {
			want = append(want, row[0])
		}
	}
	onEvery(t, func(b *bench) {
		got := b.probe(`
			local out = {}
			for i = 1, #ARGV, 3 do out[#out + 1] = average(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])) end
			return out`, args...)
		for i := range want {
			if got[i] != want[i] {
				b.Errorf("%v / %v at scale %v: got %s, MySQL says %s", args[3*i], args[3*i+1], args[3*i+2], got[i], want[i])
			}
		}
	})
}

// randomDigits is a number of n digits at most, of either sign.
func randomDigits(rng *rand.Rand, n int) *big.Int {
	v := new(big.Int)
	for range n {
		v.Mul(v, big.NewInt(10)).Add(v, big.NewInt(rng.Int64N(10)))
	}
	if rng.IntN(2) == 0 {
		v.Neg(v)
	}
	return v
}

// point is a scaled number as decimal text.
func point(n *big.Int, scale int) string {
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
	return new(big.Rat).SetFrac(n, unit).FloatString(scale)
}

// TestAverage_DividesByLargeCounts compares with big numbers where no table can be filled.
func TestAverage_DividesByLargeCounts(t *testing.T) {
	onEvery(t, func(b *bench) {
		rng := rand.New(rand.NewPCG(13, 14))
		var args []any
		var want []string
		for range 500 {
			sum, values, scale := randomDigits(rng, 1+rng.IntN(76)), 1+rng.Int64N([]int64{9, 1e6, 1e10, 1e14 - 1}[rng.IntN(4)]), 2*rng.IntN(2)
			r := new(big.Rat).SetFrac(sum, new(big.Int).Mul(big.NewInt(values), big.NewInt([]int64{1, 0, 100}[scale])))
			text := r.FloatString(scale + 4)
			if strings.Trim(text, "-0.") == "" {
				text = strings.TrimPrefix(text, "-")
			}
			args, want = append(args, sum.String(), values, scale), append(want, text)
		}
		got := b.probe(`
			local out = {}
			for i = 1, #ARGV, 3 do out[#out + 1] = average(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])) end
			return out`, args...)
		for i := range want {
			if got[i] != want[i] {
				b.Fatalf("%v / %v at scale %v: got %s, want %s", args[3*i], args[3*i+1], args[3*i+2], got[i], want[i])
			}
		}
	})
}
