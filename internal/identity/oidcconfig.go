package identity

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"usher"
)

// The kinds of issuer.
const (
	OIDC    = "oidc"    // as OpenID Connect Core and RFC 9068 have it
	Cognito = "cognito" // a user pool of Amazon Cognito, whose access tokens have no aud
)

// The uses of a token.
const (
	idToken     = "id"
	accessToken = "access"
)

// What an IssuerConfig stands for where it is silent, and its bound.
const (
	defaultLeeway = 30 * time.Second
	maxLeeway     = 5 * time.Minute
)

// IssuerConfig is one issuer whose tokens are accepted.
type IssuerConfig struct {
	Issuer     string        `yaml:"issuer" doc:"The issuer's name, exactly as its tokens have it in iss."`
	Kind       string        `yaml:"kind" doc:"oidc, or cognito for a user pool of Amazon Cognito; oidc if not set."`
	App        string        `yaml:"app" doc:"The app that its users belong to; default if not set."`
	JWKS       string        `yaml:"jwks" doc:"The address of its keys. If not set, it is discovered; Cognito's is known."`
	Discovery  string        `yaml:"discovery" doc:"The address of its discovery document, if that is not at the issuer or does not state the issuer."`
	Audiences  []string      `yaml:"audiences" doc:"Whom a token must be for: its aud must have one of these. If not set, that is one of clientIds."`
	ClientIDs  []string      `yaml:"clientIds" doc:"The apps that a token may have been issued to, by azp, client_id or aud. If not set, any that has a token for one of audiences."`
	TokenUse   []string      `yaml:"tokenUse" doc:"id, access or both; both if not set."`
	Algorithms []string      `yaml:"algorithms" doc:"The algorithms that a token may be signed with; if not set, all that sign with a private key, and for Cognito RS256."`
	Types      []string      `yaml:"types" doc:"What typ in a token's header must be, as at+jwt. If not set: JWT, at+jwt or nothing."`
	Leeway     time.Duration `yaml:"leeway" doc:"How far the issuer's clock and ours may be apart; 30s if not set."`
	TrustEmail bool          `yaml:"trustEmail" doc:"Whether an e-mail address counts that the issuer does not call verified."`
	Claims     ClaimNames    `yaml:"claims"`
}

// ClaimNames say where what we want to know of a user is found. A name with
// dots that is no claim itself leads into the claims of a claim.
type ClaimNames struct {
	Subject       string `yaml:"subject" doc:"What names a user for good; sub if not set."`
	Email         string `yaml:"email" doc:"The e-mail address; email if not set."`
	EmailVerified string `yaml:"emailVerified" doc:"Whether the address is verified; email_verified if not set."`
	Name          string `yaml:"name" doc:"What people call the user; if not set, the first of name, preferred_username, cognito:username, username and nickname that is there."`
	Groups        string `yaml:"groups" doc:"The user's groups, a list or one name; groups if not set, for Cognito cognito:groups. Keycloak has realm_access.roles."`
}

// algorithms are those that sign with a private key and verify with a public
// one. No other is ever accepted.
func algorithms() []string {
	return []string{
		string(jose.RS256), string(jose.RS384), string(jose.RS512),
		string(jose.PS256), string(jose.PS384), string(jose.PS512),
		string(jose.ES256), string(jose.ES384), string(jose.ES512), string(jose.EdDSA),
	}
}

