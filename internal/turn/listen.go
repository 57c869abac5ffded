package turn

import (
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// maxConns bounds the connections over TCP, each of which costs a file.
	maxConns = 4096
	// idleTimeout is how long a connection may be without an allocation.
	idleTimeout = 30 * time.Second
	// writeTimeout is how long a client may leave what is sent to it unread.
	writeTimeout = 10 * time.Second
	// acceptPause is how long to wait when connections can't be accepted.
	acceptPause = 100 * time.Millisecond
)

// datagrams is the UDP socket that clients talk to. It says when the library
// has stopped reading from it.
type datagrams struct {
	net.PacketConn
	server *Server
	once   sync.Once
}

func (d *datagrams) ReadFrom(p []byte) (int, net.Addr, error) {
	n, addr, err := d.PacketConn.ReadFrom(p)
	if err != nil {
		if !errors.Is(err, net.ErrClosed) {
			d.server.log.Error("turn: no longer listening over UDP", "error", err)
		}
		d.once.Do(d.server.running.Done)
	}
	return n, addr, err
}

// streams accepts the connections of clients. It implements [net.Listener] for
// the library, which stops at the first error.
type streams struct {
	net.Listener
	server *Server
}

func (l *streams) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil:
			if conn, ok := l.server.addConn(c); ok {
				return conn, nil
			}
			_ = c.Close()
		case errors.Is(err, net.ErrClosed):
			l.server.running.Done()
			return nil, err
		default:
			l.server.log.Warn("turn: can't accept connections", "error", err)
			select {
			case <-time.After(acceptPause):
			case <-l.server.closing:
			}
		}
	}
}

// conn is the connection of one client. The library closes it when it is done
// with it.
type conn struct {
	net.Conn
	server *Server
	once   sync.Once
}

// Write gives up on a client that does not read.
func (c *conn) Write(p []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := c.Conn.Write(p)
	if err != nil {
		_ = c.Conn.Close() // the stream would go on in the middle of a message
	}
	return n, err
}

func (c *conn) Close() error {
	var err error
	c.once.Do(func() {
		err = c.Conn.Close()
		c.server.removeConn(c)
	})
	return err
}

// allocated lifts the limit on how long a connection may be idle.
func (c *conn) allocated() { _ = c.SetReadDeadline(time.Time{}) }

// idle sets it.
func (c *conn) idle() { _ = c.SetReadDeadline(time.Now().Add(idleTimeout)) }

// addrKey tells clients over UDP and TCP apart.
func addrKey(addr net.Addr) string { return addr.Network() + " " + addr.String() }
