package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"usher"
	"usher/internal/recent"
)

// ErrNotSignedIn refuses a caller with a session that the app does not know, or
// no longer.
var ErrNotSignedIn = usher.Errorf(usher.Unauthenticated, "session_required",
	"You are not signed in: sign in to the app, and try again.")

const (
	// maxSent bounds the headers that are sent on, and maxAnswer the answer, in bytes.
	maxSent   = 16 << 10
	maxAnswer = 64 << 10
	// maxAsking is how many answers are waited for at once, so that a flood of
	// invented cookies does not become one at the app.
	maxAsking = 32
	// rememberSessions is how many answers are kept.
	rememberSessions = 4096
)

// Forward knows the users of an app by asking the app: forward authentication.
// It is safe for concurrent use.
//
// The address asked is the configuration's and nothing of it is the caller's.
// Of the caller's headers only those on a list are sent on. The app's answer is
// never shown to the caller.
type Forward struct {
	config ForwardConfig
	http   *http.Client
	now    func() time.Time
	asking chan struct{}
	recent *recent.Map[session]
}

var _ Authenticator = (*Forward)(nil)

// session is an answer that is good until then.
type session struct {
	identity usher.Identity
	until    time.Time
}

// NewForward returns an authenticator. Without a client it makes its own, which
// trusts CAFile; without a clock it takes the system's.
func NewForward(c ForwardConfig, client *http.Client, now func() time.Time) (*Forward, error) {
	if problems := c.Validate(); len(problems) > 0 {
		return nil, fmt.Errorf("identity: forward authentication: %s", problems[0])
	}
	if !c.Enabled() {
		return nil, errors.New("identity: forward authentication: there is no address to ask")
	}
	c.Headers = slices.Clone(c.Headers)
	for i, name := range c.Headers {
		c.Headers[i] = http.CanonicalHeaderKey(name)
	}
	f := &Forward{config: c, now: now, asking: make(chan struct{}, maxAsking), recent: recent.New[session](rememberSessions)}
	if f.now == nil {
		f.now = time.Now
	}
	if client == nil {
		var err error
		if client, err = forwardClient(c.CAFile); err != nil {
			return nil, fmt.Errorf("identity: forward authentication: %w", err)
		}
	}
	own := *client
	own.Jar = nil
	// To be sent elsewhere, as to a page to sign in, is an answer.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	f.http = &own
	return f, nil
}

func forwardClient(caFile string) (*http.Client, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificates", caFile)
		}
	}
	return &http.Client{Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{RootCAs: pool},
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    maxAsking,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxAnswer,
	}}, nil
}

// Authenticate implements [Authenticator]. A caller who presents a token is
// none of ours, unless the app is to judge tokens too.
func (f *Forward) Authenticate(ctx context.Context, p Proof) (usher.Identity, error) {
	if (p.Bearer != "" || p.Malformed) && !slices.Contains(f.config.Headers, "Authorization") {
		return usher.Identity{}, ErrNotMine
	}
	sent, err := f.sent(p.Session)
	if err != nil {
		return usher.Identity{}, err
	}
	digest := digestOf(sent)
	if s, ok := f.recent.Get(digest); ok && f.now().Before(s.until) {
		return cloned(s.identity), nil
	}
	asked := f.now()
	id, err := f.ask(ctx, sent)
	if err != nil {
		f.recent.Remove(digest)
		return usher.Identity{}, err
	}
	if id.IssuedAt.IsZero() {
		id.IssuedAt = asked.UTC().Truncate(time.Microsecond) // a fresh answer is a fresh proof
	}
	if f.config.CacheFor > 0 {
		until := asked.Add(f.config.CacheFor)
		if !id.Expires.IsZero() && id.Expires.Before(until) {
			until = id.Expires
		}
		f.recent.Put(digest, session{cloned(id), until})
	}
	return id, nil
}

func cloned(id usher.Identity) usher.Identity {
	id.Groups = slices.Clone(id.Groups)
	return id
}

// sent returns the headers that are sent on: the cookies, and those on the
// list. There being none of a session is ErrNotMine.
func (f *Forward) sent(h http.Header) (http.Header, error) {
	sent := make(http.Header)
	size := 0
	for _, name := range append([]string{"Cookie"}, f.config.Headers...) {
		values := h[name]
		if len(values) == 0 {
			continue
		}
		value := values[0]
		if len(values) > 1 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, because(ErrNotSignedIn, name+" is there twice, or has characters that no header may have")
		}
		if name == "Cookie" && len(f.config.Cookies) > 0 {
			value = f.cookies(value)
		}
		if value != "" {
			sent.Set(name, value)
			size += len(name) + len(value)
		}
	}
	switch {
	case len(sent) == 0, len(f.config.Cookies) > 0 && sent.Get("Cookie") == "":
		return nil, ErrNotMine
	case size > maxSent:
		return nil, because(ErrNotSignedIn, "the headers are too long to be sent on")
	}
	return sent, nil
}

