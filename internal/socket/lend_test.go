package socket_test

import (
	"bytes"
	"testing"

	"usher/internal/socket"
)

// What is lent is the lender's again at once, also where a part of it still
// waits to be written.
func TestALentMessageArrivesThoughItsBufferIsUsedAgain(t *testing.T) {
	for name, dial := range map[string]func(testing.TB, *recorder) *rawConn{
		"a plain socket": func(t testing.TB, rec *recorder) *rawConn {
			s := serve(t, socket.Config{}, nil)
			c := s.dialRaw(t)
			rec.conn = receive(t, s.opened, "open").conn
			return c
		},
		"one that is not tried": func(t testing.TB, rec *recorder) *rawConn {
			return pipe(t, socket.NewGroup(socket.Config{}), rec)
		},
	} {
		t.Run(name, func(t *testing.T) {
			rec := newRecorder()
			c := dial(t, rec)
			for _, size := range []int{1, 125, 126, 1500, 70_000} {
				const n = 14
				buf := make([]byte, socket.Room+size)
				text := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, size) }
				for i := range n {
					copy(buf[socket.Room:], text(i))
					if err := rec.conn.SendPrepared(socket.Lend(buf)); err != nil {
						t.Fatal(err)
					}
				}
				kept := socket.Lend(buf).Kept()
				clear(buf)
				if want := text(n - 1); !bytes.Equal(kept.Text(), want) {
					t.Errorf("%d bytes: kept %.20q…, want %.20q…", size, kept.Text(), want)
				}
				for i := range n {
					if _, got := c.frame(t); !bytes.Equal(got, text(i)) {
						t.Fatalf("%d bytes: message %d came as %.20q…, want %.20q…", size, i, got, text(i))
					}
				}
			}
			_ = c.Close()
		})
	}
}
