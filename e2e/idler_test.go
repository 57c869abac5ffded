package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"usher"
	"usher/client"
)

// idler is a connection to /signal that does nothing, not even read: one of so
// many that a goroutine would be too much for each.
type idler struct {
	net.Conn
	r     *bufio.Reader
	hello client.Hello
}

// idle opens one with its first message. If that is not taken, it is closed, and
// the error is a [*client.SignalClosed].
func (s *Server) idle(ctx context.Context, action string, proof usher.Secret) (_ *idler, err error) {
	dialer := ws.Dialer{ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10, Protocols: []string{"usher.v1"}}
	conn, r, _, err := dialer.Dial(ctx, strings.Replace(s.HTTP, "http", "ws", 1)+"/signal")
	if err != nil {
		return nil, err
	}
	if r == nil { // nothing came along with the handshake
		r = bufio.NewReaderSize(conn, 1<<10)
	}
	i := &idler{Conn: conn, r: r}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if stop(); err != nil {
			_ = conn.Close()
		}
	}()
	first, err := json.Marshal(map[string]any{"action": action, "payload": map[string]string{"token": proof.Reveal()}})
	if err != nil {
		return nil, err
	}
	if err := wsutil.WriteClientText(conn, first); err != nil {
		return nil, err
	}
	text, err := i.next()
	if err != nil {
		return nil, err
	}
	var m client.Message
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	if m.Action != "hello" {
		return nil, fmt.Errorf("greeted with %s", text)
	}
	if err := json.Unmarshal(m.Payload, &i.hello); err != nil {
		return nil, err
	}
	return i, nil
}

// insist is idle for as long as the server has no time, or this process has not:
// who says nothing for 5 seconds is put out.
func (s *Server) insist(ctx context.Context, action string, proof usher.Secret) (*idler, error) {
	for {
		i, err := s.idle(ctx, action, proof)
		if code := closeCode(err); err == nil || ctx.Err() != nil || code != 0 && code != 4401 {
			return i, err
		}
	}
}

// next returns the next message, and answers pings on the way.
func (i *idler) next() ([]byte, error) {
	for {
		h, err := ws.ReadHeader(i.r)
		if err != nil {
			return nil, err
		}
		if h.Length > 1<<20 {
			return nil, fmt.Errorf("it was sent %d bytes", h.Length)
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(i.r, payload); err != nil {
			return nil, err
		}
		switch h.OpCode {
		case ws.OpText:
			return payload, nil
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			return nil, errors.Join(&client.SignalClosed{Code: int(code), Reason: reason}, wsutil.WriteClientMessage(i, ws.OpClose, payload), i.Close())
		case ws.OpPing:
			if err := wsutil.WriteClientMessage(i, ws.OpPong, payload); err != nil {
				return nil, err
			}
		}
	}
}

// ending reads until it is closed, and returns why.
func (i *idler) ending() error {
	if err := i.SetReadDeadline(time.Now().Add(socketTime)); err != nil {
		return err
	}
	for {
		if _, err := i.next(); err != nil {
			return err
		}
	}
}

// leave closes it on purpose, and returns an error unless the server agrees.
func (i *idler) leave() error {
	if err := wsutil.WriteClientMessage(i, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, "")); err != nil {
		return err
	}
	if err := i.ending(); closeCode(err) != 1000 {
		return fmt.Errorf("who left was answered %w", err)
	}
	return nil
}
