// Package turnrest issues time-limited credentials for TURN servers that share
// a secret with us, such as coturn with use-auth-secret and our embedded one.
// The user name says until when it is good, and the password is its HMAC
// (draft-uberti-behave-turn-rest-00):
//
//	username   = expiry in seconds since 1970 ":" user
//	credential = base64(HMAC-SHA1(secret, username))
//
// TURN knows neither rooms nor roles: whoever may join a room may use a relay,
// until its grant ends.
package turnrest

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"usher"
	"usher/internal/platform"
)

// Name is the platform's name in configurations and credentials.
const Name = "turn"

// maxUsername is the longest user name of STUN (RFC 8489, section 14.3), in
// bytes.
const maxUsername = 508

// Platform issues credentials for one set of TURN servers. It is safe for
// concurrent use.
type Platform struct {
	urls   []string
	secret []byte
	ttl    time.Duration
}

var (
	_ platform.Platform  = (*Platform)(nil)
	_ platform.Inspector = (*Platform)(nil)
)

// New returns the platform, or the first mistake in its configuration; see
// [Config.Validate] for all of them.
func New(config Config) (*Platform, error) {
	if !config.Enabled() {
		return nil, errors.New("turn: nothing is configured")
	}
	if problems := config.Validate(); len(problems) > 0 {
		return nil, fmt.Errorf("turn: %s", problems[0])
	}
	return &Platform{urls: config.URLs, secret: []byte(config.Secret.Reveal()), ttl: config.TTL}, nil
}

// Reader returns what recognises credentials without holding a secret.
func Reader() *Platform { return &Platform{} }

// iceServer is the RTCIceServer of WebRTC, which a browser takes as it is.
type iceServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username"`
	Credential string   `json:"credential"`
}

// Issue makes a credential for the key of the grant's identity, by which TURN
// servers count what one user takes; where that stands for many, for the
// request's subject. The body
// is an RTCIceServer with the servers' addresses, and the token its password.
func (p *Platform) Issue(_ context.Context, req platform.Request) (usher.Credential, error) {
	username, expires, err := p.username(req)
	if err != nil {
		return usher.Credential{}, fmt.Errorf("turn: issue: %w", err)
	}
	password := p.password(username)
	body, err := json.Marshal(iceServer{p.urls, username, password})
	if err != nil {
		return usher.Credential{}, fmt.Errorf("turn: issue: %w", err)
	}
	return usher.Credential{Platform: Name, Token: usher.Secret(password), ExpiresAt: expires, Body: body}, nil
}

func (p *Platform) username(req platform.Request) (string, time.Time, error) {
	grant := req.Grant
	subject := req.Subject
	if subject == "" {
		subject = grant.Identity.Key()
	}
	expires, ok := p.expiry(grant, req.Now)
	switch {
	case req.Format != "":
		return "", expires, usher.Errorf(usher.Invalid, "format_unknown", "TURN has one format of credential; leave the format out.")
	case one(grant.Identity) && subject != grant.Identity.Key():
		return "", expires, usher.Errorf(usher.Forbidden, "turn_subject_invalid", "A TURN credential is for whoever asks for it; leave the subject out.")
	case subject == "":
		return "", expires, usher.Errorf(usher.Invalid, "turn_subject_invalid", "A TURN credential needs somebody whom it is for.")
	case !grant.Permissions.Has(usher.Join):
		return "", expires, usher.Errorf(usher.Forbidden, "grant_not_expressible", "A TURN credential lets its bearer use a relay, which needs the permission to join.")
	case !ok:
		return "", expires, usher.Errorf(usher.Forbidden, "grant_not_expressible", "A TURN credential has to end, and the grant does not.")
	case grant.NotBefore.After(req.Now):
		return "", expires, usher.Errorf(usher.Forbidden, "grant_not_expressible", "A TURN credential is good at once, and the grant begins later.")
	case !expires.After(req.Now):
		return "", expires, usher.Errorf(usher.Forbidden, "grant_expired", "The grant ends before a credential could be used.")
	}
	// Servers find the user between colons, so that none may be in its id.
	username := strconv.FormatInt(expires.Unix(), 10) + ":" + url.QueryEscape(subject)
	if len(username) > maxUsername {
		return "", expires, usher.Errorf(usher.Invalid, "turn_subject_invalid", "The user's id is too long for a TURN user name.")
	}
	return username, expires, nil
}

// one reports whether an identity is one person: by other names it would take
// more than its part, or another's.
func one(id usher.Identity) bool {
	return id.Kind == usher.UserIdentity || id.Kind == usher.GuestIdentity
}

// expiry returns the whole second at which a credential ends, or false if
// nothing says when.
func (p *Platform) expiry(grant usher.Grant, now time.Time) (time.Time, bool) {
	expires := grant.Expires
	if limit := now.Add(p.ttl); p.ttl > 0 && (expires.IsZero() || expires.After(limit)) {
		expires = limit
	}
	return time.Unix(expires.Unix(), 0).UTC(), !expires.IsZero()
}

// password returns the password that belongs to a user name.
func (p *Platform) password(username string) string {
	mac := hmac.New(sha1.New, p.secret)
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
