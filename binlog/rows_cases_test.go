package binlog

import (
	"slices"
	"strings"
)

// sqlColumn is one column type with values that sit on its edges, and how the
// server itself is asked for the text that an event must show.
type sqlColumn struct {
	// name is the table's name in the test.
	name string
	// definition is the column's SQL type.
	definition string
	// show says which of the forms of wantJSON the column's text has.
	show string
	// values are SQL expressions; a computed column has none.
	values []string
	// only lists the servers that know the column; empty means all of them.
	only servers
	// computed columns are generated: no statement gives them a value.
	computed bool
}

// servers names servers with a space between: mysql, 11.8 and 10.11.
type servers string

// have reports whether the server is listed.
func (s servers) have(label string) bool {
	return s == "" || slices.Contains(strings.Fields(string(s)), label)
}

const (
	onMySQL   servers = "mysql"
	onMariaDB servers = "11.8 10.11"
)

var integerColumns = []sqlColumn{
	{name: "tiny", definition: "TINYINT", show: "number", values: []string{"-128", "-1", "0", "1", "127"}},
	{name: "utiny", definition: "TINYINT UNSIGNED", show: "number", values: []string{"0", "127", "128", "255"}},
	{name: "small", definition: "SMALLINT", show: "number", values: []string{"-32768", "-1", "0", "32767"}},
	{name: "usmall", definition: "SMALLINT UNSIGNED", show: "number", values: []string{"0", "32768", "65535"}},
	{name: "medium", definition: "MEDIUMINT", show: "number", values: []string{"-8388608", "-1", "0", "8388607"}},
	{name: "umedium", definition: "MEDIUMINT UNSIGNED", show: "number", values: []string{"0", "8388608", "16777215"}},
	{name: "int_", definition: "INT", show: "number", values: []string{"-2147483648", "-1", "0", "2147483647"}},
	{name: "uint_", definition: "INT UNSIGNED", show: "number", values: []string{"0", "2147483648", "4294967295"}},
	{name: "big", definition: "BIGINT", show: "number", values: []string{"-9223372036854775808", "-1", "0", "9223372036854775807"}},
	{name: "ubig", definition: "BIGINT UNSIGNED", show: "number", values: []string{"0", "9007199254740993", "9223372036854775808", "18446744073709551615"}},
	{name: "bool_", definition: "BOOL", show: "number", values: []string{"true", "false"}},
	{name: "year_", definition: "YEAR", show: "year", values: []string{"0", "'0000'", "1901", "2026", "2155"}},
	{name: "bit1", definition: "BIT(1)", show: "bit", values: []string{"0", "1"}},
	{name: "bit8", definition: "BIT(8)", show: "bit", values: []string{"0", "255"}},
	{name: "bit9", definition: "BIT(9)", show: "bit", values: []string{"0", "256", "511"}},
	{name: "bit63", definition: "BIT(63)", show: "bit", values: []string{"0", "~0 >> 1"}},
	{name: "bit64", definition: "BIT(64)", show: "bit", values: []string{"0", "1", "~0", "1 << 63"}},
}

