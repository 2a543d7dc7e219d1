package primary

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"

	"tailwater/binlog/primary/encode"
	"tailwater/binlog/primary/minisql"
)

// show turns a SHOW into a SELECT of everything over a list.
func (se *session) show(st *minisql.Show) (*minisql.Select, minisql.Relation, error) {
	rel, err := se.showList(st)
	if err != nil {
		return nil, nil, err
	}
	if st.Like != nil {
		rel.rows = slices.DeleteFunc(rel.rows, func(r []any) bool { return !minisql.Like(minisql.Text(r[0]), *st.Like) })
	}
	return &minisql.Select{Items: []minisql.Item{{Name: "*"}}, Where: st.Where, Limit: -1}, rel, nil
}

func (se *session) showList(st *minisql.Show) (*listRelation, error) {
	switch st.What {
	case "VARIABLES", "STATUS":
		rel := &listRelation{names: []string{"Variable_name", "Value"}}
		if st.What == "STATUS" {
			rel.add("Threads_connected", "1")
			return rel, nil
		}
		vars := se.variables()
		for _, name := range slices.Sorted(maps.Keys(vars)) {
			rel.add(name, vars[name])
		}
		return rel, nil
	case "BINARY LOG STATUS", "MASTER STATUS":
		rel := &listRelation{names: []string{"File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB", "Executed_Gtid_Set"}}
		l := se.s.log
		l.mu.Lock()
		defer l.mu.Unlock()
		rel.add(l.current().name, l.current().size, "", "", se.s.state.Load().executed.String())
		return rel, nil
	case "BINARY LOGS", "MASTER LOGS":
		rel := &listRelation{names: []string{"Log_name", "File_size", "Encrypted"}}
		l := se.s.log
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, f := range l.files {
			rel.add(f.name, f.size, "No")
		}
		return rel, nil
	case "GRANTS":
		rel := &listRelation{names: []string{"Grants for " + se.s.opts.User + "@%"}}
		for _, g := range se.s.opts.Grants {
			rel.add(g)
		}
		return rel, nil
	case "REPLICAS", "SLAVE HOSTS":
		return &listRelation{names: []string{"Server_Id", "Host", "Port", "Source_Id", "Replica_UUID"}}, nil
	case "WARNINGS", "ERRORS":
		return &listRelation{names: []string{"Level", "Code", "Message"}}, nil
	case "PROCESSLIST":
		return se.processList(), nil
	case "DATABASES", "SCHEMAS":
		rel := &listRelation{names: []string{"Database"}}
		for _, d := range se.databases() {
			rel.add(d)
		}
		return rel, nil
	}
	return se.showTables(st)
}

// showTables lists tables, or describes one.
func (se *session) showTables(st *minisql.Show) (*listRelation, error) {
	if st.What == "TABLES" {
		database := st.Table.Table // SHOW TABLES FROM database
		if database == "" {
			database = se.database
		}
		rel := &listRelation{names: []string{"Tables_in_" + database}}
		for _, v := range se.tables() {
			if v.def.Database == database {
				rel.add(v.def.Name)
			}
		}
		return rel, nil
	}
	if st.What != "COLUMNS" && st.What != "FIELDS" && st.What != "CREATE TABLE" {
		return nil, mysql.NewError(mysql.ER_NOT_SUPPORTED_YET, fmt.Sprintf("SHOW %s is not served", st.What))
	}
	rel, err := se.relation(&st.Table)
	if err != nil {
		return nil, err
	}
	t, ok := rel.(*tableRelation)
	if !ok {
		return nil, mysql.NewError(mysql.ER_NOT_SUPPORTED_YET, "that table cannot be described")
	}
	def := t.v.def
	if st.What == "CREATE TABLE" {
		text := strings.Replace(def.CreateSQL(), "`"+def.Database+"`.", "", 1)
		return &listRelation{names: []string{"Table", "Create Table"}, rows: [][]any{{def.Name, text}}}, nil
	}
	out := &listRelation{names: []string{"Field", "Type", "Null", "Key", "Default", "Extra"}}
	for i := range def.Columns {
		c := &def.Columns[i]
		out.add(c.Name, c.ColumnType(), yesNo(c.Nullable), keyMark(def, i), c.Default, "")
	}
	return out, nil
}

func yesNo(b bool) string {
	if b {
		return "YES"
	}
	return "NO"
}

func keyMark(def *encode.Table, column int) string {
	if slices.Contains(def.PrimaryKey, column) {
		return "PRI"
	}
	return ""
}

// tables returns the tables in view, sorted by name.
func (se *session) tables() []*version {
	var out []*version
	for _, v := range se.view().tables {
		if v != nil {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b *version) int {
		return strings.Compare(a.def.Database+"\x00"+a.def.Name, b.def.Database+"\x00"+b.def.Name)
	})
	return out
}

