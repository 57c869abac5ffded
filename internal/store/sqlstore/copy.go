package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// Copy writes a copy of the database at from to the file to, which must be
// empty or missing, and returns the version of its schema. The copy is of one
// moment: it has every write that was answered before Copy was called, and no
// part of one that it has not whole. A server may go on to read and write
// meanwhile, and is not held up.
func Copy(ctx context.Context, from, to string) (schema int64, err error) {
	if from, err = filepath.Abs(from); err == nil {
		_, err = os.Stat(from) // so that none is made
	}
	if err != nil {
		return 0, fmt.Errorf("sqlstore: copy: %w", err)
	}
	// Not read-only: the last to close a database puts its log into it, as if we
	// were the server that was killed.
	err = inspect(ctx, from, "rw", func(db *sql.DB) error {
		if schema, err = version(ctx, db); err != nil {
			return err
		}
		_, err := db.ExecContext(ctx, "VACUUM INTO $1", to)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sqlstore: copy %s: %w", from, err)
	}
	return schema, nil
}

// Check reads all of a database that nobody has open, and returns an error that
// says what is wrong with it.
func Check(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("sqlstore: check: %w", err)
	}
	err = inspect(ctx, path, "ro", func(db *sql.DB) error {
		if _, err := version(ctx, db); err != nil {
			return err
		}
		var found string
		if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
			return err
		}
		if found != "ok" {
			return fmt.Errorf("the database is damaged: %s", found)
		}
		var strays int64
		if err := db.QueryRowContext(ctx, "SELECT count(*) FROM pragma_foreign_key_check").Scan(&strays); err != nil {
			return err
		}
		if strays > 0 {
			return fmt.Errorf("the database is damaged: %d rows belong to others that are not there", strays)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sqlstore: check %s: %w", path, err)
	}
	return nil
}

// HasKeys reports whether a database has signing keys, whoever has it open. One
// that is not there has none.
func HasKeys(ctx context.Context, path string) (has bool, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return false, fmt.Errorf("sqlstore: look for keys: %w", err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	err = inspect(ctx, path, "ro", func(db *sql.DB) error {
		if v, err := version(ctx, db); err != nil || v == 0 {
			return err
		}
		return db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM keys)").Scan(&has)
	})
	if err != nil {
		return false, fmt.Errorf("sqlstore: look for keys in %s: %w", path, err)
	}
	return has, nil
}

// inspect calls f with the database, on one connection.
func inspect(ctx context.Context, path, mode string, f func(*sql.DB) error) (err error) {
	db, err := connect(path, Full, url.Values{"mode": {mode}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	return f(db)
}

// version returns that of the schema.
func version(ctx context.Context, db *sql.DB) (int64, error) {
	var n int64
	if err := db.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version WHERE is_applied").Scan(&n); err != nil {
		return 0, fmt.Errorf("it is no database of Usher: %w", err)
	}
	return n, nil
}
