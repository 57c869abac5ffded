// Package turn is an embedded STUN and TURN server, by which clients learn their
// public addresses and reach each other through firewalls. It accepts the
// time-limited credentials of package turnrest.
//
// A relay sends wherever its user says. That is why it reaches public addresses
// only, unless told otherwise, why a user has a quota of them, and why none
// outlives the credential that it was made with.
package turn

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/logging"
	pion "github.com/pion/turn/v5"
)

// Server is a running server. It is safe for concurrent use.
type Server struct {
	realm   string
	secret  []byte
	quota   int
	peers   peers
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics

	pion *pion.Server
	udp  net.PacketConn
	tcp  net.Listener

	// closing is closed when the server is, and running counts the sockets that
	// the library uses.
	closing chan struct{}
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	relays map[*relay]struct{}
	users  map[string]int   // relays by user
	conns  map[string]*conn // by addrKey
}

// Start listens and serves until [Server.Close].
func Start(config Config) (*Server, error) {
	if !config.Enabled() {
		return nil, errors.New("turn: there is nothing to listen on")
	}
	if problems := config.Validate(); len(problems) > 0 {
		return nil, fmt.Errorf("turn: %s", problems[0])
	}
	if len(config.Secret.Reveal()) < minSecret {
		return nil, fmt.Errorf("turn: the secret must be at least %d characters long", minSecret)
	}
	s := newServer(config)
	if err := s.listen(config); err != nil {
		s.closeListeners()
		return nil, fmt.Errorf("turn: %w", err)
	}
	if err := s.serve(config); err != nil {
		s.closeListeners()
		return nil, fmt.Errorf("turn: serve: %w", err)
	}
	return s, nil
}

func newServer(config Config) *Server {
	allowed, _ := newPeers(config.AllowPeers) // validated
	s := &Server{
		realm:   config.Realm,
		secret:  []byte(config.Secret.Reveal()),
		quota:   config.Quota,
		peers:   allowed,
		now:     config.Now,
		log:     config.Logger,
		metrics: newMetrics(config.Metrics),
		closing: make(chan struct{}),
		relays:  make(map[*relay]struct{}),
		users:   make(map[string]int),
		conns:   make(map[string]*conn),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

func (s *Server) listen(config Config) (err error) {
	if config.UDP != "" {
		if s.udp, err = net.ListenPacket("udp"+family(config.UDP), config.UDP); err != nil {
			return err
		}
	}
	if config.TCP != "" {
		if s.tcp, err = net.Listen("tcp"+family(config.TCP), config.TCP); err != nil {
			return err
		}
	}
	return nil
}

// family is what 0.0.0.0 means to people, if not to package net.
func family(address string) string {
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().Is4() {
		return "4"
	}
	return ""
}

func (s *Server) closeListeners() {
	for _, c := range []io.Closer{s.udp, s.tcp} {
		if c != nil {
			_ = c.Close()
		}
	}
}

func (s *Server) serve(config Config) (err error) {
	public, _ := config.relayAddr() // validated
	random := config.Random
	if random == nil {
		random = rand.Reader
	}
	sockets := &generator{
		server: s, bind: config.listenAddr(), public: public,
		min: config.MinPort, max: config.MaxPort, random: random,
	}
	server := pion.ServerConfig{
		Realm:        s.realm,
		AuthHandler:  s.authenticate,
		QuotaHandler: s.withinQuota,
		EventHandler: pion.EventHandler{
			OnAuth:              s.authenticated,
			OnAllocationCreated: s.allocated,
			OnAllocationDeleted: s.deleted,
		},
		// What matters is counted; the library's own log tells of every packet.
		LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled},
	}
	if s.udp != nil {
		server.PacketConnConfigs = []pion.PacketConnConfig{{
			PacketConn: &datagrams{PacketConn: s.udp, server: s}, RelayAddressGenerator: sockets, PermissionHandler: s.permit,
		}}
	}
	if s.tcp != nil {
		server.ListenerConfigs = []pion.ListenerConfig{{
			Listener: &streams{Listener: s.tcp, server: s}, RelayAddressGenerator: sockets, PermissionHandler: s.permit,
		}}
	}
	s.running.Add(len(server.PacketConnConfigs) + len(server.ListenerConfigs))
	s.pion, err = pion.NewServer(server)
	return err
}

// UDPAddr returns where the server listens over UDP, or nil.
func (s *Server) UDPAddr() net.Addr {
	if s.udp == nil {
		return nil
	}
	return s.udp.LocalAddr()
}

// TCPAddr returns where the server listens over TCP, or nil.
func (s *Server) TCPAddr() net.Addr {
	if s.tcp == nil {
		return nil
	}
	return s.tcp.Addr()
}

// Close ends every relay and connection, and returns when all are gone. More
// than once does no harm.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	if first {
		close(s.closing)
	}
	var sockets []io.Closer
	for _, c := range s.conns {
		sockets = append(sockets, c.Conn) // the library closes the rest of it
	}
	for r := range s.relays {
		sockets = append(sockets, r)
	}
	s.mu.Unlock()
	s.closeListeners()
	for _, socket := range sockets {
		_ = socket.Close()
	}
	s.running.Wait()
	return nil
}