// Validate returns what is wrong with the configuration, field by field.
func (c IssuerConfig) Validate() []usher.FieldProblem {
	var problems []usher.FieldProblem
	check := func(field string, ok bool, message string) {
		if !ok {
			problems = append(problems, usher.FieldProblem{Field: field, Message: message})
		}
	}
	const address = "must be an absolute URL that begins with https:// or http://, without user, query and fragment"
	check("issuer", isAddress(c.Issuer, false), address)
	check("jwks", c.JWKS == "" || isAddress(c.JWKS, true), address)
	check("discovery", c.Discovery == "" || isAddress(c.Discovery, true), address)
	check("discovery", c.JWKS == "" || c.Discovery == "", "is not needed if jwks is set")
	switch c.Kind {
	case "", OIDC:
		check("clientIds", len(c.ClientIDs)+len(c.Audiences) > 0, "must be set, or audiences: else a token for any app would do")
	case Cognito:
		check("clientIds", len(c.ClientIDs) > 0, "must name the app clients of the user pool: else a token for any app would do")
		check("audiences", len(c.Audiences) == 0, "must not be set for Cognito, whose tokens say by client whom they are for")
	default:
		check("kind", false, "must be oidc or cognito")
	}
	for _, list := range []struct {
		field  string
		values []string
	}{{"clientIds", c.ClientIDs}, {"audiences", c.Audiences}, {"types", c.Types}} {
		check(list.field, !slices.Contains(list.values, ""), "must have no empty entries")
	}
	for _, use := range c.TokenUse {
		check("tokenUse", use == idToken || use == accessToken, fmt.Sprintf("%q must be id or access", use))
	}
	for _, alg := range c.Algorithms {
		check("algorithms", slices.Contains(algorithms(), alg), fmt.Sprintf("%q must be one of %s", alg, strings.Join(algorithms(), ", ")))
	}
	check("leeway", 0 <= c.Leeway && c.Leeway <= maxLeeway, fmt.Sprintf("must be from 0s to %s", maxLeeway))
	return problems
}

// ValidateIssuers returns what is wrong with several issuers together, with
// their place in the list before the field.
func ValidateIssuers(list []IssuerConfig) []usher.FieldProblem {
	var problems []usher.FieldProblem
	seen := make(map[string]bool)
	for i, c := range list {
		found := c.Validate()
		if seen[c.Issuer] {
			found = append(found, usher.FieldProblem{Field: "issuer", Message: "is in the list twice; one entry can have several clientIds and audiences"})
		}
		seen[c.Issuer] = true
		for _, p := range found {
			problems = append(problems, usher.FieldProblem{Field: fmt.Sprintf("%d.%s", i, p.Field), Message: p.Message})
		}
	}
	return problems
}

// complete fills in what the configuration is silent about.
func (c IssuerConfig) complete() IssuerConfig {
	silent := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	silent(&c.Kind, OIDC)
	silent(&c.App, usher.DefaultApp)
	groups := "groups"
	if c.Kind == Cognito {
		groups = "cognito:groups"
		if c.Discovery == "" {
			silent(&c.JWKS, strings.TrimSuffix(c.Issuer, "/")+"/.well-known/jwks.json")
		}
		if len(c.Algorithms) == 0 {
			c.Algorithms = []string{string(jose.RS256)}
		}
	}
	silent(&c.Claims.Groups, groups)
	c.Claims = c.Claims.complete()
	if len(c.Algorithms) == 0 {
		c.Algorithms = algorithms()
	}
	if len(c.TokenUse) == 0 {
		c.TokenUse = []string{idToken, accessToken}
	}
	if c.Leeway == 0 {
		c.Leeway = defaultLeeway
	}
	return c
}

// complete fills in what the configuration is silent about, but for the name,
// of which there are several.
func (n ClaimNames) complete() ClaimNames {
	for _, f := range []struct {
		field *string
		value string
	}{{&n.Subject, "sub"}, {&n.Email, "email"}, {&n.EmailVerified, "email_verified"}, {&n.Groups, "groups"}} {
		if *f.field == "" {
			*f.field = f.value
		}
	}
	return n
}

// isAddress reports whether text is a plain web address. No issuer may have a
// '#', which separates it from the subject in an identity's key.
func isAddress(text string, query bool) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil &&
		!strings.Contains(text, "#") && (query || !strings.Contains(text, "?")) && strings.IndexFunc(text, notPrintable) < 0
}
