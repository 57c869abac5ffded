package socket_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"usher/internal/socket"
)

func TestHostileFramesAreAnsweredWithTheirCode(t *testing.T) {
	const limit = 1000
	join := func(frames ...[]byte) []byte { return slices.Concat(frames...) }
	tests := map[string]struct {
		send []byte
		want socket.Code
	}{
		"an unmasked frame":                       {[]byte{opText, 2, 'h', 'i'}, socket.CodeProtocolError},
		"the first reserved bit":                  {masked(opText|0x40, "hi"), socket.CodeProtocolError},
		"the second reserved bit":                 {masked(opText|0x20, "hi"), socket.CodeProtocolError},
		"the third reserved bit":                  {masked(opPing|0x10, ""), socket.CodeProtocolError},
		"a reserved data opcode":                  {masked(fin|0x3, "hi"), socket.CodeProtocolError},
		"a reserved control opcode":               {masked(fin|0xb, ""), socket.CodeProtocolError},
		"a fragmented ping":                       {masked(0x09, "hi"), socket.CodeProtocolError},
		"a ping of 126 bytes":                     {masked(opPing, strings.Repeat("p", 126)), socket.CodeProtocolError},
		"a continuation of nothing":               {masked(fin|opContinuation, "hi"), socket.CodeProtocolError},
		"a new message amid fragments":            {join(masked(0x01, "h"), masked(opText, "i")), socket.CodeProtocolError},
		"a length with the top bit":               {maskedHead(opText, 0xffff_ffff_ffff_fff0), socket.CodeProtocolError},
		"the largest length there is":             {maskedHead(opText, 1<<63-1), socket.CodeTooBig},
		"one byte more than allowed":              {masked(opText, strings.Repeat("x", limit+1)), socket.CodeTooBig},
		"fragments that add up to too much":       {join(masked(0x01, strings.Repeat("x", limit)), masked(fin, "x")), socket.CodeTooBig},
		"much more than allowed, sent in full":    {masked(opText, strings.Repeat("x", 300_000)), socket.CodeTooBig},
		"a binary message":                        {masked(opBinary, "hi"), socket.CodeUnsupported},
		"a fragmented binary message":             {masked(0x02, "hi"), socket.CodeUnsupported},
		"text that is not UTF-8":                  {masked(opText, "\xc0\xaf"), socket.CodeInvalidText},
		"text whose fragments make no UTF-8":      {join(masked(0x01, "\xe2\x82"), masked(fin, "x")), socket.CodeInvalidText},
		"a close frame of one byte":               {masked(opClose, "x"), socket.CodeProtocolError},
		"a close code that must not be sent":      {masked(opClose, closing(1006, "")), socket.CodeProtocolError},
		"a close code that nobody defined":        {masked(opClose, closing(2999, "")), socket.CodeProtocolError},
		"a close reason that is not UTF-8":        {masked(opClose, closing(1000, "\xff")), socket.CodeInvalidText},
		"rubbish":                                 {[]byte("GET / HTTP/1.1\r\nHost: usher\r\n\r\n"), socket.CodeProtocolError},
		"a good message and then an unmasked one": {join(masked(opText, "good"), []byte{opText, 2, 'h', 'i'}), socket.CodeProtocolError},
	}
	s := serve(t, socket.Config{ReadLimit: limit}, nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := s.dialRaw(t)
			rec := receive(t, s.opened, "open")
			c.write(t, test.send)
			if got := c.closeCode(t); got != test.want {
				t.Errorf("closed with %d, want %d", got, test.want)
			}
			_ = c.Close()
			wantEnd(t, rec, test.want, false)
			for range len(rec.messages) {
				if got := <-rec.messages; got != "good" {
					t.Errorf("delivered %q", got)
				}
			}
		})
	}
}

