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

// UserID returns what clients of video chat call the identity of a key, if they
// hold tokens of an issuer: a user of the same issuer by the sub that they know
// from their own token, and everybody else by the key. Two identities never have
// one id.
func UserID(issuer, key string) string {
	id, ours := strings.CutPrefix(key, string(UserIdentity)+":"+issuer+"#")
	if issuer == "" || !ours || id == "" || isKey(id) {
		return key
	}
	return id
}

// KeyOfUserID returns the key of the identity that such clients call by an id.
// It says nothing of whether there is one.
func KeyOfUserID(issuer, id string) string {
	if issuer == "" || id == "" || isKey(id) {
		return id
	}
	return string(UserIdentity) + ":" + issuer + "#" + id // as Identity.Key has it
}

// isKey reports whether an id is read as a key. Issuers choose the sub freely,
// so that one might look like the key of somebody else.
func isKey(id string) bool {
	kind, _, found := strings.Cut(id, ":")
	switch IdentityKind(kind) {
	case UserIdentity, GuestIdentity, ClientIdentity, LocalIdentity, PublicIdentity:
		return found
	}
	return false
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
