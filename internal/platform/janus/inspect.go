package janus

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"usher"
	"usher/internal/platform"
)

// maxToken bounds what is looked at, in bytes; a token for a hundred rooms is
// far shorter.
const maxToken = 16 << 10

// Inspect recognises permission tokens of janus-plugin-sfu, whoever made them,
// and Janus's own signed tokens. It says of each what the server would.
func (p *Platform) Inspect(token usher.Secret, now time.Time) (platform.Inspection, bool) {
	text, problems := unwrap(token.Reveal())
	if len(text) > maxToken {
		return platform.Inspection{}, false
	}
	in, ok := p.inspectPermission(text, now)
	if !ok {
		in, ok = p.inspectSigned(text, now)
	}
	if !ok {
		return platform.Inspection{}, false
	}
	in.Platform = Name
	in.Problems = append(problems, in.Problems...)
	return in, true
}

// unwrap takes off what is often copied along with a token.
func unwrap(text string) (token string, problems []string) {
	token = strings.TrimSpace(text)
	if rest, ok := strings.CutPrefix(token, "Bearer "); ok {
		token = strings.TrimSpace(rest)
		problems = append(problems, `It has "Bearer " in front, which Janus takes for a part of the token and refuses.`)
	} else if token != text {
		problems = append(problems, "It has white space around it, which Janus takes for a part of the token and refuses.")
	}
	return token, problems
}

// inspectSigned reads one of Janus's own tokens: data ":" mac.
func (p *Platform) inspectSigned(text string, now time.Time) (platform.Inspection, bool) {
	data, sum, ok := strings.Cut(text, ":")
	fields := strings.Split(data, ",")
	if !ok || len(fields) < 2 || fields[1] != coreRealm && !strings.HasPrefix(fields[1], "janus.plugin.") {
		return platform.Inspection{}, false
	}
	in := platform.Inspection{Format: "janus signed token (core)", Claims: map[string]any{"realm": fields[1]}}
	if fields[1] != coreRealm {
		in.Format = "janus signed token (room)"
	}
	mac, err := base64.StdEncoding.DecodeString(sum)
	if err != nil {
		mac = nil // not what was decoded before the mistake
	}
	in.Verified = p.verifySigned(data, mac)
	switch {
	case strings.Contains(sum, ":"):
		in.Problems = append(in.Problems, "It has more than one colon; Janus takes exactly one.")
	case err != nil:
		in.Problems = append(in.Problems, "What follows the colon is not standard base64 with its padding, in which Janus compares it.")
	case in.Verified == platform.Bad && p.hmac.verify(fields[0], mac):
		in.Problems = append(in.Problems, "Only the time is signed; the HMAC must cover everything before the colon.")
	case in.Verified == platform.Bad:
		in.Problems = append(in.Problems, "The signature is not by our tokenAuthSecret: Janus's token_auth_secret is another one, or the token was changed.")
	}
	var expiry []string
	in.ExpiresAt, expiry = p.checkExpiry(fields[0], now)
	in.Problems = append(in.Problems, expiry...)
	if fields[1] == coreRealm {
		in.Claims["plugins"] = fields[2:]
		if len(fields) == 2 {
			in.Problems = append(in.Problems, "It names no plugin, so that its bearer can open a session and nothing in it.")
		}
		return in, true
	}
	inspectRooms(&in, fields[2:])
	return in, true
}

func (p *Platform) verifySigned(data string, mac []byte) platform.Verified {
	switch {
	case p.hmac.secret == "":
		return platform.Unknown
	case p.hmac.verify(data, mac):
		return platform.Good
	default:
		return platform.Bad
	}
}

// inspectRooms reads what a token for rooms allows.
func inspectRooms(in *platform.Inspection, allowed []string) {
	var rooms []string
	for _, a := range allowed {
		room, ok := strings.CutPrefix(a, "room=")
		if !ok {
			in.Problems = append(in.Problems, fmt.Sprintf("It allows %.40q, which no room asks for: a room's name follows room=, and has no comma in it.", a))
			continue
		}
		rooms = append(rooms, room)
		if len(room) > maxVideoRoom {
			in.Problems = append(in.Problems, fmt.Sprintf("It names a room with %d bytes; VideoRoom compares the first %d.", len(room), maxVideoRoom))
		}
	}
	in.Claims["rooms"] = rooms
	if len(rooms) == 1 {
		in.Room = rooms[0]
	}
	if len(rooms) == 0 {
		in.Problems = append(in.Problems, "It names no room (room=…), so that none can be entered with it.")
	}
}
