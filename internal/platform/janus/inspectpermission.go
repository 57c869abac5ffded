package janus

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"usher/internal/platform"
)

// decoded is a JWT taken apart and believed in nothing.
type decoded struct {
	algorithm string
	signed    string // the first two parts
	signature []byte
	padded    bool
	claims    map[string]any
	// twice are members that occur more than once.
	twice []string
}

// inspectPermission reads a permission token.
func (p *Platform) inspectPermission(text string, now time.Time) (platform.Inspection, bool) {
	t, ok := decode(text)
	if !ok || !t.permits() {
		return platform.Inspection{}, false
	}
	in := platform.Inspection{Format: "janus permission token (RS512)", Verified: p.verifyPermission(t), Claims: t.claims}
	in.Subject, _ = t.claims["sub"].(string)
	in.Problems = signatureProblems(t, in.Verified)
	in.Problems = append(in.Problems, shapeProblems(t)...)
	switch exp := t.claims["exp"].(type) {
	case json.Number:
		var problems []string
		in.ExpiresAt, problems = p.checkExpiry(exp.String(), now)
		in.Problems = append(in.Problems, problems...)
	case nil:
		in.Problems = append(in.Problems, "It does not say when it expires (exp), and is refused for it.")
	default:
		in.Problems = append(in.Problems, "Its exp is not a number; the plugin takes whole seconds since 1970.")
	}
	in.IssuedAt, _ = seconds(t.claims["iat"])
	in.Problems = append(in.Problems, p.clockProblems(t, in, now)...)
	rights, room := rightProblems(t)
	in.Room = room
	in.Problems = append(in.Problems, rights...)
	return in, true
}

// permits reports whether a token says anything about rooms on Janus.
func (t decoded) permits() bool {
	for _, name := range []string{"join_hub", "kick_users", "room_ids"} {
		if _, ok := t.claims[name]; ok {
			return true
		}
	}
	return t.claims["aud"] == "webrtc_auth"
}

func decode(text string) (decoded, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return decoded{}, false
	}
	t := decoded{signed: parts[0] + "." + parts[1]}
	t.padded = strings.HasSuffix(parts[2], "=")
	signature, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[2], "="))
	if err == nil {
		t.signature = signature
	}
	head, _, ok := decodeObject(parts[0])
	if !ok {
		return decoded{}, false
	}
	t.algorithm, _ = head["alg"].(string)
	t.claims, t.twice, ok = decodeObject(parts[1])
	return t, ok
}

// decodeObject reads one part of a JWT, which must be a JSON object, and tells
// which of its members occur twice.
func decodeObject(part string) (members map[string]any, twice []string, ok bool) {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(part, "="))
	if err != nil {
		return nil, nil, false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, nil, false
	}
	members = map[string]any{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, nil, false
		}
		var value any
		if d.Decode(&value) != nil {
			return nil, nil, false
		}
		if _, ok := members[name.(string)]; ok {
			twice = append(twice, name.(string))
		}
		members[name.(string)] = value
	}
	if end, err := d.Token(); err != nil || end != json.Delim('}') {
		return nil, nil, false
	}
	return members, twice, len(bytes.TrimSpace(text[d.InputOffset():])) == 0
}

func (p *Platform) verifyPermission(t decoded) platform.Verified {
	key := p.signer.Load()
	switch {
	case t.algorithm != "RS512" || key == nil:
		return platform.Unknown
	case key.verify(t.signed, t.signature):
		return platform.Good
	default:
		return platform.Bad
	}
}

func signatureProblems(t decoded, verified platform.Verified) []string {
	var problems []string
	switch {
	case t.algorithm != "RS512":
		problems = append(problems, fmt.Sprintf("It is signed with %.20q; the plugin takes RS512 and nothing else, in capitals.", t.algorithm))
	case t.signature == nil:
		problems = append(problems, "Its signature is no base64url: it was cut or changed on the way.")
	case verified == platform.Bad:
		problems = append(problems, "The signature is not by our key: whoever made it has another one, or the token was changed. The plugin refuses every token if its auth_key is of another pair, or not in DER as PKCS #1.")
	}
	if t.padded {
		problems = append(problems, "Its signature is padded with =, which the plugin takes and other verifiers refuse.")
	}
	return problems
}

