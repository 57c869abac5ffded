package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"usher/client"
)

func TestTheAgoraTutorialInProduction(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	a := newAuthority(t)
	p := newSecureProvider(t, a)
	s := start(t, options{TLS: a, Env: []string{"APP_CERTIFICATE=" + agoraCertificate}, Config: documented(t, "agora.md",
		"https://id.example.com", p.url, "audiences: [usher]", "audiences: ['"+audience+"']", "970CA35de60c44645bbae8a215061b33", agoraAppID)})
	s.Secret(agoraCertificate)
	ann, ben := s.Secret(p.signIn(clientID, "ann", audience).Access), s.Secret(p.signIn(clientID, "ben", audience).Access)

	// The tutorial's addresses, by its own client and over TLS.
	tokens := tutorialTokens(t, s, "007", func(address string) string {
		_, path, _ := strings.Cut(address, "localhost:8080")
		return "curl -sS --cacert " + a.File + " -H 'Authorization: Bearer " + ann + "' '" + s.HTTPS + path + "'"
	})
	for i, got := range askLibrary(t, s, tokens, []agoraToken{}).Read {
		if problem := got.problem(tokens[i], tokens[i]); problem != "" {
			t.Errorf("%+v: %s", tokens[i], problem)
		}
	}
	s.decided(len(tokens), p.user("ann"), true)

	refused := func(path string, status int, code string, headers ...string) {
		t.Helper()
		got := s.do(http.MethodGet, path, "", headers...)
		var refusal struct{ Error, Code string }
		if err := json.Unmarshal([]byte(got.Body), &refusal); err != nil || got.Status != status || refusal.Code != code || !strings.HasSuffix(refusal.Error, ".") {
			t.Errorf("%s: got %d %s, want %d, the code %s and a sentence", path, got.Status, got.Body, status, code)
		}
	}
	const bens = "/rtc/test/publisher/uid/2"
	refused(bens, http.StatusUnauthorized, "credentials_required")
	refused(bens, http.StatusUnauthorized, "token_audience", bearer(s.Secret(p.signIn(stranger, "ben", otherAudience).Access))...)
	refused("/rtc/test/publisher/uid/1", http.StatusForbidden, "subject_taken", bearer(ben)...) // ann's

	// Ben is served until he is banned, which a restart does not forget.
	s.Secret(s.must(http.StatusOK, http.MethodGet, bens, "", bearer(ben)...).text(t, "rtcToken"))
	s.decided(1, p.user("ben"), true)
	if _, err := s.operator().Ban(t.Context(), "test", client.BanRequest{Identity: p.user("ben"), Reason: "Enough."}); err != nil {
		t.Fatal(err)
	}
	refused(bens, http.StatusForbidden, "banned", bearer(ben)...)
	s.decided(1, p.user("ben"), false)
	s.Kill()
	s.Restart()
	refused(bens, http.StatusForbidden, "banned", bearer(ben)...)
	if e := s.decided(2, p.user("ben"), false)[0]; e.Decision.Code != "banned" {
		t.Errorf("ben was refused with %s", e.Decision.Code)
	}
	s.Secret(s.must(http.StatusOK, http.MethodGet, "/rtc/test/publisher/uid/1", "", bearer(ann)...).text(t, "rtcToken"))
}
