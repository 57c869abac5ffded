package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"usher"
	"usher/client"
)

// reload writes the configuration anew, sends SIGHUP, and waits until the log
// has a text.
func (s *Server) reload(config, want string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.options.Dir, "usher.yaml"), []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
	logged := len(s.output.Bytes())
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
	if err := s.output.await(within(s.t, time.Minute), want, logged); err != nil {
		s.t.Fatal(err)
	}
}

// reloaded is what the metric says of the last reload.
func (s *Server) reloaded() string {
	s.t.Helper()
	m := regexp.MustCompile(`(?m)^usher_config_last_reload_success (\d)$`).FindSubmatch(s.metrics())
	if m == nil {
		s.t.Fatal("there is no metric of reloads")
	}
	return string(m[1])
}

// known is the status with which a token is answered.
func (s *Server) known(token usher.Secret) int {
	s.t.Helper()
	return s.do(http.MethodGet, "/api/v1/me", "", bearer(token.Reveal())...).Status
}

func TestSIGHUPReloadsTheConfiguration(t *testing.T) {
	t.Parallel()
	one, two := newIssuer(t), newIssuer(t)
	const former, secret = "former-secret-of-32-characters-ab", "another-secret-of-32-characters-c"
	file := filepath.Join(t.TempDir(), "livekit.secret")
	write := func(secret string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(former)
	livekit := "livekit:\n  url: wss://livekit.example.com\n  apiKey: key\n  apiSecret: file:" + file + "\n"
	s := start(t, options{Config: trusting(one.entry()) + livekit})
	s.Secret(former)
	s.Secret(secret)
	ann, ben := one.token("ann"), two.token("ben")
	if got := []int{s.known(ann), s.known(ben)}; got[0] != 200 || got[1] != 401 {
		t.Fatalf("at the start: got %d, want 200 and 401", got)
	}
	room, err := s.operator().CreateRoom(t.Context(), client.CreateRoomRequest{Name: "hall"})
	if err != nil {
		t.Fatal(err)
	}
	signedWith := func(secret string) bool {
		t.Helper()
		c, err := s.operator().Issue(t.Context(), string(room.ID), client.CredentialRequest{Platform: "livekit", Subject: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		token, err := jose.ParseSignedCompact(c.Token.Reveal(), []jose.SignatureAlgorithm{jose.HS256})
		if err != nil {
			t.Fatal(err)
		}
		_, err = token.Verify([]byte(secret))
		return err == nil
	}
	if !signedWith(former) {
		t.Error("a credential is not signed with the configured secret")
	}

	write(secret)
	r := newHookReceiver(t)
	s.Secret(r.secret.Reveal())
	sound := trusting(one.entry(), two.entry()) + livekit + r.entry("    events: [ended]\n")
	s.reload(sound, "the configuration was reloaded")
	if got := []int{s.known(ann), s.known(ben)}; got[0] != 200 || got[1] != 200 || s.reloaded() != "1" {
		t.Errorf("with another issuer: got %d, want 200 twice", got)
	}
	if !signedWith(secret) {
		t.Error("a credential is not signed with the secret that was exchanged")
	}

	// A broken one changes nothing, and says why.
	for name, broken := range map[string]struct{ text, why string }{
		"no YAML":               {"issuers: [", "is not YAML"},
		"an unknown key":        {sound + "isuers: []\n", "isuers: unknown key"},
		"a value that is none":  {sound + "limits: {mint: often}\n", "limits.mint"},
		"a secret that is gone": {strings.Replace(sound, file, file+".gone", 1), "livekit.apiSecret"},
	} {
		t.Run(name, func(t *testing.T) {
			s.reload(broken.text, broken.why)
			if got := []int{s.known(ann), s.known(ben)}; got[0] != 200 || got[1] != 200 || s.reloaded() != "0" || !signedWith(secret) {
				t.Errorf("got %d, want what was before", got)
			}
			if a := s.do(http.MethodGet, "/readyz", ""); a.Status != http.StatusOK {
				t.Errorf("/readyz answered %d", a.Status)
			}
		})
	}
	if n := strings.Count(string(s.output.Bytes()), "was not reloaded"); n != 4 {
		t.Errorf("it was said %d times that it was not reloaded", n)
	}

	// What needs a restart is told by name; the rest changes.
	s.reload(strings.Replace(sound, two.entry(), "", 1)+"rooms: {implicit: true, seats: 3}\nlog: {format: json}\n",
		`settings="rooms.implicit, rooms.seats, log.format"`)
	if got := []int{s.known(ann), s.known(ben)}; got[0] != 200 || got[1] != 401 || s.reloaded() != "1" {
		t.Errorf("without the issuer: got %d, want 200 and 401", got)
	}
	if _, err := s.operator().EndRoom(t.Context(), string(room.ID), ""); err != nil {
		t.Fatal(err)
	}
	r.wait(within(t, time.Minute), "a webhook that came with a reload", func(told map[usher.ID][]usher.ID) bool { return len(told[room.ID]) == 1 })
}
