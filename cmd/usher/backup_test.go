package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usher/internal/backup"
	"usher/internal/datadir"
)

// backedUp is the data of somebody, and a back-up of it.
func backedUp(t *testing.T) (data, file string) {
	t.Helper()
	data, file = someData(t), filepath.Join(t.TempDir(), "usher.tar")
	status, stdout, stderr := command(t, "backup", file, "--data", data)
	if status != 0 || stdout != "" || !strings.Contains(stderr, "seal.key") || !strings.Contains(stderr, "usher.db") {
		t.Fatalf("got status %d, printed %q and %q", status, stdout, stderr)
	}
	return data, file
}

func TestABackUpIsRestored(t *testing.T) {
	data, file := backedUp(t)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, error %v", info.Mode(), err)
	}
	if beside, err := os.ReadDir(filepath.Dir(file)); err != nil || len(beside) != 1 {
		t.Errorf("beside the file there is %v, error %v", beside, err)
	}
	again := filepath.Join(t.TempDir(), "again")
	status, stdout, stderr := command(t, "restore", file, "--data", again)
	if status != 0 || stdout != "" || !strings.Contains(stderr, "Next:") {
		t.Fatalf("got status %d, printed %q and %q", status, stdout, stderr)
	}
	for _, args := range [][]string{{"client", "list", "--json"}, {"keys", "list"}} {
		_, want, _ := command(t, append(args, "--data", data)...)
		if status, got, stderr := command(t, append(args, "--data", again)...); status != 0 || got != want || got == "" {
			t.Errorf("%q: got status %d, %q and %q; want %q", args, status, got, stderr, want)
		}
	}
}

// The folder of a unit for systemd may be a link, as that of a disk of its own.
func TestADataFolderThatIsALinkIsBackedUpWhole(t *testing.T) {
	data := someData(t)
	link, file := filepath.Join(t.TempDir(), "link"), filepath.Join(t.TempDir(), "usher.tar")
	if err := os.Symlink(data, link); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := command(t, "backup", file, "--data", link); status != 0 || !strings.Contains(stderr, "seal.key    ") {
		t.Fatalf("got status %d and %q", status, stderr)
	}
	for name, within := range map[string][]string{
		"by its own name": {"backup", filepath.Join(data, "usher.tar"), "--data", link},
		"by the link":     {"backup", filepath.Join(link, "usher.tar"), "--data", data},
	} {
		if status, _, stderr := command(t, within...); status != 1 || !strings.Contains(stderr, "is in the data folder") {
			t.Errorf("%s: got status %d and %q", name, status, stderr)
		}
	}
	again := filepath.Join(t.TempDir(), "again")
	if status, _, stderr := command(t, "restore", file, "--data", again); status != 0 {
		t.Fatalf("restore: got status %d and %q", status, stderr)
	}
	if _, err := os.Stat(filepath.Join(again, "seal.key")); err != nil {
		t.Error(err)
	}
}

// What a disk of its own has is root's, and no part of the back-up.
func TestWhatEveryDiskHasIsNotBackedUp(t *testing.T) {
	data, file := someData(t), filepath.Join(t.TempDir(), "usher.tar")
	if err := errors.Join(os.Mkdir(filepath.Join(data, lostFound), 0o700), os.WriteFile(filepath.Join(data, lostFound, "#1"), []byte("part"), 0o600),
		os.Chmod(filepath.Join(data, lostFound), 0)); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := command(t, "backup", file, "--data", data)
	if err := os.Chmod(filepath.Join(data, lostFound), 0o700); err != nil {
		t.Fatal(err)
	}
	if status != 0 || strings.Contains(stderr, lostFound) {
		t.Fatalf("got status %d and %q", status, stderr)
	}
	if status, _, stderr := command(t, "restore", file, "--data", filepath.Join(t.TempDir(), "again")); status != 0 {
		t.Errorf("restore: got status %d and %q", status, stderr)
	}
}

// A key that is elsewhere would be missed when it is needed.
func TestNoBackUpIsMadeThatLacksWhatALinkLeadsTo(t *testing.T) {
	data := someData(t)
	key, elsewhere, file := filepath.Join(data, "seal.key"), filepath.Join(t.TempDir(), "key"), filepath.Join(t.TempDir(), "usher.tar")
	if err := errors.Join(os.Rename(key, elsewhere), os.Symlink(elsewhere, key)); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := command(t, "backup", file, "--data", data); status != 1 || !strings.Contains(stderr, "is a link") {
		t.Errorf("got status %d and %q", status, stderr)
	}
	if beside, err := os.ReadDir(filepath.Dir(file)); err != nil || len(beside) != 0 {
		t.Errorf("there is %v, error %v", beside, err)
	}
}

