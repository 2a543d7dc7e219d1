package binlog

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// manyTables are wide tables of types that have a parameter, with every value
// of it or every one that changes how the bytes lie.
func manyTables() []matrixTable {
	var out []matrixTable
	add := func(name string, columns []sqlColumn) {
		// A row has to fit into a page of the server.
		for i, part := 0, 0; i < len(columns); i, part = i+32, part+1 {
			out = append(out, matrixTable{name: fmt.Sprintf("%s%d", name, part), columns: columns[i:min(i+32, len(columns))]})
		}
	}
	add("bits", everyBit())
	add("sets", everySet())
	add("decimals", everyDecimal())
	add("fractions", everyFraction())
	add("strings", everyLength())
	add("numbers", anyNumbers())
	out = append(out, matrixTable{name: "wide", columns: manyColumns()})
	return append(append(out, computedTables()...), shuffledTables()...)
}

// manyColumns are more than one byte can count.
func manyColumns() []sqlColumn {
	var out []sqlColumn
	for i := range 300 {
		n := fmt.Sprint(i)
		c := []sqlColumn{
			{definition: "SMALLINT UNSIGNED", show: "number", values: []string{n, "65535"}}, {definition: "SMALLINT", show: "number", values: []string{"-" + n, "-1"}},
			{definition: "VARCHAR(20) CHARACTER SET latin1", show: "text", values: []string{"'é" + n + "'", "''"}}, {definition: "BIT(9)", show: "bit", values: []string{n, "256"}},
			{definition: "CHAR(4) CHARACTER SET gbk", show: "text", values: []string{"'中'", "'" + n + "'"}}, {definition: "ENUM('a','b')", show: "text", values: []string{"1", "2"}},
			{definition: "DECIMAL(7,3)", show: "number", values: []string{"-" + n + ".5"}}}[i%7]
		c.name = "w" + n
		out = append(out, c)
	}
	return out
}

// shuffledTables are wide tables in which all types stand side by side, in
// several orders: what is counted by kind of column must be counted as the
// server does.
func shuffledTables() []matrixTable {
	var out []matrixTable
	r := rand.New(rand.NewPCG(44, 45))
	for order := range 3 {
		columns := allColumns()
		r.Shuffle(len(columns), func(i, j int) { columns[i], columns[j] = columns[j], columns[i] })
		for i, part := 0, 0; i < len(columns); i, part = i+24, part+1 {
			out = append(out, matrixTable{name: fmt.Sprintf("shuffled%d_%d", order, part), columns: columns[i:min(i+24, len(columns))]})
		}
	}
	return out
}

func everyBit() []sqlColumn {
	var out []sqlColumn
	for n := 1; n <= 64; n++ {
		most := uint64(math.MaxUint64) >> (64 - n)
		out = append(out, sqlColumn{name: fmt.Sprintf("b%d", n), definition: fmt.Sprintf("BIT(%d)", n), show: "bit",
			values: []string{"0", "1", fmt.Sprint(most), fmt.Sprint(uint64(1) << (n - 1)), fmt.Sprint(0xA5A5A5A5A5A5A5A5 & most)}})
	}
	return out
}

func everySet() []sqlColumn {
	var out []sqlColumn
	for n := 1; n <= 64; n++ {
		out = append(out, sqlColumn{name: fmt.Sprintf("s%d", n), definition: "SET(" + manyMembers(n) + ")", show: "text",
			values: []string{"''", "1", fmt.Sprint(uint64(1) << (n - 1)), fmt.Sprint(uint64(math.MaxUint64) >> (64 - n))}})
	}
	return out
}

// everyDecimal has each precision with scales that cut the groups of digits
// in different places.
func everyDecimal() []sqlColumn {
	var out []sqlColumn
	for precision := 1; precision <= 65; precision++ {
		scales := []int{0, precision / 2, min(precision, 30)}
		slices.Sort(scales)
		for _, scale := range slices.Compact(scales) {
			if scale > 30 {
				continue
			}
			most := strings.Repeat("9", precision-scale) + "." + strings.Repeat("9", scale)
			least := "0." + strings.Repeat("0", max(scale-1, 0)) + "1"
			if scale == 0 {
				most, least = most[:precision], "1"
			}
			out = append(out, sqlColumn{name: fmt.Sprintf("d%d_%d", precision, scale), definition: fmt.Sprintf("DECIMAL(%d,%d)", precision, scale),
				show: "number", values: []string{"0", most, "-" + most, least, "-" + least}})
		}
	}
	return out
}

