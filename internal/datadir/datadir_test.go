//go:build unix

package datadir_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"usher/internal/datadir"
)

// holdVariable makes the test binary a process that holds and serves the
// folder that it names until its standard input ends.
const holdVariable = "DATADIR_TEST_HOLD"

func TestMain(m *testing.M) {
	if path := os.Getenv(holdVariable); path != "" {
		hold(path)
		return
	}
	os.Exit(m.Run())
}

func hold(path string) {
	dir, err := datadir.Open(path)
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	l, err := dir.Listen()
	if err != nil {
		fmt.Println("listen:", err)
		os.Exit(1)
	}
	go serve(l, "other")
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := dir.Close(); err != nil {
		fmt.Println("close:", err)
		os.Exit(1)
	}
}

// serve greets whoever connects with name, until the listener is closed.
func serve(l net.Listener, name string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, name)
		_ = conn.Close()
	}
}

// holder is another process that holds a folder.
type holder struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

func startHolder(t *testing.T, path string) holder {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), holdVariable+"="+path)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "held\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	return holder{cmd, stdin}
}

func greeting(t *testing.T, path string) string {
	t.Helper()
	conn, err := datadir.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func open(t *testing.T, path string) *datadir.Dir {
	t.Helper()
	dir, err := datadir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

func listen(t *testing.T, dir *datadir.Dir) net.Listener {
	t.Helper()
	l, err := dir.Listen()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestOpenMakesAFolderForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "data")
	dir := open(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o700 {
		t.Errorf("mode of the folder = %o, want 700", got)
	}
	if got, want := dir.Path("usher.db"), filepath.Join(path, "usher.db"); got != want {
		t.Errorf("Path = %q, want %q", got, want)
	}
}

func TestPathIsAbsolute(t *testing.T) {
	t.Chdir(t.TempDir())
	dir := open(t, "data")
	if got := dir.Path("x"); !filepath.IsAbs(got) {
		t.Errorf("Path = %q, want an absolute path", got)
	}
}

func TestOpenRefusesAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := datadir.Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error = %v, want one that names %s", err, path)
	}
}

func TestOneProcessHoldsTheFolder(t *testing.T) {
	path := t.TempDir()
	other := startHolder(t, path)
	_, err := datadir.Open(path)
	if !errors.Is(err, datadir.ErrInUse) {
		t.Fatalf("error = %v, want ErrInUse", err)
	}
	if !strings.Contains(err.Error(), path) {
		t.Errorf("error %q does not name the folder", err)
	}
	if got := greeting(t, path); got != "other" {
		t.Errorf("the socket answered %q, want the other process", got)
	}

	if err := other.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := other.cmd.Wait(); err != nil {
		t.Fatalf("the other process: %v", err)
	}
	open(t, path)
	if _, err := os.Lstat(filepath.Join(path, "usher.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there after an orderly end: %v", err)
	}
}

func TestTheSameProcessCanNotOpenTwice(t *testing.T) {
	path := t.TempDir()
	dir := open(t, path)
	if _, err := datadir.Open(path); !errors.Is(err, datadir.ErrInUse) {
		t.Errorf("error = %v, want ErrInUse", err)
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestAKilledProcessLetsGoOfTheFolder(t *testing.T) {
	path := t.TempDir()
	other := startHolder(t, path)
	if err := other.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.cmd.Wait() // reports the kill
	if _, err := os.Lstat(filepath.Join(path, "usher.sock")); err != nil {
		t.Fatalf("the killed process left no socket, so that this proves nothing: %v", err)
	}
	if _, err := datadir.Dial(t.Context(), path); !errors.Is(err, datadir.ErrNotServed) {
		t.Errorf("dialling the stale socket: error = %v, want ErrNotServed", err)
	}

	dir := open(t, path)
	go serve(listen(t, dir), "me")
	if got := greeting(t, path); got != "me" {
		t.Errorf("the socket answered %q, want this process", got)
	}
}

func TestSocketIsForItsOwnerOnly(t *testing.T) {
	path := t.TempDir()
	listen(t, open(t, path))
	info, err := os.Lstat(filepath.Join(path, "usher.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode(), os.ModeSocket|0o600; got != want {
		t.Errorf("mode of the socket = %v, want %v", got, want)
	}
}

func TestPathsLongerThanASocketMayHave(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has paths through descriptors")
	}
	path := filepath.Join(t.TempDir(), strings.Repeat("long", 40), strings.Repeat("path", 40))
	dir := open(t, path)
	go serve(listen(t, dir), "me")
	if got := greeting(t, path); got != "me" {
		t.Errorf("the socket answered %q, want this process", got)
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(path, "usher.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestDialWithoutAServer(t *testing.T) {
	held := t.TempDir()
	open(t, held)
	for name, path := range map[string]string{
		"no folder":                     filepath.Join(t.TempDir(), "none"),
		"a folder that nobody serves":   t.TempDir(),
		"a folder held by a non-server": held,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := datadir.Dial(t.Context(), path)
			if !errors.Is(err, datadir.ErrNotServed) {
				t.Fatalf("error = %v, want ErrNotServed", err)
			}
			if !strings.Contains(err.Error(), path) {
				t.Errorf("error %q does not name the folder", err)
			}
		})
	}
}

func TestListenOnlyOnce(t *testing.T) {
	path := t.TempDir()
	dir := open(t, path)
	go serve(listen(t, dir), "first")
	if _, err := dir.Listen(); err == nil {
		t.Error("a second listener took over the socket of the first")
	}
	if got := greeting(t, path); got != "first" {
		t.Errorf("the socket answered %q, want the first listener", got)
	}
}

func TestCloseAfterTheListenerIsClosed(t *testing.T) {
	dir := open(t, t.TempDir())
	if err := listen(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	if err := dir.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if _, err := os.Lstat(dir.Path("usher.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}