// Only root can give a folder away, and makes what no server of another user can read.
func TestRootIsToldToGiveAwayWhatIsRestored(t *testing.T) {
	_, file := backedUp(t)
	for root, want := range map[bool]int{true: 1, false: 0} {
		var out, errs bytes.Buffer
		again := filepath.Join(t.TempDir(), "a folder")
		status := run(t.Context(), []string{"restore", file, "--data", again}, environment{Stdout: &out, Stderr: &errs, Root: root})
		if status != 0 || strings.Count(errs.String(), "chown -R USER: '"+again+"'") != want {
			t.Errorf("root: %t: got status %d and %q", root, status, &errs)
		}
	}
}

func TestNothingIsReplaced(t *testing.T) {
	data, file := backedUp(t)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	held := t.TempDir()
	dir, err := datadir.Open(held)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"a back-up":               {[]string{"backup", file, "--data", data}, "is there already"},
		"in the data folder":      {[]string{"backup", filepath.Join(data, "usher.tar"), "--data", data}, "is in the data folder"},
		"without data":            {[]string{"backup", file + "2", "--data", t.TempDir()}, "no data of a server"},
		"restored over data":      {[]string{"restore", file, "--data", data}, "is not empty"},
		"restored where one runs": {[]string{"restore", file, "--data", held}, "in use by another usher"},
		"restored nowhere":        {[]string{"restore", file}, "--data"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, stdout, stderr := command(t, tt.args...); status == 0 || stdout != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("got status %d, printed %q and %q; want %q", status, stdout, stderr, tt.want)
			}
		})
	}
	after, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the back-up has changed: %v", err)
	}
}

// What was sealed with another secret is found, as is a bit that changed, and
// nothing of it stays.
func TestWhatDoesNotVerifyIsNotRestored(t *testing.T) {
	data, file := backedUp(t)
	sound, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged.tar")
	if err := os.WriteFile(damaged, bytes.Replace(sound, []byte("CREATE TABLE rooms"), []byte("CREATE TABLE rooms_"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "seal.key"), []byte(strings.Repeat("0f", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(t.TempDir(), "stranger.tar")
	if status, _, stderr := command(t, "backup", stranger, "--data", data); status != 0 {
		t.Fatalf("got status %d and %q", status, stderr)
	}
	for name, tt := range map[string]struct{ file, want string }{
		"a damaged file":     {damaged, "is not what the manifest says"},
		"another seal":       {stranger, "signing keys can't be opened"},
		"no back-up":         {filepath.Join(data, "seal.key"), "no back-up"},
		"a file that is not": {file + "2", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			again := filepath.Join(t.TempDir(), "again")
			status, stdout, stderr := command(t, "restore", tt.file, "--data", again)
			if status != 1 || stdout != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("got status %d, printed %q and %q; want %q", status, stdout, stderr, tt.want)
			}
			left, err := os.ReadDir(again)
			if err != nil && !errors.Is(err, fs.ErrNotExist) || len(left) > 1 || len(left) == 1 && left[0].Name() != "usher.lock" {
				t.Errorf("there is %v, error %v", left, err)
			}
			if status, _, stderr := command(t, "restore", file, "--data", again); status != 0 {
				t.Errorf("then a sound one: got status %d and %q", status, stderr)
			}
		})
	}
}

// What belongs to a process is none of a back-up's, nor what is in a folder of
// its name, which a server could not put its own in the place of.
func TestNoBackUpHasWhatBelongsToAProcess(t *testing.T) {
	database, err := os.ReadFile(filepath.Join(someData(t), databaseName))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{lockFile, lockFile + "/x", "usher.sock/x", databaseName + "-wal/x", stagingName + "/x", "lost+found/x"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var sources []backup.Source
			for i, text := range [][]byte{database, nil} {
				s := backup.Source{Name: []string{databaseName, name}[i], Path: filepath.Join(dir, fmt.Sprint(i))}
				if err := os.WriteFile(s.Path, text, 0o600); err != nil {
					t.Fatal(err)
				}
				sources = append(sources, s)
			}
			if _, err := pack(filepath.Join(dir, "packed"), backup.Manifest{}, sources); err != nil {
				t.Fatal(err)
			}
			status, _, stderr := command(t, "restore", filepath.Join(dir, "packed"), "--data", filepath.Join(dir, "again"))
			if status != 1 || !strings.Contains(stderr, "which none that usher makes has") {
				t.Errorf("got status %d and %q", status, stderr)
			}
		})
	}
}
