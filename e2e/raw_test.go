package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// rawTime bounds an exchange of raw bytes.
const rawTime = 15 * time.Second

// rawRequest is a request that is written as it stands: no client mends it.
type rawRequest struct {
	Method, Target string
	// Host is the Host header; empty is that of the server, "-" is none.
	Host string
	// Headers are whole lines.
	Headers []string
	// Body is sent with its length, unless Headers have a length of their own.
	Body string
}

// bytes returns what goes over the wire.
func (r rawRequest) bytes(host string) string {
	if r.Host != "" {
		host = r.Host
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, r.Target)
	if host != "-" {
		fmt.Fprintf(&b, "Host: %s\r\n", host)
	}
	measured := false
	for _, h := range r.Headers {
		name, _, _ := strings.Cut(strings.ToLower(h), ":")
		measured = measured || name == "content-length" || name == "transfer-encoding"
		b.WriteString(h + "\r\n")
	}
	if r.Body != "" && !measured {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.Body))
	}
	b.WriteString("\r\n" + r.Body)
	return b.String()
}

// raw sends a request over a connection of its own and returns the answer, and
// whether the server kept the connection open for another one.
func (s *Server) raw(t testing.TB, r rawRequest) (a answer, open bool) {
	t.Helper()
	host := hostOf(t, s.HTTP)
	conn, err := net.DialTimeout("tcp", host, rawTime)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(rawTime)); err != nil {
		t.Fatal(err)
	}
	// The server may answer, and close, before it has read all.
	go func() { _, _ = io.WriteString(conn, r.bytes(host)) }()
	return readAnswer(t, bufio.NewReader(conn), r.Method)
}

func readAnswer(t testing.TB, from *bufio.Reader, method string) (a answer, open bool) {
	t.Helper()
	resp, err := http.ReadResponse(from, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("there was no answer: %v", err)
	}
	return answer{resp.StatusCode, resp.Header, string(readAll(t, resp))}, !resp.Close
}

// trickle writes bytes one at a time until the server hangs up, and returns an
// error if it has not when the limit is over.
func trickle(conn net.Conn, text string, every, limit time.Duration) error {
	hungUp := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, conn) // ends when either side hangs up
		close(hungUp)
	}()
	tick := time.NewTicker(every)
	defer tick.Stop()
	over := time.After(limit)
	for i := 0; ; i++ {
		select {
		case <-hungUp:
			return nil
		case <-over:
			_ = conn.Close()
			<-hungUp
			return fmt.Errorf("the server did not hang up within %v", limit)
		case <-tick.C:
			if i < len(text) {
				_, _ = conn.Write([]byte{text[i]}) // that it fails shows soon
			}
		}
	}
}
