package vpaas

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"usher"
)

const (
	tokenPath = "/oauth/token"
	// margin is how long before its expiry an access token is no longer used,
	// so that it doesn't expire on its way.
	margin = 60 * time.Second
)

// token is an access token of VPaaS.
type token struct {
	access usher.Secret
	// until is when it is last used. It is past for one that is good only for
	// the calls that waited for it.
	until time.Time
}

// fetchToken asks VPaaS for an access token (RFC 6749, section 4.4, with the
// client authentication of RFC 7523, section 2.2).
func (p *Platform) fetchToken(ctx context.Context, by *assertor) (token, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	now := p.now()
	assertion, err := by.assert(now)
	if err != nil {
		return token{}, err
	}
	form := "grant_type=client_credentials" +
		"&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer" +
		"&client_assertion=" + assertion.Reveal()
	req, err := p.newRequest(ctx, http.MethodPost, tokenPath, "application/x-www-form-urlencoded", form)
	if err != nil {
		return token{}, err
	}
	a, err := p.exchange(req, assertion)
	if err != nil {
		return token{}, err
	}
	switch a.status {
	case http.StatusOK:
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return token{}, &usher.Error{
			Kind: usher.Upstream, Code: "vpaas_credentials_refused", Message: "VPaaS does not accept this server's credentials.",
			Err: fmt.Errorf("%w; check the client id, the private key, the API address and this machine's clock", statusError(a)),
		}
	default:
		return token{}, refused(a)
	}
	access, lifetime, err := parseToken(a.body)
	if err != nil {
		return token{}, invalidAnswer(err)
	}
	return token{access: access, until: now.Add(lifetime - margin)}, nil
}

// tokens shares one access token among all calls.
type tokens struct {
	now   func() time.Time
	fetch func(context.Context) (token, error)

	mu      sync.Mutex
	current token
	renewal *renewal // nil unless one is under way
}

// renewal is one fetch, which every call that needs a token waits for.
type renewal struct {
	done  chan struct{}
	token token
	err   error
}

// get returns a token that is good for one call at least.
func (t *tokens) get(ctx context.Context) (token, error) {
	t.mu.Lock()
	if t.now().Before(t.current.until) {
		defer t.mu.Unlock()
		return t.current, nil
	}
	r := t.renewal
	if r == nil {
		r = &renewal{done: make(chan struct{}), err: errors.New("the token request was broken off")}
		t.renewal = r
		t.mu.Unlock()
		// Others wait for this fetch too, so it doesn't end with this caller.
		t.renew(context.WithoutCancel(ctx), r)
		return r.token, r.err
	}
	t.mu.Unlock()
	select {
	case <-r.done:
		return r.token, r.err
	case <-ctx.Done():
		return token{}, unreachable(http.MethodPost, tokenPath, ctx.Err())
	}
}

// renew fetches a token for everyone who waits for r, also if it panics.
func (t *tokens) renew(ctx context.Context, r *renewal) {
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if r.err == nil {
			t.current = r.token
		}
		t.renewal = nil
		close(r.done)
	}()
	r.token, r.err = t.fetch(ctx)
}

// drop forgets a token that VPaaS refused, unless it was replaced already.
func (t *tokens) drop(refused token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current.access == refused.access {
		t.current = token{}
	}
}