// permit says whether a relay may talk to a peer.
func (s *Server) permit(client net.Addr, peer net.IP) bool {
	if s.peers.reachable(peer) {
		return true
	}
	s.refuse("peer", "client", client, "peer", peer)
	return false
}

// withinQuota answers with the right code; addRelay is what decides.
func (s *Server) withinQuota(id, _ string, client net.Addr) bool {
	user, _, _ := parseUsername(id)
	s.mu.Lock()
	within := s.users[user] < s.quota
	s.mu.Unlock()
	if !within {
		s.refuse("quota", "client", client, "user", user)
	}
	return within
}

func (s *Server) addRelay(r *relay) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return net.ErrClosed
	case r.user != "" && s.users[r.user] >= s.quota:
		return errQuota
	case r.user != "":
		s.users[r.user]++
	}
	s.relays[r] = struct{}{}
	s.running.Add(1)
	s.metrics.relays.Inc()
	return nil
}

func (s *Server) removeRelay(r *relay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.relays, r)
	if s.users[r.user]--; s.users[r.user] <= 0 {
		delete(s.users, r.user)
	}
	s.metrics.relays.Dec()
	s.running.Done()
}

func (s *Server) addConn(c net.Conn) (*conn, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= maxConns {
		return nil, false
	}
	added := &conn{Conn: c, server: s}
	added.idle()
	s.conns[addrKey(c.RemoteAddr())] = added
	s.running.Add(1)
	return added, true
}

func (s *Server) removeConn(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := addrKey(c.RemoteAddr()); s.conns[key] == c {
		delete(s.conns, key)
	}
	s.running.Done()
}

// connOf returns the connection of a client over TCP.
func (s *Server) connOf(client net.Addr) (*conn, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.conns[addrKey(client)]
	return c, ok
}

func (s *Server) authenticated(client, _ net.Addr, _, _, _, _ string, ok bool) {
	if !ok {
		s.refuse("credential", "client", client)
	}
}

func (s *Server) allocated(client, _ net.Addr, _, _, _ string, _ net.Addr, _ int) {
	if c, ok := s.connOf(client); ok {
		c.allocated()
	}
}

func (s *Server) deleted(client, _ net.Addr, _, _, _ string) {
	if c, ok := s.connOf(client); ok {
		c.idle()
	}
}

// refuse counts a refusal, and tells more in the log at level debug.
func (s *Server) refuse(reason string, details ...any) {
	s.metrics.refused.WithLabelValues(reason).Inc()
	s.log.Debug("turn: refused", append([]any{"reason", reason}, details...)...)
}
