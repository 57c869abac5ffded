package sqlstore

import (
	"context"
	"strings"
)

// Pragmas returns a setting of the connection that writes and of one that reads.
func (db *DB) Pragmas(ctx context.Context, name string) (writer, reader int64, err error) {
	field := func(n *int64) []any { return []any{n} }
	writer, err = write(ctx, db.writer, func(t *tx) (int64, error) { return one(ctx, t, field, "PRAGMA "+name) })
	if err != nil {
		return 0, 0, err
	}
	reader, err = one(ctx, db.reader, field, "PRAGMA "+name)
	return writer, reader, err
}

// Write runs statements as one write.
func (db *DB) Write(ctx context.Context, statements ...string) error {
	return db.writer.do(ctx, func(t *tx) error {
		for _, s := range statements {
			if err := t.exec(s); err != nil {
				return err
			}
		}
		return nil
	})
}

// SetWriter runs a statement on the writer's connection outside a transaction.
// Nothing else may write at the time.
func (db *DB) SetWriter(statement string) error { return db.writer.tx.exec(statement) }

// Plans returns how SQLite answers each query that was asked so far.
func (db *DB) Plans(ctx context.Context) (map[string]string, error) {
	type step struct {
		id, parent, unused int
		detail             string
	}
	plans := make(map[string]string)
	var failure error
	db.reader.stmts.Range(func(text, _ any) bool {
		none := make([]any, strings.Count(text.(string), "$")) // a plan does not ask for values
		rows, err := db.reader.db.QueryContext(ctx, "EXPLAIN QUERY PLAN "+text.(string), none...)
		if err != nil {
			failure = err
			return false
		}
		defer func() { _ = rows.Close() }()
		var details []string
		for rows.Next() {
			var s step
			if failure = rows.Scan(&s.id, &s.parent, &s.unused, &s.detail); failure != nil {
				return false
			}
			details = append(details, s.detail)
		}
		plans[text.(string)] = strings.Join(details, "; ")
		failure = rows.Err()
		return failure == nil
	})
	return plans, failure
}
