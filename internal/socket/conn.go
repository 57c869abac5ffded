package socket

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Conn is one connection. Its methods may be called from any goroutine.
type Conn struct {
	group       *Group
	conn        net.Conn
	subprotocol string

	state   atomic.Int32 // whether anybody reads: see wake
	last    atomic.Bool  // the watcher has said that nothing more will come
	watched bool         // by the group's watcher; set before the first message
	fd      int          // the descriptor, if watched

	// Who reads has what follows for itself.
	handler    Handler
	in         input
	scratch    [14]byte // a frame's head while it is read
	partial    []byte   // the fragments so far
	fragmented bool
	begun      bool // the first message was delivered

	heard   atomic.Int64   // when the peer last sent anything, as time since group.start
	writers sync.WaitGroup // the writer, while there is one

	mu      sync.Mutex
	timer   *time.Timer // pings and notices silence; once closing, cuts off
	queue   [][]byte    // frames to be written, in order
	pong    []byte      // the answer to the latest ping, written before the queue
	waiting int         // bytes in queue
	flying  int         // bytes being written now
	writing bool        // a writer runs, or the last one has ended for good
	closing bool        // nothing more is queued or delivered; the last frame in queue is the close
	hangUp  bool        // the peer has closed: once our close is written there is nothing to wait for
	parted  bool        // our close is written
	code    Code        // why, once closing
	clean   bool
	partBy  time.Duration // when the peer is cut off, once closing, as time since group.start
}

func newConn(g *Group, conn net.Conn, early []byte, subprotocol string) *Conn {
	c := &Conn{group: g, conn: conn, subprotocol: subprotocol}
	c.in.init(conn)
	if len(early) > 0 { // at most what the HTTP server buffers, which is no more than we do
		c.in.borrow()
		c.in.w = copy(c.in.buf[:], early)
	}
	c.hear()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(min(g.cfg.PingEvery, g.cfg.IdleTimeout), c.tick)
	return c
}

// Subprotocol returns what was agreed on, or "".
func (c *Conn) Subprotocol() string { return c.subprotocol }

// RemoteAddr returns the address of the other end of the socket, which may be a
// proxy.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// Close says goodbye with a code and a reason, of which the peer gets to read
// the first 123 bytes, after what is queued. It does not block: the connection
// is over when Closed is called, at the latest after Config.WriteTimeout. Only
// the first Close counts. A code that can't be sent becomes [CodeInternal].
func (c *Conn) Close(code Code, reason string) {
	if !code.onWire() {
		code = CodeInternal
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bid(code, reason)
}

// bid begins the closing. c.mu is held.
func (c *Conn) bid(code Code, reason string) {
	if c.closing {
		return
	}
	c.closing, c.code = true, code
	c.queue = append(c.queue, closeFrame(code, reason))
	c.pong = nil
	c.partBy = time.Since(c.group.start) + c.group.cfg.WriteTimeout
	c.timer.Reset(c.group.cfg.WriteTimeout)
	c.startWriter()
}

// cutOff ends a connection over which nothing more can be said.
func (c *Conn) cutOff(code Code) {
	c.mu.Lock()
	if !c.closing {
		c.closing, c.code = true, code
	}
	c.queue, c.pong, c.waiting = nil, nil, 0
	c.mu.Unlock()
	c.sever()
}

// sever closes the socket. Who reads notices; nobody may be reading.
func (c *Conn) sever() {
	_ = c.conn.Close()
	if c.wake() {
		go c.run()
	}
}

// tick pings a silent peer, gives up a dead one, and cuts off one that takes too
// long to part.
func (c *Conn) tick() {
	c.mu.Lock()
	if c.closing {
		early := time.Since(c.group.start) < c.partBy // it was due as a ping when Close was called
		c.mu.Unlock()
		if !early {
			c.sever()
		}
		return
	}
	defer c.mu.Unlock()
	cfg := &c.group.cfg
	silent := time.Since(c.group.start) - time.Duration(c.heard.Load())
	switch {
	case silent >= cfg.IdleTimeout:
		c.dropQueue()
		c.bid(CodeIdle, "nothing was heard for too long")
		return
	case silent < cfg.PingEvery:
		c.timer.Reset(min(cfg.PingEvery, cfg.IdleTimeout) - silent)
		return
	}
	if c.waiting+c.flying == 0 {
		c.queue = append(c.queue, pingFrame())
		c.startWriter()
	}
	c.timer.Reset(min(cfg.PingEvery, cfg.IdleTimeout-silent))
}

// Heard returns when the peer last sent anything, at first when it connected.
func (c *Conn) Heard() time.Time { return c.group.start.Add(time.Duration(c.heard.Load())) }

// hear notes that the peer is there.
func (c *Conn) hear() { c.heard.Store(int64(time.Since(c.group.start))) }

// begin opens the connection, and reads from it.
func (c *Conn) begin(open func(*Conn) Handler) {
	if c.group.watch(c) {
		c.contain("open", func() { c.handler = open(c) })
	} else {
		c.aside("open", func() { c.handler = open(c) })
	}
	if c.handler == nil {
		c.Close(CodeInternal, "")
		c.in.drain()
		c.end()
		return
	}
	c.run()
}

// The states of a connection: at first somebody reads.
const (
	reading int32 = iota
	again         // and has to look once more: something has come since
	resting       // nobody does, until something comes
)

// wake reports whether nobody reads, so that the caller has to see to it that
// [Conn.run] is called. Else who reads will look again.
func (c *Conn) wake() bool {
	for {
		switch state := c.state.Load(); {
		case state == again:
			return false
		case state == reading && c.state.CompareAndSwap(reading, again):
			return false
		case state == resting && c.state.CompareAndSwap(resting, reading):
			return true
		}
	}
}

// run reads until the connection is over or, if it is watched, until nothing
// more is there.
func (c *Conn) run() {
	for {
		if err := c.read(); err != errLater {
			c.depart(err)
			c.end()
			return
		}
		if c.state.CompareAndSwap(reading, resting) {
			return
		}
		c.state.Store(reading)
	}
}

// end follows the last that is read. When it returns, nothing of the connection runs.
func (c *Conn) end() {
	_ = c.conn.Close()
	if c.watched {
		c.group.unwatch(c)
	}
	c.in.release()
	c.writers.Wait()

	c.mu.Lock()
	c.timer.Stop()
	code, clean := c.code, c.clean
	c.mu.Unlock()
	if c.handler != nil {
		c.contain("Closed", func() { c.handler.Closed(c, code, clean) })
	}
	c.group.release(c)
}

// read delivers messages until there can't be more, and returns why, or errLater.
func (c *Conn) read() error {
	c.in.drained = false
	for {
		// Waiting here rather than deep in a frame keeps an idle goroutine's stack
		// at its smallest.
		if c.in.buffered() == 0 {
			if err := c.await(); err != nil {
				return err
			}
		}
		data, err := c.next()
		if err != nil {
			return err
		}
		c.hear()
		if c.isClosing() {
			continue
		}
		if !c.begun && !c.watched { // most say who they are, which goes deep, and then nothing for long
			c.begun = true
			c.aside("Message", func() { c.handler.Message(c, data) })
			continue
		}
		c.contain("Message", func() { c.handler.Message(c, data) })
	}
}

// await reads what comes next into the empty buffer. If the connection is
// watched it does not wait for that, and returns errLater.
func (c *Conn) await() error {
	if !c.watched {
		return c.in.wait()
	}
	if c.in.drained && !c.last.Load() {
		c.in.release()
		return errLater
	}
	return c.in.look()
}

// aside contains f in another goroutine and waits for it, so that the stack that
// f needs is not kept for as long as the connection lives.
func (c *Conn) aside(what string, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.contain(what, f)
	}()
	<-done
}

