package e2e_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"usher"
	"usher/client"
)

// The first bytes of frames.
const (
	fin           = 0x80
	continuation  = 0x0
	textFrame     = 0x1
	binaryFrame   = 0x2
	closeFrame    = 0x8
	pingFrame     = 0x9
	pongFrame     = 0xA
	reservedFrame = 0x3
	reservedBit   = 0x40
)

// maskedFrame is a frame as a client sends it.
func maskedFrame(first byte, payload string) string {
	mask := [4]byte{1, 2, 3, 4}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return string(b)
}

// rawSignal is a connection to /signal whose bytes no client makes.
type rawSignal struct {
	net.Conn
	t    testing.TB
	from *bufio.Reader
}

func (s *Server) rawSignal(token usher.Secret) rawSignal {
	s.t.Helper()
	conn, err := net.Dial("tcp", hostOf(s.t, s.HTTP))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	c := rawSignal{conn, s.t, bufio.NewReader(conn)}
	c.write("GET /signal?Auth=" + s.Secret(token.Reveal()) + " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	resp, err := http.ReadResponse(c.from, &http.Request{Method: http.MethodGet})
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		s.t.Fatalf("the upgrade: got %+v and error %v", resp, err)
	}
	return c
}

// write writes what the server may not want to read to its end.
func (c rawSignal) write(text string) { _, _ = io.WriteString(c.Conn, text) }

// frame reads one.
func (c rawSignal) frame() (opcode byte, payload string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(c.from, head[:]); err != nil {
		return 0, "", err
	}
	size := uint64(head[1])
	switch size {
	case 126:
		var n uint16
		err = binary.Read(c.from, binary.BigEndian, &n)
		size = uint64(n)
	case 127:
		err = binary.Read(c.from, binary.BigEndian, &size)
	}
	if err != nil {
		return 0, "", err
	}
	data := make([]byte, size)
	_, err = io.ReadFull(c.from, data)
	return head[0] & 0xF, string(data), err
}

// closeCode reads until the server closes and returns its code, or 0.
func (c rawSignal) closeCode() int {
	for {
		opcode, payload, err := c.frame()
		if err != nil {
			return 0
		}
		if opcode == closeFrame && len(payload) >= 2 {
			return int(binary.BigEndian.Uint16([]byte(payload)))
		}
	}
}

func TestFramesThatAreWrongCloseTheSocketWithTheirCode(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()) + unlimited})
	large := strings.Repeat("m", 200<<10)
	for name, test := range map[string]struct {
		frames string
		code   int
	}{
		"not masked":                          {"\x81\x02{}", 1002},
		"a reserved bit":                      {maskedFrame(fin|reservedBit|textFrame, "{}"), 1002},
		"a reserved kind":                     {maskedFrame(fin|reservedFrame, "{}"), 1002},
		"a continuation of nothing":           {maskedFrame(fin|continuation, "{}"), 1002},
		"a message in the midst of another":   {maskedFrame(textFrame, "{") + maskedFrame(fin|textFrame, "{}"), 1002},
		"a ping in fragments":                 {maskedFrame(pingFrame, ""), 1002},
		"a ping that is too long":             {maskedFrame(fin|pingFrame, strings.Repeat("p", 126)), 1002},
		"a close with half a code":            {maskedFrame(fin|closeFrame, "\x03"), 1002},
		"a close with a code that is none":    {maskedFrame(fin|closeFrame, "\x03\xED"), 1002},
		"a length whose first bit is set":     {"\x81\xFF\x80\x00\x00\x00\x00\x00\x00\x01\x01\x02\x03\x04", 1002},
		"binary":                              {maskedFrame(fin|binaryFrame, "{}"), 1003},
		"not UTF-8":                           {maskedFrame(fin|textFrame, "{\xff}"), 1007},
		"not UTF-8, over two fragments":       {maskedFrame(textFrame, "{\"\xc3") + maskedFrame(fin|continuation, "\"}"), 1007},
		"too large":                           {maskedFrame(fin|textFrame, large+large), 1009},
		"too large in fragments":              {maskedFrame(textFrame, large) + maskedFrame(fin|continuation, large), 1009},
		"too large, and only its length":      {"\x81\xFF\x00\x00\x00\x01\x00\x00\x00\x00\x01\x02\x03\x04", 1009},
		"in fragments that never end":         {maskedFrame(textFrame, "{") + strings.Repeat(maskedFrame(continuation, strings.Repeat(" ", 1000)), 300), 1009},
		"a close, which is answered as it is": {maskedFrame(fin|closeFrame, "\x03\xE8bye"), 1000},
	} {
		c := s.rawSignal(i.token("eve"))
		go c.write(test.frames)
		if got := c.closeCode(); got != test.code {
			t.Errorf("%s: closed with %d, want %d", name, got, test.code)
		}
		_ = c.Close()
	}
	until(t, "some of them are still counted", socketTime, func() bool { return s.metric("usher_signaling_connections") == 0 })
}

