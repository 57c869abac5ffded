package turnrest

import (
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usher"
	"usher/internal/platform"
)

// maxText bounds what is looked at: an RTCIceServer with many addresses.
const maxText = 16 << 10

// lastSecond is the end of the year 9999, the last that RFC 3339 can write.
const lastSecond = 253402300799

// Inspect recognises an RTCIceServer and, without its password, a user name.
func (p *Platform) Inspect(token usher.Secret, now time.Time) (platform.Inspection, bool) {
	text := token.Reveal()
	if len(text) > maxText {
		return platform.Inspection{}, false
	}
	server := iceServer{Username: text}
	if strings.HasPrefix(text, "{") {
		server = iceServer{}
		if json.Unmarshal([]byte(text), &server) != nil {
			return platform.Inspection{}, false
		}
	}
	expires, user, ok := parseUsername(server.Username)
	if !ok {
		return platform.Inspection{}, false
	}
	in := platform.Inspection{
		Platform:  Name,
		Format:    "TURN credential (draft-uberti-behave-turn-rest)",
		Verified:  p.verified(server),
		Subject:   user,
		ExpiresAt: expires,
		Claims:    map[string]any{"username": server.Username},
	}
	if len(server.URLs) > 0 {
		in.Claims["urls"] = server.URLs
	}
	switch {
	case in.Verified == platform.Bad:
		in.Problems = append(in.Problems, "The password does not belong to the user name by our secret: the secret is another one, or the user name was changed.")
	case server.Credential == "":
		in.Problems = append(in.Problems, "The password is not there, without which nothing can be said of who made it.")
	case in.Verified == platform.Unknown:
		in.Problems = append(in.Problems, "No secret of TURN servers is configured here, without which nothing can be said of who made it.")
	}
	if !now.Before(expires) {
		in.Problems = append(in.Problems, fmt.Sprintf("It expired %s ago.", now.Sub(expires).Round(time.Second)))
	}
	return in, true
}

func (p *Platform) verified(server iceServer) platform.Verified {
	switch {
	case server.Credential == "" || len(p.secret) == 0:
		return platform.Unknown
	case hmac.Equal([]byte(server.Credential), []byte(p.password(server.Username))):
		return platform.Good
	default:
		return platform.Bad
	}
}

func parseUsername(username string) (expires time.Time, user string, ok bool) {
	digits, user, ok := strings.Cut(username, ":")
	seconds, err := strconv.ParseUint(digits, 10, 63)
	if !ok || err != nil || seconds > lastSecond || user == "" {
		return time.Time{}, "", false
	}
	// Other issuers write their users' ids as they are.
	if plain, err := url.QueryUnescape(user); err == nil {
		user = plain
	}
	return time.Unix(int64(seconds), 0).UTC(), user, true
}