func (c *Conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// contain runs a piece of the handler. A panic is logged by its place alone: its
// value may hold what the peer sent.
func (c *Conn) contain(what string, f func()) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		kind := fmt.Sprintf("%T", p)
		if err, ok := p.(runtime.Error); ok {
			kind = err.Error()
		}
		c.group.cfg.Logger.Error("socket: handler panicked", "in", what, "panic", kind, "stack", string(debug.Stack()))
		c.Close(CodeInternal, "internal error")
	}()
	f()
}

// next returns the next whole message, which is valid until the following call,
// and answers control frames on the way.
func (c *Conn) next() ([]byte, error) {
	for {
		h, err := readHeader(&c.in, c.scratch[:], c.fragmented)
		if err != nil {
			return nil, err
		}
		if isControl(h) {
			if err := c.control(h); err != nil {
				return nil, err
			}
			continue
		}
		if h.Length > c.group.cfg.ReadLimit-int64(len(c.partial)) {
			return nil, &violation{CodeTooBig, fmt.Sprintf("a message may have %d bytes", c.group.cfg.ReadLimit)}
		}
		data, err := c.payload(h)
		if err != nil {
			return nil, err
		}
		if c.fragmented = !h.Fin; c.fragmented {
			continue
		}
		c.partial = nil
		if !utf8.Valid(data) {
			return nil, &violation{CodeInvalidText, "text is not UTF-8"}
		}
		return data, nil
	}
}

// payload reads a data frame's payload and returns the message as far as it has
// come. A short message in one frame stays where it was read.
func (c *Conn) payload(h header) ([]byte, error) {
	if h.Fin && !c.fragmented && h.Length <= bufferSize {
		p, err := c.in.need(int(h.Length))
		unmask(h, p)
		return p, err
	}
	before := len(c.partial)
	all, err := c.in.appendN(c.partial, int(h.Length))
	unmask(h, all[before:])
	c.partial = all
	return all, err
}

// control handles a ping, a pong or a close; the last always ends in an error.
func (c *Conn) control(h header) error {
	payload, err := c.in.need(int(h.Length))
	if err != nil {
		return err
	}
	unmask(h, payload)
	c.hear()
	if isClose(h) {
		return parseClose(payload)
	}
	if isPing(h) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.closing {
			// Only the latest ping need be answered (RFC 6455, section 5.5.3), so
			// that a flood of them can't fill the queue.
			c.pong = pongFrame(payload)
			c.startWriter()
		}
	}
	return nil
}

// depart parts with the peer after the last frame that was understood.
func (c *Conn) depart(err error) {
	if bad, ok := errors.AsType[*violation](err); ok {
		c.Close(bad.code, bad.reason)
		c.in.drain()
		return
	}
	bye, ok := errors.AsType[*farewell](err)
	if !ok {
		c.cutOff(CodeAbnormal)
		return
	}
	c.mu.Lock()
	if !c.closing {
		// What is still queued is of no use to a peer that has left.
		c.dropQueue()
		c.clean = bye.code == CodeNormal
		c.bid(bye.code, "")
	}
	c.hangUp = true
	parted := c.parted
	c.mu.Unlock()
	if !parted {
		c.in.drain()
	}
}
