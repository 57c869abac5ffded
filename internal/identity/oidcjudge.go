package identity

import (
	"fmt"
	"slices"
	"time"
)

// judge holds the claims of a token with a good signature against what the
// configuration accepts, and returns what they say.
func (t *trusted) judge(h tokenHeader, c claimSet) (issued, error) {
	// An issuer signs other things than ID and access tokens with the same key.
	if c.has("events") {
		return issued{}, because(ErrTokenUse, "it tells of an event, such as a logout")
	}
	if c.has("cnf") {
		return issued{}, because(ErrTokenUse, "it is bound to a key, which no bearer can show")
	}
	use := t.use(h, c)
	if use == "" && len(t.TokenUse) < 2 || use != "" && !slices.Contains(t.TokenUse, use) {
		return issued{}, because(ErrTokenUse, fmt.Sprintf("its use is %.32q", use))
	}
	if err := t.checkAudience(use, c); err != nil {
		return issued{}, err
	}
	var i issued
	var err error
	for _, date := range []struct {
		claim string
		value *time.Time
	}{{"exp", &i.expires}, {"nbf", &i.notBefore}, {"iat", &i.issuedAt}} {
		if *date.value, err = c.time(date.claim); err != nil {
			return issued{}, refuse(ErrTokenMalformed, err)
		}
	}
	if i.expires.IsZero() {
		return issued{}, because(ErrTokenMalformed, "exp is missing")
	}
	if i.profile, err = c.profile(t.Claims, t.TrustEmail); err != nil {
		return issued{}, refuse(ErrTokenMalformed, err)
	}
	return i, nil
}

// use tells ID tokens from access tokens. Cognito says what a token is for; of
// the others, some say so in typ (RFC 9068), Keycloak says so in a claim of that
// name, and for the rest it shows: what only an ID token has, or whom it is for.
// It is empty if nothing tells.
func (t *trusted) use(h tokenHeader, c claimSet) string {
	if t.Kind == Cognito {
		return c.text("token_use") // if it is neither, it is not accepted
	}
	switch typ := c.text("typ"); {
	case h.Type == accessTokenType || typ == "Bearer":
		return accessToken
	case typ == "ID" || c.has("nonce") || c.has("at_hash") || c.has("c_hash"):
		return idToken
	case len(t.ClientIDs) == 0:
		return ""
	case among(t.ClientIDs, c.texts("aud")...):
		return idToken
	default:
		return accessToken
	}
}

// checkAudience refuses a token that is not for us, or that was issued to an
// app that is not ours.
func (t *trusted) checkAudience(use string, c claimSet) error {
	aud := c.texts("aud")
	if t.Kind == Cognito {
		switch {
		case use == idToken && !among(t.ClientIDs, aud...):
			return because(ErrTokenAudience, "aud is not one of the app clients")
		case use == accessToken && !among(t.ClientIDs, c.text("client_id")):
			return because(ErrTokenAudience, "client_id is not one of the app clients")
		case use != idToken && use != accessToken:
			return because(ErrTokenUse, "token_use is neither id nor access")
		}
		return nil
	}
	wanted := t.Audiences
	if len(wanted) == 0 {
		wanted = t.ClientIDs
	}
	if !among(wanted, aud...) {
		return because(ErrTokenAudience, "aud has none of the audiences")
	}
	// Whom the token was issued to: azp (OpenID Connect Core, section 2) or
	// client_id (RFC 9068); where there is neither, its only audience.
	var parties []string
	for _, name := range []string{"azp", "client_id"} {
		if c.has(name) {
			parties = append(parties, c.text(name))
		}
	}
	if len(parties) == 0 {
		if len(aud) > 1 {
			return because(ErrTokenAudience, "it has several audiences, and no azp or client_id")
		}
		parties = aud
	}
	for _, party := range parties {
		if len(t.ClientIDs) > 0 && !among(t.ClientIDs, party) {
			return because(ErrTokenAudience, "it was issued to another client")
		}
	}
	return nil
}

// among reports whether one of the values is one of the accepted ones.
func among(accepted []string, values ...string) bool {
	return slices.ContainsFunc(values, func(v string) bool { return slices.Contains(accepted, v) })
}

// current checks the times of a token.
func (i issued) current(now time.Time, leeway time.Duration) error {
	switch {
	case !now.Before(i.expires.Add(leeway)):
		return because(ErrTokenExpired, "exp has passed")
	case i.notBefore.Sub(now) > leeway:
		return because(ErrTokenNotYetValid, "nbf is in the future")
	case i.issuedAt.Sub(now) > leeway:
		return because(ErrTokenNotYetValid, "iat is in the future")
	}
	return nil
}
