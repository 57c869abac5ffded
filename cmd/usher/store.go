package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/config"
	"usher/internal/datadir"
	"usher/internal/store"
	"usher/internal/store/dynamostore"
	"usher/internal/store/sqlstore"
)

// databaseName is the database's file in the data folder.
const databaseName = "usher.db"

// openStore opens the store that the configuration names.
func openStore(ctx context.Context, cfg config.Config, o serverOptions, registry prometheus.Registerer) (store.DB, error) {
	if cfg.Store.Driver != config.DynamoDB {
		return sqlstore.Open(ctx, sqlstore.Config{
			Path: o.Dir.Path(databaseName), Synchronous: o.Synchronous, Logger: o.Logger,
			Observe: observeCommits(registry),
		})
	}
	db, err := dynamostore.Open(ctx, dynamoConfig(cfg, o.Logger))
	if err != nil {
		return nil, err
	}
	if cfg.OnLambda {
		return db, nil // each function may reach those tables only that it needs
	}
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("the tables can't be read (usher migrate makes those that are missing): %w", err), db.Close())
	}
	return db, nil
}

func dynamoConfig(cfg config.Config, logger *slog.Logger) dynamostore.Config {
	t := cfg.Store.Tables
	return dynamostore.Config{
		Region: cfg.Store.Region, Endpoint: cfg.Store.Endpoint, Issuer: cfg.StoreIssuer(), Logger: logger,
		Tables: dynamostore.Tables{
			Usher: t.Usher, Users: t.Users, Contacts: t.Contacts, Connections: t.Connections,
			UserEmail: t.UserEmailIndex, UserID: t.UserIDIndex,
		},
	}
}

// migrateCommand is `usher migrate`.
type migrateCommand struct{ configFlags }

// Run brings the store to the form that this version needs. It works on a store
// on DynamoDB also while servers do.
func (c migrateCommand) Run(ctx context.Context, env environment) (err error) {
	cfg, warnings, err := c.load(env, nil)
	if err != nil {
		return err
	}
	logger := slog.New(cfg.Log.Handler(env.Stderr, cfg.Log.From()))
	for _, w := range warnings {
		logger.Warn(w)
	}
	if cfg.Store.Driver == config.DynamoDB {
		err = migrateTables(ctx, cfg, logger)
	} else {
		err = migrateFile(ctx, cfg, logger)
	}
	if err == nil {
		fmt.Fprintln(env.Stderr, "the store is as this version needs it")
	}
	return err
}

func migrateTables(ctx context.Context, cfg config.Config, logger *slog.Logger) error {
	db, err := dynamostore.Open(ctx, dynamoConfig(cfg, logger))
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx), db.Close())
}

// migrateFile opens the database, which brings it up to date.
func migrateFile(ctx context.Context, cfg config.Config, logger *slog.Logger) (err error) {
	dir, err := datadir.Open(cfg.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	db, err := sqlstore.Open(ctx, sqlstore.Config{Path: dir.Path(databaseName), Logger: logger})
	if err != nil {
		return err
	}
	return db.Close()
}

// observeCommits counts the store's commits and what they carried.
func observeCommits(registry prometheus.Registerer) func(sqlstore.Commit) {
	writes := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "usher_store_commit_writes", Help: "Writes that shared a commit.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 9),
	})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "usher_store_commit_duration_seconds", Help: "Time that a commit took, its sync included.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 10),
	})
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "usher_store_commit_failures_total", Help: "Commits that failed, by the code of the error.",
	}, []string{"code"})
	failing := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "usher_store_failing", Help: "1 while the database can't be written.",
	})
	for _, code := range []string{store.ErrNoRoom.Code, store.ErrUnavailable.Code} {
		failed.WithLabelValues(code) // an increase is only seen of what was there before
	}
	registry.MustRegister(writes, took, failed, failing)
	return func(c sqlstore.Commit) {
		if c.Writes > 0 {
			writes.Observe(float64(c.Writes))
			took.Observe(c.Took.Seconds())
		}
		if c.Err != nil {
			failed.WithLabelValues(usher.AsError(c.Err).Code).Inc()
		}
		failing.Set(0)
		if c.Failing {
			failing.Set(1)
		}
	}
}
