package socket

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"usher"
)

// Group owns connections that share a [Config]: it upgrades requests, counts
// what is open, and ends all of it at shutdown.
type Group struct {
	cfg   Config
	start time.Time // what connections measure silence from

	mu         sync.Mutex
	conns      map[*Conn]struct{}
	count      int           // conns, and upgrades under way
	stopped    chan struct{} // not nil since Shutdown; closed when count is zero
	stopCode   Code
	stopReason string

	watching sync.Mutex // held before watcher.mu
	watcher  *watcher   // nil while no connection is watched
}

// NewGroup returns a group without connections.
func NewGroup(cfg Config) *Group {
	return &Group{cfg: cfg.withDefaults(), start: time.Now(), conns: make(map[*Conn]struct{})}
}

// Upgrade turns a request into a connection and returns; the connection lives on
// in a goroutine of its own, so that nothing of the request is kept, and the
// request's context is over. open is called there first, before anything is
// read, and returns who is to hear of it.
//
// An error means that there is no connection, and is a [usher.Error] that the
// caller answers: Invalid if this is no upgrade, or none for us, Forbidden if
// Origins refuses, Unavailable after Shutdown. If the network fails in the midst
// of the handshake, the error is another one and there is nobody left to answer.
func (g *Group) Upgrade(w http.ResponseWriter, r *http.Request, open func(*Conn) Handler) error {
	if err := checkUpgrade(w, r); err != nil {
		return err
	}
	if g.cfg.Origins != nil && !g.cfg.Origins(r) {
		return usher.Errorf(usher.Forbidden, "origin_not_allowed", "Pages of this origin may not connect here.")
	}
	if !g.reserve() {
		return usher.Errorf(usher.Unavailable, "stopping", "The server is stopping; connect again in a moment.")
	}
	subprotocol := g.choose(r)
	conn, early, err := handshake(w, r, subprotocol, g.cfg.WriteTimeout)
	if err != nil {
		g.release(nil)
		return err
	}
	g.adopt(newConn(g, conn, early, subprotocol), open)
	return nil
}

// Len returns how many connections are open; one counts until its Closed returned.
func (g *Group) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count
}

// cutOffTime is how long connections that were cut off may take to be gone: no
// peer is waited for any more, only handlers.
const cutOffTime = 5 * time.Second

// Shutdown closes all connections with the code, lets no new ones in, and
// returns when every Closed has returned. If ctx ends first, what is left is cut
// off without waiting for its peers. It is an error only if a handler is still
// busy then.
func (g *Group) Shutdown(ctx context.Context, code Code, reason string) error {
	g.mu.Lock()
	if g.stopped == nil {
		g.stopped = make(chan struct{})
		g.stopCode, g.stopReason = code, reason
		if g.count == 0 {
			close(g.stopped)
		}
	}
	g.mu.Unlock()

	for _, c := range g.open() {
		c.Close(code, reason)
	}
	select {
	case <-g.stopped:
		return nil
	case <-ctx.Done():
	}
	for _, c := range g.open() {
		c.sever()
	}
	select {
	case <-g.stopped:
		return nil
	case <-time.After(cutOffTime):
		return fmt.Errorf("socket: shut down: %w", ctx.Err())
	}
}

// open returns the connections there are now.
func (g *Group) open() []*Conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Keys(g.conns))
}

// reserve makes room for a connection, unless the group is stopping.
func (g *Group) reserve() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped != nil {
		return false
	}
	g.count++
	return true
}

// adopt starts a connection for which room was reserved.
func (g *Group) adopt(c *Conn, open func(*Conn) Handler) {
	g.mu.Lock()
	g.conns[c] = struct{}{}
	stopping, code, reason := g.stopped != nil, g.stopCode, g.stopReason
	g.mu.Unlock()
	if stopping {
		c.Close(code, reason)
	}
	go c.begin(open)
}

// release gives up what reserve took; c is nil if it came to no connection.
func (g *Group) release(c *Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
	g.count--
	if g.stopped != nil && g.count == 0 {
		close(g.stopped)
	}
}

// Speaks reports whether a request that is upgraded will speak the subprotocol.
func (g *Group) Speaks(r *http.Request, subprotocol string) bool { return g.choose(r) == subprotocol }

// choose picks the first subprotocol of the client's that is spoken here.
func (g *Group) choose(r *http.Request) string {
	for name := range tokens(r.Header, "Sec-WebSocket-Protocol") {
		if slices.Contains(g.cfg.Subprotocols, name) {
			return name
		}
	}
	return ""
}

// checkUpgrade reports what keeps a request from being upgraded, before the
// connection is taken from the HTTP server, so that the caller can answer.
func checkUpgrade(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1 ||
		!hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket") {
		return usher.Errorf(usher.Invalid, "upgrade_required", "Only WebSocket connections over HTTP/1.1 are served here.")
	}
	if r.Header.Get("Sec-WebSocket-Version") != "13" {
		w.Header().Set("Sec-WebSocket-Version", "13")
		return usher.Errorf(usher.Invalid, "websocket_version", "Only version 13 of the WebSocket protocol is spoken here.")
	}
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	if err != nil || len(key) != 16 {
		return usher.Errorf(usher.Invalid, "websocket_key", "Sec-WebSocket-Key must be 16 bytes in base64.")
	}
	return nil
}

// hasToken reports whether a header lists a token, whatever its case.
func hasToken(h http.Header, name, token string) bool {
	for t := range tokens(h, name) {
		if strings.EqualFold(t, token) {
			return true
		}
	}
	return false
}

// tokens yields the comma-separated items of all headers of a name.
func tokens(h http.Header, name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, line := range h.Values(name) {
			for item := range strings.SplitSeq(line, ",") {
				if !yield(strings.TrimSpace(item)) {
					return
				}
			}
		}
	}
}
