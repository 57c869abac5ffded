// Package livekit issues access tokens for LiveKit: JWTs that its server
// accepts because an API secret signs them (HS256), with the bearer's rights in
// one room as a video grant.
//
// LiveKit reads a right that a token is silent about as given, so that every
// right is written out. Rights beyond one room are never given.
package livekit

import (
	"context"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"usher"
	"usher/internal/platform"
)

// Name is the platform's name in configurations and credentials.
const Name = "livekit"

// maxName is what LiveKit allows, unless told otherwise, for the names of
// rooms and the identities and names of participants, in bytes.
const maxName = 256

// Platform issues tokens for one LiveKit server. It is safe for concurrent use.
type Platform struct {
	url    string
	apiKey string
	signer *signer
	http   *http.Client
}

var (
	_ platform.Platform  = (*Platform)(nil)
	_ platform.Inspector = (*Platform)(nil)
)

// New returns the platform, or the first mistake in its configuration; see
// [Config.Validate] for all of them.
func New(config Config) (*Platform, error) {
	if !config.Enabled() {
		return nil, fmt.Errorf("livekit: nothing is configured")
	}
	if problems := config.Validate(); len(problems) > 0 {
		return nil, fmt.Errorf("livekit: %s", problems[0])
	}
	client := config.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	return &Platform{url: config.URL, apiKey: config.APIKey, signer: newSigner(config.APISecret), http: client}, nil
}

// Reader returns what recognises tokens without holding any key.
func Reader() *Platform { return &Platform{} }

// Issue makes a token. The participant's identity is the request's subject, or
// else the key of the grant's identity; a second participant of one identity
// puts out the first.
func (p *Platform) Issue(_ context.Context, req platform.Request) (usher.Credential, error) {
	c, err := p.claims(req)
	if err != nil {
		return usher.Credential{}, fmt.Errorf("livekit: issue: %w", err)
	}
	token, err := p.signer.sign(c)
	if err != nil {
		return usher.Credential{}, fmt.Errorf("livekit: sign: %w", err)
	}
	return usher.Credential{Platform: Name, Token: token, URL: p.url, ExpiresAt: time.Unix(c.Expires, 0).UTC()}, nil
}

func (p *Platform) claims(req platform.Request) (claims, error) {
	grant := req.Grant
	if req.Format != "" {
		return claims{}, usher.Errorf(usher.Invalid, "format_unknown", "LiveKit has one format of token; leave the format out.")
	}
	subject := req.Subject
	if subject == "" {
		subject = grant.Identity.Key()
	}
	if err := checkName("identity", subject); err != nil {
		return claims{}, err
	}
	// A token without a room would be good for any that its bearer names.
	if err := checkName("room", grant.Room); err != nil {
		return claims{}, err
	}
	rights, err := rightsOf(grant.Permissions)
	if err != nil {
		return claims{}, err
	}
	rights.Room = grant.Room
	notBefore, expires, err := times(grant, req.Now)
	if err != nil {
		return claims{}, err
	}
	c := claims{Issuer: p.apiKey, Subject: subject, NotBefore: notBefore, Expires: expires, Video: rights}
	if name := grant.Identity.Name; len(name) <= maxName {
		c.Name = name
	}
	return c, nil
}

// checkName refuses what LiveKit would refuse, and what JSON would change into
// the name of another.
func checkName(what, name string) error {
	switch {
	case name == "":
		return usher.Errorf(usher.Invalid, "livekit_"+what+"_invalid", "A LiveKit token needs the participant's identity and a room; the %s is missing.", what)
	case name == "*":
		return usher.Errorf(usher.Invalid, "livekit_"+what+"_invalid", "The %s can't be *, which other systems read as every one.", what)
	case len(name) > maxName:
		return usher.Errorf(usher.Invalid, "livekit_"+what+"_invalid", "The %s has %d bytes; LiveKit allows %d.", what, len(name), maxName)
	case !utf8.ValidString(name):
		return usher.Errorf(usher.Invalid, "livekit_"+what+"_invalid", "The %s is not valid UTF-8.", what)
	}
	return nil
}

// sources are the tracks that each permission lets a participant publish.
var sources = []struct {
	permission usher.Permission
	names      []string
}{
	{usher.PublishVideo, []string{"camera"}},
	{usher.PublishAudio, []string{"microphone"}},
	{usher.PublishScreen, []string{"screen_share", "screen_share_audio"}},
}

func rightsOf(permissions usher.Permissions) (video, error) {
	if !permissions.Has(usher.Join) {
		return video{}, usher.Errorf(usher.Forbidden, "grant_not_expressible", "A LiveKit token lets its bearer join, which is not granted.")
	}
	v := video{
		RoomJoin:          true,
		CanPublishSources: make([]string, 0, 4),
		CanPublishData:    permissions.Has(usher.PublishData),
		CanSubscribe:      permissions.Has(usher.Subscribe),
	}
	for _, s := range sources {
		if permissions.Has(s.permission) {
			v.CanPublishSources = append(v.CanPublishSources, s.names...)
		}
	}
	// An empty list of sources means all of them, so that this has to say no.
	v.CanPublish = len(v.CanPublishSources) > 0
	if permissions.Has(usher.Moderate) {
		if !usher.AllPermissions.Within(permissions) {
			return video{}, usher.Errorf(usher.Forbidden, "grant_not_expressible",
				"A moderator of a LiveKit room can give everyone every permission, so that moderate can't be had without all others.")
		}
		v.RoomAdmin = true
	}
	return v, nil
}

// times returns the bounds of a token in seconds, both rounded to within the
// grant.
func times(grant usher.Grant, now time.Time) (notBefore, expires int64, err error) {
	if grant.Expires.IsZero() {
		return 0, 0, usher.Errorf(usher.Forbidden, "grant_not_expressible", "A LiveKit token has to end, and the grant does not.")
	}
	notBefore = now.Unix()
	if grant.NotBefore.After(now) {
		notBefore = grant.NotBefore.Add(time.Second - time.Nanosecond).Unix()
	}
	expires = grant.Expires.Unix()
	if expires <= notBefore {
		return 0, 0, usher.Errorf(usher.Forbidden, "grant_expired", "The grant ends before a token could be used.")
	}
	return notBefore, expires, nil
}
