package socket

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

// watcher waits for all plain sockets of a group in one goroutine, with an epoll
// of its own, so that a connection that has nothing to say has none. What has
// come on one is read, and handled, by a worker. It watches as long as there is
// a connection.
//
// The epoll is itself waited for by the runtime's poller. A socket that is closed
// leaves it by itself; what is said of its number then meets whoever has that
// number next, who finds nothing to read.
type watcher struct {
	epoll   *os.File
	fd      int
	work    chan *Conn    // to workers that wait
	waiting chan struct{} // holds one for each of them
	ended   chan struct{}

	mu    sync.Mutex
	conns []*Conn // by descriptor
	n     int     // of them
}

const (
	// watchAtOnce is how many sockets are asked for in one system call.
	watchAtOnce = 128
	// maxWaiting is how many workers wait for work rather than end: their stacks
	// have grown already to what handling a message takes.
	maxWaiting = 64
	// lastEvents say that the peer has finished, or that the socket is broken.
	lastEvents = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR
	edges      = 1 << 31 // EPOLLET, which package syscall has as a negative number
)

// watch has the group's watcher tell c when something has come, from now on, and
// reports whether that can be.
func (g *Group) watch(c *Conn) bool {
	if c.in.raw == nil {
		return false
	}
	g.watching.Lock()
	defer g.watching.Unlock()
	if g.watcher == nil {
		w, err := newWatcher()
		if err != nil {
			return false
		}
		g.watcher = w
	}
	if !g.watcher.add(c) {
		g.endWatcher()
		return false
	}
	c.watched = true
	return true
}

// unwatch is called once for each connection that is watched, when it is over.
func (g *Group) unwatch(c *Conn) {
	g.watching.Lock()
	defer g.watching.Unlock()
	g.watcher.remove(c)
	g.endWatcher()
}

// endWatcher ends a watcher that has no connections. g.watching is held.
func (g *Group) endWatcher() {
	if g.watcher.n == 0 {
		_ = g.watcher.epoll.Close() // which ends the loop
		<-g.watcher.ended
		g.watcher = nil
	}
}

func newWatcher() (*watcher, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // or os would not have it polled
		_ = syscall.Close(fd)
		return nil, err
	}
	w := &watcher{
		epoll: os.NewFile(uintptr(fd), "epoll"), fd: fd,
		work: make(chan *Conn), waiting: make(chan struct{}, maxWaiting), ended: make(chan struct{}),
	}
	raw, err := w.epoll.SyscallConn()
	if err = errors.Join(err, w.epoll.SetReadDeadline(time.Time{})); err != nil { // it can't be waited for
		_ = w.epoll.Close()
		return nil, err
	}
	go func() {
		defer close(w.ended)
		defer close(w.work)
		var events [watchAtOnce]syscall.EpollEvent
		// It fails when the epoll is closed, and only then.
		_ = raw.Read(func(fd uintptr) bool {
			for {
				n, err := syscall.EpollWait(int(fd), events[:], 0)
				if err == syscall.EINTR {
					continue
				}
				w.tell(events[:max(n, 0)])
				if n < len(events) {
					return false // wait
				}
			}
		})
	}()
	return w, nil
}

// add begins to watch a connection. The epoll tells of what is there already, too.
func (w *watcher) add(c *Conn) (ok bool) {
	_ = c.in.raw.Control(func(fd uintptr) {
		w.set(int(fd), c)
		e := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | edges, Fd: int32(fd)}
		if err := syscall.EpollCtl(w.fd, syscall.EPOLL_CTL_ADD, int(fd), &e); err != nil {
			w.set(int(fd), nil)
			return
		}
		c.fd, ok = int(fd), true
	})
	if ok {
		w.n++
	}
	return ok
}

func (w *watcher) set(fd int, c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if fd >= len(w.conns) {
		w.conns = append(w.conns, make([]*Conn, fd+1-len(w.conns))...)
	}
	w.conns[fd] = c
}

// remove forgets a connection, whose descriptor may be another's by now.
func (w *watcher) remove(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns[c.fd] == c {
		w.conns[c.fd] = nil
	}
	w.n--
}

// tell has workers see to the connections on which something has come.
func (w *watcher) tell(events []syscall.EpollEvent) {
	for _, e := range events {
		w.mu.Lock()
		c := w.conns[e.Fd]
		w.mu.Unlock()
		if c == nil {
			continue
		}
		if e.Events&lastEvents != 0 {
			c.last.Store(true)
		}
		if !c.wake() {
			continue
		}
		select {
		case w.work <- c:
		default:
			go w.worker(c)
		}
	}
}

// worker sees to a connection, and then to others.
func (w *watcher) worker(c *Conn) {
	for c != nil {
		c.run()
		select {
		case w.waiting <- struct{}{}:
		default:
			return // enough others wait
		}
		c = <-w.work
		<-w.waiting
	}
}
