//go:build unix

// Package datadir owns the data folder of a server: one process at a time
// holds it, and the others reach that process over a socket inside it.
//
// The lock is an advisory one (flock) that the kernel lets go of when the
// process ends, however it ends, so that no crash leaves a folder locked.
package datadir

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

const (
	lockName   = "usher.lock"
	socketName = "usher.sock"
)

var (
	// ErrInUse reports that another process holds the folder.
	ErrInUse = errors.New("is in use by another usher process")
	// ErrNotServed reports that no server answers on the folder's socket: none
	// is running, or the one that holds the folder is starting, stopping or not
	// a server.
	ErrNotServed = errors.New("is not served by a running usher")
)

// Dir is a data folder that this process holds.
type Dir struct {
	path string
	lock *os.File

	mu       sync.Mutex
	listener net.Listener
}

// Open takes hold of the data folder at path, which it makes, readable by its
// owner only, where there is none. The error is [ErrInUse] when another process
// holds the folder.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("datadir: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("datadir: make the data folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("datadir: open the lock: %w", err)
	}
	if err := flock(lock); err != nil {
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("datadir: the data folder %s %w; stop that one or choose another folder", path, ErrInUse)
		}
		return nil, fmt.Errorf("datadir: lock %s: %w", lock.Name(), err)
	}
	return &Dir{path: path, lock: lock}, nil
}

// flock takes the lock or fails at once; the runtime's signals may interrupt
// the call.
func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// Path returns the absolute path of the file called name in the folder.
func (d *Dir) Path(name string) string { return filepath.Join(d.path, name) }

// Listen opens the folder's socket, which only the owner of the process may
// connect to. A socket that a crashed process left behind is replaced. Closing
// the folder closes the listener too.
func (d *Dir) Listen() (net.Listener, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listener != nil {
		return nil, errors.New("datadir: the socket is open already")
	}
	// We hold the lock, so that whoever made a socket here is gone.
	if err := d.removeSocket(); err != nil {
		return nil, err
	}
	var l net.Listener
	err := atSocket(d.path, func(address string) (err error) {
		// On Linux the socket's file gets the mode that the socket has when it
		// is bound, so that nobody can slip in before the Chmod below, which is
		// what other systems need.
		config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
		}}
		l, err = config.Listen(context.Background(), "unix", address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("datadir: listen in %s: %w", d.path, err)
	}
	// The name that it was bound by may mean another folder by the time that it
	// is closed; Close removes the file.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(d.Path(socketName), 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("datadir: protect the socket: %w", err)
	}
	d.listener = l
	return l, nil
}

func (d *Dir) removeSocket() error {
	if err := os.Remove(d.Path(socketName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("datadir: remove the socket: %w", err)
	}
	return nil
}

// Close closes and removes the socket and lets go of the folder.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var problems []error
	if d.listener != nil {
		if err := d.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			problems = append(problems, err)
		}
		problems = append(problems, d.removeSocket())
		d.listener = nil
	}
	return errors.Join(append(problems, d.lock.Close())...)
}

// Dial connects to the server that holds the data folder at path. The error is
// [ErrNotServed] when none answers.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("datadir: %w", err)
	}
	var conn net.Conn
	err = atSocket(path, func(address string) (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "unix", address)
		return err
	})
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("datadir: the data folder %s %w: %w", path, ErrNotServed, err)
	default:
		return nil, fmt.Errorf("datadir: connect to the server of %s: %w", path, err)
	}
}

// maxSocketPath is the shortest limit on the path of a unix socket that we
// meet, that of macOS with its closing zero; Linux has 108.
const maxSocketPath = 103

// atSocket calls f with an address of the socket in the folder. The path of a
// socket has a limit far below that of a file, so that a longer one goes
// through a descriptor of the folder, where the system has such paths.
func atSocket(folder string, f func(address string) error) error {
	address := filepath.Join(folder, socketName)
	if len(address) <= maxSocketPath {
		return f(address)
	}
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	short := filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())))
	if _, err := os.Stat(short); err != nil {
		return fmt.Errorf("the path %s is longer than the %d bytes that a socket may have here; choose a shorter data folder", address, maxSocketPath)
	}
	return f(filepath.Join(short, socketName))
}
