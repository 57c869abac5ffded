package livekit

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"usher"
)

// minSecret is the length below which LiveKit itself calls an API secret weak.
const minSecret = 32

// Config names the LiveKit server and the key that its tokens are signed with.
type Config struct {
	URL       string       `yaml:"url" doc:"Where clients reach the LiveKit server, as in wss://livekit.example.com."`
	APIKey    string       `yaml:"apiKey" doc:"The API key that tokens are issued by, one of those in LiveKit's own configuration."`
	APISecret usher.Secret `yaml:"apiSecret" doc:"The secret of the API key, as file:PATH or env:NAME; at least 32 characters."`

	// HTTP is what the server is asked by whether it is there; nil is that of the
	// system.
	HTTP *http.Client `yaml:"-"`
}

// Enabled reports whether anything is configured at all.
func (c Config) Enabled() bool { return c != Config{} }

// Validate returns what is wrong with the configuration, field by field. One
// that says nothing is in order: there is no LiveKit.
func (c Config) Validate() []usher.FieldProblem {
	if !c.Enabled() {
		return nil
	}
	var problems []usher.FieldProblem
	if message := checkURL(c.URL); message != "" {
		problems = append(problems, usher.FieldProblem{Field: "url", Message: message})
	}
	if c.APIKey == "" || strings.TrimSpace(c.APIKey) != c.APIKey {
		problems = append(problems, usher.FieldProblem{Field: "apiKey", Message: "must be one of the API keys in LiveKit's configuration"})
	}
	if len(c.APISecret.Reveal()) < minSecret {
		problems = append(problems, usher.FieldProblem{Field: "apiSecret", Message: "must be the API key's secret, at least 32 characters long"})
	}
	return problems
}

// checkURL refuses what clients can't connect to, or only by sending their
// tokens in the clear.
func checkURL(address string) string {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "wss" && u.Scheme != "ws" && u.Scheme != "https" && u.Scheme != "http":
		return "must be a URL such as wss://livekit.example.com"
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(address, "#"):
		return "must not have a user, a query or a fragment"
	case (u.Scheme == "ws" || u.Scheme == "http") && !loopback(u.Hostname()):
		return "must begin with wss://, or tokens would travel in the clear; only LiveKit on this machine may have ws://"
	}
	return ""
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.IsLoopback()
}
