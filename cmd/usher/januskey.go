package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"usher/internal/config"
	"usher/internal/keys"
	"usher/internal/platform/janus"
	"usher/internal/store/sqlstore"
)

// ownKeys is where the keys are that a server makes for itself.
type ownKeys struct {
	dir    string
	sealer *keys.Sealer
}

// janusKeyName is the file of our own key for janus-plugin-sfu, sealed.
const janusKeyName = "janus.key"

func (k ownKeys) path() string { return filepath.Join(k.dir, janusKeyName) }

func (k ownKeys) load() (crypto.Signer, error) {
	key, err := keys.LoadRSA(k.path(), janus.Name, k.sealer)
	if err != nil {
		return nil, err
	}
	return key, nil
}

// loadOrMake returns the key that there is, or makes one.
func (k ownKeys) loadOrMake() (crypto.Signer, error) {
	key, err := k.load()
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	made, err := keys.MakeRSA(k.path(), janus.Name, k.sealer)
	if err != nil {
		return nil, err
	}
	return made, nil
}

// ownJanusKey returns our own key where there is one, and makes nothing.
func ownJanusKey(cfg config.Config) (crypto.Signer, error) {
	if cfg.Store.SealKey == "" {
		if _, err := os.Stat(filepath.Join(cfg.Data, sealName)); err != nil {
			return nil, err
		}
	}
	own, err := ownKeysOf(cfg)
	if err != nil {
		return nil, err
	}
	return own.load()
}

// ownKeysOf is for commands beside a server, which agree with it on the keys
// whoever makes them.
func ownKeysOf(cfg config.Config) (ownKeys, error) {
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return ownKeys{}, err
	}
	sealer, err := newSealer(cfg, filepath.Join(cfg.Data, sealName))
	return ownKeys{cfg.Data, sealer}, err
}

// newSealer returns what our keys are sealed with: by the configuration, or else
// by the secret in a file, which is made if there is none. Beside a database that
// has keys already none is made: it could not open them, and would hide from
// everybody after us that theirs is missing.
func newSealer(cfg config.Config, path string) (*keys.Sealer, error) {
	if cfg.Store.SealKey != "" {
		return keys.SealerOf(cfg.Store.SealKey)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		has, err := sqlstore.HasKeys(context.Background(), filepath.Join(filepath.Dir(path), databaseName))
		if err != nil {
			return nil, err
		}
		if has {
			return nil, fmt.Errorf("%s is missing, and without it the database's signing keys can't be opened: put back the one that belongs to this database, which every back-up of it has; if there is none, 'usher keys forget' goes on without those keys", path)
		}
	}
	return keys.LoadSealer(path)
}

// keyed returns the configuration with our own key. One that there is not yet
// is made in the background: it takes long, and nobody else waits for it.
func (s *server) keyed(cfg janus.Config, own ownKeys) (janus.Config, error) {
	key, err := own.load()
	if !errors.Is(err, fs.ErrNotExist) {
		cfg.Signer = key
		return cfg, err
	}
	made := make(chan struct{})
	s.background.Go(func() {
		defer close(made)
		if key, err = own.loadOrMake(); err != nil {
			s.logger.Error("no key could be made for Janus; start again when what is wrong is mended", "error", err)
		}
	})
	cfg.Own = func(ctx context.Context) (crypto.Signer, error) {
		select {
		case <-made:
			return key, err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return cfg, nil
}