func (se *session) databases() []string {
	out := []string{"information_schema"}
	for _, v := range se.tables() {
		if !slices.Contains(out, v.def.Database) {
			out = append(out, v.def.Database)
		}
	}
	return out
}

func (se *session) processList() *listRelation {
	rel := &listRelation{names: []string{"Id", "User", "Host", "db", "Command", "Time", "State", "Info"}}
	se.s.mu.Lock()
	defer se.s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(se.s.sessions)) {
		command := "Query"
		if se.s.sessions[id].dumping.Load() {
			command = "Binlog Dump GTID"
		}
		rel.add(int64(id), se.s.opts.User, "localhost", nil, command, int64(0), "", nil)
	}
	return rel
}

// informationSchema returns a table of information_schema, nil when it is not served.
func (se *session) informationSchema(name string) minisql.Relation {
	switch name {
	case "schemata":
		rel := &listRelation{names: []string{"CATALOG_NAME", "SCHEMA_NAME", "DEFAULT_CHARACTER_SET_NAME", "DEFAULT_COLLATION_NAME"}}
		for _, d := range se.databases() {
			rel.add("def", d, "utf8mb4", "utf8mb4_0900_ai_ci")
		}
		return rel
	case "tables":
		rel := &listRelation{names: []string{"TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_NAME", "TABLE_TYPE", "ENGINE", "TABLE_ROWS", "TABLE_COLLATION"}}
		for _, v := range se.tables() {
			rel.add("def", v.def.Database, v.def.Name, "BASE TABLE", "InnoDB", int64(v.count), "utf8mb4_0900_ai_ci")
		}
		return rel
	case "columns":
		return se.columnList()
	case "statistics", "key_column_usage":
		rel := &listRelation{names: []string{
			"TABLE_SCHEMA", "TABLE_NAME", "NON_UNIQUE", "INDEX_NAME", "CONSTRAINT_NAME",
			"SEQ_IN_INDEX", "ORDINAL_POSITION", "COLUMN_NAME", "SUB_PART", "NULLABLE", "COLLATION", "INDEX_TYPE",
		}}
		for _, v := range se.tables() {
			for n, k := range v.def.PrimaryKey {
				rel.add(v.def.Database, v.def.Name, int64(0), "PRIMARY", "PRIMARY",
					int64(n+1), int64(n+1), v.def.Columns[k].Name, nil, "", "A", "BTREE")
			}
		}
		return rel
	case "processlist":
		return se.processList()
	}
	return nil
}

// integerDigits is NUMERIC_PRECISION of an integer column.
func integerDigits(c *encode.Column) int64 {
	switch c.Kind {
	case encode.TinyInt:
		return 3
	case encode.SmallInt:
		return 5
	case encode.MediumInt:
		return 7
	case encode.Int:
		return 10
	}
	if c.Unsigned {
		return 20
	}
	return 19
}

func (se *session) columnList() *listRelation {
	rel := &listRelation{names: []string{
		"TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME", "ORDINAL_POSITION", "COLUMN_DEFAULT", "IS_NULLABLE",
		"DATA_TYPE", "CHARACTER_MAXIMUM_LENGTH", "NUMERIC_PRECISION", "NUMERIC_SCALE", "DATETIME_PRECISION",
		"CHARACTER_SET_NAME", "COLLATION_NAME", "COLUMN_TYPE", "COLUMN_KEY", "EXTRA", "GENERATION_EXPRESSION",
	}}
	for _, v := range se.tables() {
		for i := range v.def.Columns {
			c := &v.def.Columns[i]
			var length, precision, scale, fraction, charset, collation any
			switch c.Kind {
			case encode.TinyInt, encode.SmallInt, encode.MediumInt, encode.Int, encode.BigInt:
				precision, scale = integerDigits(c), int64(0)
			case encode.Decimal:
				precision, scale = int64(c.Precision), int64(c.Scale)
			case encode.Float:
				precision = int64(12)
			case encode.Double:
				precision = int64(22)
			case encode.Bit:
				precision = int64(c.Length)
			case encode.Time, encode.DateTime, encode.Timestamp:
				fraction = int64(c.Scale)
			case encode.Char, encode.Varchar, encode.Text, encode.Enum, encode.Set:
				length, charset, collation = int64(c.Length), "utf8mb4", "utf8mb4_0900_ai_ci"
				if c.Collation == encode.CollationUTF8Bin {
					collation = "utf8mb4_bin"
				}
			case encode.Binary, encode.Varbinary, encode.Blob:
				length = int64(c.Length)
			}
			rel.add("def", v.def.Database, v.def.Name, c.Name, int64(i+1), c.Default, yesNo(c.Nullable),
				c.TypeName(), length, precision, scale, fraction, charset, collation,
				c.ColumnType(), keyMark(v.def, i), "", "")
		}
	}
	return rel
}
