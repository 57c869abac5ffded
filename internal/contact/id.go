package contact

import (
	"strings"

	"usher"
)

// UserID returns what a user is called on the wire of video chat: the issuer's
// sub, as its clients know it, for users of the one issuer that the
// configuration names, and the key for all others. It never names two users.
func (s *Service) UserID(key string) string {
	issuer, subject, ok := usher.ParseUserKey(key)
	if !ok || issuer != s.config.Issuer || isKey(subject) {
		return key
	}
	return subject
}

// UserKey returns the key of the user that a wire calls by the given id or key.
// It says nothing of whether there is such a user.
func (s *Service) UserKey(id string) string {
	if isKey(id) || s.config.Issuer == "" {
		return id
	}
	return usher.UserKey(s.config.Issuer, id)
}

// isKey reports whether an id can't be a sub that stands for itself. Issuers
// choose subs freely, so that one might look like the key of somebody else.
func isKey(id string) bool { return strings.HasPrefix(id, string(usher.UserIdentity)+":") }
