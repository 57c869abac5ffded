package vpaas

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"usher"
)

// maxAnswer is how long an answer of VPaaS may be, in bytes; real ones have
// a few hundred.
const maxAnswer = 64 << 10

// answer is what VPaaS answered to a request.
type answer struct {
	status int
	body   []byte
	// sent is the secret that the request carried, which no error may repeat.
	sent usher.Secret
}

// call asks for a path below the API address, as an app that VPaaS knows. A POST
// has an empty object for a body, and nothing else has one.
func (p *Platform) call(ctx context.Context, method, path string) (answer, error) {
	bounded, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	a, err := p.authorized(bounded, method, path)
	if err != nil && ctx.Err() != nil {
		return answer{}, ctx.Err() // the caller gave up; VPaaS may be well
	}
	return a, err
}

// authorized sends the access token. One that is refused is renewed, once.
func (p *Platform) authorized(ctx context.Context, method, path string) (answer, error) {
	if p.tokens == nil {
		return p.send(ctx, method, path, "")
	}
	t, err := p.tokens.get(ctx)
	if err != nil {
		return answer{}, err
	}
	a, err := p.send(ctx, method, path, t.access)
	if err != nil || a.status != http.StatusUnauthorized {
		return a, err
	}
	p.tokens.drop(t)
	if t, err = p.tokens.get(ctx); err != nil {
		return answer{}, err
	}
	return p.send(ctx, method, path, t.access)
}

// send makes a request, with an access token if there is one.
func (p *Platform) send(ctx context.Context, method, path string, access usher.Secret) (answer, error) {
	mediaType, body := "application/json", "{}"
	if method != http.MethodPost {
		mediaType, body = "", ""
	}
	req, err := p.newRequest(ctx, method, path, mediaType, body)
	if err != nil {
		return answer{}, err
	}
	if access != "" {
		req.Header.Set("Authorization", "Bearer "+access.Reveal())
	}
	return p.exchange(req, access)
}

func (p *Platform) newRequest(ctx context.Context, method, path, mediaType, body string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "usher")
	return req, nil
}

// exchange sends a request, which carries the secret, and reads the answer.
func (p *Platform) exchange(req *http.Request, secret usher.Secret) (answer, error) {
	resp, err := p.http.Do(req)
	if err != nil {
		return answer{}, unreachable(req.Method, req.URL.Path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return answer{}, unreachable(req.Method, req.URL.Path, err)
	}
	if len(body) > maxAnswer {
		return answer{}, invalidAnswer(fmt.Errorf("it has more than %d bytes", maxAnswer))
	}
	return answer{status: resp.StatusCode, body: body, sent: secret}, nil
}

// unreachable is the failure of an exchange that brought no answer.
func unreachable(method, path string, err error) error {
	e := &usher.Error{Kind: usher.Upstream, Code: "vpaas_unreachable", Message: "VPaaS could not be reached; try again.", Err: fmt.Errorf("%s %s: %w", method, path, readable(err))}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		e.Code, e.Message = "vpaas_timeout", "VPaaS did not answer in time; try again."
	}
	return e
}

// readable leaves out what VPaaS sent: net/http quotes it where it could not
// be read as HTTP, whatever it is.
func readable(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	if strings.Contains(err.Error(), `"`) && !certificate {
		return errors.New("what it sent is not HTTP")
	}
	return err
}

// refused is the failure of an exchange with an unexpected status. Only the
// log gets to know it: the caller can do nothing about our own credentials.
func refused(a answer) error {
	e := &usher.Error{Kind: usher.Upstream, Code: "vpaas_failed", Message: "VPaaS did not do what it was asked for.", Err: statusError(a)}
	switch a.status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		e.Kind, e.Code, e.Message = usher.Unavailable, "vpaas_busy", "VPaaS is busy; try again later."
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Code, e.Message = "vpaas_refused", "VPaaS does not accept this server's credentials for the call."
	}
	return e
}

func statusError(a answer) error {
	if reason := a.reason(); reason != "" {
		return fmt.Errorf("VPaaS answered %d: %s", a.status, reason)
	}
	return fmt.Errorf("VPaaS answered %d", a.status)
}

// What of an answer's reason is fit for a log: short, plain, and without a
// word as long as tokens and secrets are.
const (
	maxReason = 120
	maxWord   = 32
)

// reason is why VPaaS says that it refused, as "Invalid meeting ID", or "".
func (a answer) reason() string {
	var e struct {
		Reason string `json:"reason"`
	}
	if json.Unmarshal(a.body, &e) != nil || len(e.Reason) > maxReason {
		return ""
	}
	for word := range strings.FieldsSeq(e.Reason) {
		if len(word) > maxWord {
			return ""
		}
	}
	if strings.ContainsFunc(e.Reason, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	if a.sent != "" && strings.Contains(e.Reason, a.sent.Reveal()) {
		return ""
	}
	return e.Reason
}

// invalidAnswer is the failure of an exchange with an answer that can't be
// passed on.
func invalidAnswer(err error) error {
	return &usher.Error{
		Kind: usher.Upstream, Code: "vpaas_answer_invalid", Message: "VPaaS answered something that it should not.",
		Err: fmt.Errorf("the answer of VPaaS: %w", err),
	}
}
