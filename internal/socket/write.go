package socket

import (
	"bytes"
	"errors"
	"os"
	"time"
)

// Prepared is a text message made ready once for any number of connections.
type Prepared struct {
	frame []byte
	lent  bool
}

// Prepare copies a text message, which must be UTF-8, into a frame.
func Prepare(data []byte) Prepared { return Prepared{frame: textFrame(data)} }

// Room is how many bytes [Lend] needs in front of a message.
const Room = headSize

// Lend makes a message of what is in buf behind the first [Room] bytes, without a
// copy: most are written at once, and so never kept. The buffer is the caller's
// again when it has been sent.
func Lend(buf []byte) Prepared { return Prepared{frameIn(buf), true} }

// Kept returns the message with bytes of its own, for who keeps it.
func (m Prepared) Kept() Prepared {
	if m.lent {
		m = Prepared{frame: bytes.Clone(m.frame)}
	}
	return m
}

// Text returns the message, which must not be changed.
func (m Prepared) Text() []byte { return frameText(m.frame) }

// Send queues a copy of a text message, which must be UTF-8. It never blocks: a
// message that no longer fits in the queue closes the connection with
// [CodeTooSlow] instead, and [ErrClosed] is returned, as it is from then on.
func (c *Conn) Send(data []byte) error { return c.SendPrepared(Prepare(data)) }

// SendPrepared queues a message as [Conn.Send] does, without a copy.
func (c *Conn) SendPrepared(m Prepared) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing && !c.fits(m) {
		c.dropQueue()
		c.bid(CodeTooSlow, "reading too slowly")
	}
	return c.queueFrame(m)
}

// Offer is SendPrepared for a sender who can wait: a message that no longer fits
// in the queue is not taken, and [ErrFull] is returned.
func (c *Conn) Offer(m Prepared) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing && !c.fits(m) {
		return ErrFull
	}
	return c.queueFrame(m)
}

// fits reports whether there is room for a message. c.mu is held.
func (c *Conn) fits(m Prepared) bool {
	held := c.waiting + c.flying
	return held == 0 || held+len(m.frame) <= c.group.cfg.QueueLimit
}

// queueFrame queues a message for which there is room. c.mu is held.
func (c *Conn) queueFrame(m Prepared) error {
	if c.closing {
		return ErrClosed
	}
	frame := m.frame
	if !c.writing { // so nothing is queued
		if frame = frame[c.in.tryWrite(frame):]; len(frame) < len(m.frame) {
			if m.lent {
				frame = bytes.Clone(frame)
			}
			c.finish(frame)
			return nil
		}
	}
	if m.lent {
		frame = bytes.Clone(frame)
	}
	c.queue = append(c.queue, frame)
	c.waiting += len(frame)
	c.startWriter()
	return nil
}

// finish has the rest of a frame written of which the socket took a part. It is
// under way and not in the queue, which may be dropped. c.mu is held.
func (c *Conn) finish(rest []byte) {
	if len(rest) == 0 {
		return
	}
	c.flying = len(rest)
	c.writing = true
	c.writers.Go(func() {
		if c.wrote(c.putBytes(rest)) {
			c.write()
		}
	})
}

// dropQueue forgets what no write has begun with. c.mu is held.
func (c *Conn) dropQueue() {
	clear(c.queue)
	c.queue, c.waiting = c.queue[:0], 0
}

// startWriter sees to it that what is queued gets written. c.mu is held.
func (c *Conn) startWriter() {
	if !c.writing {
		c.writing = true
		c.writers.Go(c.write)
	}
}

// write writes until nothing is queued or all is over. In the latter case
// c.writing stays true, so that nobody writes behind the close frame.
func (c *Conn) write() {
	var frames, spare [][]byte
	for {
		c.mu.Lock()
		frames, c.queue = c.queue, spare[:0]
		pong, last := c.pong, c.closing
		c.flying, c.waiting, c.pong = c.waiting, 0, nil
		if len(frames) == 0 && pong == nil {
			c.queue = nil
			c.writing = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()

		if !c.wrote(c.put(pong, frames)) {
			return
		}
		if last {
			c.part()
			return
		}
		clear(frames)
		spare = frames
	}
}

// wrote reports whether a write went well, and cuts off if it did not.
func (c *Conn) wrote(err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.cutOff(CodeTooSlow)
	default:
		c.cutOff(CodeAbnormal)
	}
	return false
}

// part follows the close frame: the stream ends here, so that the peer reads the
// code to the end before it hears that nothing more comes. A socket that is
// closed while bytes from the peer are unread would take the code back.
func (c *Conn) part() {
	c.mu.Lock()
	c.parted = true
	hangUp := c.hangUp
	c.mu.Unlock()
	if hangUp {
		c.sever()
		return
	}
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// put writes frames, gathering short ones so that they share a system call and,
// with TLS, a record.
func (c *Conn) put(pong []byte, frames [][]byte) error {
	if pong == nil && len(frames) == 1 {
		return c.putBytes(frames[0])
	}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	n := copy(buf[:], pong)
	for _, f := range frames {
		if n+len(f) > bufferSize {
			if err := c.putBytes(buf[:n]); err != nil {
				return err
			}
			n = 0
		}
		if len(f) > bufferSize {
			if err := c.putBytes(f); err != nil {
				return err
			}
			continue
		}
		n += copy(buf[n:], f)
	}
	return c.putBytes(buf[:n])
}

// putBytes writes bytes within the time that the peer may take for them.
func (c *Conn) putBytes(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.group.cfg.WriteTimeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(p)
	return err
}
