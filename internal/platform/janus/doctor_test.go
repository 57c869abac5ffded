package janus_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher/internal/platform/janus"
)

// checkFindings compares findings, each as the level and the check, and the
// beginning of what is said.
func checkFindings(t *testing.T, got []janus.Finding, want []janus.Finding) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			t.Errorf("found as well: %+v", got[i])
		case i >= len(got):
			t.Errorf("not found: %+v", want[i])
		case got[i].Level != want[i].Level || got[i].Check != want[i].Check || !strings.HasPrefix(got[i].Message, want[i].Message):
			t.Errorf("got %+v\nwant %+v", got[i], want[i])
		}
	}
	for _, f := range got {
		if strings.Contains(f.Message, "canary") || strings.Contains(f.Message, "eyJ") {
			t.Errorf("there is a secret in %+v", f)
		}
	}
}

func TestDoctorOnTheSFU(t *testing.T) {
	refuses := janus.Finding{Level: janus.Fine, Check: "pluginURL", Message: "A join without a token is refused."}
	accepts := janus.Finding{Level: janus.Fine, Check: "pluginURL", Message: "A token of ours is accepted."}
	tests := map[string]struct {
		sfu  *fakeSFU
		want []janus.Finding
	}{
		"all is well": {&fakeSFU{plugin: plugin{authKey: export(t)}, secret: apiSecret}, []janus.Finding{
			refuses, accepts, {Level: janus.Fine, Check: "clock", Message: "Janus's clock and ours agree within 5s."},
		}},
		"no auth_key, or one that can't be read": {&fakeSFU{secret: apiSecret}, []janus.Finding{
			{Level: janus.Fault, Check: "pluginURL", Message: "Everybody is let into every room without a token"},
		}},
		"another key": {&fakeSFU{plugin: plugin{authKey: x509.MarshalPKCS1PublicKey(&otherKey().PublicKey)}, secret: apiSecret}, []janus.Finding{
			refuses, {Level: janus.Fault, Check: "pluginURL", Message: "A token of ours is refused. Its auth_key is not"},
		}},
		"a key in PEM": {&fakeSFU{plugin: plugin{authKey: armor("RSA PUBLIC KEY", export(t))}, secret: apiSecret}, []janus.Finding{
			refuses, {Level: janus.Fault, Check: "pluginURL", Message: "A token of ours is refused. Its auth_key is not"},
		}},
		"a clock that is fast": {&fakeSFU{plugin: plugin{authKey: export(t), ahead: 20 * time.Second}, secret: apiSecret}, []janus.Finding{
			refuses, accepts, {Level: janus.Fault, Check: "clock", Message: "Janus's clock is ahead of ours by more than 5s"},
		}},
		"a clock that is fast by more than tokens live": {&fakeSFU{plugin: plugin{authKey: export(t), ahead: time.Hour}, secret: apiSecret}, []janus.Finding{
			refuses, {Level: janus.Fault, Check: "clock", Message: "Janus's clock is ahead of ours by more than 5m0s"},
		}},
		"a clock that is slow": {&fakeSFU{plugin: plugin{authKey: export(t), ahead: -20 * time.Second}, secret: apiSecret}, []janus.Finding{
			refuses, accepts, {Level: janus.Fault, Check: "clock", Message: "Janus's clock is behind ours by more than 5s"},
		}},
		"another api_secret": {&fakeSFU{plugin: plugin{authKey: export(t)}, secret: "other"}, []janus.Finding{
			{Level: janus.Fault, Check: "pluginURL", Message: `janus-plugin-sfu could not be asked: Janus answered 403, "Unauthorized`},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := sfuPlatform(t, newSFU(t, test.sfu), func(c *janus.Config) { c.APISecret = apiSecret })
			checkFindings(t, p.Doctor(bounded(t)), test.want)
		})
	}
}