// cookies returns the pairs of a Cookie header that belong to the session, as
// they are spelled.
func (f *Forward) cookies(header string) string {
	var kept []string
	for pair := range strings.SplitSeq(header, ";") {
		pair = strings.TrimSpace(pair)
		if name, _, ok := strings.Cut(pair, "="); ok && slices.Contains(f.config.Cookies, name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "; ")
}

// digestOf tells one set of headers from every other.
func digestOf(h http.Header) usher.Digest {
	var b strings.Builder
	_ = h.Write(&b) // in the order of names, a line each
	return usher.Secret(b.String()).Digest()
}

// ask asks the app who sends such headers.
func (f *Forward) ask(ctx context.Context, sent http.Header) (usher.Identity, error) {
	limited, cancel := context.WithTimeout(ctx, f.config.Timeout)
	defer cancel()
	select {
	case f.asking <- struct{}{}:
		defer func() { <-f.asking }()
	case <-limited.Done():
		return usher.Identity{}, f.unanswered(ctx, limited.Err())
	}
	req, err := http.NewRequestWithContext(limited, http.MethodGet, f.config.URL, nil)
	if err != nil {
		return usher.Identity{}, fmt.Errorf("identity: forward authentication: %w", err)
	}
	req.Header = sent.Clone()
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "usher")
	res, err := f.http.Do(req)
	if err != nil {
		return usher.Identity{}, f.unanswered(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return usher.Identity{}, f.unanswered(ctx, err)
	}
	return f.understand(res, body)
}

// unanswered is that the app did not answer, unless the caller did not wait.
func (f *Forward) unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("identity: forward authentication: %w", ctx.Err())
	}
	return refuse(ErrIssuerUnavailable, fmt.Errorf("identity: forward authentication: %w", err))
}

// understand reads an answer.
func (f *Forward) understand(res *http.Response, body []byte) (usher.Identity, error) {
	wrong := func(what string) (usher.Identity, error) {
		return usher.Identity{}, because(ErrIssuerUnavailable, "identity: forward authentication: "+f.config.URL+" "+what)
	}
	switch status := res.StatusCode; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden || 300 <= status && status < 400:
		return usher.Identity{}, because(ErrNotSignedIn, fmt.Sprintf("the app answered %d", status))
	case f.config.UserHeaders.Subject != "" && 200 <= status && status < 300:
		return f.identify(f.fromHeaders(res.Header), ClaimNames{})
	case status != http.StatusOK:
		return wrong(fmt.Sprintf("answered %d", status))
	case len(body) > maxAnswer:
		return wrong("answered at too great length")
	}
	claims, err := decodeClaimSet(body)
	switch {
	case err != nil:
		return wrong("answered something else than a JSON object")
	case len(claims) == 0: // {} or null, as some libraries answer without a session
		return usher.Identity{}, because(ErrNotSignedIn, "the app knows nobody")
	}
	names := f.config.Claims
	if names.Subject == "" && !claims.has("sub") {
		names.Subject = "id"
	}
	return f.identify(claims, names)
}

// fromHeaders puts what headers say into claims.
func (f *Forward) fromHeaders(h http.Header) claimSet {
	names := f.config.UserHeaders
	c := make(claimSet)
	for claim, header := range map[string]string{"sub": names.Subject, "email": names.Email, "name": names.Name} {
		if values := h.Values(header); len(values) == 1 {
			c.set(claim, values[0])
		}
	}
	var groups []string
	for _, line := range h.Values(names.Groups) {
		for group := range strings.SplitSeq(line, ",") {
			groups = append(groups, strings.TrimSpace(group))
		}
	}
	c.set("groups", groups)
	return c
}

// identify makes an identity of what the app says of a user.
func (f *Forward) identify(c claimSet, names ClaimNames) (usher.Identity, error) {
	p, err := c.profile(names.complete(), f.config.TrustEmail)
	issuedAt, iatErr := c.time("iat")
	expires, expErr := c.time("exp")
	if err := errors.Join(err, iatErr, expErr); err != nil {
		return usher.Identity{}, refuse(ErrIssuerUnavailable, fmt.Errorf("identity: forward authentication: the answer of %s: %w", f.config.URL, err))
	}
	if !expires.IsZero() && !f.now().Before(expires) {
		return usher.Identity{}, because(ErrNotSignedIn, "the session has expired")
	}
	return usher.Identity{
		App: f.config.App, Kind: usher.UserIdentity, Issuer: f.config.Issuer, Subject: p.subject,
		Name: p.name, Email: p.email, Groups: p.groups,
		IssuedAt: issuedAt, Expires: expires, Proof: "session " + f.config.Issuer,
	}, nil
}
