// Package socket is one server-side WebSocket connection: the handshake, frames
// checked as RFC 6455 demands, a bounded queue of what is to be written,
// keep-alive, and a close that the other end gets to read. It knows nothing of
// what the messages mean; the signaling hub and the foreign dialects share it.
//
// A connection costs one timer and, with TLS and on systems other than Linux, one
// goroutine, its read loop; plain sockets are waited for together. Nothing else
// is held while it is idle: a read buffer is borrowed when bytes have arrived,
// and a writer runs only while something is queued. frame.go alone touches the
// framing library.
//
// Lock order: Group.watching, watcher.mu; Group.mu and Conn.mu are never held
// together.
package socket

import (
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// ErrClosed is returned for a message to a connection that has closed, is
// closing, or has just been closed because it reads too slowly.
var ErrClosed = errors.New("socket: connection is closed")

// ErrFull is returned by [Conn.Offer] for a message that has to wait.
var ErrFull = errors.New("socket: too much waits to be written")

// What a zero field of [Config] stands for.
const (
	DefaultReadLimit    = 256 << 10
	DefaultQueueLimit   = 1 << 20
	DefaultWriteTimeout = 10 * time.Second
	DefaultPingEvery    = 25 * time.Second
	DefaultIdleTimeout  = 60 * time.Second
)

// Config is what the connections of one [Group] have in common.
type Config struct {
	// ReadLimit is the largest message in bytes, over all its fragments; a
	// larger one closes with [CodeTooBig] before it is held in memory.
	ReadLimit int64
	// QueueLimit is how many bytes may wait to be written before the peer
	// counts as too slow. A single message may be larger if nothing waits.
	QueueLimit int
	// WriteTimeout is how long the peer may take to accept what is written, and
	// how long a close may take altogether, flushing included.
	WriteTimeout time.Duration
	// PingEvery is after how much silence the peer is pinged. Clients that never
	// ping by themselves are kept alive by this alone.
	PingEvery time.Duration
	// IdleTimeout is after how much silence the peer is taken for gone. Pongs
	// count as sound; half a message does not, so that nobody can hold a
	// connection by sending one byte at a time.
	IdleTimeout time.Duration
	// Origins says whether the page that a request comes from may connect; nil
	// lets any. A request without Origin is not from a page and is asked as well.
	Origins func(r *http.Request) bool
	// Subprotocols are those that are spoken here. The first in the client's list
	// that is among them is chosen; a client that offers none of them is
	// upgraded without one.
	Subprotocols []string
	// Logger hears of panics in handlers, never of payloads; nil is silent.
	Logger *slog.Logger
}

// withDefaults fills in what was left zero.
func (c Config) withDefaults() Config {
	if c.ReadLimit <= 0 {
		c.ReadLimit = DefaultReadLimit
	}
	if c.QueueLimit <= 0 {
		c.QueueLimit = DefaultQueueLimit
	}
	if c.WriteTimeout <= 0 {
		c.WriteTimeout = DefaultWriteTimeout
	}
	if c.PingEvery <= 0 {
		c.PingEvery = DefaultPingEvery
	}
	if c.IdleTimeout <= 0 {
		c.IdleTimeout = DefaultIdleTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Handler hears what happens on one connection, one thing at a time and in order,
// so that it needs no lock for what only it touches. While it runs,
// nothing more is read from that connection. A panic closes the connection with
// [CodeInternal] and harms no other.
type Handler interface {
	// Message is a whole text message, valid UTF-8. The data may be used only
	// during the call. Nothing is delivered once [Conn.Close] was called, but
	// for a message that is being handled at that moment.
	Message(c *Conn, data []byte)
	// Closed is called exactly once, last. The code is why the connection ended:
	// ours if we closed it, the peer's if the peer did, [CodeNoStatus] if the
	// peer gave none, [CodeAbnormal] if it was simply lost. clean means that the
	// peer closed with [CodeNormal]; anything else is a loss that it may come
	// back from.
	Closed(c *Conn, code Code, clean bool)
}
