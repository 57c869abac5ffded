package janus

import (
	"context"
	"crypto"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"usher"
)

// Config names the Janus servers and what they trust. Each part is needed only
// for what it says: a key for janus-plugin-sfu, tokenAuthSecret for Janus's own
// tokens, adminURL and adminSecret for VideoRoom's rooms.
type Config struct {
	KeyFile       string `yaml:"keyFile" env:"AUTH_KEY_PRIVATE" doc:"The private key that permission tokens for janus-plugin-sfu are signed with: RSA of at least 2048 bits, in PEM or DER. Where none is named, the server makes one of its own and keeps it in the data folder."`
	PublicKeyFile string `yaml:"publicKeyFile" doc:"The file that auth_key in janus.plugin.sfu.cfg names, where this machine can read it: usher doctor janus looks into it."`
	PluginURL     string `yaml:"pluginURL" doc:"The WebSocket address of the Janus with janus-plugin-sfu, as browsers reach it, such as wss://janus.example.com/janus. Participants are put out there."`
	Audience      string `yaml:"audience" doc:"The audience (aud) of permission tokens, which today's plugin ignores; nothing leaves it out."`
	BrowserKick   bool   `yaml:"browserKick" doc:"Whether who may moderate gets kick_users in the permission token. The plugin lets its bearer put out anybody in any room of the server; switch it off and let Usher do it, if rooms do not trust each other."`

	APIURL          string       `yaml:"apiURL" doc:"The WebSocket address of the Janus with VideoRoom, as browsers reach it, such as wss://janus.example.com/janus."`
	APISecret       usher.Secret `yaml:"apiSecret" doc:"Janus's api_secret, if it has one."`
	TokenAuthSecret usher.Secret `yaml:"tokenAuthSecret" doc:"Janus's token_auth_secret, which signs its own tokens and those for VideoRoom; at least 16 characters."`
	AdminURL        string       `yaml:"adminURL" doc:"The address of Janus's Admin API over HTTP, such as http://127.0.0.1:7088/admin. VideoRoom's rooms are opened, counted and closed there, and participants put out."`
	AdminSecret     usher.Secret `yaml:"adminSecret" doc:"Janus's admin_secret."`
	AdminKey        usher.Secret `yaml:"adminKey" doc:"VideoRoom's admin_key, without which everybody who may enter can make rooms."`
	NumericRooms    bool         `yaml:"numericRooms" doc:"Whether VideoRoom's rooms are numbers, as they are unless its configuration says string_ids = true."`

	TTL         time.Duration `yaml:"ttl" doc:"How long a token is good for where nothing else is asked for; at least 2m, since the clients in use renew a minute before the end."`
	MaxTTL      time.Duration `yaml:"maxTTL" doc:"The longest that a token is good for, whatever is asked for; at most 24h, since no token of Janus can be taken back."`
	ClockLeeway time.Duration `yaml:"clockLeeway" doc:"By how much Janus's clock may differ from ours before usher doctor janus complains. Janus itself allows nothing."`

	// Signer is the private key of KeyFile: see [ParsePrivateKey].
	Signer crypto.Signer `yaml:"-"`
	// Own takes the place of Signer: it returns a private key that may still be
	// in the making, for which it waits. It is asked until it has returned one.
	Own func(context.Context) (crypto.Signer, error) `yaml:"-"`
	// HTTP makes the calls, WebSocket handshakes included; nil is a plain client.
	HTTP *http.Client `yaml:"-"`
	// Now is the clock; nil is the system's. Issuing uses the request's time.
	Now func() time.Time `yaml:"-"`
	// Random is where ids come from; nil is crypto/rand.
	Random io.Reader `yaml:"-"`
}

// The bounds of a Config.
const (
	minSecret = 16
	minTTL    = 2 * time.Minute
	maxMaxTTL = 24 * time.Hour
	maxLeeway = time.Minute
)

