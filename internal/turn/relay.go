package turn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	pion "github.com/pion/turn/v5"
)

var (
	errUDPOnly = errors.New("turn: relays are of UDP only")
	errFamily  = errors.New("turn: there are no relays of that address family")
	errPort    = errors.New("turn: the port is not among those of relays")
	errQuota   = errors.New("turn: the user has as many relays as are allowed")
	errFull    = errors.New("turn: no port is free")
)

// portTries bounds the search for a free port.
const portTries = 128

// generator opens the sockets of allocations. It implements
// [pion.RelayAddressGenerator].
type generator struct {
	server *Server
	// bind is where sockets are opened, and public the address that peers know.
	bind     netip.Addr
	public   netip.Addr
	min, max int
	random   io.Reader
}

// Validate does nothing: the configuration was.
func (g *generator) Validate() error { return nil }

// AllocatePacketConn opens the socket of an allocation, which counts against
// its user's quota until it is closed and ends with the user's credential. The
// library also looks for an even port, on nobody's behalf.
func (g *generator) AllocatePacketConn(config pion.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	if config.Network != g.network() {
		return nil, nil, errFamily
	}
	user, expires, known := parseUsername(config.UserID)
	conn, err := g.listen(config.RequestedPort)
	if err != nil {
		g.server.refuse("full", "error", err)
		return nil, nil, err
	}
	relay := &relay{UDPConn: conn, generator: g, user: user}
	if known {
		// Reading fails at that time, upon which the library ends the allocation.
		// The clock may be another than the system's, by which deadlines go.
		err = conn.SetReadDeadline(time.Now().Add(expires.Sub(g.server.now())))
	}
	if err == nil {
		err = g.server.addRelay(relay)
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	port := conn.LocalAddr().(*net.UDPAddr).Port
	return relay, &net.UDPAddr{IP: g.public.AsSlice(), Port: port}, nil
}

func (g *generator) network() string {
	if g.public.Is4() {
		return "udp4"
	}
	return "udp6"
}

// listen opens a given port, or a free one from anywhere in the range.
func (g *generator) listen(port int) (*net.UDPConn, error) {
	if port != 0 {
		if port < g.min || port > g.max {
			return nil, errPort
		}
		return g.open(port)
	}
	var b [4]byte
	if _, err := io.ReadFull(g.random, b[:]); err != nil {
		return nil, fmt.Errorf("turn: choose a port: %w", err)
	}
	size := g.max - g.min + 1
	start := int(binary.BigEndian.Uint32(b[:])>>1) % size
	for try := range min(size, portTries) {
		if conn, err := g.open(g.min + (start+try)%size); err == nil {
			return conn, nil
		}
	}
	return nil, errFull
}

func (g *generator) open(port int) (*net.UDPConn, error) {
	addr := &net.UDPAddr{Port: port}
	if !g.bind.IsUnspecified() {
		addr.IP = g.bind.AsSlice()
	}
	return net.ListenUDP(g.network(), addr)
}

// AllocateListener refuses to relay TCP (RFC 6062), which no browser asks for.
func (g *generator) AllocateListener(pion.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errUDPOnly
}

// AllocateConn refuses to relay TCP.
func (g *generator) AllocateConn(pion.AllocateConnConfig) (net.Conn, error) { return nil, errUDPOnly }

// relay is the socket of one allocation.
type relay struct {
	*net.UDPConn
	generator *generator
	user      string // empty for none
	once      sync.Once
}

// ReadFrom counts what peers send.
func (r *relay) ReadFrom(p []byte) (int, net.Addr, error) {
	n, addr, err := r.UDPConn.ReadFrom(p)
	r.generator.server.metrics.received.Add(float64(n))
	return n, addr, err
}

// WriteTo sends to a peer. The address of relays is reachable, so that two users
// can meet on this server, but nothing else that may listen on it.
func (r *relay) WriteTo(p []byte, addr net.Addr) (int, error) {
	to, ok := addr.(*net.UDPAddr)
	if ok && to.AddrPort().Addr().Unmap() == r.generator.public && (to.Port < r.generator.min || to.Port > r.generator.max) {
		return 0, errPort
	}
	n, err := r.UDPConn.WriteTo(p, addr)
	r.generator.server.metrics.sent.Add(float64(n))
	return n, err
}

// Close closes the socket and gives its place back. More than once does no harm.
func (r *relay) Close() error {
	var err error
	r.once.Do(func() {
		err = r.UDPConn.Close()
		r.generator.server.removeRelay(r)
	})
	return err
}
