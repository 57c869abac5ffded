package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// crowd is the clients of a measured server: 0 and 1 send each other messages,
// 2 and 3, and so on.
type crowd struct {
	start   time.Time // what times are measured from
	sockets []*crowdSocket
	readers sync.WaitGroup
	stage   atomic.Pointer[stage]
	closing atomic.Bool
	lost    chan error // why a connection was lost, the first
}

// crowdSocket is one client.
type crowdSocket struct {
	index int
	conn  net.Conn

	mu    sync.Mutex
	frame []byte // what it sends to its partner
	stamp []byte // where in frame the time goes
}

// A stamp is how the payload of a message begins: the addressee and the time, in
// hexadecimal, behind a mark.
const (
	stampMark   = `"bench:`
	stampTo     = 8
	stampDigits = stampTo + 16
)

// gather connects so many clients, and returns when all were greeted.
func gather(ctx context.Context, server socketServer, base string, n int) (*crowd, error) {
	c := &crowd{start: time.Now(), sockets: make([]*crowdSocket, n), lost: make(chan error, 1)}
	c.rest()
	err := each(n, func(i int) error {
		s, err := c.connect(ctx, server, base, i)
		c.sockets[i] = s
		return err
	})
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// sourceOf spreads clients over the addresses of this machine, so that none runs
// out of ports.
func sourceOf(i int) *net.TCPAddr { return &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/4000))} }

// greetTime is how long a client may wait until it is greeted.
const greetTime = 30 * time.Second

// connect brings in one client.
func (c *crowd) connect(ctx context.Context, server socketServer, base string, i int) (*crowdSocket, error) {
	dialer := ws.Dialer{
		Timeout:        greetTime,
		ReadBufferSize: 1 << 10,
		NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			d := net.Dialer{LocalAddr: sourceOf(i)}
			return d.DialContext(ctx, network, addr)
		},
		TLSConfig: &tls.Config{InsecureSkipVerify: true}, // the server is a child of ours, on this machine
	}
	if server.subprotocol != "" {
		dialer.Protocols = []string{server.subprotocol}
	}
	conn, early, _, err := dialer.Dial(ctx, server.url(base, i))
	if err != nil {
		return nil, fmt.Errorf("connection %d: %w", i, err)
	}
	s := &crowdSocket{index: i, conn: conn}
	r := early
	if r == nil {
		r = bufio.NewReaderSize(conn, 1<<10)
	}
	if server.hello != nil {
		if err := wsutil.WriteClientText(conn, []byte(server.hello(i))); err != nil {
			return s, err
		}
	}
	if err := conn.SetReadDeadline(time.Now().Add(greetTime)); err != nil {
		return s, err
	}
	text, err := s.next(r, nil)
	if err == nil && !bytes.Contains(text, []byte(server.greeting)) {
		err = fmt.Errorf("connection %d was greeted with %q", i, text)
	}
	if err = errors.Join(err, conn.SetReadDeadline(time.Time{})); err != nil {
		return s, err
	}
	c.readers.Go(func() { c.read(s, r) })
	return s, nil
}

// load has every client send messages with payloads of that size from now on.
func (c *crowd) load(server socketServer, size int) {
	for _, s := range c.sockets {
		to := s.index ^ 1
		text := []byte(server.envelope(to) + stampMark + fmt.Sprintf("%0*x", stampTo, to) + strings.Repeat("0", stampDigits-stampTo))
		head := len(server.envelope(to)) + len(stampMark)
		text = append(text, strings.Repeat("m", max(0, size-len(stampMark)-stampDigits-1))+`"}`...)
		frame := ws.MaskFrameInPlaceWith(ws.NewTextFrame(text), [4]byte{}) // so that the stamp can be changed
		data := ws.MustCompileFrame(frame)
		at := len(data) - len(text) + head + stampTo
		s.mu.Lock()
		s.frame, s.stamp = data, data[at:at+stampDigits-stampTo]
		s.mu.Unlock()
	}
}

// next returns the text of the next message, in buf if it has room, and answers
// pings on the way.
func (s *crowdSocket) next(r *bufio.Reader, buf []byte) ([]byte, error) {
	for {
		h, err := ws.ReadHeader(r)
		if err != nil {
			return nil, err
		}
		buf = slices.Grow(buf[:0], int(h.Length))[:h.Length]
		if _, err := io.ReadFull(r, buf); err != nil {
			return nil, err
		}
		switch h.OpCode {
		case ws.OpText:
			return buf, nil
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(buf)
			return nil, fmt.Errorf("closed by the server: %d %s", code, reason)
		case ws.OpPing:
			s.mu.Lock()
			err = wsutil.WriteClientMessage(s.conn, ws.OpPong, buf)
			s.mu.Unlock()
			if err != nil {
				return nil, err
			}
		}
	}
}

// read counts what the client gets until the connection is closed.
func (c *crowd) read(s *crowdSocket, r *bufio.Reader) {
	var buf []byte
	var err error
	for {
		if buf, err = s.next(r, buf); err != nil {
			break
		}
		i := bytes.Index(buf, []byte(stampMark))
		if i < 0 || len(buf) < i+len(stampMark)+stampDigits {
			if bytes.Contains(buf, []byte(`"error"`)) {
				err = fmt.Errorf("the server said %q", buf)
				break
			}
			continue // who is there
		}
		stamp := string(buf[i+len(stampMark):][:stampDigits])
		to, _ := strconv.ParseInt(stamp[:stampTo], 16, 64)
		planned, _ := strconv.ParseInt(stamp[stampTo:], 16, 64)
		if int(to) != s.index {
			err = errors.New("a message came to the wrong connection")
			break
		}
		if err = c.stage.Load().arrived(c, time.Duration(planned)); err != nil {
			break
		}
	}
	if !c.closing.Load() {
		c.fail(fmt.Errorf("connection %d: %w", s.index, err))
	}
}

