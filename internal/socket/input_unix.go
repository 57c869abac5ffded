//go:build unix

package socket

import (
	"net"
	"sync"
	"syscall"
)

// rawConn returns access to the descriptor of a plain socket, else nil.
func rawConn(conn net.Conn) syscall.RawConn {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// errNothing is how reading fails if nothing is there.
const errNothing = syscall.EAGAIN

// tryRead reads what is there into a borrowed buffer. If nothing is, and it is
// not for later, it gives the buffer back and returns false, which makes the
// caller wait for the peer.
func (in *input) tryRead(fd uintptr) bool {
	in.borrow()
	for {
		in.n, in.err = syscall.Read(int(fd), in.buf[:])
		if in.err != syscall.EINTR {
			break
		}
	}
	if in.err == errNothing && !in.later {
		in.release()
		return false
	}
	return true
}

// attempt is a write that does not wait.
type attempt struct {
	p   []byte
	n   int
	try func(fd uintptr) bool // write, kept so that trying does not allocate
}

var attempts = sync.Pool{New: func() any {
	a := new(attempt)
	a.try = a.write
	return a
}}

// write does what can be done at once.
func (a *attempt) write(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), a.p)
		if err == syscall.EINTR {
			continue
		}
		a.n = max(n, 0)
		return true
	}
}

// tryWrite writes as much as a plain socket takes at once, and returns how much
// that is. What fails is left to who tries again.
func (in *input) tryWrite(p []byte) int {
	if in.raw == nil {
		return 0
	}
	a := attempts.Get().(*attempt)
	defer attempts.Put(a)
	a.p, a.n = p, 0
	_ = in.raw.Write(a.try)
	a.p = nil
	return a.n
}
