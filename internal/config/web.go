package config

import (
	"net/url"
	"slices"

	"usher/internal/identity"
)

// Web is the page to call from, and the console.
type Web struct {
	Enabled  bool     `yaml:"enabled" doc:"Whether to serve the page to call from, at /, and the console, at /console."`
	ClientID string   `yaml:"clientId" doc:"What the page is known to an issuer by: a public client, with a code and PKCE, whose redirect address is /signed-in of server.publicURL. It must be in clientIds or audiences of the issuer's entry. Without it only guests can use the page, and in development mode whoever says a name."`
	Issuer   string   `yaml:"issuer" doc:"The entry of issuers at which the page signs people in; if not set, the only one."`
	Connect  []string `yaml:"connect" doc:"The origins of that issuer's endpoints which are not at that of its name, exactly as browsers write them: the page may speak to no other server."`
}

// WebIssuer returns the issuer that the page signs people in at, if there is one.
func (c Config) WebIssuer() (identity.IssuerConfig, bool) {
	if c.Web.ClientID == "" {
		return identity.IssuerConfig{}, false
	}
	for _, issuer := range c.Issuers {
		if issuer.Issuer == c.Web.Issuer || c.Web.Issuer == "" && len(c.Issuers) == 1 {
			return issuer, true
		}
	}
	return identity.IssuerConfig{}, false
}

// WebOrigins returns the origins that the page speaks to beside its own.
func (c Config) WebOrigins() []string {
	issuer, ok := c.WebIssuer()
	u, err := url.Parse(issuer.Issuer)
	if !ok || err != nil {
		return nil
	}
	return append([]string{u.Scheme + "://" + u.Host}, c.Web.Connect...)
}

func (v *validator) web(c Config) {
	if c.Web.ClientID == "" {
		return
	}
	issuer, ok := c.WebIssuer()
	v.check("web.issuer", ok || len(c.Issuers) == 0, "must be the issuer of an entry of issuers: the one that the page signs people in at")
	v.check("web.clientId", !ok || slices.Contains(issuer.ClientIDs, c.Web.ClientID) || slices.Contains(issuer.Audiences, c.Web.ClientID),
		"must be in clientIds or audiences of the issuer, or its tokens would not be accepted")
	for i, origin := range c.Web.Connect {
		v.check(index("web.connect", i), isOrigin(origin), "must be an origin as browsers write it, such as https://id.example.com")
	}
}
