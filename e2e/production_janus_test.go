package e2e_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"usher"
	"usher/client"
)

// The commands by which the seed makes the key, but for ssh-keygen.
const seedKey = `cd %q && openssl genrsa -traditional -out key.pem 2048 &&
openssl rsa -in key.pem -outform PEM -pubout -out public.pem &&
openssl rsa -in key.pem -outform DER -out key.der &&
openssl rsa -in key.der -inform DER -RSAPublicKey_out -outform DER -out public.der`

// The pages of an app with sessions of its own get the tokens of the seed, and
// users of the issuer are in rooms of VideoRoom, on a Janus over TLS.
func TestJanusInProduction(t *testing.T) {
	t.Parallel()
	needs(t, "openssl")
	a := newAuthority(t)
	p, j := newSecureProvider(t, a), startJanus(t, a)
	mux := http.NewServeMux()
	mux.Handle("GET /me", sessions("sid"))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if name := r.FormValue("sign-in"); name != "" {
			http.SetCookie(w, &http.Cookie{Name: "sid", Value: name, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, `<!doctype html><title>An app</title><link rel="icon" href="data:,">`)
	})
	app, dir := a.serve(mux), t.TempDir()
	shell(t, fmt.Sprintf(seedKey, dir))
	s := start(t, options{TLS: a, Dir: dir, Config: trusting(p.entry()) + documented(t, "janus.md", "https://app.example.com", app,
		"  pluginURL: wss://janus.example.com\n", fmt.Sprintf("  tokenAuthSecret: %q\n  adminURL: %s\n  adminSecret: %q\n  adminKey: %q\n  apiURL: %s\n",
			janusTokenSecret, j.adminURL(), janusAdminSecret, janusAdminKey, j.apiURL()))})
	for _, secret := range janusSecrets {
		s.Secret(secret)
	}
	ctx, operator, seats := t.Context(), s.operator(), 5
	if _, err := operator.CreateRoom(ctx, client.CreateRoomRequest{Name: "stand-up", Admission: usher.AdmitOpen, Seats: &seats}); err != nil {
		t.Fatal(err)
	}
	if _, err := operator.PutMember(ctx, "stand-up", client.PutMemberRequest{Identity: "user:session#ann", Role: usher.Host}); err != nil {
		t.Fatal(err)
	}

	// The page of the seed, and its token for janus-plugin-sfu.
	browser := startBrowser(t, chromiumOptions{Keys: []string{keyHash(t, readFile(t, a.File))}})
	public, err := x509.ParsePKCS1PublicKey(readFile(t, filepath.Join(dir, "public.der")))
	if err != nil {
		t.Fatal(err)
	}
	wantToken := func(of page, kick bool) string {
		t.Helper()
		got := askJanus(of, s)
		token := s.Secret(got.Body.Token)
		signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS512})
		if err != nil || got.Status != http.StatusOK {
			t.Fatalf("the page %s got %d with the code %q, %v", of.name, got.Status, got.Body.Code, err)
		}
		payload, err := signed.Verify(public)
		c := claimsOf(t, string(payload))
		if err != nil || c["kick_users"] != kick || c["join_hub"] != true || fmt.Sprint(c["room_ids"]) != "[stand-up]" || c["aud"] != "webrtc_auth" {
			t.Errorf("the page %s got a token with %v, error %v", of.name, c, err)
		}
		if got.Body.ExpiresIn < 290 || got.Body.ExpiresIn > 300 || got.Body.RefreshIn < 60 || got.Body.RefreshIn > got.Body.ExpiresIn-60 {
			t.Errorf("the token is good for %d s, and to be renewed in %d s", got.Body.ExpiresIn, got.Body.RefreshIn)
		}
		return token
	}
	wantRefused := func(of page, status int, code string) {
		t.Helper()
		if got := askJanus(of, s); got.Status != status || got.Body.Code != code || !strings.HasSuffix(got.Body.Detail, ".") {
			t.Errorf("the page %s got %d with the code %q and %q, want %d, %s and a sentence", of.name, got.Status, got.Body.Code, got.Body.Detail, status, code)
		}
	}
	ann, ben := browser.open("ann", app+"/?sign-in=ann"), browser.open("ben", app+"/?sign-in=ben")
	if first, next := wantToken(ann, true), wantToken(ann, true); first == next {
		t.Error("renewed, the token is the same")
	}
	wantToken(ben, false)
	wantRefused(browser.open("stranger", app), http.StatusUnauthorized, "credentials_required")
	s.decided(2, "user:session#ann", true)

	// The same room on Janus itself.
	cidsToken, dansToken := usher.Secret(p.signIn(clientID, "cid", audience).Access), usher.Secret(p.signIn(clientID, "dan", audience).Access)
	s.Secret(cidsToken.Reveal())
	s.Secret(dansToken.Reveal())
	cid, dan := s.as(cidsToken), s.as(dansToken)
	cidsPage, code := j.join(t, s, cid, "cid", "stand-up")
	if code != 0 {
		t.Fatalf("cid can't join: %d", code)
	}
	dansPage, code := j.join(t, s, dan, "dan", "stand-up")
	if code != 0 {
		t.Fatalf("dan can't join: %d", code)
	}
	s.decided(2, p.user("cid"), true)

	// Who is put out stays out, also after a restart.
	removeFrom(t, operator, "stand-up", p.user("cid"))
	await(t, "the ejection of cid", cidsPage.kicked)
	if _, err := operator.Ban(ctx, "stand-up", client.BanRequest{Identity: "user:session#ben", Reason: "Enough."}); err != nil {
		t.Fatal(err)
	}
	wantRefused(ben, http.StatusForbidden, "banned")
	s.decided(1, "user:session#ben", false)
	s.Kill()
	s.Restart()
	wantRefused(ben, http.StatusForbidden, "banned")
	s.decided(2, "user:session#ben", false)
	if _, err := cid.Issue(ctx, "stand-up", client.CredentialRequest{Platform: "janus", Format: "videoroom", Subject: "cid"}); refusedWith(err) != "participant_removed" {
		t.Errorf("cid asks for another credential: %v", err)
	}
	// Users of the issuer have the token of the seed as well.
	s.Secret(s.must(http.StatusOK, http.MethodPost, "/janus/token", `{"room":"stand-up"}`, append(bearer(dansToken.Reveal()), asJSON...)...).text(t, "token"))
	wantToken(ann, true)
	if dansPage.kicked() {
		t.Error("dan is out")
	}
}

// janusToken is what a page is answered.
type janusToken struct {
	Status int
	Body   struct {
		Token        string
		ExpiresIn    int `json:"expires_in"`
		RefreshIn    int `json:"refresh_in"`
		Code, Detail string
	}
}

// askJanus has a page ask for the token of its room, with its session.
func askJanus(of page, s *Server) janusToken {
	of.t.Helper()
	var got janusToken
	of.run(`
		const answer = await fetch(arg + '/janus/token', {
			method: 'POST', credentials: 'include', headers: {'Content-Type': 'application/json'}, body: '{"room":"stand-up"}',
		});
		return {status: answer.status, body: await answer.json()};`, s.HTTPS, &got)
	return got
}
