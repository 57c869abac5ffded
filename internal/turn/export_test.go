package turn

import (
	"net"

	pion "github.com/pion/turn/v5"
)

// NewIdleServer returns a server that listens nowhere.
func NewIdleServer(config Config) *Server { return newServer(config) }

// AddConn does what is done with an accepted connection.
func (s *Server) AddConn(c net.Conn) (net.Conn, bool) { return s.addConn(c) }

// Allocated and Deleted are what the library calls.
func (s *Server) Allocated(client net.Addr) { s.allocated(client, nil, "", "", "", nil, 0) }
func (s *Server) Deleted(client net.Addr)   { s.deleted(client, nil, "", "", "") }

// MaxConns is how many connections there may be.
const MaxConns = maxConns

// Reachable reports whether relays may reach ip when some ranges are allowed.
func Reachable(allow []string, ip net.IP) (bool, error) {
	p, err := newPeers(allow)
	return p.reachable(ip), err
}

// Authenticate is what the library calls.
func (s *Server) Authenticate(request *pion.RequestAttributes) (string, []byte, bool) {
	return s.authenticate(request)
}

// Conns returns how many connections the library has not done with.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}
