package usher

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// User is what we keep of a person whom an issuer vouches for: what its token
// said when the person was last seen.
type User struct {
	App string
	// Key is the identity's, user:ISSUER#SUBJECT, and never changes.
	Key string
	// Email is verified, as the issuer writes it; empty if no token said so. It
	// is how others find the person: see [FoldEmail].
	Email string
	// Name is for people to read, and proves nothing.
	Name string
	// ProvenAt is when the token was issued that Email and Name are from: what an
	// older one says does not count any more.
	ProvenAt  time.Time
	CreatedAt time.Time
	UpdatedAt time.Time
	Version   int64
}

// UserKey returns the key of a user: see [Identity.Key].
func UserKey(issuer, subject string) string {
	return Identity{Kind: UserIdentity, Issuer: issuer, Subject: subject}.Key()
}

// ParseUserKey returns the issuer and the subject in the key of a user, and
// whether it is one.
func ParseUserKey(key string) (issuer, subject string, ok bool) {
	rest, ok := strings.CutPrefix(key, string(UserIdentity)+":")
	if !ok {
		return "", "", false
	}
	issuer, subject, ok = strings.Cut(rest, "#") // which no issuer has in its name
	return issuer, subject, ok && issuer != "" && subject != ""
}

// maxEmail is the longest address in bytes: RFC 5321 leaves no more.
const maxEmail = 254

// ValidEmail reports whether text has the form of an e-mail address.
func ValidEmail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	return ok && local != "" && domain != "" && len(s) <= maxEmail && !strings.Contains(domain, "@") &&
		!strings.ContainsAny(s, " ,;<>\"") && utf8.ValidString(s) &&
		strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// FoldEmail returns what an address is looked for by: capitals make no
// difference, though the local part could in theory (RFC 5321, section 2.4).
func FoldEmail(email string) string { return strings.ToLower(email) }
