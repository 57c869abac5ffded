package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/config"
	"usher/internal/identity"
	"usher/internal/limit"
)

func TestWhatChangesWhileAServerRuns(t *testing.T) {
	edits := map[string]func(*config.Config){
		"issuers":              func(c *config.Config) { c.Issuers = []identity.IssuerConfig{{Issuer: "https://id.example"}} },
		"operators":            func(c *config.Config) { c.Operators = []string{"user:a#b"} },
		"limits.mint":          func(c *config.Config) { c.Limits.Mint = limit.Rate{Count: 1, Per: 1} },
		"log.level":            func(c *config.Config) { c.Log.Level = "debug" },
		"agora.appCertificate": func(c *config.Config) { c.Agora.AppCertificate = usher.Secret("new") },
	}
	fixed := map[string]func(*config.Config){
		"server.tls.acme.domains": func(c *config.Config) { c.Server.TLS.ACME.Domains = []string{"usher.example.com"} },
		"server.http":             func(c *config.Config) { c.Server.HTTP = ":1" },
		"data":                    func(c *config.Config) { c.Data = "elsewhere" },
		"log.format":              func(c *config.Config) { c.Log.Format = "json" },
		"policy.maxLifetime":      func(c *config.Config) { c.Policy.MaxLifetime++ },
		"vpaas.apiAddress":        func(c *config.Config) { c.VPaaS.APIAddress = "https://vpaas.example" },
		"turn.secret":             func(c *config.Config) { c.TURN.Secret = "held" },
	}
	for key, edit := range edits {
		next := config.Default()
		edit(&next)
		got, changed, restart := config.Default().Change(next)
		if diff := cmp.Diff(next, got); diff != "" || !cmp.Equal(changed, []string{key}) || len(restart) > 0 {
			t.Errorf("%s: changed %q, restart %q (-want +got):\n%s", key, changed, restart, diff)
		}
	}
	for key, edit := range fixed {
		next := config.Default()
		edit(&next)
		got, changed, restart := config.Default().Change(next, "turn.secret")
		if diff := cmp.Diff(config.Default(), got); diff != "" || len(changed) > 0 || !cmp.Equal(restart, []string{key}) {
			t.Errorf("%s: changed %q, restart %q (-want +got):\n%s", key, changed, restart, diff)
		}
	}
	if _, _, restart := config.Default().Change(config.Dev()); !cmp.Equal(restart[0], "mode") {
		t.Errorf("to development mode: restart %q", restart)
	}
}

// What belongs together changes together, or not at all.
func TestNothingChangesByHalf(t *testing.T) {
	issuer := func(name string) []identity.IssuerConfig {
		return []identity.IssuerConfig{{Issuer: name, ClientIDs: []string{"page"}}}
	}
	for name, tt := range map[string]struct {
		before, edit     func(*config.Config)
		changed, restart []string
	}{
		"another VPaaS, and what we are known by there": {
			func(c *config.Config) {
				c.VPaaS.APIAddress, c.VPaaS.Credentials.PrivateKeyPath = "https://one.example", "one.pem"
			},
			func(c *config.Config) {
				c.VPaaS.APIAddress, c.VPaaS.Credentials.PrivateKeyPath = "https://two.example", "two.pem"
			},
			nil, []string{"vpaas.apiAddress", "vpaas.credentials.privateKeyPath"},
		},
		"another key at the same VPaaS": {
			func(c *config.Config) {
				c.VPaaS.APIAddress, c.VPaaS.Credentials.PrivateKeyPath = "https://one.example", "one.pem"
			},
			func(c *config.Config) { c.VPaaS.Credentials.PrivateKeyPath = "two.pem" },
			[]string{"vpaas.credentials.privateKeyPath"}, nil,
		},
		"a TURN server of our own in the place of another": {
			func(c *config.Config) { c.TURN.URLs = []string{"turn:elsewhere.example:3478"} },
			func(c *config.Config) {
				c.TURN.URLs, c.TURNServer.UDP = []string{"turn:here.example:3478"}, "127.0.0.1:3478"
			},
			nil, []string{"turn.urls", "turnServer.udp"},
		},
		"the only issuer, at which the page signs people in": {
			func(c *config.Config) { c.Web.ClientID, c.Issuers = "page", issuer("https://one.example") },
			func(c *config.Config) { c.Issuers = issuer("https://two.example") },
			[]string{"issuers"}, []string{"web.issuer"},
		},
		"the only issuer, without a page that signs in": {
			func(c *config.Config) { c.Issuers = issuer("https://one.example") },
			func(c *config.Config) { c.Issuers = issuer("https://two.example") },
			[]string{"issuers"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := config.Default()
			tt.before(&before)
			next := before
			tt.edit(&next)
			_, changed, restart := before.Change(next)
			if diff := cmp.Diff(tt.changed, changed); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.restart, restart); diff != "" {
				t.Errorf("restart (-want +got):\n%s", diff)
			}
		})
	}
}
