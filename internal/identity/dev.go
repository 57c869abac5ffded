package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"usher"
	"usher/internal/keys"
)

const (
	// devType is the typ of a token of the development login.
	devType = "dev+jwt"
	// devIssuer tells its users from those of real issuers, whose names are URLs.
	devIssuer = "dev"
)

// DevLogin lets anybody be whoever they say, and makes them an operator. It has
// a place in the chain of development mode only. It is safe for concurrent use.
type DevLogin struct {
	Keys *keys.Manager
	// Issuer is what we call ourselves.
	Issuer string
	Now    func() time.Time
	// Lifetime is how long a token is valid. The keys must be retained for as long.
	Lifetime time.Duration
	// Random is where the tokens' ids come from; nil is crypto/rand.
	Random io.Reader
}

var _ Authenticator = (*DevLogin)(nil)

// devClaims are the claims of a token of the development login.
type devClaims struct {
	Issuer   string      `json:"iss"`
	Audience string      `json:"aud"`
	Subject  string      `json:"sub"`
	Name     string      `json:"name"`
	Email    string      `json:"email,omitempty"`
	IssuedAt numericDate `json:"iat"`
	Expires  numericDate `json:"exp"`
	ID       string      `json:"jti"`
}

// Issue makes a token for a user of that name and e-mail address, one of which
// may be missing, and returns it with who its bearer will be. The same address,
// or without one the same name, is the same user; capitals make no difference.
func (d *DevLogin) Issue(name, email string) (usher.Secret, usher.Identity, error) {
	name, email = strings.TrimSpace(name), strings.TrimSpace(email)
	if email != "" && !usher.ValidEmail(email) {
		return "", usher.Identity{}, &usher.Error{
			Kind: usher.Invalid, Code: "email_invalid", Message: "The e-mail address can't be used: it must look like somebody@example.org.",
			Fields: []usher.FieldProblem{{Field: "email", Message: "must be an e-mail address"}},
		}
	}
	if name == "" {
		name, _, _ = strings.Cut(email, "@")
	}
	if problem := nameProblem(name); problem != "" {
		return "", usher.Identity{}, invalidName(problem)
	}
	jti, err := newTokenID(d.Random)
	if err != nil {
		return "", usher.Identity{}, fmt.Errorf("identity: issue development token: %w", err)
	}
	now := d.Now().UTC().Truncate(time.Microsecond)
	c := devClaims{
		Issuer: d.Issuer, Audience: d.Issuer, Subject: devSubject(name, email), Name: name, Email: strings.ToLower(email),
		IssuedAt: numericDate{now}, Expires: numericDate{now.Add(d.Lifetime)}, ID: jti,
	}
	token, err := d.Keys.Sign(c, devType)
	if err != nil {
		return "", usher.Identity{}, fmt.Errorf("identity: issue development token: %w", err)
	}
	return usher.Secret(token), c.identity(), nil
}

// devSubject is the same for the same person, as far as we can tell.
func devSubject(name, email string) string {
	who := "name:" + strings.ToLower(name)
	if email != "" {
		who = "email:" + strings.ToLower(email)
	}
	sum := sha256.Sum256([]byte(who))
	return hex.EncodeToString(sum[:16])
}

func (c devClaims) identity() usher.Identity {
	return usher.Identity{
		App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: devIssuer, Subject: c.Subject, Name: c.Name, Email: c.Email,
		IssuedAt: c.IssuedAt.Time, Expires: c.Expires.Time, Proof: "dev login", Operator: true,
	}
}

// Authenticate implements [Authenticator].
func (d *DevLogin) Authenticate(_ context.Context, p Proof) (usher.Identity, error) {
	var c devClaims
	kid, err := verifyOwn(d.Keys, p.Bearer, devType, &c)
	if err != nil {
		return usher.Identity{}, err
	}
	switch {
	case c.Issuer != d.Issuer || c.Audience != d.Issuer:
		return usher.Identity{}, because(ErrTokenAudience, "it is a token of another server")
	case !d.Now().Before(c.Expires.Time):
		return usher.Identity{}, because(ErrTokenExpired, "exp has passed")
	}
	id := c.identity()
	id.Proof += ", key " + kid
	return id, nil
}
