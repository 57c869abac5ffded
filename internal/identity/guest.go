package identity

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"

	"usher"
	"usher/internal/keys"
)

// guestType is the typ of a guest's token.
const guestType = "guest+jwt"

// Guests issues tokens to those who redeemed an invite, and knows their
// bearers. It is safe for concurrent use.
type Guests struct {
	Keys *keys.Manager
	// Issuer is what we call ourselves.
	Issuer string
	Now    func() time.Time
	// Lifetime is the most that a token is valid for. The keys must be retained
	// for as long.
	Lifetime time.Duration
	// Random is where subjects and the tokens' ids come from; nil is crypto/rand.
	Random io.Reader
}

var _ Authenticator = (*Guests)(nil)

// guestClaims are the claims of a guest's token.
type guestClaims struct {
	Issuer   string      `json:"iss"`
	Audience string      `json:"aud"`
	App      string      `json:"app"`
	Subject  string      `json:"sub"`
	Name     string      `json:"name"`
	Room     usher.ID    `json:"room"`
	Role     usher.Role  `json:"role"`
	Invite   usher.ID    `json:"invite"`
	Inviter  string      `json:"inviter,omitempty"`
	IssuedAt numericDate `json:"iat"`
	Expires  numericDate `json:"exp"`
	ID       string      `json:"jti"`
}

// Issue makes a token for a guest, of whom App, Name, Room and Role count, and
// returns it with who its bearer will be. A guest without a Subject gets one
// that nobody else has. The token expires at that time, or after the longest
// lifetime if that is earlier or expires is zero.
func (g *Guests) Issue(guest usher.Identity, invite usher.ID, expires time.Time) (usher.Secret, usher.Identity, error) {
	if problem := nameProblem(guest.Name); problem != "" {
		return "", usher.Identity{}, invalidName(problem)
	}
	now := g.Now().UTC().Truncate(time.Microsecond)
	if latest := now.Add(g.Lifetime); expires.IsZero() || expires.After(latest) {
		expires = latest
	}
	_, roomErr := usher.ParseID(string(guest.Room))
	if roomErr != nil || guest.Role == "" || !expires.After(now) {
		return "", usher.Identity{}, errors.New("identity: issue guest token: it needs a room, a role and a time to live")
	}
	jti, err := newTokenID(g.Random)
	if err != nil {
		return "", usher.Identity{}, fmt.Errorf("identity: issue guest token: %w", err)
	}
	c := guestClaims{
		Issuer: g.Issuer, Audience: g.Issuer, App: guest.App, Subject: guest.Subject, Name: guest.Name,
		Room: guest.Room, Role: guest.Role, Invite: invite, Inviter: guest.Inviter,
		IssuedAt: numericDate{now}, Expires: numericDate{expires.UTC().Truncate(time.Microsecond)}, ID: jti,
	}
	if c.App == "" {
		c.App = usher.DefaultApp
	}
	if c.Subject == "" {
		c.Subject = jti
	}
	token, err := g.Keys.Sign(c, guestType)
	if err != nil {
		return "", usher.Identity{}, fmt.Errorf("identity: issue guest token: %w", err)
	}
	return usher.Secret(token), c.identity(), nil
}

func (c guestClaims) identity() usher.Identity {
	return usher.Identity{
		App: c.App, Kind: usher.GuestIdentity, Subject: c.Subject, Name: c.Name, Room: c.Room, Role: c.Role, Inviter: c.Inviter,
		IssuedAt: c.IssuedAt.Time, Expires: c.Expires.Time, Proof: "guest invite " + string(c.Invite),
	}
}

// Authenticate implements [Authenticator].
func (g *Guests) Authenticate(_ context.Context, p Proof) (usher.Identity, error) {
	var c guestClaims
	kid, err := verifyOwn(g.Keys, p.Bearer, guestType, &c)
	if err != nil {
		return usher.Identity{}, err
	}
	switch {
	case c.Issuer != g.Issuer || c.Audience != g.Issuer:
		return usher.Identity{}, because(ErrTokenAudience, "it is a guest's token of another server")
	case !g.Now().Before(c.Expires.Time):
		return usher.Identity{}, because(ErrTokenExpired, "exp has passed")
	}
	id := c.identity()
	id.Proof += ", key " + kid
	return id, nil
}

// verifyOwn reads the claims of a token that we signed with that typ.
func verifyOwn(m *keys.Manager, token usher.Secret, typ string, claims any) (kid string, err error) {
	if token == "" {
		return "", ErrNotMine
	}
	payload, kid, err := m.Verify(token.Reveal(), typ)
	switch {
	case errors.Is(err, keys.ErrForeign), errors.Is(err, keys.ErrType):
		return "", ErrNotMine
	case err != nil:
		return "", refuse(ErrTokenSignature, err)
	}
	if err := json.Unmarshal(payload, claims); err != nil {
		return "", because(ErrTokenMalformed, "the claims can't be read")
	}
	return kid, nil
}

// newTokenID makes an id that nobody else makes: 128 random bits.
func newTokenID(random io.Reader) (string, error) {
	if random == nil {
		random = rand.Reader
	}
	var id [16]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(id[:]), nil
}

// nameProblem says what is wrong with a name that somebody chose, as half a
// sentence, or nothing.
func nameProblem(name string) string {
	switch {
	case name == "":
		return "must not be empty"
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Sprintf("must have at most %d characters", maxName)
	case !utf8.ValidString(name) || strings.IndexFunc(name, notPrintable) >= 0:
		return "must have only characters that can be seen"
	case strings.TrimSpace(name) != name:
		return "must not begin or end with a space"
	}
	return ""
}

func invalidName(problem string) error {
	return &usher.Error{
		Kind: usher.Invalid, Code: "name_invalid", Message: "The name can't be used: it " + problem + ".",
		Fields: []usher.FieldProblem{{Field: "name", Message: problem}},
	}
}
