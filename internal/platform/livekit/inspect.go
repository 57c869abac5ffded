package livekit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"usher"
	"usher/internal/platform"
)

// maxToken bounds what is looked at; a token with all that LiveKit allows in it
// is far shorter.
const maxToken = 16 << 10

// leeway is how far LiveKit lets its clock and the issuer's differ.
const leeway = time.Minute

// parsed is a token taken apart and believed in nothing.
type parsed struct {
	algorithm string
	signed    []byte
	mac       []byte
	claims    map[string]any
	video     map[string]any
}

// Inspect recognises a JWT with a video grant, or by our API key.
func (p *Platform) Inspect(token usher.Secret, now time.Time) (platform.Inspection, bool) {
	t, ok := parse(token.Reveal())
	if !ok {
		return platform.Inspection{}, false
	}
	issuer := text(t.claims, "iss")
	if t.video == nil && (p.signer == nil || issuer != p.apiKey) {
		return platform.Inspection{}, false
	}
	in := platform.Inspection{Platform: Name, Format: "livekit access token"}
	in.Verified = p.verified(t, issuer)
	in.Subject, in.Room = text(t.claims, "sub"), text(t.video, "room")
	in.ExpiresAt, _ = instant(t.claims, "exp")
	if in.IssuedAt, ok = instant(t.claims, "iat"); !ok {
		in.IssuedAt, _ = instant(t.claims, "nbf")
	}
	in.Problems = slices.Concat(signatureProblems(t, issuer, in.Verified), timeProblems(t, now), rightProblems(t))
	in.Claims = maps.Clone(t.claims)
	for _, told := range []string{"sub", "exp"} {
		delete(in.Claims, told)
	}
	return in, true
}

func (p *Platform) verified(t parsed, issuer string) platform.Verified {
	switch {
	case p.signer == nil || issuer != p.apiKey:
		return platform.Unknown
	case t.algorithm == "HS256" && p.signer.verify(t.signed, t.mac):
		return platform.Good
	default:
		return platform.Bad
	}
}

func signatureProblems(t parsed, issuer string, verified platform.Verified) []string {
	switch {
	case t.algorithm != "HS256":
		return []string{fmt.Sprintf("It is signed with %.40q; LiveKit accepts HS256 only.", t.algorithm)}
	case verified == platform.Bad:
		return []string{"The signature is not by the secret of its API key: the secret is another one, or the token was changed."}
	case verified == platform.Unknown && issuer == "":
		return []string{"It names no API key (iss), so that LiveKit does not know whose it is."}
	case verified == platform.Unknown:
		return []string{fmt.Sprintf("It is by the API key %.40q, which is not the one configured here.", issuer)}
	}
	return nil
}

func timeProblems(t parsed, now time.Time) []string {
	var problems []string
	expires, ends := instant(t.claims, "exp")
	switch {
	case !ends:
		problems = append(problems, "It has no time at which it expires (exp), without which LiveKit refuses it.")
	case now.After(expires.Add(leeway)):
		problems = append(problems, fmt.Sprintf("It expired %s ago.", since(now, expires)))
	case !now.Before(expires):
		problems = append(problems, fmt.Sprintf("It expired %s ago; LiveKit still accepts it for a minute after it has.", since(now, expires)))
	}
	if begins, ok := instant(t.claims, "nbf"); ok && begins.After(now) {
		problem := fmt.Sprintf("It is not valid for another %s (nbf): either it is meant for later, or the clock of whoever issued it is fast.", since(begins, now))
		if !begins.After(now.Add(leeway)) {
			problem += " LiveKit tolerates a minute."
		}
		problems = append(problems, problem)
	}
	return problems
}

// serverRights are rights beyond one room.
var serverRights = []string{"roomCreate", "roomList", "roomRecord", "ingressAdmin"}

func rightProblems(t parsed) []string {
	var problems []string
	if t.video == nil {
		return []string{"It has no video grant, so that nobody can join a room with it."}
	}
	if joins, _ := t.video["roomJoin"].(bool); !joins {
		problems = append(problems, "It does not let its bearer join a room (video.roomJoin).")
	}
	if text(t.video, "room") == "" {
		problems = append(problems, "It names no room (video.room), so that its bearer can choose any.")
	}
	if text(t.claims, "sub") == "" {
		problems = append(problems, "It names no participant (sub), which joining needs.")
	}
	for _, right := range serverRights {
		if given, _ := t.video[right].(bool); given {
			problems = append(problems, fmt.Sprintf("It gives %s on the whole server; no participant should hold such a token.", right))
		}
	}
	for _, right := range []string{"canPublish", "canSubscribe", "canPublishData"} {
		if _, said := t.video[right].(bool); !said {
			problems = append(problems, fmt.Sprintf("It does not say %s, which LiveKit takes for allowed.", right))
		}
	}
	return problems
}

func since(later, earlier time.Time) time.Duration {
	return later.Sub(earlier).Round(time.Second)
}

func parse(token string) (parsed, bool) {
	if len(token) > maxToken || strings.Count(token, ".") != 2 {
		return parsed{}, false
	}
	dot := strings.LastIndexByte(token, '.')
	head, body, _ := strings.Cut(token[:dot], ".")
	var h struct {
		Algorithm string `json:"alg"`
	}
	t := parsed{signed: []byte(token[:dot])}
	if !decode(head, &h) || h.Algorithm == "" || !decode(body, &t.claims) || t.claims == nil {
		return parsed{}, false
	}
	t.algorithm = h.Algorithm
	var err error
	if t.mac, err = encoding.DecodeString(token[dot+1:]); err != nil {
		return parsed{}, false
	}
	t.video, _ = t.claims["video"].(map[string]any)
	return t, true
}

// decode reads JSON in base64. Numbers stay as they are written.
func decode(part string, into any) bool {
	raw, err := encoding.DecodeString(part)
	if err != nil || !json.Valid(raw) {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(into) == nil
}

func text(claims map[string]any, name string) string {
	s, _ := claims[name].(string)
	return s
}

// lastSecond is the end of the year 9999, the last that RFC 3339 can write.
const lastSecond = 253402300799

// instant reads a NumericDate (RFC 7519, section 2).
func instant(claims map[string]any, name string) (time.Time, bool) {
	n, ok := claims[name].(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := n.Float64()
	if err != nil || seconds < 0 || seconds > lastSecond {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0).UTC(), true
}
