package client

// WebConfig is how the server's own page signs people in.
type WebConfig struct {
	SignIn   SignIn `json:"sign_in"`
	Issuer   string `json:"issuer,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	// Token is the one of the issuer's tokens that the server is called with.
	Token TokenUse `json:"token,omitempty"`
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
