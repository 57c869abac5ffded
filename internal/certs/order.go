package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/crypto/acme"
)

// The ways in which an authority convinces itself that a host leads here: by a
// handshake on port 443, or by a request on port 80.
const (
	overTLS  = "tls-alpn-01"
	overHTTP = "http-01"
)

// obtain gets a certificate with a new key, and keeps it.
func (a *ACME) obtain(ctx context.Context, name string) (*tls.Certificate, error) {
	client, err := a.account(ctx)
	if err != nil {
		return nil, err
	}
	order, err := a.authorize(ctx, client, name)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
	if err != nil {
		return nil, err
	}
	chain, _, err := client.CreateCertFromOrder(ctx, order, request, true)
	if err != nil {
		return nil, err
	}
	text, err := encode(chain, key)
	if err != nil {
		return nil, err
	}
	cert, err := decode(text, name)
	if err != nil {
		return nil, err
	}
	if err := a.files.write(name, text); err != nil {
		a.config.Logger.Error("a certificate can't be kept, and is got anew after the next start", "host", name, "error", err)
	}
	return cert, nil
}

// account makes us known to the authority, by the key that is kept or else by a
// new one. Nothing is remembered of the last time: authorities change.
func (a *ACME) account(ctx context.Context) (*acme.Client, error) {
	key, err := a.files.accountKey()
	if err != nil {
		return nil, err
	}
	client := &acme.Client{Key: key, DirectoryURL: a.config.Directory, HTTPClient: a.http, UserAgent: "usher", RetryBackoff: again}
	account := &acme.Account{}
	if a.config.Email != "" {
		account.Contact = []string{"mailto:" + a.config.Email}
	}
	_, err = client.Register(ctx, account, acme.AcceptTOS)
	if errors.Is(err, acme.ErrAccountAlreadyExists) {
		_, err = client.UpdateReg(ctx, account) // the address may be another
	}
	return client, err
}

// again is after what time a request is repeated that the authority asks to be
// repeated, or failed to answer; 0 is never. What has to wait longer is another
// attempt.
func again(n int, _ *http.Request, res *http.Response) time.Duration {
	if n > 5 || res.StatusCode == http.StatusTooManyRequests {
		return 0
	}
	return time.Duration(n) * 100 * time.Millisecond
}

// authorize proves that a host leads here, in the one way or else in the other.
func (a *ACME) authorize(ctx context.Context, client *acme.Client, name string) (*acme.Order, error) {
	order, err := a.prove(ctx, client, name, overTLS)
	if _, refused := errors.AsType[*acme.AuthorizationError](err); !refused {
		return order, err
	}
	order, second := a.prove(ctx, client, name, overHTTP)
	if second != nil {
		return nil, fmt.Errorf("%s: %w; %s: %w", overTLS, err, overHTTP, second)
	}
	return order, nil
}

// prove proves it in one way.
func (a *ACME) prove(ctx context.Context, client *acme.Client, name, way string) (*acme.Order, error) {
	order, err := client.AuthorizeOrder(ctx, acme.DomainIDs(name))
	if err != nil {
		return nil, err
	}
	for _, address := range order.AuthzURLs {
		authorization, err := client.GetAuthorization(ctx, address)
		if err != nil {
			return nil, err
		}
		if authorization.Status == acme.StatusValid { // since the last time
			continue
		}
		if err := a.meet(ctx, client, name, way, authorization); err != nil {
			return nil, err
		}
	}
	return client.WaitOrder(ctx, order.URI)
}

// meet has the authority look, and shows it what it wants to see.
func (a *ACME) meet(ctx context.Context, client *acme.Client, name, way string, authorization *acme.Authorization) error {
	for _, challenge := range authorization.Challenges {
		if challenge.Type != way {
			continue
		}
		withdraw, err := a.show(client, name, challenge)
		if err != nil {
			return err
		}
		defer withdraw()
		if _, err := client.Accept(ctx, challenge); err != nil {
			return err
		}
		_, err = client.WaitAuthorization(ctx, authorization.URI)
		return err
	}
	return &acme.AuthorizationError{URI: authorization.URI, Identifier: name, Errors: []error{errors.New("the authority does not offer it")}}
}

// show lets the authority see that we know a challenge, until it is withdrawn.
func (a *ACME) show(client *acme.Client, name string, challenge *acme.Challenge) (withdraw func(), err error) {
	if challenge.Type == overTLS {
		proof, err := client.TLSALPN01ChallengeCert(challenge.Token, name)
		if err != nil {
			return nil, err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.proofs[name] = &proof
		return func() { a.mu.Lock(); defer a.mu.Unlock(); delete(a.proofs, name) }, nil
	}
	answer, err := client.HTTP01ChallengeResponse(challenge.Token)
	if err != nil {
		return nil, err
	}
	path := client.HTTP01ChallengePath(challenge.Token)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[path] = answer
	return func() { a.mu.Lock(); defer a.mu.Unlock(); delete(a.answers, path) }, nil
}

// Probe reports whether the authority answers.
func (a *ACME) Probe(ctx context.Context) error {
	defer a.http.CloseIdleConnections()
	client := &acme.Client{DirectoryURL: a.config.Directory, HTTPClient: a.http, UserAgent: "usher", RetryBackoff: again}
	_, err := client.Discover(ctx)
	return err
}

// advice is what to do about a failure.
func advice(err error) string {
	if _, ok := errors.AsType[*acme.AuthorizationError](err); ok {
		return "see that the name leads to this machine, and that port 443 of it reaches server.https or port 80 server.http from everywhere"
	}
	if failed, ok := errors.AsType[*acme.Error](err); ok {
		if _, limited := acme.RateLimit(failed); limited {
			return "wait: the authority gives out no more for a while"
		}
		return "the authority refuses; what it says is in the error"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "if the authority is your own, name its root in server.tls.acme.caFile"
	}
	return "see that this machine reaches server.tls.acme.directoryURL"
}
