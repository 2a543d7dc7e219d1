package binlog

import (
	"fmt"
	"strings"
	"testing"
)

// repertoire are the characters that are tried in every character set: what
// escapes stumble over, all of ASCII, and some of each script that a character
// set was made for.
var repertoire = func() []rune {
	var out []rune
	for r := rune(1); r < 0x80; r++ {
		out = append(out, r)
	}
	return append(out, []rune("\u0080\u009f\u00a0é ÄÖÜßÀÇÈÉÊÍÑÓÔÚÝàáâãäåæçèéêëìíîïñòóôõöøùúûüýþÿ€ŸŒœŠšŽž„“”…†‡•–—™¥£¢§¶°±²³µ·¼½¾¿×÷"+
		"ĄąĆćČčĎďĐđĘęĚěĞğİıŁłŃńŇňŐőŘřŚśŞşŢţŤťŮůŰűŹźŻżĀāĒēĢģĪīĶķĻļŅņŌōŪūǅǆ"+
		"ΑΒΓΔΩαβγδωάέήίΰ΄ςАБВГЯабвгдяЁёЄєІіЇїҐґЂђЉљЏџЎўАаԱԲԳաբգևאבגדהםןףץبتثجحخدذرزسشصضطظعغفقكلمنهويپچژگ،؟กขฃคฅฆงจฉ฿ๆ๙აბგდევ"+
		"ａｂＡＢ１２、。〃々〆〇「」『』ぁあぃいぅうアイウエオｱｲｳｴｵﾞﾟ日本語漢字表中文功能①②㈱㍉髙﨑啊阿埃挨乂乜凪丂丄丅가각간갇힣한국어㈀─━│┃╬░▒▓█▄▀√∞≈≠≤≥∫⌠⌡～〜‖∥−－¬￢￠￡￥"+
		"😀𠀀𠮷𝄞\U0010ffff\ufffd\ufeff\u2028\u200b\u0301ﬁﬂﷲ")...)
}()

// charsetTablesOf makes a table for every character set of the server, with text
// that the character set can hold by the server's own word, in every type that
// has one; and one table in which all of them stand side by side.
func charsetTablesOf(t *testing.T, s *logSession) []matrixTable {
	t.Helper()
	s.exec(t, "CREATE TABLE repertoire (i INT PRIMARY KEY, ch VARCHAR(1) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)")
	var rows []string
	for i, r := range repertoire {
		rows = append(rows, fmt.Sprintf("(%d,_utf8mb4 0x%X)", i, string(r)))
	}
	s.exec(t, "INSERT IGNORE INTO repertoire VALUES "+strings.Join(rows, ","))
	var out []matrixTable
	side := matrixTable{name: "side_by_side"}
	for _, row := range s.server.Query(t, "SELECT character_set_name FROM information_schema.character_sets WHERE character_set_name<>'binary' ORDER BY 1") {
		held := heldBy(t, s, row[0])
		if len(held) < 100 {
			t.Errorf("character set %s holds %d characters of the repertoire, want 100 at least", row[0], len(held))
		}
		table := charsetTableOf(row[0], held)
		out = append(out, table)
		c := table.columns[0]
		c.name, c.definition = "x_"+row[0], strings.Replace(c.definition, "VARCHAR(300)", "VARCHAR(24)", 1)
		side.columns = append(side.columns, c)
	}
	if len(out) < 39 {
		t.Errorf("the server has %d character sets, want 39 at least", len(out))
	}
	return append(out, side)
}

// heldBy returns the characters of the repertoire that come back from a
// character set as they went in.
func heldBy(t *testing.T, s *logSession, charset string) []rune {
	t.Helper()
	rows, err := s.conn.QueryContext(t.Context(), "SELECT i FROM d.repertoire WHERE HEX(CONVERT(CONVERT(ch USING "+charset+") USING utf8mb4)) = HEX(ch) ORDER BY i")
	if err != nil {
		t.Fatal(err)
	}
	var held []rune
	for rows.Next() {
		var i int
		if err := rows.Scan(&i); err != nil {
			t.Fatal(err)
		}
		held = append(held, repertoire[i])
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return held
}

// charsetTableOf is the table of one character set. The first column's values
// are at most 24 characters long but for the last.
func charsetTableOf(charset string, held []rune) matrixTable {
	value := func(text string) string { return fmt.Sprintf("CONVERT(_utf8mb4 0x%X USING %s)", text, charset) }
	var values []string
	for i := 0; i < len(held); i += 24 {
		values = append(values, value(string(held[i:min(i+24, len(held))])))
	}
	values = append(values, "''", value("a "), value(" a"))
	text := func(name, definition string) sqlColumn {
		return sqlColumn{name: name, definition: definition + " CHARACTER SET " + charset, show: "text", values: values}
	}
	members := func(kind string) string {
		// Letters and the last characters are what differs most between sets.
		last := strings.NewReplacer(",", "", "'", "''", `\`, `\\`).Replace(string(held[len(held)-4 : len(held)-1]))
		return kind + "('new','" + last + "','x" + last + "')"
	}
	enum, set := text("e", members("ENUM")), text("s", members("SET"))
	enum.values, set.values = []string{"1", "2", "3", "0"}, []string{"0", "1", "2", "4", "7"}
	return matrixTable{name: "cs_" + charset, columns: []sqlColumn{
		text("v", "VARCHAR(300)"), text("f", "CHAR(30)"), text("tt", "TINYTEXT"), text("x", "TEXT"), text("lt", "LONGTEXT"), enum, set}}
}
