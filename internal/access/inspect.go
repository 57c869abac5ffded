package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"usher"
	"usher/internal/identity"
	"usher/internal/platform"
	"usher/internal/policy"
)

// InspectSpec is a credential to look at. Room and Subject are what it is said
// to be for, in the platform's own terms; not every format names them itself.
type InspectSpec struct {
	Token         usher.Secret
	Room, Subject string
}

// Inspect recognises a credential of any platform, or a token by which somebody
// is known here, and says what is in it.
func (a *Access) Inspect(ctx context.Context, id usher.Identity, spec InspectSpec) (platform.Inspection, error) {
	if err := a.may(ctx, id, policy.Inspect, nil); err != nil {
		return platform.Inspection{}, err
	}
	if found, ok := a.inspectProof(ctx, spec.Token, id.Operator); ok {
		return found, nil
	}
	var inspectors []platform.Inspector
	for _, name := range a.PlatformNames() {
		if inspector, ok := a.platforms()[name].(platform.Inspector); ok {
			inspectors = append(inspectors, inspector)
		}
	}
	for _, inspector := range append(inspectors, a.config.Readers...) {
		var found platform.Inspection
		var ok bool
		if matcher, matches := inspector.(platform.Matcher); matches {
			found, ok = matcher.InspectFor(spec.Token, spec.Room, spec.Subject, a.now())
		} else {
			found, ok = inspector.Inspect(spec.Token, a.now())
		}
		if ok {
			return found, nil
		}
	}
	if found, ok := inspectForeign(spec.Token); ok {
		return found, nil
	}
	return platform.Inspection{}, usher.Errorf(usher.Invalid, "token_unrecognised",
		"This is no credential of any format that this server knows; check that it is whole, without quotes or line breaks.")
}

// ownPlatform is the platform of a token by which somebody is known here.
const ownPlatform = "usher"

// inspectProof says as whom somebody with a token is known, or why not. Only
// operators are told the cause of a refusal, which no caller is.
func (a *Access) inspectProof(ctx context.Context, token usher.Secret, operator bool) (platform.Inspection, bool) {
	if a.config.Callers == nil {
		return platform.Inspection{}, false
	}
	found, _ := readJWT(token)
	found.Platform = ownPlatform
	who, err := a.config.Callers.Authenticate(ctx, identity.Proof{Bearer: token})
	if err != nil {
		problem, refused := errors.AsType[*usher.Error](err)
		if !refused || errors.Is(err, identity.ErrBad) || errors.Is(err, identity.ErrUnknown) {
			return platform.Inspection{}, false
		}
		found.Verified = verifiedBefore(problem)
		found.Problems = append(found.Problems, problem.Message)
		if operator && problem.Err != nil {
			found.Problems = append(found.Problems, "In particular: "+problem.Err.Error()+".")
		}
		return found, true
	}
	found.Verified, found.Subject, found.IssuedAt, found.ExpiresAt = platform.Good, who.Key(), who.IssuedAt, who.Expires
	if found.Format == "" {
		found.Format = "API key"
	}
	if found.Claims == nil {
		found.Claims = map[string]any{}
	}
	found.Claims["known by"] = who.Proof
	if who.Room != "" {
		found.Room = string(who.Room)
	}
	if t, void := a.taken.fromIdentity(who, a.now()); void {
		found.Problems = append(found.Problems, fmt.Sprintf("It was revoked: %s", reasonOf(t)))
	}
	return found, true
}

// verifiedBefore says what was found of the signature before a token was refused
// for that.
func verifiedBefore(problem *usher.Error) platform.Verified {
	switch {
	case problem.Code == identity.ErrTokenSignature.Code:
		return platform.Bad
	case problem.Code == identity.ErrTokenExpired.Code, problem.Code == identity.ErrTokenNotYetValid.Code,
		problem.Code == identity.ErrTokenAudience.Code, problem.Code == identity.ErrTokenUse.Code:
		return platform.Good
	default:
		return platform.Unknown
	}
}

// inspectForeign reads a JWT that nobody here knows.
func inspectForeign(token usher.Secret) (platform.Inspection, bool) {
	found, ok := readJWT(token)
	if !ok {
		return platform.Inspection{}, false
	}
	issuer, _ := found.Claims["iss"].(string)
	found.Platform, found.Verified = "unknown", platform.Unknown
	found.Problems = []string{"No issuer that this server is configured with has this name, and it is no token of this server's or of a platform's."}
	if issuer == "" {
		found.Problems = []string{"It does not say who issued it, and it is no token of this server's or of a platform's."}
	}
	return found, true
}

// maxJWT is in bytes, beyond any token.
const maxJWT = 32 << 10

// readJWT reads what a JWT says, and believes nothing of it. Its signature is
// left out, without which nobody is known by it.
func readJWT(token usher.Secret) (platform.Inspection, bool) {
	part := strings.Split(strings.TrimSpace(token.Reveal()), ".")
	if len(part) != 3 || len(token.Reveal()) > maxJWT {
		return platform.Inspection{}, false
	}
	var header struct {
		Algorithm string `json:"alg"`
		Type      string `json:"typ"`
		KeyID     string `json:"kid"`
	}
	var claims map[string]any
	if !decodePart(part[0], &header) || !decodePart(part[1], &claims) || header.Algorithm == "" || claims == nil {
		return platform.Inspection{}, false
	}
	found := platform.Inspection{Format: "JWT (" + header.Algorithm + ")", Claims: claims}
	if header.Type != "" {
		found.Format = fmt.Sprintf("JWT (%s, typ %s)", header.Algorithm, header.Type)
	}
	found.Subject, _ = claims["sub"].(string)
	found.IssuedAt, found.ExpiresAt = instant(claims["iat"]), instant(claims["exp"])
	if header.KeyID != "" {
		claims["kid"] = header.KeyID
	}
	return found, true
}

func decodePart(part string, into any) bool {
	data, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(data, into) == nil
}

// instant is a time of a JWT, if it is one of the years 1970 to 9999.
func instant(claim any) time.Time {
	const end = 253402300800
	seconds, ok := claim.(float64)
	if !ok || seconds < 0 || seconds >= end {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}
