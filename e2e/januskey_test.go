package e2e_test

import (
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// A developer has no key for Janus, and needs none: the server makes one in the
// background, and its public half is there for Janus.
func TestADeveloperGetsTokensForJanusWithoutAKey(t *testing.T) {
	s := start(t, options{})
	token := s.must(http.StatusOK, http.MethodPost, "/janus/token", `{"room":"lobby"}`, "Content-Type", "application/json").text(t, "token")
	s.Secret(token)
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS512})
	if err != nil {
		t.Fatal(err)
	}
	export := func() string {
		t.Helper()
		out := runUsher(t, "keys", "export", "--janus", "--dev", "--data", s.Data)
		if out.Status != 0 {
			t.Fatal(out.Stderr)
		}
		return out.Stdout
	}
	verified := func(der string) error {
		public, err := x509.ParsePKCS1PublicKey([]byte(der))
		if err == nil {
			_, err = signed.Verify(public)
		}
		return err
	}
	if err := verified(export()); err != nil {
		t.Errorf("while the server runs: %v", err)
	}
	s.Stop()
	s.Restart()
	token = s.must(http.StatusOK, http.MethodPost, "/janus/token", `{"room":"lobby"}`, "Content-Type", "application/json").text(t, "token")
	s.Secret(token)
	if signed, err = jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS512}); err != nil {
		t.Fatal(err)
	}
	if err := verified(export()); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	// To exchange it, its file goes, and another is made at the next start.
	s.Stop()
	if err := os.Remove(filepath.Join(s.Data, "janus.key")); err != nil {
		t.Fatal(err)
	}
	if verified(export()) == nil {
		t.Error("the old token is good by the new key")
	}
}
