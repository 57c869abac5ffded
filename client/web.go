package client

// WebConfig is how the server's own page signs people in, and what there is to ask for.
type WebConfig struct {
	SignIn   SignIn `json:"sign_in"`
	Issuer   string `json:"issuer,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	// Token is the one of the issuer's tokens that the server is called with.
	Token TokenUse `json:"token,omitempty"`
	// Relays says that there are ICE servers to ask for.
	Relays bool `json:"relays"`
}

// SignIn is a way to sign in.
type SignIn string

// The ways to sign in.
const (
	SignInByName   SignIn = "name" // in development mode
	SignInAtIssuer SignIn = "issuer"
	NoSignIn       SignIn = "none"
)

// TokenUse is which of an issuer's tokens is meant.
type TokenUse string

// The tokens of an issuer.
const (
	IDToken     TokenUse = "id"
	AccessToken TokenUse = "access"
)