func TestGoodFramesMakeMessages(t *testing.T) {
	large := strings.Repeat("héllo ", 12_000) // what a media offer has, and more
	tests := map[string]struct {
		send []byte
		want []string
	}{
		"one text":                 {masked(opText, "hi"), []string{"hi"}},
		"an empty text":            {masked(opText, ""), []string{""}},
		"two in one segment":       {slices.Concat(masked(opText, "a"), masked(opText, "b")), []string{"a", "b"}},
		"fragments":                {slices.Concat(masked(0x01, "a"), masked(0, "b"), masked(fin, "c")), []string{"abc"}},
		"empty fragments":          {slices.Concat(masked(0x01, ""), masked(0, ""), masked(fin, "")), []string{""}},
		"a rune in two fragments":  {slices.Concat(masked(0x01, "\xe2\x82"), masked(fin, "\xac")), []string{"€"}},
		"controls amid fragments":  {slices.Concat(masked(0x01, "a"), masked(opPing, "p"), masked(opPong, "q"), masked(fin, "b")), []string{"ab"}},
		"a large one":              {masked(opText, large), []string{large}},
		"large ones in a row":      {slices.Concat(masked(opText, large), masked(opText, "x"), masked(opText, large)), []string{large, "x", large}},
		"a large one in fragments": {slices.Concat(masked(0x01, large), masked(opPing, ""), masked(fin, large)), []string{large + large}},
		"just what is buffered":    {slices.Concat(masked(opText, "x"), masked(opText, strings.Repeat("y", 4096)), masked(opText, "z")), []string{"x", strings.Repeat("y", 4096), "z"}},
	}
	s := serve(t, socket.Config{}, nil)
	for name, test := range tests {
		for _, how := range []string{"at once", "byte by byte", "behind the request"} {
			t.Run(name+", "+how, func(t *testing.T) {
				var c *rawConn
				switch {
				case how == "behind the request" && len(test.send) < 3000:
					c = s.dialRaw(t, test.send...)
				case how == "byte by byte" && len(test.send) < 10_000:
					c = s.dialRaw(t)
					for i := range test.send {
						c.write(t, test.send[i:i+1])
					}
				default:
					c = s.dialRaw(t)
					c.write(t, test.send)
				}
				rec := receive(t, s.opened, "open")
				for _, want := range test.want {
					if got := receive(t, rec.messages, "message"); got != want {
						t.Fatalf("got %d bytes %.20q, want %d bytes %.20q", len(got), got, len(want), want)
					}
				}
				c.write(t, masked(opClose, closing(1000, "bye")))
				if got := c.closeCode(t); got != socket.CodeNormal {
					t.Errorf("close echoed with %d, want 1000", got)
				}
				wantEnd(t, rec, socket.CodeNormal, true)
			})
		}
	}
}

func TestPingsAreAnsweredWithTheirPayload(t *testing.T) {
	s := serve(t, socket.Config{}, nil)
	c := s.dialRaw(t)
	c.write(t, masked(opPing, "are you there"))
	if opcode, payload := c.frame(t); opcode != opPong || string(payload) != "are you there" {
		t.Errorf("got %#x %q, want a pong with the ping's payload", opcode, payload)
	}
}

func TestAFloodOfPingsIsNotKept(t *testing.T) {
	s := serve(t, socket.Config{QueueLimit: 1 << 10}, nil)
	c := s.dialRaw(t)
	const pings = 20_000
	var flood []byte
	for i := range pings {
		flood = append(flood, masked(opPing, fmt.Sprintf("%0100d", i))...)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(flood)
		sent <- err
	}()
	for want := fmt.Sprintf("%0100d", pings-1); ; {
		if opcode, payload := c.frame(t); opcode != opPong {
			t.Fatalf("got %#x %q, want pongs only", opcode, payload)
		} else if string(payload) == want {
			break
		}
	}
	if err := receive(t, sent, "end of the flood"); err != nil {
		t.Fatal(err)
	}
}

func TestARealClientIsEchoed(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			s := unstarted(socket.Config{Subprotocols: []string{"usher.v1", "usher.v2"}}, func(r *recorder) { r.onMessage = echo })
			if secure {
				s.StartTLS()
			} else {
				s.Start()
			}
			t.Cleanup(func() { s.stop(t) })
			c, rec := s.dial(t, &websocket.DialOptions{
				Subprotocols:    []string{"other", "usher.v1"},
				CompressionMode: websocket.CompressionContextTakeover, // offered, and not taken
			})
			if got := c.Subprotocol(); got != "usher.v1" || rec.conn.Subprotocol() != got {
				t.Errorf("subprotocol is %q for the client and %q for us", got, rec.conn.Subprotocol())
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			for _, n := range []int{0, 1, 125, 126, 4095, 4096, 4097, 65_535, 65_536, 200_000} {
				want := strings.Repeat("z", n)
				if err := c.Write(ctx, websocket.MessageText, []byte(want)); err != nil {
					t.Fatal(err)
				}
				kind, got, err := c.Read(ctx)
				if err != nil || kind != websocket.MessageText || string(got) != want {
					t.Fatalf("echo of %d bytes: %d bytes, %v, %v", n, len(got), kind, err)
				}
			}
			if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
				t.Errorf("close handshake: %v", err)
			}
			wantEnd(t, rec, socket.CodeNormal, true)
		})
	}
}
