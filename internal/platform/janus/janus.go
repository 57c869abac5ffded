// Package janus issues and reads the tokens that let people into rooms on a
// Janus WebRTC server, and looks after the rooms themselves.
//
// There are two kinds of room. Those of janus-plugin-sfu come and go with their
// occupants, and the plugin admits the bearer of a JWT (RS512) that names the
// room. Those of VideoRoom are opened first, and take two tokens, each an HMAC
// by the secret in Janus's own configuration: one for Janus, one for the room.
//
// Neither kind of token can be taken back, nor does either know a right
// between being in a room and not: whoever is let in may speak.
package janus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/platform"
)

// Name is the platform's name in configurations and credentials.
const Name = "janus"

// The formats of credentials.
const (
	// FormatSFU is the permission token of janus-plugin-sfu, the usual one.
	FormatSFU = "sfu"
	// FormatCore opens a session on Janus, and handles of VideoRoom in it.
	FormatCore = "core"
	// FormatVideoRoom enters one room of VideoRoom, beside a core token.
	FormatVideoRoom = "videoroom"
)

// Platform issues tokens for one Janus, or for one with janus-plugin-sfu and one
// with VideoRoom. It is safe for concurrent use.
type Platform struct {
	config Config
	now    func() time.Time
	random io.Reader
	http   *http.Client
	signer atomic.Pointer[signer] // nil without a key, and until it was made
	hmac   hmacSigner
}

var (
	_ platform.Platform   = (*Platform)(nil)
	_ platform.RoomOpener = (*Platform)(nil)
	_ platform.RoomKeeper = (*Platform)(nil)
	_ platform.RoomCloser = (*Platform)(nil)
	_ platform.Ejector    = (*Platform)(nil)
	_ platform.Counter    = (*Platform)(nil)
	_ platform.Inspector  = (*Platform)(nil)
)

// New returns the platform, or every mistake in its configuration. It calls
// nobody.
func New(config Config) (*Platform, error) {
	p := &Platform{config: config, now: config.Now, random: config.Random, hmac: hmacSigner{config.TokenAuthSecret}}
	if p.now == nil {
		p.now = time.Now
	}
	if p.random == nil {
		p.random = rand.Reader
	}
	client := http.Client{}
	if config.HTTP != nil {
		client = *config.HTTP
	}
	// A redirect would carry secrets to where nobody configured.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Jar = nil
	p.http = &client

	var errs []error
	if !config.Enabled() {
		errs = append(errs, errors.New("janus: nothing is configured"))
	}
	for _, problem := range config.Validate() {
		errs = append(errs, fmt.Errorf("janus: %s", problem))
	}
	if config.Signer != nil {
		s, err := newSigner(config.Signer)
		if err != nil {
			errs = append(errs, fmt.Errorf("janus: private key: %w", err))
		}
		p.signer.Store(s)
	} else if !config.keyed() && (config.KeyFile != "" || config.Enabled() && config.NeedsKey()) {
		errs = append(errs, errors.New("janus: private key: there is none"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// Reader returns what recognises tokens without holding any key.
func Reader() *Platform {
	config := DefaultConfig()
	return &Platform{config: config, now: time.Now, random: rand.Reader, http: &http.Client{}}
}

// Issue makes a token. A permission token is made out to the request's subject,
// or to anybody if it has none; the other formats name nobody.
func (p *Platform) Issue(ctx context.Context, req platform.Request) (usher.Credential, error) {
	c, err := p.issue(ctx, req)
	if err != nil {
		return usher.Credential{}, fmt.Errorf("janus: issue a token: %w", err)
	}
	return c, nil
}

func (p *Platform) issue(ctx context.Context, req platform.Request) (usher.Credential, error) {
	if err := p.available(req.Format); err != nil {
		return usher.Credential{}, err
	}
	if err := expressible(req.Grant.Permissions); err != nil {
		return usher.Credential{}, err
	}
	if err := p.checkRoom(req.Format, req.Grant.Room); err != nil {
		return usher.Credential{}, err
	}
	expires, err := p.expiry(req)
	if err != nil {
		return usher.Credential{}, err
	}
	c := usher.Credential{Platform: Name, URL: p.config.APIURL, ExpiresAt: time.Unix(expires, 0).UTC()}
	switch req.Format {
	case FormatCore:
		c.Token = p.hmac.core(expires)
	case FormatVideoRoom:
		c.Token = p.hmac.room(expires, req.Grant.Room)
	default:
		c.URL = p.config.PluginURL
		c.Token, err = p.permission(ctx, req, expires)
	}
	if err != nil {
		return usher.Credential{}, err
	}
	return c, nil
}

// key returns what signs permission tokens. A key that is still being made is
// waited for.
func (p *Platform) key(ctx context.Context) (*signer, error) {
	if s := p.signer.Load(); s != nil {
		return s, nil
	}
	if p.config.Own == nil {
		return nil, errors.New("there is no key for permission tokens")
	}
	own, err := p.config.Own(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for the key: %w", err)
	}
	s, err := newSigner(own)
	if err != nil {
		return nil, err
	}
	p.signer.CompareAndSwap(nil, s) // all sign by turns
	return p.signer.Load(), nil
}

// available refuses a format that does not exist, or that lacks its key.
func (p *Platform) available(format string) error {
	switch format {
	case "", FormatSFU:
		if !p.config.keyed() {
			return usher.Errorf(usher.Invalid, "format_unavailable", "No key for janus-plugin-sfu is configured here; ask for the format core or videoroom.")
		}
	case FormatCore, FormatVideoRoom:
		if p.hmac.secret == "" {
			return usher.Errorf(usher.Invalid, "format_unavailable", "No token_auth_secret of Janus is configured here; ask for the format sfu.")
		}
	default:
		return usher.Errorf(usher.Invalid, "format_unknown", "Janus's formats are sfu, core and videoroom.")
	}
	return nil
}

// expressible refuses a grant of less than everybody in a room of Janus may do.
func expressible(granted usher.Permissions) error {
	if !usher.BuiltinRoles()[usher.Speaker].Within(granted) {
		return usher.Errorf(usher.Forbidden, "grant_not_expressible", "Everybody in a room on Janus may speak, so nobody can be let in with less.")
	}
	return nil
}

// expiry returns the second in which a token ends: that of the grant's end, or
// an earlier one.
func (p *Platform) expiry(req platform.Request) (int64, error) {
	now, end := req.Now, req.Grant.Expires
	if req.Grant.NotBefore.After(now) {
		return 0, usher.Errorf(usher.Forbidden, "grant_not_expressible", "A token of Janus is good at once, and the grant begins later.")
	}
	if end.IsZero() {
		end = now.Add(p.config.TTL)
	}
	if latest := now.Add(p.config.MaxTTL); end.After(latest) {
		end = latest
	}
	expires := end.Unix()
	if expires <= now.Unix() {
		return 0, usher.Errorf(usher.Forbidden, "grant_expired", "The grant ends before a token could be used.")
	}
	return expires, nil
}