func TestFragmentsWithPingsBetweenThemAreOneMessage(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry())})
	s.wantMutual(i.token("ann"), i.token("ben"))
	ben := s.signal(i.token("ben"), client.SignalOptions{})
	ann := s.rawSignal(i.token("ann"))
	const message = `{"action":"greeting","to":"ben","id":"1","payload":"grüße"}`
	half := strings.Index(message, "ü") + 1 // in the midst of a character
	frames := maskedFrame(textFrame, message[:5]) + maskedFrame(fin|pingFrame, "are you there?") + maskedFrame(continuation, "") +
		maskedFrame(continuation, message[5:half]) + maskedFrame(fin|pongFrame, "unasked") + maskedFrame(fin|continuation, message[half:])
	for n := range len(frames) { // each byte by itself
		ann.write(frames[n : n+1])
	}
	seen := make(map[string]bool)
	for !seen[fmt.Sprint(pongFrame, "are you there?")] || !seen[fmt.Sprint(textFrame, `{"action":"ack","ref":"1"}`)] {
		opcode, payload, err := ann.frame()
		if err != nil {
			t.Fatalf("the ping or the message was not answered: %v; there came %v", err, seen)
		}
		seen[fmt.Sprint(opcode, payload)] = true
	}
	if m := ben.hear("greeting"); string(m.Payload) != `"grüße"` || m.From != "ann" {
		t.Errorf("ben hears %s from %q", m.Payload, m.From)
	}
}

func TestGarbageOnTheSocketLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := start(t, options{Config: trusting(i.entry()) + unlimited})
	ann := s.signal(i.token("ann"), client.SignalOptions{})
	files := s.openFiles()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				c := s.rawSignal(i.token("eve"))
				garbage := make([]byte, 1+rand.IntN(5000))
				for n := range garbage {
					garbage[n] = byte(rand.Uint32())
				}
				c.write(string(garbage))
				_ = c.Close()
			}
		})
	}
	wg.Wait()
	until(t, "connections are left behind", socketTime, func() bool {
		return s.metric("usher_signaling_connections") == 1 && s.openFiles() <= files+10
	})
	for _, text := range []string{
		``, `[]`, `"x"`, `{`, `{"action":"x"`, `{"action":7}`, `{}`, `{"action":"x","action":"y"}`, `{"action":"x","Action":"y"}`, `{"action":"x","to":"b","to":"c"}`,
		`{"action":"x","to":"b","destination":"c"}`, `{"action":"x","payload":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `}`,
		`{"action":"x","payload":NaN}`, `{"action":"x","payload":01}`, `{"action":"x","callId":"a b"}`, `{"action":"x"} {}`,
	} {
		if err := ann.SendText(within(t, socketTime), []byte(text)); err != nil {
			t.Fatal(err)
		}
		if m := ann.hear("error"); !strings.Contains(string(m.Payload), `"malformed"`) {
			t.Errorf("%s is answered %s", text, m.Payload)
		}
	}
	ann.refused("no_destination", client.Message{Action: "x"}) // it is heard all the same
}
