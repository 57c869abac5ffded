package turnrest

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"usher"
)

// minSecret keeps whoever holds a credential from guessing the secret that made
// it: 32 characters of hexadecimal are 128 bits.
const minSecret = 32

// Config names the TURN servers and the secret that they share with us.
type Config struct {
	URLs   []string      `yaml:"urls" doc:"The STUN and TURN servers that clients are told of, as in turn:turn.example.com:3478?transport=udp; they share the secret."`
	Secret usher.Secret  `yaml:"secret" doc:"What the TURN servers know as static-auth-secret, as file:PATH or env:NAME; at least 32 characters."`
	TTL    time.Duration `yaml:"ttl" doc:"The longest that a credential lasts; 0 is as long as what it was granted for."`
}

// Enabled reports whether anything is configured at all.
func (c Config) Enabled() bool { return len(c.URLs) > 0 || c.Secret != "" || c.TTL != 0 }

// Validate returns what is wrong with the configuration, field by field. One
// that says nothing is in order: there is no TURN server.
func (c Config) Validate() []usher.FieldProblem {
	if !c.Enabled() {
		return nil
	}
	var problems []usher.FieldProblem
	relays := false
	for _, u := range c.URLs {
		scheme, ok := checkURL(u)
		if !ok {
			problems = append(problems, usher.FieldProblem{Field: "urls", Message: strconv.Quote(u) + " must have a form such as turn:turn.example.com:3478?transport=udp, turns:… or stun:…"})
		}
		relays = relays || scheme == "turn" || scheme == "turns"
	}
	if !relays && len(problems) == 0 {
		problems = append(problems, usher.FieldProblem{Field: "urls", Message: "must name a TURN server, as in turn:turn.example.com:3478"})
	}
	if len(c.Secret.Reveal()) < minSecret {
		problems = append(problems, usher.FieldProblem{Field: "secret", Message: "must be the secret of the TURN servers, at least 32 characters long"})
	}
	if c.TTL != 0 && c.TTL < time.Minute {
		problems = append(problems, usher.FieldProblem{Field: "ttl", Message: "must be 0 or at least 1m"})
	}
	return problems
}

// checkURL reports whether a browser would take u (RFC 7064 and RFC 7065), and
// returns its scheme.
func checkURL(u string) (scheme string, ok bool) {
	scheme, rest, _ := strings.Cut(u, ":")
	address, query, asked := strings.Cut(rest, "?")
	switch scheme {
	case "stun", "stuns":
		ok = !asked
	case "turn", "turns":
		ok = !asked || query == "transport=udp" || query == "transport=tcp"
	}
	return scheme, ok && checkAddress(address)
}

func checkAddress(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil { // the port may be left out
		host, port, err = net.SplitHostPort(address + ":3478")
	}
	if err != nil {
		return false
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return false
	}
	if strings.Contains(host, ":") {
		ip, err := netip.ParseAddr(host)
		return err == nil && ip.Zone() == ""
	}
	return host != "" && strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}