var numberColumns = []sqlColumn{
	{name: "dec65", definition: "DECIMAL(65,30)", show: "number", values: []string{
		"99999999999999999999999999999999999.999999999999999999999999999999",
		"-99999999999999999999999999999999999.999999999999999999999999999999",
		"0", "0.000000000000000000000000000001", "-0.000000000000000000000000000001", "1", "-1", "123456789012345678901234567890.5"}},
	{name: "dec12", definition: "DECIMAL(12,2)", show: "number", values: []string{"0", "0.01", "-0.01", "12.5", "-9999999999.99", "9999999999.99", "1000000000", "999999999.99", "-0.00"}},
	{name: "dec1", definition: "DECIMAL(1,0)", show: "number", values: []string{"0", "9", "-9"}},
	{name: "dec1f", definition: "DECIMAL(1,1)", show: "number", values: []string{"0", "0.9", "-0.9"}},
	{name: "dec9", definition: "DECIMAL(9,0)", show: "number", values: []string{"0", "999999999", "-999999999", "100000000"}},
	{name: "dec18", definition: "DECIMAL(18,9)", show: "number", values: []string{"0", "999999999.999999999", "-1.000000001", "1000000"}},
	{name: "dec37", definition: "DECIMAL(37,10) UNSIGNED", show: "number", values: []string{"0", "1.5", "100000000000000000000000000.0000000001"}},
	{name: "dec30", definition: "DECIMAL(30,30)", show: "number", values: []string{"0", "0.5", "-0.000000000000000000000000000009"}},
	{name: "double_", definition: "DOUBLE", show: "double", values: []string{
		"0", "-0.0e0", "1", "-1.5", "3.14", "1e14", "1e15", "123456789012345678", "1e16", "1e22", "1.5e300", "1.7976931348623157e308", "-2.2250738585072014e-308",
		"5e-324", "0.1", "1e-5", "1e-14", "1.5e-14", "1e-15", "1.25e-15", "9.999e-15", "1e-16", "0.1+0.2e0", "9007199254740993"}},
	{name: "float_", definition: "FLOAT", show: "float", values: []string{
		"0", "3.14", "1e38", "16777217", "16777216", "-1.5e-38", "0.1", "1e-10", "123456.7", "1e15", "1.17549e-38", "3.40282e38"}},
	{name: "float_minus", definition: "FLOAT", show: "float", only: onMySQL, values: []string{"-0.0e0"}},
}

var temporalColumns = []sqlColumn{
	{name: "date_", definition: "DATE", show: "quoted", values: []string{
		"'2026-11-20'", "'0000-00-00'", "'2023-00-15'", "'2023-05-00'", "'2023-00-00'", "'0000-01-01'", "'1000-01-01'", "'9999-12-31'", "'2024-02-29'"}},
	{name: "datetime0", definition: "DATETIME", show: "quoted", values: []string{
		"'2026-11-20 10:10:10'", "'0000-00-00 00:00:00'", "'2023-00-15 01:02:03'", "'0000-01-01 00:00:00'", "'9999-12-31 23:59:59'", "'1000-01-01 00:00:00'"}},
	{name: "datetime1", definition: "DATETIME(1)", show: "quoted", values: []string{"'2026-11-20 10:10:10.9'", "'2026-11-20 10:10:10'"}},
	{name: "datetime3", definition: "DATETIME(3)", show: "quoted", values: []string{"'2026-11-20 10:10:10.123'", "'0000-00-00 00:00:00'", "'9999-12-31 23:59:59.999'", "'2026-11-20 10:10:10.007'"}},
	{name: "datetime4", definition: "DATETIME(4)", show: "quoted", values: []string{"'2026-11-20 10:10:10.1234'"}},
	{name: "datetime5", definition: "DATETIME(5)", show: "quoted", values: []string{"'2026-11-20 10:10:10.00009'"}},
	{name: "datetime6", definition: "DATETIME(6)", show: "quoted", values: []string{"'2026-11-20 10:10:10.000001'", "'0000-00-00 00:00:00'", "'9999-12-31 23:59:59.999999'"}},
	{name: "timestamp0", definition: "TIMESTAMP NULL", show: "timestamp", values: []string{
		"'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'0000-00-00 00:00:00'", "'2026-11-01 05:30:00'", "'2026-11-01 06:30:00'", "'2000-02-29 23:59:59'", "'2024-03-01 00:00:00'"}},
	{name: "timestamp2", definition: "TIMESTAMP(2) NULL", show: "timestamp", values: []string{"'2026-11-20 10:10:10.12'", "'0000-00-00 00:00:00'"}},
	{name: "timestamp3", definition: "TIMESTAMP(3) NULL", show: "timestamp", values: []string{"'2026-11-20 10:10:10.123'", "'1999-12-31 23:59:59.999'"}},
	{name: "timestamp6", definition: "TIMESTAMP(6) NULL", show: "timestamp", values: []string{"'2026-11-20 10:10:10.000001'", "'2038-01-19 03:14:07.499999'"}},
	{name: "time0", definition: "TIME", show: "quoted", values: []string{"'00:00:00'", "'-838:59:59'", "'838:59:59'", "'01:02:03'", "'-00:00:01'", "'100:00:00'", "'-99:59:59'"}},
	{name: "time1", definition: "TIME(1)", show: "quoted", values: []string{"'-00:00:00.1'", "'-838:59:59'", "'12:00:00.9'", "'-01:00:00'"}},
	{name: "time2", definition: "TIME(2)", show: "quoted", values: []string{"'-00:00:00.01'", "'-00:00:01.99'", "'00:00:00.01'", "'-00:00:01'"}},
	{name: "time3", definition: "TIME(3)", show: "quoted", values: []string{"'-00:00:00.001'", "'-10:11:12.345'", "'10:11:12.345'", "'-00:01:00'"}},
	{name: "time4", definition: "TIME(4)", show: "quoted", values: []string{"'-00:00:00.0001'", "'-10:11:12.3456'"}},
	{name: "time5", definition: "TIME(5)", show: "quoted", values: []string{"'-00:00:00.00001'", "'10:11:12.34567'"}},
	{name: "time6", definition: "TIME(6)", show: "quoted", values: []string{"'01:02:03'", "'-00:00:00.000001'", "'-838:59:58.999999'", "'838:59:59.000000'"}},
}

