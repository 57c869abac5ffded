package turn

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	pion "github.com/pion/turn/v5"
)

// parseUsername reads what package turnrest writes: until when a credential is
// good, a colon, and whose it is. Only the first colon counts, so that no two
// users are taken for one.
func parseUsername(username string) (user string, expires time.Time, ok bool) {
	digits, user, ok := strings.Cut(username, ":")
	seconds, err := strconv.ParseUint(digits, 10, 40)
	if !ok || err != nil || user == "" {
		return "", time.Time{}, false
	}
	return user, time.Unix(int64(seconds), 0), true
}

// authenticate returns the key that a request under a user name must be signed
// with. The name as a whole is the user's id to TURN, so that an allocation can
// only be refreshed with the credential that made it (RFC 8656, section 5) and
// ends with it.
func (s *Server) authenticate(request *pion.RequestAttributes) (id string, key []byte, ok bool) {
	_, expires, ok := parseUsername(request.Username)
	switch {
	case !ok || request.Realm != s.realm:
		s.refuse("credential", "client", request.SrcAddr)
		return "", nil, false
	case !s.now().Before(expires):
		s.refuse("expired", "client", request.SrcAddr, "username", request.Username)
		return "", nil, false
	}
	mac := hmac.New(sha1.New, s.secret)
	mac.Write([]byte(request.Username))
	password := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return request.Username, pion.GenerateAuthKey(request.Username, request.Realm, password), true
}