// fail keeps the first error.
func (c *crowd) fail(err error) {
	select {
	case c.lost <- err:
	default:
	}
}

// send sends the message of a client to its partner, as of a time.
func (s *crowdSocket) send(planned time.Duration) error {
	const digits = "0123456789abcdef"
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, v := len(s.stamp)-1, uint64(planned); i >= 0; i, v = i-1, v>>4 {
		s.stamp[i] = digits[v&15]
	}
	_, err := s.conn.Write(s.frame)
	return err
}

// close leaves.
func (c *crowd) close() {
	c.closing.Store(true)
	for _, s := range c.sockets {
		if s != nil {
			_ = s.conn.Close() // the server notices
		}
	}
	c.readers.Wait()
}

// stage is one measurement of what a crowd is relayed.
type stage struct {
	// Messages are sent from start until it has ended, and count if they arrive
	// from counted on.
	start, counted time.Duration
	ended          atomic.Bool
	refill         bool // who gets a message has the next one sent
	turn           atomic.Int64
	delivered      atomic.Int64

	mu    sync.Mutex
	times []time.Duration // from when a message was to be sent until it arrived
}

// send sends the message of the next client in turn.
func (st *stage) send(c *crowd, planned time.Duration) error {
	n := int64(len(c.sockets))
	i := (st.turn.Add(1) - 1) % n
	if i *= 2; i >= n { // 0, 2, 4 … then 1, 3, 5 …
		i -= n - 1
	}
	return c.sockets[i].send(planned)
}

// arrived counts a message.
func (st *stage) arrived(c *crowd, planned time.Duration) error {
	now := time.Since(c.start)
	if planned < st.start || st.ended.Load() {
		return nil
	}
	if now >= st.counted {
		st.delivered.Add(1)
	}
	if st.refill {
		return st.send(c, now)
	}
	if planned >= st.counted {
		st.mu.Lock()
		st.times = append(st.times, now-planned)
		st.mu.Unlock()
	}
	return nil
}

// relayed is what was measured of relaying.
type relayed struct {
	measurement
	cpu time.Duration // of the server, for each message
}

// rest has nothing sent nor counted.
func (c *crowd) rest() {
	st := &stage{}
	st.ended.Store(true)
	c.stage.Store(st)
}

const (
	// settleTimeOfStage is how long what is under way may take afterwards.
	settleTimeOfStage = 300 * time.Millisecond
	// arriveTime is how long the first message may take.
	arriveTime = 30 * time.Second
)

// run measures for a time, after a third of it in which nothing counts: with so
// many messages under way, or else at a rate.
func (c *crowd) run(p *measuredProcess, d time.Duration, window int, rate float64) (relayed, error) {
	begin := time.Since(c.start)
	st := &stage{start: begin, counted: begin + d/3, refill: window > 0}
	var sender sync.WaitGroup
	defer sender.Wait()
	c.stage.Store(st)
	defer c.rest()
	defer st.ended.Store(true)
	if window > 0 {
		for range min(window, len(c.sockets)) {
			if err := st.send(c, time.Since(c.start)); err != nil {
				return relayed{}, err
			}
		}
	} else {
		sender.Go(func() {
			if err := c.pace(st, rate); err != nil {
				c.fail(err)
			}
		})
	}
	if err := c.until(st.counted); err != nil {
		return relayed{}, err
	}
	before, err := p.cpu()
	if err != nil {
		return relayed{}, err
	}
	begin = time.Since(c.start)
	for end := begin + d; end == begin+d || st.delivered.Load() == 0 && end < begin+arriveTime; end += d {
		if err := c.until(end); err != nil {
			return relayed{}, err
		}
	}
	after, err := p.cpu()
	if err != nil {
		return relayed{}, err
	}
	n, took := st.delivered.Load(), time.Since(c.start)-begin
	st.ended.Store(true)
	if err := c.until(begin + took + settleTimeOfStage); err != nil {
		return relayed{}, err
	}
	if n == 0 {
		return relayed{}, errors.New("no message arrived")
	}
	r := relayed{measurement: measurement{rate: float64(n) / took.Seconds()}, cpu: (after - before) / time.Duration(n)}
	st.mu.Lock()
	defer st.mu.Unlock()
	if slices.Sort(st.times); len(st.times) > 0 {
		r.p50, r.p99 = st.times[len(st.times)/2], st.times[len(st.times)*99/100]
	}
	return r, nil
}

// pace sends at a rate. A message's time counts from when it was to be sent, so
// that who makes others wait is charged for them, too.
func (c *crowd) pace(st *stage, rate float64) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	exactly()
	for k := 0; ; k++ {
		planned := st.start + time.Duration(float64(k)/rate*float64(time.Second))
		for !st.ended.Load() {
			left := planned - time.Since(c.start)
			if left <= 0 {
				break
			}
			nap(left)
		}
		if st.ended.Load() {
			return nil
		}
		if err := st.send(c, planned); err != nil {
			return err
		}
	}
}

// until waits, unless a connection is lost.
func (c *crowd) until(t time.Duration) error {
	timer := time.NewTimer(t - time.Since(c.start))
	defer timer.Stop()
	select {
	case err := <-c.lost:
		return err
	case <-timer.C:
		return nil
	}
}