func TestDoctorOnTheKeyFile(t *testing.T) {
	unseen := janus.Finding{Level: janus.Warning, Check: "pluginURL", Message: "It is not configured"}
	fault := func(message string) []janus.Finding {
		return []janus.Finding{{Level: janus.Fault, Check: "auth_key", Message: message}, unseen}
	}
	const form = "The file has "
	want := map[string][]janus.Finding{
		"PKCS #1 public DER":  {{Level: janus.Fine, Check: "auth_key", Message: "The file has a key in the form that the plugin needs."}, unseen},
		"PKCS #1 public PEM":  fault(form + "PKCS #1 in PEM, with which the plugin refuses every token"),
		"SPKI DER":            fault(form + "SubjectPublicKeyInfo in DER, with which"),
		"SPKI PEM":            fault(form + "SubjectPublicKeyInfo in PEM, with which"),
		"PKCS #1 private DER": fault(form + "a private key"),
		"PKCS #1 private PEM": fault(form + "a private key"),
		"PKCS #8 private DER": fault(form + "a private key"),
		"PKCS #8 private PEM": fault(form + "a private key"),
		"nonsense":            fault("The plugin can't use the file, and refuses every token: the key in it is damaged"),
		"not there":           fault("The file can't be read"),
		"another key":         append(fault("The file has another key")[:1], janus.Finding{Level: janus.Fine, Check: "auth_key", Message: "The file has a key in the form"}, unseen),
	}
	files := keyFiles(t, newKey())
	files["nonsense"] = []byte("nonsense")
	files["another key"] = x509.MarshalPKCS1PublicKey(&otherKey().PublicKey)
	for name, findings := range want {
		t.Run(name, func(t *testing.T) {
			c := config()
			c.TokenAuthSecret = ""
			c.PublicKeyFile = filepath.Join(t.TempDir(), "public.der")
			if file, ok := files[name]; ok {
				if err := os.WriteFile(c.PublicKeyFile, file, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			checkFindings(t, newPlatform(t, c).Doctor(bounded(t)), findings)
		})
	}
}

func TestDoctorOnRealJanus(t *testing.T) {
	fine := func(check, message string) janus.Finding {
		return janus.Finding{Level: janus.Fine, Check: check, Message: message}
	}
	session := []janus.Finding{
		fine("apiURL", "A session without a token is refused."), fine("apiURL", "A token of ours is accepted."),
		fine("clock", "Janus's clock and ours agree within 5s."),
	}
	closed := fine("adminURL", "A room was opened and closed.")
	tests := map[string]struct {
		server func(*server)
		config func(*janus.Config)
		want   []janus.Finding
	}{
		"all is well": {want: append(session[:3:3],
			fine("apiURL", "A join without the room's token is refused."), fine("apiURL", "Who may enter can't make rooms."), closed)},
		"no admin_key": {server: func(s *server) { s.AdminKey = "" }, want: append(session[:3:3],
			fine("apiURL", "A join without the room's token is refused."),
			janus.Finding{Level: janus.Warning, Check: "apiURL", Message: "Who may enter can also make rooms"}, closed)},
		"no token_auth": {server: func(s *server) { s.Open = true }, want: []janus.Finding{
			{Level: janus.Fault, Check: "apiURL", Message: "Janus lets everybody in without a token"},
			{Level: janus.Fault, Check: "apiURL", Message: "VideoRoom lets everybody into a room that asks for a token"},
			fine("apiURL", "Who may enter can't make rooms."), closed,
		}},
		"another token_auth_secret": {server: func(s *server) { s.Secret = "a secret of somebody else" }, want: []janus.Finding{
			session[0], {Level: janus.Fault, Check: "apiURL", Message: "A token of ours is refused. Janus's token_auth_secret is not"},
			{Level: janus.Fault, Check: "apiURL", Message: "A room could not be tried: Janus answered 403"}, closed,
		}},
		"no token_auth_secret": {server: func(s *server) { s.Stored = true }, want: []janus.Finding{
			session[0], {Level: janus.Fault, Check: "apiURL", Message: "A token of ours is refused. Janus's token_auth_secret is not"},
			{Level: janus.Fault, Check: "apiURL", Message: "A room could not be tried: Janus answered 403"}, closed,
		}},
		"another admin_secret": {config: func(c *janus.Config) { c.AdminSecret = "not the secret" }, want: append(session[:3:3],
			janus.Finding{Level: janus.Fault, Check: "adminURL", Message: "A room could not be opened: Janus answered 403"})},
		"rooms with numbers": {config: func(c *janus.Config) { c.NumericRooms = true }, want: append(session[:3:3],
			janus.Finding{Level: janus.Fault, Check: "adminURL", Message: "A room could not be opened: Janus answered 430"})},
		"no Janus there": {config: func(c *janus.Config) {
			c.APIURL, c.AdminURL = "ws://127.0.0.1:1/janus", "http://127.0.0.1:1/admin"
		}, want: []janus.Finding{
			{Level: janus.Fault, Check: "apiURL", Message: "Janus could not be asked: dial tcp"},
			{Level: janus.Fault, Check: "adminURL", Message: "A room could not be opened: dial tcp"},
		}},
		"no addresses": {config: func(c *janus.Config) { c.APIURL, c.AdminURL, c.AdminSecret = "", "", "" }, want: []janus.Finding{
			{Level: janus.Warning, Check: "apiURL", Message: "It is not configured"},
			{Level: janus.Warning, Check: "adminURL", Message: "It is not configured"},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.server == nil {
				test.server = func(*server) {}
			}
			if test.config == nil {
				test.config = func(*janus.Config) {}
			}
			p := startJanus(t, test.server).platform(t, test.config)
			checkFindings(t, p.Doctor(bounded(t)), test.want)
		})
	}
}
