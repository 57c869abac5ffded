//go:build !unix

package socket

import (
	"net"
	"syscall"
)

// errNothing is no error: nothing is ever tried here.
const errNothing = syscall.Errno(0)

// rawConn returns nil: sockets can't be tried here, only waited for.
func rawConn(net.Conn) syscall.RawConn { return nil }

// tryRead is never called, there being no raw connection.
func (in *input) tryRead(uintptr) bool { return true }

// tryWrite leaves all of it to who can wait.
func (in *input) tryWrite([]byte) int { return 0 }
