package primary

import (
	"fmt"
	"maps"

	"tailwater/binlog/primary/encode"
)

// CreateTable adds a table and logs its CREATE TABLE.
func (s *Server) CreateTable(def encode.Table) error {
	t, err := encode.New(def)
	if err != nil {
		return err
	}
	return s.alter(t.Database, t.CreateSQL(), func(st *state) error {
		name := tableName{t.Database, t.Name}
		if _, v := st.lookup(name); v != nil {
			return fmt.Errorf("create table %s.%s: it exists", t.Database, t.Name)
		}
		st.names = maps.Clone(st.names)
		st.names[name] = len(st.tables)
		st.tables = append(append([]*version(nil), st.tables...), &version{def: t, id: s.nextTableID()})
		return nil
	})
}

// AddColumn adds a column as the table's last one and logs the ALTER TABLE.
// Existing rows take c.Default, which may be nil only for a nullable column.
func (s *Server) AddColumn(database, table string, c encode.Column) error {
	text := fmt.Sprintf("ALTER TABLE `%s`.`%s` ADD COLUMN %s", database, table, c.Definition())
	return s.alter(database, text, func(st *state) error {
		slot, v := st.lookup(tableName{database, table})
		if v == nil {
			return fmt.Errorf("alter table: %w: %s.%s", ErrNoTable, database, table)
		}
		def, err := v.def.AddColumn(c)
		if err != nil {
			return err
		}
		wider := &version{def: def, id: s.nextTableID(), count: v.count}
		v.root.scan("", func(r *record) bool {
			row := append(append(encode.Row(nil), r.row...), c.Default)
			rec := &record{}
			if rec.row, rec.image, err = def.Encode(row, nil); err != nil {
				return false
			}
			wider.root = wider.root.put(string(def.AppendKey(nil, rec.row)), rec)
			return true
		})
		if err != nil {
			return fmt.Errorf("alter table %s.%s: existing row: %w", database, table, err)
		}
		*st = *st.with(slot, wider)
		return nil
	})
}

// DropTable removes a table and logs the DROP TABLE.
func (s *Server) DropTable(database, table string) error {
	text := fmt.Sprintf("DROP TABLE `%s`.`%s`", database, table)
	return s.alter(database, text, func(st *state) error {
		name := tableName{database, table}
		slot, v := st.lookup(name)
		if v == nil {
			return fmt.Errorf("drop table: %w: %s.%s", ErrNoTable, database, table)
		}
		*st = *st.with(slot, nil)
		st.names = maps.Clone(st.names)
		delete(st.names, name)
		return nil
	})
}

// TruncateTable removes all rows of a table and logs TRUNCATE TABLE: no row
// event says so.
func (s *Server) TruncateTable(database, table string) error {
	text := fmt.Sprintf("TRUNCATE TABLE `%s`.`%s`", database, table)
	return s.alter(database, text, func(st *state) error {
		slot, v := st.lookup(tableName{database, table})
		if v == nil {
			return fmt.Errorf("truncate table: %w: %s.%s", ErrNoTable, database, table)
		}
		*st = *st.with(slot, &version{def: v.def, id: s.nextTableID()})
		return nil
	})
}

// Statement logs text as a statement of database and changes nothing else: a
// GRANT, a CREATE VIEW, or something that a reader should not have to see.
func (s *Server) Statement(database, text string) error {
	return s.alter(database, text, func(*state) error { return nil })
}

// alter commits a statement together with what it does to the state.
func (s *Server) alter(database, text string, change func(*state) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	st := *s.state.Load()
	if err := change(&st); err != nil {
		return err
	}
	_, err := s.commit(&entry{st: &st, statement: text, database: database})
	return err
}

func (s *Server) nextTableID() uint64 {
	s.tableID++
	return s.tableID
}
