package client

import (
	"fmt"
	"strings"

	"usher"
)

// explainedTime is how times are told: of the server's clock, to the microsecond, so
// that they can be held against the log.
const explainedTime = "2006-01-02 15:04:05.000000 UTC"

// Explain tells in sentences what an entry of the record says.
func (e Event) Explain() []string {
	var sentences []string
	say := func(format string, args ...any) { sentences = append(sentences, fmt.Sprintf(format, args...)) }
	say("At %s, by the clock of the server that wrote it down, %s %s%s.", e.At.UTC().Format(explainedTime), caller(e), deed(e), place(e))
	if e.Actor != "" {
		say("It was %s that called, acting for the caller.", e.Actor)
	}
	if d := e.Decision; d != nil {
		explainDecision(say, e, d)
	} else if e.Reason != "" {
		say("Reason: %s", e.Reason)
	}
	if e.RequestID != "" {
		say("In the server's log this is the request %s.", e.RequestID)
	}
	return sentences
}

func explainDecision(say func(string, ...any), e Event, d *Decision) {
	if d.Allowed {
		say("It was allowed.")
	} else {
		say("It was refused with the code %s: %s", d.Code, e.Reason)
	}
	say("The rule that decided: %s (%s)", d.Rule, meaning(d.Rule))
	if d.Proof != "" {
		say("The caller was known by: %s.", d.Proof)
	} else {
		say("Nothing is on record of how the caller was known.")
	}
	if d.Role == "" || !d.Allowed {
		return
	}
	say("Granted was the role %s, which may: %s.", d.Role, strings.ReplaceAll(d.Permissions.String(), " ", ", "))
	if !d.ExpiresAt.IsZero() {
		say("It is good from %s to %s.", d.NotBefore.UTC().Format(explainedTime), d.ExpiresAt.UTC().Format(explainedTime))
	}
	if len(d.Clamped) > 0 {
		say("More was asked for than is allowed, and cut down: %s.", strings.Join(d.Clamped, ", "))
	} else {
		say("Nothing that was asked for was cut down.")
	}
}

func caller(e Event) string {
	switch {
	case e.Who == "":
		if e.Type == usher.Ejected || e.Type == usher.NotEjected {
			return "everybody"
		}
		return "somebody unknown"
	case e.Name == "":
		return e.Who
	default:
		return fmt.Sprintf("%s (%s)", e.Name, e.Who)
	}
}

func place(e Event) string {
	var where string
	if e.Participant != "" {
		where = " as participant " + string(e.Participant)
	}
	if e.Room != "" {
		where += " in the room " + string(e.Room)
	}
	return where
}

// deed is what an event tells of, as the second half of a sentence.
func deed(e Event) string {
	if e.Decision != nil {
		return "asked for " + e.Decision.Action
	}
	switch e.Type {
	case usher.Claimed:
		return "claimed a place"
	case usher.Attached:
		return "connected"
	case usher.Detached:
		return "was disconnected"
	case usher.Ended:
		return "saw the end"
	case usher.Taken:
		return "took something away"
	case usher.Redeemed:
		return "redeemed an invite"
	case usher.Ejected:
		return "was put out by a platform"
	case usher.NotEjected:
		return "was not put out by a platform, which is not asked again"
	case usher.Listed:
		return "made another user a contact"
	case usher.Unlisted:
		return "ended a contact"
	case usher.Sought:
		return "looked for a user who is not here"
	case usher.Erased:
		return "deleted what is kept of a user"
	case usher.Called:
		return "called another user"
	case usher.Answered:
		return "accepted a call"
	case usher.HungUp:
		return "ended a call, or had it end"
	default:
		return "did something of the type " + string(e.Type)
	}
}

// meaning says what a rule is, for people who have not read the policy.
func meaning(rule string) string {
	switch name, _, _ := strings.Cut(rule, " "); name {
	case "member":
		return "the membership that counts; what its role may do is all that the caller may"
	case "revocation":
		return "what was presented was issued before this revocation, or is void for good"
	case "ban":
		return "banned from the room: see its bans"
	}
	sentences := map[string]string{
		"nobody":                "nobody was known to be calling",
		"local operator":        "an operator on the server's own machine, who may do everything",
		"operator":              "an operator sees and ends everything, but enters a room as anybody",
		"users only":            "only somebody whom an issuer vouches for may do this",
		"operators only":        "only operators may do this, and the caller is none",
		"known caller":          "every known user and back end may do this",
		"public dialect":        "the dialect is open to the public",
		"owner":                 "the room is the caller's own",
		"invite":                "a guest in the room of its invite, with the role of that",
		"guest of another room": "a guest may enter and see only the room of its invite",
		"stranger":              "the caller has nothing to do with the room, and is not told that it exists",
		"admission open":        "every known user may enter the room",
		"admission members":     "the room admits members only, and the caller is none: neither itself nor by a group",
		"admission invite":      "the room admits members and guests with an invite, and the caller is neither",
		"no rule":               "no rule allows it",
	}
	if sentence, ok := sentences[rule]; ok {
		return sentence
	}
	return "a rule of this server's policy"
}
