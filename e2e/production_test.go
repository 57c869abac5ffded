package e2e_test

import (
	"net/http"
	"strings"
	"testing"
)

// Servers outside development mode, over TLS and with an issuer over TLS: the
// flows of the seeds in production are in production_*_test.go.

func TestTLSIsTrustedByWhomItIsShownToOnly(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	p := newSecureProvider(t, a)
	s := start(t, options{TLS: a, Config: trusting(p.entry())})
	if s.HTTP != s.HTTPS || !strings.HasPrefix(s.HTTPS, "https://localhost:") {
		t.Errorf("it is at %s and %s, want over HTTPS alone", s.HTTP, s.HTTPS)
	}
	room := s.openRoom()
	ann := p.signIn(clientID, "ann", audience)
	wantWelcome(t, s, room, ann.ID, p.user("ann"), "ann@example.org")
	wantWelcome(t, s, room, ann.Access, p.user("ann"), "")

	if _, err := newAuthority(t).client().Get(s.HTTPS + "/readyz"); err == nil {
		t.Error("who trusts another authority takes the server for the right one")
	}
	if got, err := send(a.client(), http.MethodGet, "http://"+hostOf(t, s.HTTPS)+"/readyz", ""); err != nil || got.Status != http.StatusBadRequest {
		t.Errorf("without TLS: got status %d and error %v", got.Status, err)
	}

	// The server is as careful with its issuers.
	careful := start(t, options{TLS: a, Config: trusting(p.entry()), Env: []string{"SSL_CERT_FILE=" + newAuthority(t).File}})
	wantTokensRefused(t, careful, map[string]forged{
		"an issuer whose authority is another": {ann.ID, http.StatusServiceUnavailable, "issuer_unavailable"},
	})
}