// Bytes that character sets, escapes and lengths stumble over.
const (
	lowBytes  = "0x000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F5B5C5D7E7F"
	highBytes = "0x808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0A1BFC0DFE0FEFF"
)

var textColumns = []sqlColumn{
	{name: "varchar_", definition: "VARCHAR(40) CHARACTER SET utf8mb4", show: "text", values: []string{
		"''", "'a'", "'a '", "'a\\tb\\nc\"d\\\\e/f'", "'naïve 日本語 😀'", "_utf8mb4 0x00011F7FC280E280A8", "'12345678'", "'1234567\"'", "'12345678\"'"}},
	{name: "varchar300", definition: "VARCHAR(300) CHARACTER SET utf8mb4", show: "text", values: []string{"''", "repeat('é',300)", "repeat('a',255)", "repeat('b',256)"}},
	{name: "char5", definition: "CHAR(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", show: "text", values: []string{"''", "'a '", "'abc'", "'ééééé'"}},
	{name: "char255", definition: "CHAR(255) CHARACTER SET utf8mb4", show: "text", values: []string{"''", "'x'", "repeat('日',255)"}},
	{name: "mb3", definition: "VARCHAR(20) CHARACTER SET utf8mb3", show: "text", values: []string{"'日本'", "''"}},
	{name: "ascii_", definition: "VARCHAR(20) CHARACTER SET ascii", show: "text", values: []string{"'plain'", "'q\"'"}},
	{name: "latin1_", definition: "VARCHAR(200) CHARACTER SET latin1", show: "text", values: []string{"'naïve €'", "_latin1 " + lowBytes, "_latin1 " + highBytes}},
	{name: "gbk_", definition: "VARCHAR(20) CHARACTER SET gbk", show: "text", values: []string{"'中文 GBK 漢字'", "_gbk 0x815C"}},
	{name: "gb18030_", definition: "VARCHAR(20) CHARACTER SET gb18030", show: "text", values: []string{"'中文 😀 é Ā'", "'\\\\'"}, only: onMySQL},
	{name: "gb2312_", definition: "VARCHAR(20) CHARACTER SET gb2312", show: "text", values: []string{"'中文'"}},
	{name: "big5_", definition: "VARCHAR(20) CHARACTER SET big5", show: "text", values: []string{"'中文功能'"}},
	{name: "sjis_", definition: "VARCHAR(20) CHARACTER SET sjis", show: "text", values: []string{"'日本語ｶﾅ表'", "_sjis 0x5C7E815F8160"}},
	{name: "cp932_", definition: "VARCHAR(20) CHARACTER SET cp932", show: "text", values: []string{"'日本語①表'"}},
	{name: "ujis_", definition: "VARCHAR(20) CHARACTER SET ujis", show: "text", values: []string{"'日本語ｶﾅ'", "_ujis 0x8FB0A1"}},
	{name: "eucjpms_", definition: "VARCHAR(20) CHARACTER SET eucjpms", show: "text", values: []string{"'日本語①'"}},
	{name: "euckr_", definition: "VARCHAR(20) CHARACTER SET euckr", show: "text", values: []string{"'한국어'"}},
	{name: "koi8r_", definition: "VARCHAR(20) CHARACTER SET koi8r", show: "text", values: []string{"'Привет'"}},
	{name: "cp1251_", definition: "VARCHAR(20) CHARACTER SET cp1251", show: "text", values: []string{"'Привет'"}},
	{name: "swe7_", definition: "VARCHAR(20) CHARACTER SET swe7", show: "text", values: []string{"'ÅÄÖ'", "'abc'"}},
	{name: "utf16_", definition: "VARCHAR(20) CHARACTER SET utf16", show: "text", values: []string{"'a日😀'", "''"}},
	{name: "utf16le_", definition: "VARCHAR(20) CHARACTER SET utf16le", show: "text", values: []string{"'a日😀'"}},
	{name: "ucs2_", definition: "CHAR(20) CHARACTER SET ucs2", show: "text", values: []string{"'a日'", "'b '"}},
	{name: "utf32_", definition: "VARCHAR(20) CHARACTER SET utf32", show: "text", values: []string{"'a日😀'", "'\"'"}},
	{name: "tinytext_", definition: "TINYTEXT CHARACTER SET utf8mb4", show: "text", values: []string{"''", "'tiny'"}},
	{name: "text_", definition: "TEXT CHARACTER SET latin1", show: "text", values: []string{"''", "'é'", "repeat('x',300)"}},
	{name: "mediumtext_", definition: "MEDIUMTEXT CHARACTER SET utf8mb4", show: "text", values: []string{"''", "repeat('m',70000)"}},
	{name: "longtext_", definition: "LONGTEXT CHARACTER SET utf8mb4", show: "text", values: []string{"''", "'long'"}},
	{name: "binary16", definition: "BINARY(16)", show: "bytes", values: []string{
		"0x00000000000000000000000000000000", "0x112233445566778899AABBCCDDEEFF00", "0x112233445566778899AABBCCDDEEFFFF", "'ab'", "''"}},
	{name: "varbinary_", definition: "VARBINARY(300)", show: "bytes", values: []string{"''", "'a\\0'", lowBytes, highBytes}},
	{name: "tinyblob_", definition: "TINYBLOB", show: "bytes", values: []string{"''", highBytes}},
	{name: "blob_", definition: "BLOB", show: "bytes", values: []string{"''", "0x00", "repeat(0xFF,300)"}},
	{name: "longblob_", definition: "LONGBLOB", show: "bytes", values: []string{"''", "0xDEADBEEF"}},
}

