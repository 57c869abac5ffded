package config_test

import (
	"slices"
	"strings"
	"testing"

	"usher/internal/config"
	"usher/internal/identity"
)

func TestThePageSignsInAtOneOfTheIssuers(t *testing.T) {
	one := identity.IssuerConfig{Issuer: "https://id.example.com/one", ClientIDs: []string{"app", "page"}}
	two := identity.IssuerConfig{Issuer: "https://two.example.com", Audiences: []string{"page"}}
	for name, c := range map[string]struct {
		web     config.Web
		issuers []identity.IssuerConfig
		origins []string
		problem string
	}{
		"without a client":         {config.Web{}, []identity.IssuerConfig{one}, nil, ""},
		"at the only one":          {config.Web{ClientID: "page"}, []identity.IssuerConfig{one}, []string{"https://id.example.com"}, ""},
		"at the one that is named": {config.Web{ClientID: "page", Issuer: two.Issuer}, []identity.IssuerConfig{one, two}, []string{"https://two.example.com"}, ""},
		"with another endpoint": {config.Web{ClientID: "page", Connect: []string{"https://token.example.com"}}, []identity.IssuerConfig{one},
			[]string{"https://id.example.com", "https://token.example.com"}, ""},
		"at which of two":          {config.Web{ClientID: "page"}, []identity.IssuerConfig{one, two}, nil, "web.issuer"},
		"at none of them":          {config.Web{ClientID: "page", Issuer: "https://x.example"}, []identity.IssuerConfig{one}, nil, "web.issuer"},
		"as another's client":      {config.Web{ClientID: "other"}, []identity.IssuerConfig{one}, []string{"https://id.example.com"}, "web.clientId"},
		"with what is no origin":   {config.Web{ClientID: "page", Connect: []string{"https://a.example/b"}}, []identity.IssuerConfig{one}, []string{"https://id.example.com", "https://a.example/b"}, "web.connect[0]"},
		"with a policy of its own": {config.Web{ClientID: "page", Connect: []string{"'unsafe-inline'"}}, []identity.IssuerConfig{one}, []string{"https://id.example.com", "'unsafe-inline'"}, "web.connect[0]"},
	} {
		cfg := config.Dev()
		cfg.Web, cfg.Issuers = c.web, c.issuers
		if got := cfg.WebOrigins(); !slices.Equal(got, c.origins) {
			t.Errorf("%s: the page speaks to %q, want %q", name, got, c.origins)
		}
		var fields []string
		for _, p := range cfg.Validate() {
			fields = append(fields, p.Field)
		}
		if got := strings.Join(fields, " "); got != c.problem {
			t.Errorf("%s: the problems are of %q, want %q", name, got, c.problem)
		}
	}
}
