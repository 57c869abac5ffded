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

// Plans returns how SQLite answers each query that was asked so far, and finds
// what each write changes.
func (db *DB) Plans(ctx context.Context) (map[string]string, error) {
	var texts []string
	db.reader.stmts.Range(func(text, _ any) bool {
		texts = append(texts, text.(string))
		return true
	})
	err := db.writer.do(ctx, func(t *tx) error {
		for text := range t.stmts {
			switch verb, _, _ := strings.Cut(text, " "); verb {
			case "SELECT", "UPDATE", "DELETE":
				texts = append(texts, text)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	plans := make(map[string]string)
	for _, text := range texts {
		if plans[text], err = db.plan(ctx, text); err != nil {
			return nil, err
		}
	}
	return plans, nil
}

// plan asks SQLite how it would run a statement.
func (db *DB) plan(ctx context.Context, text string) (string, error) {
	type step struct {
		id, parent, unused int
		detail             string
	}
	none := make([]any, strings.Count(text, "$")) // a plan does not ask for values
	rows, err := db.reader.db.QueryContext(ctx, "EXPLAIN QUERY PLAN "+text, none...)
	if err != nil {
		return "", err
	}
	defer func() { _ = rows.Close() }()
	var details []string
	for rows.Next() {
		var s step
		if err := rows.Scan(&s.id, &s.parent, &s.unused, &s.detail); err != nil {
			return "", err
		}
		details = append(details, s.detail)
	}
	return strings.Join(details, "; "), rows.Err()
}