// DefaultConfig returns the values in force where a configuration is silent.
func DefaultConfig() Config {
	return Config{
		Audience: "webrtc_auth", BrowserKick: true,
		TTL: 5 * time.Minute, MaxTTL: time.Hour, ClockLeeway: 5 * time.Second,
	}
}

// Enabled reports whether there is a Janus.
func (c Config) Enabled() bool {
	return c.keyed() || slices.ContainsFunc([]string{
		c.KeyFile, c.PublicKeyFile, c.PluginURL, c.APIURL, c.AdminURL,
		c.APISecret.Reveal(), c.TokenAuthSecret.Reveal(), c.AdminSecret.Reveal(), c.AdminKey.Reveal(),
	}, func(s string) bool { return s != "" })
}

// keyed reports whether there is a key for permission tokens.
func (c Config) keyed() bool { return c.Signer != nil || c.Own != nil }

// NeedsKey reports whether permission tokens need a key that nobody has named:
// all but a VideoRoom alone does.
func (c Config) NeedsKey() bool {
	return c.KeyFile == "" && (c.TokenAuthSecret == "" || c.PluginURL != "" || c.PublicKeyFile != "")
}

// Validate returns what is wrong with the configuration, field by field. It
// looks at no file, and not at the key.
func (c Config) Validate() []usher.FieldProblem {
	if !c.Enabled() {
		return nil
	}
	var problems []usher.FieldProblem
	check := func(field string, ok bool, message string) {
		if !ok {
			problems = append(problems, usher.FieldProblem{Field: field, Message: message})
		}
	}
	check("tokenAuthSecret", c.TokenAuthSecret != "" || c.AdminURL == "", "must be Janus's token_auth_secret, without which VideoRoom's rooms would be open to everybody")
	check("tokenAuthSecret", c.TokenAuthSecret == "" || len(c.TokenAuthSecret) >= minSecret, "must have at least 16 characters: every browser gets something to guess it by")
	check("adminSecret", c.AdminSecret != "" || c.AdminURL == "", "must be Janus's admin_secret, which adminURL needs")
	check("adminSecret", c.AdminSecret != "janusoverlord", "must not be the one that Janus comes with; change admin_secret in janus.jcfg")
	check("apiSecret", c.APISecret != "janusrocks", "must not be the one of Janus's own examples; change api_secret in janus.jcfg")
	for _, address := range []struct {
		field, url string
		schemes    []string
		example    string
	}{
		{"pluginURL", c.PluginURL, []string{"wss", "ws"}, "wss://janus.example.com/janus"},
		{"apiURL", c.APIURL, []string{"wss", "ws"}, "wss://janus.example.com/janus"},
		{"adminURL", c.AdminURL, []string{"https", "http"}, "http://127.0.0.1:7088/admin"},
	} {
		message := checkURL(address.url, address.schemes, address.example)
		check(address.field, address.url == "" || message == "", message)
	}
	check("ttl", c.TTL >= minTTL && c.TTL <= c.MaxTTL, "must be 2m or more and not more than maxTTL")
	check("maxTTL", c.MaxTTL <= maxMaxTTL, "must be 24h or less")
	check("clockLeeway", c.ClockLeeway >= time.Second && c.ClockLeeway <= maxLeeway, "must be between 1s and 1m")
	return problems
}

// checkURL returns what is wrong with an address. The first of the schemes is
// encrypted and serves every host, the second only near ones: tokens and
// secrets go there.
func checkURL(address string, schemes []string, example string) string {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme):
		return "must be a URL such as " + example
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(address, "#"):
		return "must not have a user, a query or a fragment"
	case u.Scheme == schemes[1] && !near(u.Hostname()):
		return "must begin with " + schemes[0] + "://, or secrets would travel in the clear; only a Janus on this machine or in a private network may have " + schemes[1] + "://"
	}
	return ""
}

// near reports whether a host is this machine or in a private network, in which
// names of containers have no dot.
func near(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback() || addr.IsPrivate()
	}
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost")
}
