package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"usher/internal/backup"
	"usher/internal/store/sqlstore"
)

// backupCommand is `usher backup`.
type backupCommand struct {
	File string `arg:"" name:"file" help:"The file to write, which must not be there yet."`
	Data string `default:"${data}" placeholder:"DIR" help:"The server's data folder (default: USHER_DATA of the environment, or usher-data)."`
}

// maxKept is the size in bytes of what is backed up beside the database: keys
// and certificates, and no files that somebody else has put there.
const maxKept = 1 << 20

// Run backs up the data folder, whether a server works on it or not: what it
// reads of the database is of one moment, and the other files are written once.
func (c backupCommand) Run(ctx context.Context, env environment) (err error) {
	file, err := c.target()
	if err != nil {
		return err
	}
	// Beside the file, so that it is on the disk that has room for it.
	work, err := os.MkdirTemp(filepath.Dir(file), ".usher-backup-*")
	if err != nil {
		return fmt.Errorf("can't write beside %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()

	m := backup.Manifest{Version: version, MadeAt: time.Now().UTC().Truncate(time.Second)}
	database := filepath.Join(work, databaseName)
	fmt.Fprintf(env.Stderr, "copying the database (%s)\n", size(filepath.Join(c.Data, databaseName)))
	if err := os.WriteFile(database, nil, 0o600); err != nil {
		return err
	}
	if m.Schema, err = sqlstore.Copy(ctx, filepath.Join(c.Data, databaseName), database); err != nil {
		return err
	}
	fmt.Fprintf(env.Stderr, "checking the copy (%s)\n", size(database))
	if err := sqlstore.Check(ctx, database); err != nil {
		return err
	}
	sources, err := c.others(env, work)
	if err != nil {
		return err
	}
	fmt.Fprintln(env.Stderr, "writing", file)
	packed := filepath.Join(work, "packed")
	if m, err = pack(packed, m, append([]backup.Source{{Name: databaseName, Path: database}}, sources...)); err != nil {
		return err
	}
	if err := os.Link(packed, file); err != nil { // which, unlike a rename, replaces nothing
		return fmt.Errorf("can't make %s: %w", file, err)
	}
	if err := syncFolder(filepath.Dir(file)); err != nil {
		return err
	}
	summarize(env, m)
	fmt.Fprintf(env.Stderr, "%s (%s) has all that was acknowledged before it was begun. Whoever can read it has the server's keys: keep it as safe as them.\n", file, size(file))
	return nil
}

// target returns the path of the file, if it is one that can be written.
func (c backupCommand) target() (string, error) {
	if _, err := os.Stat(filepath.Join(c.Data, databaseName)); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no data of a server in %s: say where it is with --data DIR (a store on DynamoDB is backed up there)", c.Data)
	}
	file, err := filepath.Abs(c.File)
	if err != nil {
		return "", err
	}
	beside, err := filepath.EvalSymlinks(filepath.Dir(file))
	if err != nil {
		return "", fmt.Errorf("can't write beside %s: %w", file, err)
	}
	data, err := realFolder(c.Data)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(beside+string(filepath.Separator), data+string(filepath.Separator)) {
		return "", fmt.Errorf("%s is in the data folder, with which it would be lost: choose another place", file)
	}
	if _, err := os.Lstat(file); err == nil {
		return "", fmt.Errorf("%s is there already: choose another name, or remove it", file)
	}
	return file, nil
}

// realFolder is the path of a folder that may be known by a link to it, which a
// walk would not follow.
func realFolder(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// others are the files of the folder beside the database, copied to work: a
// server may exchange its own at any time.
func (c backupCommand) others(env environment, work string) (sources []backup.Source, err error) {
	data, err := realFolder(c.Data)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if path == filepath.Join(data, lostFound) { // nobody but root can read it
			return fs.SkipDir
		}
		if err != nil {
			return passing(path, data, err)
		}
		name, err := filepath.Rel(data, path)
		if err != nil || d.IsDir() || ofTheProcess(name) || name == databaseName {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 { // which may lead to what is no business of the server's
			return fmt.Errorf("%s is a link, and the back-up would not have what it leads to: put the file itself there", path)
		}
		info, err := d.Info()
		if err != nil {
			return passing(path, data, err)
		}
		if !info.Mode().IsRegular() || info.Size() > maxKept {
			fmt.Fprintf(env.Stderr, "left out: %s, which is no file of a server's\n", path)
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return passing(path, data, err)
		}
		copied := filepath.Join(work, fmt.Sprint("other-", len(sources)))
		sources = append(sources, backup.Source{Name: filepath.ToSlash(name), Path: copied})
		return os.WriteFile(copied, text, 0o600)
	})
	return sources, err
}

// passing is no error of what was there for a moment, as a file is that a server
// writes before it has its name.
func passing(path, root string, err error) error {
	if path != root && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ofTheProcess reports whether a file of the data folder belongs to whoever
// works on it, and means nothing elsewhere.
func ofTheProcess(name string) bool {
	switch name {
	case lockFile, "usher.sock", databaseName + "-wal", databaseName + "-shm", databaseName + "-journal":
		return true
	}
	return false
}

// pack writes the back-up, which is on disk when it returns.
func pack(path string, m backup.Manifest, sources []backup.Source) (_ backup.Manifest, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if m, err = backup.Write(f, m, sources); err != nil {
		return m, err
	}
	return m, f.Sync()
}

// summarize tells what a back-up has.
func summarize(env environment, m backup.Manifest) {
	fmt.Fprintf(env.Stderr, "made %s by usher %s, schema %d:\n", m.MadeAt.Format(time.RFC3339), m.Version, m.Schema)
	for _, f := range m.Files {
		fmt.Fprintf(env.Stderr, "  %-24s %12s  sha256 %s\n", f.Name, bytesOf(f.Size), f.SHA256[:16])
	}
	if !m.Has(sealName) {
		fmt.Fprintf(env.Stderr, "  there is no %s in it: the signing keys are sealed with store.sealKey, which has to be kept by itself\n", sealName)
	}
}

// size is that of a file, for people; nothing depends on it.
func size(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "size unknown"
	}
	return bytesOf(info.Size())
}

func bytesOf(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// syncFolder makes what was entered in a folder survive a power cut.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
