package sqlstore

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"usher"
)

// mapping is how records of one type lie in their table. Every statement that
// reads or writes whole records is made from it.
type mapping[T any] struct {
	table string
	// columns begins with those of the primary key.
	columns []string
	keys    int
	// fields returns where to scan the columns into, and values what to store
	// in them, both in the order of columns.
	fields func(*T) []any
	values func(*T) []any
	// version returns the field of the last column, which counts the changes;
	// nil if there is none and records are never updated.
	version func(*T) *int64
}

// errKeyChanged reports a change function that returned another record than it
// was given.
var errKeyChanged = errors.New("sqlstore: the change function changed the key of the record")

// list returns the columns, each with the name of its table.
func (m mapping[T]) list() string {
	names := make([]string, len(m.columns))
	for i, c := range m.columns {
		names[i] = m.table + "." + c
	}
	return strings.Join(names, ", ")
}

// query returns the beginning of a query for whole records.
func (m mapping[T]) query(rest string) string {
	return "SELECT " + m.list() + " FROM " + m.table + " " + rest
}

func (m mapping[T]) insert(t *tx, record *T) error {
	return t.exec(m.insertion(), m.values(record)...)
}

func (m mapping[T]) insertion() string {
	places := make([]string, len(m.columns))
	for i := range places {
		places[i] = fmt.Sprintf("$%d", i+1)
	}
	return "INSERT INTO " + m.table + " (" + strings.Join(m.columns, ", ") + ") VALUES (" + strings.Join(places, ", ") + ")"
}

// put inserts a record, or replaces the one that has its key.
func (m mapping[T]) put(t *tx, record *T) error {
	return t.exec(m.replacement(), m.values(record)...)
}

func (m mapping[T]) replacement() string {
	var set []string
	for _, c := range m.columns[m.keys:] {
		set = append(set, c+" = excluded."+c)
	}
	return m.insertion() + " ON CONFLICT (" + strings.Join(m.columns[:m.keys], ", ") + ") DO UPDATE SET " + strings.Join(set, ", ")
}

// update writes the columns in which next differs from old, and so touches
// only the indexes that change. If there are any, it counts up the version.
func (m mapping[T]) update(t *tx, old, next *T) error {
	*m.version(next) = *m.version(old)
	before, after := m.values(old), m.values(next)
	if !slices.Equal(before[:m.keys], after[:m.keys]) {
		return errKeyChanged
	}
	if slices.Equal(before, after) {
		return nil
	}
	*m.version(next)++
	after[len(after)-1] = *m.version(next)

	args := slices.Clone(before[:m.keys])
	var set, where []string
	for i, c := range m.columns {
		if i < m.keys {
			where = append(where, fmt.Sprintf("%s = $%d", c, i+1))
		} else if before[i] != after[i] {
			args = append(args, after[i])
			set = append(set, fmt.Sprintf("%s = $%d", c, len(args)))
		}
	}
	return t.exec("UPDATE "+m.table+" SET "+strings.Join(set, ", ")+" WHERE "+strings.Join(where, " AND "), args...)
}

// made is the value of the column of that name: the time in the id.
func made(id usher.ID) int64 { return id.Time().UnixMicro() }

// cut makes times what they are after they were stored and read: UTC, with
// microseconds.
func cut(times ...*time.Time) {
	for _, t := range times {
		*t = t.UTC().Truncate(time.Microsecond)
	}
}

// stamp is the value of a column that holds a time.
func stamp(t time.Time) any {
	if t = t.Truncate(time.Microsecond); t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// stampField scans a column that holds a time.
type stampField struct{ t *time.Time }

// Scan implements [database/sql.Scanner].
func (f stampField) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*f.t = time.Time{}
	case int64:
		*f.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time is stored as %T", v)
	}
	return nil
}

// digest is the value of a column that holds a digest, NULL for the zero one,
// and scans it when used by its pointer.
type digest usher.Digest

// Value implements [driver.Valuer].
func (d digest) Value() (driver.Value, error) {
	if usher.Digest(d).IsZero() {
		return nil, nil
	}
	return d[:], nil
}

// Scan implements [database/sql.Scanner].
func (d *digest) Scan(v any) error {
	b, ok := v.([]byte)
	if v != nil && (!ok || len(b) != len(d)) {
		return fmt.Errorf("a digest is stored as %T of %d bytes", v, len(b))
	}
	*d = digest{}
	copy(d[:], b)
	return nil
}

// discard takes a column that only the database needs.
type discard struct{}

// Scan implements [database/sql.Scanner].
func (discard) Scan(any) error { return nil }
