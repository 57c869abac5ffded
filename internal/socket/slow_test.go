package socket_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"usher/internal/socket"
)

// flood sends to a connection until its queue is full.
func flood(t testing.TB, c *socket.Conn, message socket.Prepared) {
	t.Helper()
	for range 100_000 {
		if err := c.SendPrepared(message); errors.Is(err, socket.ErrClosed) {
			return
		}
	}
	t.Fatal("the queue never filled up")
}

func TestASlowReaderIsPutOutAndHoldsUpNobody(t *testing.T) {
	s := serve(t, socket.Config{QueueLimit: 64 << 10, WriteTimeout: time.Second}, nil)
	stuck := s.dialRaw(t)
	stuckRec := receive(t, s.opened, "open")
	const healthy = 100
	conns := make([]*rawConn, healthy)
	recs := make([]*recorder, healthy)
	for i := range conns {
		conns[i] = s.dialRaw(t)
		recs[i] = receive(t, s.opened, "open")
	}
	var put bool
	var rounds int
	for ; !put && rounds < 100_000; rounds++ {
		text := fmt.Appendf(nil, "%d %s", rounds, bytes.Repeat([]byte("m"), 8<<10))
		message := socket.Prepare(text)
		put = errors.Is(stuckRec.conn.SendPrepared(message), socket.ErrClosed)
		if rounds%10 != 0 {
			continue
		}
		for i, rec := range recs {
			if err := rec.conn.SendPrepared(message); err != nil {
				t.Fatalf("round %d: connection %d: %v", rounds, i, err)
			}
		}
		for i, c := range conns {
			if _, got := c.frame(t); !bytes.Equal(got, text) {
				t.Fatalf("round %d: connection %d got %.20q", rounds, i, got)
			}
		}
	}
	if !put {
		t.Fatal("the slow reader was never put out")
	}
	wantEnd(t, stuckRec, socket.CodeTooSlow, false)
	_ = stuck.Close()
	if got := s.group.Len(); got != healthy {
		t.Errorf("%d connections are left, want %d", got, healthy)
	}
}

func TestASlowReaderThatWakesUpReadsWhy(t *testing.T) {
	s := serve(t, socket.Config{QueueLimit: 32 << 10}, nil)
	c := s.dialRaw(t)
	rec := receive(t, s.opened, "open")
	flood(t, rec.conn, socket.Prepare(bytes.Repeat([]byte("m"), 1<<10)))
	if got := c.closeCode(t); got != socket.CodeTooSlow {
		t.Errorf("closed with %d, want 1013", got)
	}
	_ = c.Close()
	wantEnd(t, rec, socket.CodeTooSlow, false)
}

func TestAWriteThatTakesTooLongEndsIt(t *testing.T) {
	s := serve(t, socket.Config{QueueLimit: 256 << 20, WriteTimeout: 50 * time.Millisecond}, nil)
	s.dialRaw(t)
	rec := receive(t, s.opened, "open")
	for range 64 { // far more than two socket buffers hold, far less than the queue
		_ = rec.conn.Send(bytes.Repeat([]byte("m"), 1<<20))
	}
	wantEnd(t, rec, socket.CodeTooSlow, false)
}

func TestOneMessageMayBeLargerThanTheQueue(t *testing.T) {
	s := serve(t, socket.Config{QueueLimit: 1 << 10}, nil)
	c := s.dialRaw(t)
	rec := receive(t, s.opened, "open")
	if err := rec.conn.Send(bytes.Repeat([]byte("m"), 100<<10)); err != nil {
		t.Fatal(err)
	}
	if _, got := c.frame(t); len(got) != 100<<10 {
		t.Errorf("got %d bytes", len(got))
	}
}

func TestWhatTheSocketTakesOnlyAPartOfArrivesWholeAndInOrder(t *testing.T) {
	s := serve(t, socket.Config{QueueLimit: 64 << 20}, nil)
	c := s.dialRaw(t)
	rec := receive(t, s.opened, "open")
	want := make([][]byte, 8)
	for i := range want {
		want[i] = fmt.Appendf(nil, "%d ", i)
		if i%2 == 0 { // more than both ends of a socket hold
			want[i] = bytes.Repeat(want[i], 4<<20)
		}
		if err := rec.conn.Send(want[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range want {
		if _, got := c.frame(t); !bytes.Equal(got, want[i]) {
			t.Errorf("message %d has %d bytes and begins with %.10q, want %d of %.10q", i, len(got), got, len(want[i]), want[i])
		}
	}
}

func TestAnOfferToASlowReaderIsNotTakenAndHarmsNobody(t *testing.T) {
	s := serve(t, socket.Config{QueueLimit: 32 << 10, WriteTimeout: patience}, nil)
	c := s.dialRaw(t)
	rec := receive(t, s.opened, "open")
	taken := 0
	for err := error(nil); err == nil; taken++ {
		if taken == 100_000 {
			t.Fatal("the queue never filled up")
		}
		if err = rec.conn.Offer(socket.Prepare(fmt.Appendf(nil, "%d %01000d", taken, 0))); err != nil && !errors.Is(err, socket.ErrFull) {
			t.Fatalf("offer %d: %v", taken, err)
		}
	}
	for i := range taken - 1 {
		if _, got := c.frame(t); !bytes.HasPrefix(got, fmt.Appendf(nil, "%d ", i)) {
			t.Fatalf("message %d reads %.20q", i, got)
		}
	}
	if err := rec.conn.Offer(socket.Prepare([]byte("again"))); err != nil {
		t.Errorf("after all was read: %v", err)
	}
	if _, got := c.frame(t); string(got) != "again" {
		t.Errorf("got %q, want again", got)
	}
	rec.conn.Close(socket.CodeNormal, "")
	if err := rec.conn.Offer(socket.Prepare([]byte("late"))); !errors.Is(err, socket.ErrClosed) {
		t.Errorf("after the close: got error %v, want %v", err, socket.ErrClosed)
	}
}