// shapeProblems are what makes the plugin refuse a token as a whole, whatever it
// is presented for.
func shapeProblems(t decoded) []string {
	var problems []string
	for _, name := range t.twice {
		problems = append(problems, fmt.Sprintf("It says %.40q twice; the plugin refuses that of join_hub, kick_users and room_ids.", name))
	}
	for _, name := range []string{"join_hub", "kick_users"} {
		if value, said := t.claims[name]; said {
			if _, ok := value.(bool); !ok {
				problems = append(problems, fmt.Sprintf("Its %s is neither true nor false, and it is refused for it.", name))
			}
		}
	}
	if value := t.claims["room_ids"]; value != nil {
		if _, ok := texts(value); !ok {
			problems = append(problems, "Its room_ids is not a list of texts, and it is refused for it; numbers go into quotation marks.")
		}
	}
	return problems
}

// checkExpiry reads a time of expiry as Janus does, and says what is wrong with it.
func (p *Platform) checkExpiry(text string, now time.Time) (time.Time, []string) {
	at, err := strconv.ParseUint(text, 10, 64)
	switch {
	case err != nil:
		return time.Time{}, []string{"Its time of expiry is not in whole seconds since 1970, and it is refused for it."}
	case at > 1<<40 || int64(at) > now.AddDate(100, 0, 0).Unix():
		return time.Time{}, []string{"It expires in more than a hundred years, as if milliseconds were meant; Janus reads seconds, and takes it for good."}
	}
	expires := time.Unix(int64(at), 0).UTC()
	switch left := expires.Sub(now.Truncate(time.Second)); {
	case left < 0 && -left <= p.config.ClockLeeway:
		return expires, []string{fmt.Sprintf("It expired %s ago, so little that a clock may be wrong: Janus forgives nothing.", -left)}
	case left < 0:
		return expires, []string{fmt.Sprintf("It expired %s ago.", -left)}
	case left > maxMaxTTL:
		return expires, []string{fmt.Sprintf("It is good for another %s, and can't be taken back.", left)}
	}
	return expires, nil
}

// clockProblems are signs that somebody's clock is wrong.
func (p *Platform) clockProblems(t decoded, in platform.Inspection, now time.Time) []string {
	var problems []string
	if ahead := in.IssuedAt.Sub(now); !in.IssuedAt.IsZero() && ahead > p.config.ClockLeeway {
		problems = append(problems, fmt.Sprintf("It was issued %s from now (iat): the clock of whoever made it is fast, or ours is slow.", ahead.Round(time.Second)))
	}
	if !in.IssuedAt.IsZero() && !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(in.IssuedAt) {
		problems = append(problems, "It expires before it was issued (iat), so that it was never good.")
	}
	if begins, ok := seconds(t.claims["nbf"]); ok && begins.After(now.Add(p.config.ClockLeeway)) {
		problems = append(problems, "It is meant for later (nbf), but the plugin does not look at that: it is good already.")
	}
	return problems
}

// rightProblems tells what a token allows that it should not, or does not allow
// that it should, and the room if there is one only.
func rightProblems(t decoded) (problems []string, room string) {
	if join, _ := t.claims["join_hub"].(bool); !join {
		problems = append(problems, "It does not let its bearer join a room (join_hub).")
	}
	rooms, ok := texts(t.claims["room_ids"])
	switch {
	case t.claims["room_ids"] == nil:
		problems = append(problems, "It names no rooms (room_ids), which the plugin takes for every room there is.")
	case ok && len(rooms) == 0:
		problems = append(problems, "Its list of rooms (room_ids) is empty, so that none can be joined with it.")
	case ok && len(rooms) == 1:
		room = rooms[0]
	}
	if kick, _ := t.claims["kick_users"].(bool); kick {
		problems = append(problems, "Its bearer may put out anybody in any room of the server (kick_users): the plugin does not hold that against room_ids.")
	}
	return problems, room
}

// seconds reads a claim as a time.
func seconds(claim any) (time.Time, bool) {
	n, _ := claim.(json.Number)
	at, err := n.Int64()
	if err != nil || at < 0 || at > math.MaxUint32 {
		return time.Time{}, false
	}
	return time.Unix(at, 0).UTC(), true
}

// texts reads a claim as a list of texts.
func texts(claim any) ([]string, bool) {
	list, ok := claim.([]any)
	if !ok {
		return nil, false
	}
	found := make([]string, len(list))
	for i, item := range list {
		if found[i], ok = item.(string); !ok {
			return nil, false
		}
	}
	return found, true
}
