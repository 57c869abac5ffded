package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"usher/internal/backup"
	"usher/internal/config"
	"usher/internal/datadir"
	"usher/internal/keys"
	"usher/internal/store/sqlstore"
)

// restoreCommand is `usher restore`.
type restoreCommand struct {
	File string `arg:"" name:"file" help:"A file that 'usher backup' has written."`
	Data string `required:"" placeholder:"DIR" help:"The data folder to make. It must be empty, or not there."`
}

// stagingName is where files are, within the folder, until all are verified.
const stagingName = ".restoring"

// Run makes a data folder of a back-up. Until everything is verified nothing is
// where a server would find it; if it fails, nothing stays.
func (c restoreCommand) Run(ctx context.Context, env environment) (err error) {
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := c.empty(); err != nil { // before a lock is put into somebody's folder
		return err
	}
	dir, err := datadir.Open(c.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if err := c.empty(); err != nil {
		return err
	}
	staging := dir.Path(stagingName)
	defer func() { err = errors.Join(err, os.RemoveAll(staging)) }()
	if err := os.Mkdir(staging, 0o700); err != nil {
		return err
	}
	fmt.Fprintln(env.Stderr, "reading", c.File)
	m, err := backup.Extract(file, staging)
	if err != nil {
		return err
	}
	fmt.Fprintln(env.Stderr, "checking the database and the keys")
	if err := verify(ctx, staging, m); err != nil {
		return err
	}
	if err := settle(staging, dir); err != nil {
		return err
	}
	summarize(env, m)
	fmt.Fprintf(env.Stderr, `%[1]s is restored, and everything in it verified. Next:
  1. usher doctor --config FILE, with data: %[1]s
  2. see that the server that the back-up is of is not running: both would issue for the same rooms
  3. usher serve --config FILE, as the user whom the folder belongs to
What happened after %[2]s is not in it: revoke, ban and retire again what was since, or it holds again.
`, c.Data, m.MadeAt.Format("2006-01-02 15:04:05 UTC"))
	if env.Root {
		fmt.Fprintf(env.Stderr, "Its files are root's, and no other user can read them: if the server runs as one, chown -R USER: %s comes first.\n", quoted(c.Data))
	}
	return nil
}

// empty returns an error if the folder has anything, but for what every folder
// that usher has looked at, and every disk, has.
func (c restoreCommand) empty() error {
	name, err := occupied(c.Data)
	if err == nil && name != "" {
		err = fmt.Errorf("%s is not empty, it has %s: restore into another folder, or move that one away", c.Data, name)
	}
	return err
}

// lockFile is what every folder has that was held once, and lostFound the folder
// that every disk has.
const (
	lockFile  = "usher.lock"
	lostFound = "lost+found"
)

// occupied returns the name of something in a folder that can't become a data
// folder therefore: the database, if there is one.
func occupied(folder string) (name string, err error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	for _, e := range entries {
		switch e.Name() {
		case databaseName:
			return databaseName, err
		case lockFile, lostFound:
		default:
			name = e.Name()
		}
	}
	return name, err
}

// verify opens everything of a back-up, as a server would. That brings the
// database to the schema of this version, and refuses that of a newer one.
func verify(ctx context.Context, folder string, m backup.Manifest) (err error) {
	for _, f := range m.Files {
		if first, _, _ := strings.Cut(f.Name, "/"); ofTheProcess(first) || first == stagingName || first == lostFound {
			return fmt.Errorf("the back-up has %s, which none that usher makes has", f.Name)
		}
	}
	if !m.Has(databaseName) {
		return errors.New("the back-up has no database")
	}
	path := filepath.Join(folder, databaseName)
	if err := sqlstore.Check(ctx, path); err != nil {
		return err
	}
	db, err := sqlstore.Open(ctx, sqlstore.Config{Path: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if !m.Has(sealName) {
		return nil // what is sealed can't be opened here
	}
	sealer, err := keys.LoadSealer(filepath.Join(folder, sealName))
	if err != nil {
		return err
	}
	if _, err := keys.Open(ctx, keys.Config{Store: db.Keys(), Sealer: sealer, Retain: retain(config.Default())}); err != nil {
		return fmt.Errorf("the signing keys can't be opened: %w", err)
	}
	if m.Has(janusKeyName) {
		if _, err := (ownKeys{folder, sealer}).load(); err != nil {
			return fmt.Errorf("the key for Janus can't be opened: %w", err)
		}
	}
	return nil
}

// settle moves what is verified to its place, the database last: a folder that
// has one has everything.
func settle(staging string, dir *datadir.Dir) error {
	entries, err := os.ReadDir(staging)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == databaseName {
			continue
		}
		if err := os.Rename(filepath.Join(staging, e.Name()), dir.Path(e.Name())); err != nil {
			return err
		}
	}
	if err := syncFolder(dir.Path("")); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(staging, databaseName), dir.Path(databaseName)); err != nil {
		return err
	}
	return syncFolder(dir.Path(""))
}
