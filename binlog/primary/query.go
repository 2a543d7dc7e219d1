package primary

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"

	"tailwater/binlog/primary/minisql"
)

// HandleQuery handles COM_QUERY.
func (se *session) HandleQuery(text string) (*mysql.Result, error) {
	st, err := minisql.Parse(strings.Clone(text)) // the text is the packet's own memory
	if err != nil {
		return nil, mysql.NewError(mysql.ER_PARSE_ERROR, err.Error())
	}
	return se.execute(st, nil, false)
}

// HandleStmtPrepare handles COM_STMT_PREPARE. The columns are announced by the
// execution.
func (se *session) HandleStmtPrepare(text string) (params, columns int, context any, err error) {
	st, params, err := minisql.Prepare(strings.Clone(text))
	if err != nil {
		return 0, 0, nil, mysql.NewError(mysql.ER_PARSE_ERROR, err.Error())
	}
	return params, 0, st, nil
}

// HandleStmtExecute handles COM_STMT_EXECUTE.
func (se *session) HandleStmtExecute(context any, _ string, args []any) (*mysql.Result, error) {
	st, ok := context.(minisql.Statement)
	if !ok {
		return nil, mysql.NewDefaultError(mysql.ER_UNKNOWN_STMT_HANDLER, 0, "execute")
	}
	for i, a := range args {
		if b, ok := a.([]byte); ok {
			args[i] = string(b)
		}
	}
	return se.execute(st, args, true)
}

// HandleStmtClose handles COM_STMT_CLOSE.
func (se *session) HandleStmtClose(any) error { return nil }

// execute runs one statement. Binary says that the rows go out in the protocol
// of prepared statements.
func (se *session) execute(st minisql.Statement, args []any, binary bool) (result *mysql.Result, err error) {
	defer func() {
		if r := recover(); r != nil { // told to the client, or serve would swallow it
			result, err = nil, mysql.NewError(mysql.ER_INTERNAL_ERROR, fmt.Sprintf("statement failed with a panic: %v", r))
		}
	}()
	env := &environment{se: se, args: args}
	switch st := st.(type) {
	case *minisql.Select:
		rel, err := se.relation(st.From)
		if err != nil {
			return nil, err
		}
		return se.send(st, rel, env, binary)
	case *minisql.Show:
		sel, rel, err := se.show(st)
		if err != nil {
			return nil, err
		}
		return se.send(sel, rel, env, binary)
	case *minisql.Set:
		return nil, se.set(st, env)
	case *minisql.Use:
		return nil, se.UseDB(st.Database)
	case *minisql.Kill:
		if st.Query {
			return nil, nil
		}
		return nil, se.s.kill(st.ID)
	case *minisql.Transaction:
		se.endTransaction()
		if st.Begin {
			se.conn.SetInTransaction()
			se.inTransaction = true
		}
		if st.Snapshot {
			se.snapshot = se.s.state.Load()
		}
	}
	return nil, nil
}

// endTransaction gives the snapshot up.
func (se *session) endTransaction() {
	se.snapshot, se.inTransaction = nil, false
	se.conn.ClearInTransaction()
}

// view returns the state that a SELECT of tables reads: the transaction's
// snapshot, which its first read opens, or the newest.
func (se *session) view() *state {
	if se.snapshot != nil {
		return se.snapshot
	}
	st := se.s.state.Load()
	if se.inTransaction {
		se.snapshot = st
	}
	return st
}

func (se *session) set(st *minisql.Set, env *environment) error {
	for _, a := range st.Assignments {
		v, err := a.Value.Eval(env)
		if err != nil {
			return mysql.NewError(mysql.ER_WRONG_VALUE_FOR_VAR, err.Error())
		}
		switch {
		case !a.User:
			se.system[a.Name] = v
		case v == nil:
			delete(se.vars, a.Name)
		default:
			se.vars[a.Name] = minisql.Text(v)
		}
	}
	return nil
}

// send runs a SELECT and writes its result to the connection.
func (se *session) send(sel *minisql.Select, rel minisql.Relation, env *environment, binary bool) (*mysql.Result, error) {
	if len(sel.Items) == 0 {
		return nil, errors.New("nothing is selected")
	}
	w := &resultWriter{se: se, rel: rel, binary: binary, packets: packets{sequence: se.conn.Sequence}}
	err := minisql.Run(sel, rel, env, w)
	if err == nil {
		err = w.finish()
	}
	se.conn.Sequence = w.sequence
	if err != nil {
		var my *mysql.MyError
		if errors.As(err, &my) {
			return nil, my
		}
		return nil, mysql.NewError(mysql.ER_UNKNOWN_ERROR, err.Error())
	}
	// Everything but the end marker is written.
	return mysql.NewResult(&mysql.Resultset{
		Fields: []*mysql.Field{{}}, Streaming: mysql.StreamingSelect, StreamingDone: true,
	}), nil
}

// relation finds what FROM names.
func (se *session) relation(name *minisql.Name) (minisql.Relation, error) {
	if name == nil {
		return nil, nil
	}
	database := name.Database
	if database == "" {
		database = se.database
	}
	if strings.EqualFold(database, "information_schema") {
		if rel := se.informationSchema(strings.ToLower(name.Table)); rel != nil {
			return rel, nil
		}
	} else if _, v := se.view().lookup(tableName{database, name.Table}); v != nil {
		return &tableRelation{v: v, env: &environment{se: se}}, nil
	}
	if database == "" {
		return nil, mysql.NewDefaultError(mysql.ER_NO_DB_ERROR)
	}
	return nil, mysql.NewError(mysql.ER_NO_SUCH_TABLE, fmt.Sprintf("Table '%s.%s' doesn't exist", database, name.Table))
}