var otherColumns = []sqlColumn{
	{name: "enum_", definition: "ENUM('new','paid','d\"q','é','a b')", show: "text", values: []string{"'new'", "'a b'", "'é'", "'d\"q'", "'no such member'", "0"}},
	{name: "enum_latin1", definition: "ENUM('é','ü') CHARACTER SET latin1", show: "text", values: []string{"'é'", "'ü'"}},
	{name: "enum300", definition: "ENUM(" + manyMembers(300) + ")", show: "text", values: []string{"1", "255", "256", "300", "0"}},
	{name: "set_", definition: "SET('a','b','c','é\"')", show: "text", values: []string{"''", "'a'", "'a,c'", "'b,é\"'", "15"}},
	{name: "set64", definition: "SET(" + manyMembers(64) + ")", show: "text", values: []string{"''", "1", "~0", "1 << 63"}},
	{name: "set_gbk", definition: "SET('中','文') CHARACTER SET gbk", show: "text", values: []string{"'中,文'"}},
	{name: "json_", definition: "JSON", show: "json", only: onMySQL, values: []string{
		`'{}'`, `'[]'`, `'null'`, `'true'`, `'false'`, `'0'`, `'-1'`, `'32768'`, `'-32769'`, `'65536'`, `'2147483648'`, `'-9223372036854775808'`, `'18446744073709551615'`,
		`'1.0'`, `'-0.0'`, `'1e308'`, `'1e15'`, `'1e16'`, `'1.5e-20'`, `'0.1'`, `'""'`, `'"a\\"b\\\\c\\u0001\\n\\t\\b\\f\\r/"'`, `'"日本😀\\u2028\\u007f"'`,
		`'{"b":1,"a":2,"aa":[1,2.50,{"x":null}],"":3}'`,
		`JSON_OBJECT('x',1.0,'d',CAST(1.10 AS DECIMAL(5,2)),'t',CAST('00:00:00' AS TIME),'n',CAST(-1.5 AS DECIMAL(65,30)))`,
		`JSON_ARRAY(CAST('2015-01-15 23:24:25.123' AS DATETIME(3)), CAST('2015-01-15' AS DATE), CAST('-838:59:59.000001' AS TIME(6)), TIMESTAMP'2026-11-20 10:10:10', CAST('00:00:00.5' AS TIME(6)), CAST('0000-00-00' AS DATE))`,
		`JSON_ARRAY(_binary 'foo', 0xFFEE, repeat(_binary 'x', 56), repeat(_binary 'y', 57), repeat(_binary 'z', 58), repeat(_binary 'w', 200), b'101', _binary '')`,
		`JSON_ARRAY(CAST(1 AS UNSIGNED), 1e0, 100e0, 1e20, -1.25e-7)`,
	}},
	{name: "json_large", definition: "JSON", show: "json", only: onMySQL, values: []string{
		`JSON_OBJECT('big', repeat('é',40000), 'n', 5, 'i', 70000, 't', true)`,
		`JSON_ARRAY(repeat('x',127), repeat('x',128), repeat('y',16384))`,
		`CONCAT(REPEAT('[',100),REPEAT(']',100))`,
		`CAST(CONCAT('[', REPEAT('-5,', 30000), '70000]') AS JSON)`,
	}},
	{name: "geometry_", definition: "GEOMETRY", show: "geometry", values: []string{
		"ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')", "ST_GeomFromText('LINESTRING(0 0,1 1,2 2)')",
		"ST_GeomFromText('POLYGON((0 0,10 0,10 10,0 10,0 0))')"}},
	{name: "point4326", definition: "POINT SRID 4326", show: "geometry", only: onMySQL, values: []string{"ST_GeomFromText('POINT(10 20)', 4326)"}},
	{name: "geometry4326", definition: "GEOMETRY", show: "geometry", only: onMariaDB, values: []string{"ST_GeomFromText('POINT(10 20)', 4326)", "ST_GeomFromText('GEOMETRYCOLLECTION EMPTY', 4326)"}},
	{name: "uuid_", definition: "UUID", show: "binary16", only: onMariaDB, values: []string{
		"'123e4567-e89b-12d3-a456-426655440000'", "'11111111-1111-4111-8111-111111111120'", "'018f1e2a-0000-7000-8000-000000000000'",
		"'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'00112233-4455-6677-8899-aabbccddeeff'"}},
	{name: "inet4_", definition: "INET4", show: "binary4", only: onMariaDB, values: []string{"'0.0.0.0'", "'255.255.255.255'", "'10.0.0.32'", "'1.2.3.0'", "'1.2.0.0'"}},
	{name: "inet6_", definition: "INET6", show: "binary16", only: onMariaDB, values: []string{
		"'::'", "'::1'", "'2001:db8::'", "'2001:db8::2020'", "'::ffff:1.2.3.4'", "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'"}},
	{name: "vector_maria", definition: "VECTOR(4)", show: "bytes", only: "11.8", values: []string{"VEC_FROMTEXT('[1.5,2,0,0]')", "VEC_FROMTEXT('[0,0,0,0]')", "VEC_FROMTEXT('[-1,16777216,3.14,0.1]')"}},
	{name: "json_maria", definition: "JSON", show: "text", only: onMariaDB, values: []string{`'{"b":1,  "a":[1.0,"\\u00e9"]}'`, `'[]'`, `'null'`, `'"x"'`}},
	{name: "timestamp2106", definition: "TIMESTAMP(3) NULL", show: "timestamp", only: "11.8", values: []string{"'2038-01-19 03:14:08'", "'2106-02-07 06:28:15.999'"}},
	{name: "vector_", definition: "VECTOR(8)", show: "vector", only: onMySQL, values: []string{"TO_VECTOR('[1.5,2]')", "TO_VECTOR('[0,-1,3.14,1e38,1.5e-30,16777216,0.1,1]')"}},
}
