package socket

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
)

// bufferSize is what is read at once, and up to which a message is handed over
// without being copied.
const bufferSize = 4 << 10

// buffers are shared by all connections: reading borrows one while bytes are
// there that nobody has taken yet, writing while it gathers frames.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// input reads a connection ahead, but holds no buffer while it waits for a peer
// that has nothing to say.
type input struct {
	conn net.Conn
	// raw lets a plain socket be tried, and waited for, with the buffer given
	// back; it is nil where that can't be done.
	raw syscall.RawConn
	try func(fd uintptr) bool // in.tryRead, kept so that reading does not allocate
	// small is read into instead where raw is nil: a TLS record brings a frame
	// at a time, so that the rest costs no further system call.
	small []byte

	buf  *[bufferSize]byte // nil if nothing is buffered
	r, w int               // what of buf is still to be taken
	n    int               // what tryRead read
	err  error             // and how it failed
	// later has tryRead not wait, and drained says that the last reading took all
	// there was.
	later, drained bool
}

// errLater says that nothing has come yet, and that nobody waits.
var errLater = errors.New("socket: nothing to read yet")

func (in *input) init(conn net.Conn) {
	in.conn = conn
	if raw := rawConn(conn); raw != nil {
		in.raw, in.try = raw, in.tryRead
	} else {
		in.small = make([]byte, 16)
	}
}

// buffered returns what was read but not taken.
func (in *input) buffered() int { return in.w - in.r }

// release gives an empty buffer back.
func (in *input) release() {
	in.r, in.w = 0, 0
	if in.buf != nil {
		buffers.Put(in.buf)
		in.buf = nil
	}
}

// borrow takes a buffer if there is none.
func (in *input) borrow() {
	if in.buf == nil {
		in.buf = buffers.Get().(*[bufferSize]byte)
	}
}

// more reads at least one byte more than is buffered.
func (in *input) more() error {
	in.drained = false
	if in.buffered() == 0 {
		return in.wait()
	}
	if in.w == bufferSize {
		in.w = copy(in.buf[:], in.buf[in.r:in.w])
		in.r = 0
	}
	n, err := in.conn.Read(in.buf[in.w:])
	in.w += n
	if n > 0 {
		return nil
	}
	return err
}

// wait reads into an empty buffer, and holds none until something is there.
func (in *input) wait() error {
	if in.raw == nil {
		in.release()
		n, err := in.conn.Read(in.small)
		if n == 0 {
			return err
		}
		in.borrow()
		in.w = copy(in.buf[:], in.small[:n])
		return nil
	}
	return in.read()
}

// look reads what is there into an empty buffer. If that is nothing it returns
// errLater, and holds none. It is for plain sockets.
func (in *input) look() error {
	in.later = true
	defer func() { in.later = false }()
	err := in.read()
	in.drained = err == nil && in.w < bufferSize
	return err
}

// read is wait and look.
func (in *input) read() error {
	in.r, in.w = 0, 0
	if err := in.raw.Read(in.try); err != nil {
		in.release()
		return err
	}
	if in.n <= 0 {
		in.release()
		switch {
		case in.err == nil:
			return io.EOF
		case in.later && in.err == errNothing:
			return errLater
		}
		return in.err
	}
	in.w = in.n
	return nil
}

// need makes at least n bytes buffered, n being at most bufferSize, and returns
// the first n of them, which stay valid until the next read.
func (in *input) need(n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	if in.r+n > bufferSize {
		in.w = copy(in.buf[:], in.buf[in.r:in.w])
		in.r = 0
	}
	for in.buffered() < n {
		if err := in.more(); err != nil {
			return nil, err
		}
	}
	p := in.buf[in.r : in.r+n]
	in.r += n
	return p, nil
}

// Read takes what is buffered, and reads past the buffer into a large p.
func (in *input) Read(p []byte) (int, error) {
	if in.buffered() == 0 {
		if len(p) >= bufferSize {
			in.release()
			return in.conn.Read(p)
		}
		if err := in.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.buf[in.r:in.w])
	in.r += n
	return n, nil
}

// appendN reads n bytes behind dst, which grows with what has really arrived
// rather than with what a header announced.
func (in *input) appendN(dst []byte, n int) ([]byte, error) {
	for n > 0 {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, min(n, max(len(dst), bufferSize)))
		}
		end := min(cap(dst), len(dst)+n)
		m, err := in.Read(dst[len(dst):end])
		dst = dst[:len(dst)+m]
		n -= m
		if err != nil && n > 0 {
			return dst, err
		}
	}
	return dst, nil
}

// drain reads and forgets until the connection ends.
func (in *input) drain() {
	in.borrow()
	for {
		if _, err := in.conn.Read(in.buf[:]); err != nil {
			return
		}
	}
}
