package socket_test

import (
	"bytes"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"usher/internal/socket"
)

// Whatever comes in, messages are text within the limit, nothing panics, and the
// connection ends once.
func FuzzBytesIntoAnUpgradedConnection(f *testing.F) {
	f.Add(masked(opText, "hello"))
	f.Add(slices.Concat(masked(0x01, "a"), masked(opPing, "p"), masked(fin, "b")))
	f.Add(masked(opClose, closing(1000, "bye")))
	f.Add(masked(opClose, "x"))
	f.Add(masked(opText, strings.Repeat("x", 5000)))
	f.Add(maskedHead(opText, 1<<63-1))
	f.Add(maskedHead(opText, 0xffff_ffff_ffff_fff0))
	f.Add([]byte{opText, 2, 'h', 'i'})
	f.Add([]byte{0xff, 0xff, 0xff})

	const limit = 8000
	f.Fuzz(func(t *testing.T, data []byte) {
		var log bytes.Buffer
		// A close that only its time limit ends would show as a test that hangs.
		g := socket.NewGroup(socket.Config{ReadLimit: limit, WriteTimeout: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		rec := newRecorder()
		rec.onMessage = func(c *socket.Conn, message []byte) {
			if len(message) > limit || !utf8.Valid(message) {
				t.Errorf("delivered %d bytes %.50q", len(message), message)
			}
			_ = c.Send(message)
		}
		c := pipe(t, g, rec)
		read := make(chan struct{})
		go func() {
			defer close(read)
			_, _ = io.Copy(io.Discard, c.r)
		}()
		_, _ = c.Write(data)
		_ = c.Close()
		receive(t, rec.closed, "Closed")
		<-read
		if len(rec.closed) != 0 {
			t.Error("Closed was called more than once")
		}
		if log.Len() != 0 {
			t.Errorf("logged: %s", log.String())
		}
	})
}
