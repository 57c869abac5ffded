package sqlstore_test

import (
	"path/filepath"
	"testing"

	"usher/internal/store"
	"usher/internal/store/sqlstore"
	"usher/internal/store/storetest"
)

// open opens a database in a folder of its own; edit may change how.
func open(t testing.TB, edit ...func(*sqlstore.Config)) *sqlstore.DB {
	t.Helper()
	cfg := sqlstore.Config{Path: filepath.Join(t.TempDir(), "usher.db")}
	for _, f := range edit {
		f(&cfg)
	}
	db, err := sqlstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.DB { return open(t) })
	storetest.RunConcurrency(t, func(t *testing.T) store.DB { return open(t) })
}

func TestConformanceWithChangesCalledAgain(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.DB { return storetest.Again(open(t)) })
}
