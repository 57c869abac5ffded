package e2e_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usher"
)

// One Usher is VPaaS and another the tutorial's back end in front of it, first
// open to the public and then to users of the issuer only.
func TestTheTutorialOfVPaaSInProduction(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	a := newAuthority(t)
	p := newSecureProvider(t, a)
	service := start(t, options{TLS: a, Config: trusting(p.entry())})
	key := clientKey(t)
	backEnd := service.register(key.Public)
	holdMeeting(t, service, backEnd, key)

	pages := a.serve(http.FileServer(http.Dir("../examples")))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "privateKey.pem"), readFile(t, key.Private), 0o600); err != nil {
		t.Fatal(err)
	}
	known := trusting(p.entry()) + documented(t, "pexip-vpaas.md", "https://crud.pexip.rocks", service.HTTPS,
		"euopeke6qei65m5prjcvnqv2lq", backEnd, "https://app.example.com", pages, "access: session", "access: identity")
	front := start(t, options{TLS: a, Dir: dir, Config: replaceOnce(t, known, "access: identity", "access: public, role: speaker")})

	curl := func(headers string) func(string) string {
		return func(line string) string {
			return strings.Replace(replaceOnce(t, line, "https://localhost:3000", front.HTTPS), "--insecure", "-sS --cacert "+a.File+headers, 1)
		}
	}
	tutorialByCurl(t, front, service, curl(""))
	browser := startBrowser(t, chromiumOptions{Keys: []string{keyHash(t, readFile(t, a.File))}})
	meetInExample(t, browser.open("a meeting", pages+"/pexip-vpaas/?usher="+url.QueryEscape(front.HTTPS)), service.operator())
	service.decided(1, "client:"+backEnd, true)

	// Who was removed stays out, also after a restart of either.
	removed := browse(t, front, service, pages)
	told := removed.closing()
	if _, err := service.operator().RemoveParticipant(t.Context(), removed.seat.Room, usher.ID(removed.seat.Participant), "Enough."); err != nil {
		t.Fatal(err)
	}
	if got := <-told; got.code != 4001 {
		t.Errorf("who was removed was told %d, want 4001", got.code)
	}
	service.Kill()
	service.Restart()
	front.Stop()
	front.Restart()
	if got, err := service.join(removed.seat.place); err != nil || got.Status != http.StatusNotFound {
		t.Errorf("who was removed comes back: got %d %s, %v", got.Status, got.Body, err)
	}
	browse(t, front, service, pages)

	// Nobody is served any more who is not known.
	front.Stop()
	front.options.Config = known
	front.Restart()
	for code, headers := range map[string][]string{
		"credentials_required": nil,
		"token_audience":       bearer(front.Secret(p.signIn(stranger, "ann", audience).ID)),
	} {
		front.wantTutorialRefused(http.StatusUnauthorized, headers...)
		if got := front.unauthenticated("meetings", code); got != 2 {
			t.Errorf("%d callers were refused with %s, want 2", got, code)
		}
	}
	ann := front.Secret(p.signIn(clientID, "ann", audience).Access)
	tutorialByCurl(t, front, service, curl(" -H 'Authorization: Bearer "+ann+"'"))
	front.decided(1, p.user("ann"), true)

	if r := runUsher(t, "client", "revoke", "--data", service.Data, backEnd); r.Status != 0 {
		t.Fatalf("usher client revoke: status %d\n%s", r.Status, r.Stderr)
	}
	wantCannot(t, front, removed.seat.Room, bearer(ann)...)
}
