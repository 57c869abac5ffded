// Package vpaas is a client of the VPaaS service API, Pexip's or that of
// another Usher: it makes meetings and participants on behalf of an app.
//
// An access token is fetched with an assertion that the app's private key
// signs (RFC 7523), shared by all calls until shortly before it expires, and
// renewed once when VPaaS no longer accepts it.
package vpaas

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"usher"
	"usher/internal/platform"
)

// Name is the platform's name in configurations and credentials.
const Name = "vpaas"

// defaultTimeout bounds a call where the configuration doesn't.
const defaultTimeout = 10 * time.Second

// Config is what [New] needs.
type Config struct {
	// APIAddress is the base URL of the VPaaS API: https://crud.pexip.rocks.
	APIAddress string
	// ClientID and Signer prove to VPaaS which app is calling: the id that it
	// assigned and the private key whose public half it knows; see
	// [LoadPrivateKey]. Without both no token is fetched or sent, for a transport
	// that vouches for its caller.
	ClientID string
	Signer   crypto.Signer
	// HTTP makes the calls; see [HTTPClient]. Its redirects and cookies are
	// never used.
	HTTP *http.Client
	// Timeout bounds each operation with all that it takes, a new token
	// included; 0 is 10 s.
	Timeout time.Duration
	// Now is the clock; nil is the system's.
	Now func() time.Time
	// Random is where the ids of assertions come from; nil is crypto/rand.
	Random io.Reader
}

// Platform makes meetings and participants on one VPaaS. It is safe for
// concurrent use.
type Platform struct {
	base    string
	http    *http.Client
	timeout time.Duration
	now     func() time.Time
	tokens  *tokens // nil: none are needed
}

var (
	_ platform.Platform   = (*Platform)(nil)
	_ platform.RoomOpener = (*Platform)(nil)
)

// New returns a client, or every mistake in its configuration. It calls nobody.
func New(config Config) (*Platform, error) {
	p := &Platform{
		base:    strings.TrimSuffix(config.APIAddress, "/"),
		timeout: config.Timeout,
		now:     config.Now,
	}
	if p.timeout <= 0 {
		p.timeout = defaultTimeout
	}
	if p.now == nil {
		p.now = time.Now
	}
	known := config.ClientID != "" || config.Signer != nil
	var errs []error
	if err := checkAddress(config.APIAddress, known); err != nil {
		errs = append(errs, err)
	}
	if config.HTTP == nil {
		errs = append(errs, errors.New("vpaas: an HTTP client is missing"))
	} else {
		client := *config.HTTP
		// A redirect would carry the access token to where nobody configured.
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		client.Jar = nil
		p.http = &client
	}
	if known {
		a, err := newAssertor(config.ClientID, config.Signer, p.base+tokenPath, config.Random)
		if err != nil {
			errs = append(errs, err)
		}
		p.tokens = &tokens{now: p.now, fetch: func(ctx context.Context) (token, error) { return p.fetchToken(ctx, a) }}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// checkAddress refuses what would send credentials to the wrong place or in
// the clear.
func checkAddress(address string, credentials bool) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return errors.New("vpaas: the API address must be a URL such as https://crud.pexip.rocks")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(address, "#"):
		return errors.New("vpaas: the API address must not have a user, a query or a fragment")
	case credentials && u.Scheme == "http" && !loopback(u.Hostname()):
		return errors.New("vpaas: the API address must begin with https://, or tokens would travel in the clear; only VPaaS on this machine may have http://")
	}
	return nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.IsLoopback()
}

// Open makes a meeting. What VPaaS did wrong is a [usher.Error] with the cause,
// for the log, in its Err.
func (p *Platform) Open(ctx context.Context) (platform.Opened, error) {
	opened, err := p.open(ctx)
	if err != nil {
		return platform.Opened{}, fmt.Errorf("vpaas: create a meeting: %w", err)
	}
	return opened, nil
}

func (p *Platform) open(ctx context.Context) (platform.Opened, error) {
	a, err := p.call(ctx, http.MethodPost, "/v1/meetings")
	if err != nil {
		return platform.Opened{}, err
	}
	if a.status != http.StatusOK {
		return platform.Opened{}, refused(a)
	}
	id, err := parseMeeting(a.body)
	if err != nil {
		return platform.Opened{}, invalidAnswer(err)
	}
	return platform.Opened{Room: string(id), Body: a.body}, nil
}

// Issue makes a participant in the meeting that the grant names. The
// credential's token is the participant's secret, which ends with its use.
func (p *Platform) Issue(ctx context.Context, req platform.Request) (usher.Credential, error) {
	c, err := p.issue(ctx, req.Grant)
	if err != nil {
		return usher.Credential{}, fmt.Errorf("vpaas: create a participant: %w", err)
	}
	return c, nil
}

func (p *Platform) issue(ctx context.Context, grant usher.Grant) (usher.Credential, error) {
	// An id in its one spelling can't change the path that it becomes part of.
	meeting, err := usher.ParseID(grant.Room)
	if err != nil {
		return usher.Credential{}, usher.Errorf(usher.Invalid, "meeting_id_malformed", "The meeting's id is not one that VPaaS makes.")
	}
	if err := p.expressible(grant); err != nil {
		return usher.Credential{}, err
	}
	made, err := p.enter(ctx, meeting)
	if err != nil {
		return usher.Credential{}, err
	}
	return usher.Credential{Platform: Name, Token: made.secret, Body: made.body}, nil
}

// enter makes a participant in a meeting.
func (p *Platform) enter(ctx context.Context, meeting usher.ID) (participant, error) {
	a, err := p.call(ctx, http.MethodPost, "/v1/meetings/"+string(meeting)+"/participants")
	if err != nil {
		return participant{}, err
	}
	switch a.status {
	case http.StatusOK:
	case http.StatusNotFound:
		return participant{}, usher.Errorf(usher.NotFound, "meeting_not_found", "There is no such meeting.")
	case http.StatusGone:
		return participant{}, usher.Errorf(usher.Gone, "meeting_ended", "The meeting has ended.")
	default:
		return participant{}, refused(a)
	}
	made, err := parseParticipant(a.body, meeting)
	if err != nil {
		return participant{}, invalidAnswer(err)
	}
	return made, nil
}

// expressible refuses a grant of less than every VPaaS participant may do:
// VPaaS knows neither roles nor times.
func (p *Platform) expressible(grant usher.Grant) error {
	switch {
	case !speaks(grant):
		return errListener
	case !grant.Expires.IsZero() || grant.NotBefore.After(p.now()):
		return usher.Errorf(usher.Forbidden, "grant_not_expressible", "A participant of a VPaaS meeting can't be limited in time.")
	}
	return nil
}

func speaks(grant usher.Grant) bool {
	return usher.BuiltinRoles()[usher.Speaker].Within(grant.Permissions)
}

var errListener = usher.Errorf(usher.Forbidden, "grant_not_expressible", "Every participant of a VPaaS meeting may speak, so nobody can be let in with less.")
