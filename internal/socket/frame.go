package socket

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// header is the head of one frame.
type header = ws.Header

// violation is a breach of the protocol and the code that answers it.
type violation struct {
	code   Code
	reason string
}

func (v *violation) Error() string { return "socket: " + v.reason }

// farewell is the peer's close frame.
type farewell struct{ code Code }

func (f *farewell) Error() string { return "socket: peer closed: " + f.code.String() }

// handshake answers an upgrade request, which was found to be in order, and
// takes the connection over. early is what the client sent right behind its
// request. No extension is negotiated, so that a frame's bytes are its message's.
func handshake(w http.ResponseWriter, r *http.Request, subprotocol string, timeout time.Duration) (conn net.Conn, early []byte, err error) {
	up := ws.HTTPUpgrader{Timeout: timeout, Header: http.Header{}}
	if subprotocol != "" {
		up.Header.Set("Sec-WebSocket-Protocol", subprotocol)
	}
	conn, rw, _, err := up.Upgrade(r, w)
	if err != nil {
		if conn != nil {
			_ = conn.Close()
		}
		return nil, nil, fmt.Errorf("socket: handshake: %w", err)
	}
	if n := rw.Reader.Buffered(); n > 0 {
		early = make([]byte, n)
		_, _ = io.ReadFull(rw.Reader, early)
	}
	return conn, early, nil
}

// readHeader reads the head of the next frame and checks it against the
// protocol. scratch holds at least 12 bytes.
func readHeader(r io.Reader, scratch []byte, fragmented bool) (header, error) {
	h, err := ws.ReadHeaderBuffer(r, scratch)
	if err == ws.ErrHeaderLengthMSB {
		return h, &violation{CodeProtocolError, "frame length out of range"}
	}
	if err != nil {
		return h, err
	}
	state := ws.StateServerSide
	if fragmented {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return h, &violation{CodeProtocolError, err.Error()}
	}
	if h.OpCode == ws.OpBinary {
		return h, &violation{CodeUnsupported, "only text messages are understood here"}
	}
	return h, nil
}

// unmask restores a payload in place.
func unmask(h header, payload []byte) { ws.Cipher(payload, h.Mask, 0) }

// isControl reports whether the frame is a ping, a pong or a close.
func isControl(h header) bool { return h.OpCode.IsControl() }

// isPing reports whether the frame wants a pong.
func isPing(h header) bool { return h.OpCode == ws.OpPing }

// isClose reports whether the frame is the peer's last.
func isClose(h header) bool { return h.OpCode == ws.OpClose }

// parseClose returns a [farewell], or a [violation] for a close frame that is
// none.
func parseClose(payload []byte) error {
	if len(payload) == 0 {
		return &farewell{CodeNoStatus}
	}
	status, reason := ws.ParseCloseFrameData(payload)
	code := Code(status)
	switch {
	case !code.onWire():
		return &violation{CodeProtocolError, "invalid close code"}
	case !utf8.ValidString(reason):
		return &violation{CodeInvalidText, "close reason is not UTF-8"}
	}
	return &farewell{code}
}

// textFrame, pingFrame, pongFrame and closeFrame return whole frames, ready to
// be written.
func textFrame(data []byte) []byte { return frame(ws.OpText, data) }
func pingFrame() []byte            { return frame(ws.OpPing, nil) }
func pongFrame(data []byte) []byte { return frame(ws.OpPong, data) }

func closeFrame(code Code, reason string) []byte {
	if code == CodeNoStatus {
		return frame(ws.OpClose, nil)
	}
	return frame(ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), cutReason(reason)))
}

// frameText returns the payload of a frame that textFrame made.
func frameText(f []byte) []byte {
	switch f[1] {
	case 126:
		return f[4:]
	case 127:
		return f[10:]
	default:
		return f[2:]
	}
}

// headSize is how long the head of a frame is at most: one of ours has no mask.
const headSize = ws.MaxHeaderSize - 4

// frameIn makes a text frame of what is in b behind the first headSize bytes.
func frameIn(b []byte) []byte {
	h := header{Fin: true, OpCode: ws.OpText, Length: int64(len(b) - headSize)}
	var head [ws.MaxHeaderSize]byte
	_ = ws.WriteHeaderBuffer(io.Discard, h, head[:]) // as below
	n := ws.HeaderSize(h)
	copy(b[headSize-n:], head[:n])
	return b[headSize-n:]
}

func frame(op ws.OpCode, payload []byte) []byte {
	h := header{Fin: true, OpCode: op, Length: int64(len(payload))}
	b := make([]byte, ws.MaxHeaderSize, ws.MaxHeaderSize+len(payload))
	// The head is built in b itself; nothing more needs to be written. It fails
	// only for lengths that no slice has.
	_ = ws.WriteHeaderBuffer(io.Discard, h, b)
	return append(b[:ws.HeaderSize(h)], payload...)
}