// everyFraction has the temporal types with each number of digits behind the
// second.
func everyFraction() []sqlColumn {
	var out []sqlColumn
	for n := range 7 {
		name := func(t string) string { return fmt.Sprintf("%s_%d", t, n) }
		out = append(out,
			sqlColumn{name: name("time"), definition: fmt.Sprintf("TIME(%d)", n), show: "quoted", values: []string{
				"'00:00:00'", "'-00:00:00.1'", "'-00:00:01'", "'-00:59:59.999999'", "'838:59:59'", "'-838:59:59'", "'-838:59:58.999999'", "'12:34:56.000001'",
				"'100:00:00.5'", "'-01:00:00.000001'"}},
			sqlColumn{name: name("datetime"), definition: fmt.Sprintf("DATETIME(%d)", n), show: "quoted", values: []string{
				"'0000-00-00'", "'0000-01-01 00:00:00.1'", "'2023-00-15 01:02:03.999999'", "'2023-05-00 23:59:59'", "'2023-00-00'", "'1000-01-01'",
				"'9999-12-31 23:59:59'", "'2024-02-29 12:34:56.789012'", "'2026-11-20 10:10:10.000001'"}},
			sqlColumn{name: name("timestamp"), definition: fmt.Sprintf("TIMESTAMP(%d) NULL", n), show: "timestamp", values: []string{
				"0", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'2024-02-29 12:34:56.789012'", "'2026-11-01 05:30:00.1'", "'2026-11-01 06:30:00.000001'"}})
	}
	for n := range 7 {
		out = append(out, sqlColumn{name: fmt.Sprintf("now%d", n), definition: fmt.Sprintf("DATETIME(%d)", n), show: "quoted", values: []string{fmt.Sprintf("NOW(%d)", n)}})
	}
	return append(out, sqlColumn{name: "dates", definition: "DATE", show: "quoted", values: []string{
		"'0000-00-00'", "'0000-01-01'", "'0000-12-31'", "'2023-00-00'", "'2023-12-00'", "'2023-00-31'", "'1970-01-01'", "'2000-02-29'", "'9999-12-31'", "'0001-01-01'"}})
}

// everyLength has strings around the lengths at which their prefixes grow.
func everyLength() []sqlColumn {
	var out []sqlColumn
	for _, n := range []int{0, 1, 2, 15, 16, 17, 254, 255} {
		values := []string{"''"}
		if n > 0 {
			values = append(values, "'a'", fmt.Sprintf("REPEAT(0x00,%d)", n), fmt.Sprintf("REPEAT(0x20,%d)", n), fmt.Sprintf("CONCAT(REPEAT(0xFF,%d),0x00)", n-1), fmt.Sprintf("REPEAT(0xFF,%d)", n))
		}
		out = append(out, sqlColumn{name: fmt.Sprintf("bin%d", n), definition: fmt.Sprintf("BINARY(%d)", n), show: "bytes", values: values})
	}
	for _, n := range []int{0, 1, 63, 64, 85, 86} { // 255 and 256 bytes of utf8mb4 and utf8mb3
		for _, charset := range []string{"utf8mb4", "utf8mb3"} {
			values := []string{"''"}
			if n > 0 {
				values = append(values, "'a '", "' '", fmt.Sprintf("REPEAT('é',%d)", n), fmt.Sprintf("CONCAT(REPEAT('x',%d),'日')", n-1))
			}
			out = append(out, sqlColumn{name: fmt.Sprintf("char%d_%s", n, charset), definition: fmt.Sprintf("CHAR(%d) CHARACTER SET %s", n, charset), show: "text", values: values})
		}
	}
	for i, collation := range []string{"utf8mb4_bin", "latin1_bin", "utf8mb3_bin", "latin1_general_cs"} {
		charset, _, _ := strings.Cut(collation, "_")
		for _, kind := range []string{"CHAR(9)", "VARCHAR(9)"} {
			out = append(out, sqlColumn{name: fmt.Sprintf("pad%d_%s", i, kind[:4]), definition: kind + " CHARACTER SET " + charset + " COLLATE " + collation, show: "text",
				values: []string{"'a'", "'a  '", "'  a'", "'é '", "'A'", "'a\\t'"}})
		}
	}
	for _, n := range []int{255, 256, 300} { // one byte, and two
		out = append(out, sqlColumn{name: fmt.Sprintf("members%d", n), definition: "ENUM(" + manyMembers(n) + ")", show: "text",
			values: []string{"1", fmt.Sprint(n), "0", "255", "'nobody'", fmt.Sprint(n - 1)}})
	}
	return append(out,
		sqlColumn{name: "every_byte", definition: "VARBINARY(600)", show: "bytes", values: []string{everyByte(), "CONCAT(" + everyByte() + "," + everyByte() + ")", "REPEAT(0x00,600)", "'a  '"}},
		sqlColumn{name: "tiny_text", definition: "TINYTEXT CHARACTER SET latin1", show: "text", values: []string{"REPEAT('é',255)", everyByteText("latin1")}},
		sqlColumn{name: "tiny_blob", definition: "TINYBLOB", show: "bytes", values: []string{"REPEAT(0x00,255)", everyByte()[:2+2*255]}},
		sqlColumn{name: "a_text", definition: "TEXT CHARACTER SET utf8mb4", show: "text", values: []string{"REPEAT('x',255)", "REPEAT('x',256)", "REPEAT('\"',65535)"}},
		sqlColumn{name: "a_blob", definition: "BLOB", show: "bytes", values: []string{"REPEAT(0x00,255)", "REPEAT(0x01,256)", "REPEAT(0xFF,65535)", everyByte()}},
		sqlColumn{name: "medium_text", definition: "MEDIUMTEXT CHARACTER SET utf8mb4", show: "text", values: []string{"REPEAT('é',65535)", "REPEAT('x',65536)"}},
		sqlColumn{name: "medium_blob", definition: "MEDIUMBLOB", show: "bytes", values: []string{"REPEAT(0x00,65535)", "REPEAT(0x01,65536)"}},
		sqlColumn{name: "long_blob", definition: "LONGBLOB", show: "bytes", values: []string{"REPEAT(0xA5,1000000)"}},
		sqlColumn{name: "empty_member", definition: "ENUM('','a',' b','c\\\\d')", show: "text", values: []string{"1", "2", "' b'", "'c\\\\d'", "0"}},
		sqlColumn{name: "binary_enum", definition: "ENUM('a','B') CHARACTER SET binary", show: "text", values: []string{"'a'", "'B'", "0"}},
		sqlColumn{name: "binary_set", definition: "SET('a','B') CHARACTER SET binary", show: "text", values: []string{"'a'", "'B,a'", "''"}},
	)
}

// everyByte is the hex literal of the bytes 0 to 255.
func everyByte() string {
	b := []byte("0x")
	for i := range 256 {
		b = fmt.Appendf(b, "%02X", i)
	}
	return string(b)
}

// everyByteText is the same without 0 as text of a character set.
func everyByteText(charset string) string { return "_" + charset + " 0x" + everyByte()[4:] }

// anyNumbers are numbers that nobody has chosen; they are the same every time.
func anyNumbers() []sqlColumn {
	r := rand.New(rand.NewPCG(61, 65))
	var doubles, floats, shorts []string
	for len(doubles) < 150 {
		if f := math.Float64frombits(r.Uint64()); !math.IsNaN(f) && !math.IsInf(f, 0) {
			doubles = append(doubles, strconv.FormatFloat(f, 'e', -1, 64))
		}
		if f := math.Float32frombits(r.Uint32()); !math.IsNaN(float64(f)) && !math.IsInf(float64(f), 0) {
			floats = append(floats, strconv.FormatFloat(float64(f), 'e', -1, 32))
		}
		shorts = append(shorts, strconv.FormatFloat(float64(r.IntN(20000)-10000)*math.Pow10(r.IntN(40)-20), 'e', -1, 64))
	}
	out := []sqlColumn{
		{name: "doubles", definition: "DOUBLE", show: "double", values: doubles}, {name: "floats", definition: "FLOAT", show: "float", values: floats},
		{name: "short_doubles", definition: "DOUBLE", show: "double", values: shorts}, {name: "short_floats", definition: "FLOAT", show: "float", values: shorts},
		{name: "float_unsigned", definition: "FLOAT UNSIGNED", show: "float", values: []string{"0", "3.14", "16777217"}},
		{name: "double_unsigned", definition: "DOUBLE UNSIGNED", show: "double", values: []string{"0", "3.14", "1.5e300"}},
		{name: "decimal_unsigned", definition: "DECIMAL(10,3) UNSIGNED", show: "number", values: []string{"0", "9999999.999", "0.001"}},
		{name: "decimal38", definition: "DECIMAL(65,38)", show: "number", only: onMariaDB, values: []string{"0.00000000000000000000000000000000000001", "-123456789012345678901234567.5"}},
		{name: "decimal_all38", definition: "DECIMAL(38,38)", show: "number", only: onMariaDB, values: []string{"0.00000000000000000000000000000000000001", "-0.99999999999999999999999999999999999999"}},
		{name: "json_doubles", definition: "JSON", show: "json", only: onMySQL, values: []string{"'[" + strings.Join(doubles, ",") + "]'", "'[" + strings.Join(shorts, ",") + "]'"}},
		{name: "json_opaque", definition: "JSON", show: "json", only: onMySQL, values: []string{
			"JSON_ARRAY(CAST(2155 AS YEAR), b'1', x'00', ST_GeomFromText('POINT(1 2)'), TIME'-00:00:00.000001', CAST(9.99 AS DECIMAL(65,30)), -0.5, 1e0)",
			"JSON_OBJECT('at', TIMESTAMP'2026-11-01 05:30:00.25', 'd', DATE'2024-02-29', 't', TIME'-838:59:59', 'n', CAST(-99999999999999999999 AS DECIMAL(65,0)), 'z', CAST(0 AS DECIMAL(10,5)))",
			"JSON_ARRAY(CAST(18446744073709551615 AS UNSIGNED), CAST(-9223372036854775808 AS SIGNED), 9007199254740993, 0.1e0, 1e308, -1e-308, TRUE, NULL)",
			"JSON_OBJECT('ключ', '日本', '', 'empty', 'a\\\"b', JSON_ARRAY(), REPEAT('k',300), JSON_OBJECT())",
			"JSON_OBJECT(REPEAT('k',65535), 1)", "CAST(CAST('0000-00-00' AS DATE) AS JSON)"}},
		{name: "scaled_double", definition: "DOUBLE(20,4)", show: "double", values: []string{"0", "1.5", "-1.23456", "123456789.0001"}},
		{name: "years", definition: "YEAR", show: "year", values: []string{"0", "1901", "1970", "1999", "2000", "2155", "'00'", "'70'", "'69'"}},
	}
	for i, kind := range []string{"TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT"} {
		bits := []int{8, 16, 24, 32, 64}[i]
		most := uint64(math.MaxUint64) >> (64 - bits)
		signed := sqlColumn{name: "any_" + kind, definition: kind, show: "number", values: []string{fmt.Sprint(most >> 1), fmt.Sprint(-int64(most>>1) - 1)}}
		plain := sqlColumn{name: "any_u" + kind, definition: kind + " UNSIGNED", show: "number", values: []string{fmt.Sprint(most), fmt.Sprint(most>>1 + 1)}}
		for range 8 {
			v := r.Uint64() & most
			plain.values = append(plain.values, fmt.Sprint(v))
			signed.values = append(signed.values, fmt.Sprint(int64(v<<(64-bits))>>(64-bits)))
		}
		out = append(out, signed, plain, sqlColumn{name: "any_z" + kind, definition: kind + " ZEROFILL", show: "zerofill", values: []string{"0", "7", fmt.Sprint(most)}})
	}
	return out
}

// computedTables have columns that the server fills or hides.
func computedTables() []matrixTable {
	source := []sqlColumn{
		{name: "n", definition: "INT UNSIGNED", show: "number", values: []string{"0", "1", "7", "255", "70000"}},
		{name: "phone", definition: "VARCHAR(20) CHARACTER SET latin1", show: "text", values: []string{"'5551234'", "'é'", "''"}},
		{name: "unseen", definition: "BIGINT UNSIGNED INVISIBLE", show: "number", values: []string{"18446744073709551615", "0"}},
		{name: "unseen_text", definition: "TEXT INVISIBLE", show: "text", values: []string{"'x'", "'日本'"}},
	}
	computed := func(name, definition, show string) sqlColumn {
		return sqlColumn{name: name, definition: definition, show: show, computed: true}
	}
	columns := append(slices.Clip(source),
		computed("v_int", "BIGINT AS (n*2) VIRTUAL", "number"), computed("s_int", "BIGINT AS (n+1) STORED", "number"),
		computed("v_dec", "DECIMAL(20,4) AS (n/8) VIRTUAL", "number"), computed("s_dec", "DECIMAL(20,4) AS (n/8) STORED", "number"),
		computed("v_text", "VARCHAR(40) CHARACTER SET utf8mb4 AS (CONCAT(phone,'!')) VIRTUAL", "text"), computed("s_text", "VARCHAR(40) CHARACTER SET utf8mb4 AS (CONCAT('<',phone)) STORED", "text"),
		computed("v_null", "INT AS (NULLIF(n,1)) VIRTUAL", "number"), computed("s_null", "INT AS (NULLIF(n,7)) STORED", "number"),
		computed("v_bin", "BINARY(6) AS (phone) VIRTUAL", "bytes"), computed("s_bin", "BINARY(6) AS (phone) STORED", "bytes"))
	return []matrixTable{
		{name: "computed", columns: columns},
		{name: "functional", columns: columns, more: ", KEY ((RIGHT(phone,4))), KEY ((n+5)), KEY (v_int)", only: onMySQL},
		{name: "long_key", columns: append(slices.Clip(source), sqlColumn{name: "long_text", definition: "TEXT CHARACTER SET utf8mb4", show: "text", values: []string{"'a'", "'b'", "REPEAT('é',3000)"}}),
			more: ", UNIQUE (long_text)", only: onMariaDB},
		{name: "generated_key", columns: columns, key: "my_row_id", only: onMySQL},
	}
}
