package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/client"
)

// Servers outside development mode, over TLS and with an issuer over TLS: the
// flows of the seeds in production are in production_*_test.go.

func TestOnlyCertificatesOfATrustedAuthorityCount(t *testing.T) {
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

// documented is the configuration that a page of docs/moving has, the first of
// it or, for PAGE#HEADING, of a section, with the names and addresses of its
// example exchanged, old for new in turn.
func documented(t *testing.T, page string, replacements ...string) string {
	t.Helper()
	file, heading, section := strings.Cut(page, "#")
	text := string(readFile(t, "../docs/moving/"+file))
	if section {
		_, text, _ = strings.Cut(text, "\n## "+heading+"\n")
	}
	_, text, found := strings.Cut(text, "```yaml\n")
	text, _, ended := strings.Cut(text, "```")
	if !found || !ended {
		t.Fatalf("docs/moving/%s has no configuration", page)
	}
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(text, replacements[i]) {
			t.Fatalf("the configuration of docs/moving/%s has no %q", page, replacements[i])
		}
		text = strings.ReplaceAll(text, replacements[i], replacements[i+1])
	}
	return text
}

// decided returns the decisions about somebody that the record has, once there
// are n of them, and checks that each is as it should be.
func (s *Server) decided(n int, who string, allowed bool) []client.Event {
	s.t.Helper()
	events := s.recorded(n, client.EventQuery{Type: usher.Decided, Who: who, Refused: !allowed})
	for _, e := range events {
		if e.Who != who || e.Decision == nil || e.RequestID == "" || !allowed && e.Decision.Allowed {
			s.t.Errorf("the record says of %s: %+v with the decision %+v", who, e, e.Decision)
		}
	}
	return events
}

// wantDecision waits until the record has the decision that somebody may do
// something, and how the caller was known.
func (s *Server) wantDecision(who, action, proof string) {
	s.t.Helper()
	query := client.EventQuery{Type: usher.Decided, Who: who, Search: action}
	until(s.t, "the record does not say that "+who+" may do "+action+", known by "+proof, time.Minute, func() bool {
		page, err := s.operator().EventPage(within(s.t, time.Minute), query)
		return err == nil && slices.ContainsFunc(page.Events, func(e client.Event) bool {
			d := e.Decision
			return d != nil && d.Action == action && d.Allowed && strings.Contains(d.Proof, proof)
		})
	})
}
