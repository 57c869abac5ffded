//go:build unix

package socket

import (
	"net"
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

// tryRead reads what is there into a borrowed buffer. If nothing is, it gives
// the buffer back and returns false, which makes the caller wait for the peer.
func (in *input) tryRead(fd uintptr) bool {
	in.borrow()
	for {
		in.n, in.err = syscall.Read(int(fd), in.buf[:])
		if in.err != syscall.EINTR {
			break
		}
	}
	if in.err == syscall.EAGAIN {
		in.release()
		return false
	}
	return true
}
