package agora

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"usher"
	"usher/internal/platform"
)

// maxSkew is how far a clock may be ahead of ours before it is called wrong.
const maxSkew = time.Minute

// Inspect reads a token and says what is wrong with it. A 006 token does not
// say what it is for, so that its signature stays unknown: see [Platform.InspectFor].
func (p *Platform) Inspect(token usher.Secret, now time.Time) (platform.Inspection, bool) {
	return p.InspectFor(token, "", "", now)
}

// InspectFor is Inspect for a token that is meant for the channel and the user,
// where they are not empty.
func (p *Platform) InspectFor(token usher.Secret, channel, user string, now time.Time) (platform.Inspection, bool) {
	text := usher.Secret(strings.TrimSpace(token.Reveal()))
	i := inspector{projects: p.projects, channel: channel, user: user, now: now}
	i.Platform, i.Verified = Name, platform.Unknown
	var err error
	switch {
	case strings.HasPrefix(text.Reveal(), version007):
		var s Signed007
		i.Format = "agora 007"
		if s, err = Parse007(text); err == nil {
			i.read007(s)
		}
	case strings.HasPrefix(text.Reveal(), version006):
		var s Signed006
		i.Format = "agora 006"
		if s, err = Parse006(text); err == nil {
			i.read006(s)
		}
	default:
		return platform.Inspection{}, false
	}
	if err != nil && !looksLikeToken(text.Reveal()) {
		return platform.Inspection{}, false
	}
	if why, ok := errors.AsType[malformed](err); ok {
		i.problem("The token is damaged: %s.", string(why))
	}
	if text != token {
		i.problem("There is white space around the token, which must not be sent with it.")
	}
	return i.Inspection, true
}

// looksLikeToken reports whether a text that can't be read was a token once:
// every one goes on with the same few bits.
func looksLikeToken(text string) bool {
	return strings.HasPrefix(text, version007+"e") ||
		len(text) > len(version006)+idLength && strings.HasPrefix(text[len(version006)+idLength:], "IA")
}

// inspector gathers what is to be said of one token.
type inspector struct {
	platform.Inspection
	projects      []project
	channel, user string
	now           time.Time
}

func (i *inspector) problem(format string, args ...any) {
	i.Problems = append(i.Problems, fmt.Sprintf(format, args...))
}

// at prints a time for a problem.
func at(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func unix(seconds uint32) time.Time { return time.Unix(int64(seconds), 0).UTC() }

// signer says whose token it is: for which project, and by which certificate.
// Without verify, the signature can't be checked. An app id that is one of our
// certificates is never shown.
func (i *inspector) signer(appID string, verify func(usher.Secret) bool) {
	var owner, by *project
	for n := range i.projects {
		q := &i.projects[n]
		if q.isCertificate(appID) {
			i.Verified = platform.Bad
			i.problem("The token was made with the app id and the certificate in each other's place: it shows the certificate of %s to everyone. Replace the certificate in Agora's console.", q.name)
			return
		}
		if q.appID == appID {
			owner = q
			i.Claims["project"] = q.name
		}
		switch {
		case verify == nil:
		case verify(q.primary):
			by, i.Claims["certificate"] = q, "primary"
		case q.secondary != "" && verify(q.secondary):
			by, i.Claims["certificate"] = q, "secondary"
		}
	}
	i.Claims["appId"] = appID
	switch {
	case owner == nil && by == nil:
		i.problem("The token is for the app id %s, which is not one of ours. A client that joins with another app id is told that its token is invalid.", appID)
	case by != nil && by != owner:
		i.Verified = platform.Bad
		i.problem("The token is for the app id %s and signed with a certificate of %s, which has the app id %s.", appID, by.name, by.appID)
	case by != nil:
		i.Verified = platform.Good
	case verify != nil:
		i.Verified = platform.Bad
		i.problem("The token is signed with another certificate than those of %s, or was altered.", owner.name)
	}
}

// isCertificate reports whether s is a certificate of the project.
func (q project) isCertificate(s string) bool {
	id := usher.Secret(s).Digest()
	return id.Matches(q.primary) || id.Matches(q.secondary)
}

// privilege says when a privilege has ended before its token.
func (i *inspector) privilege(name string, expires time.Time) {
	if !i.now.Before(expires) && i.now.Before(i.ExpiresAt) {
		i.problem("The privilege %s ended at %s, though the token lives until %s.", name, at(expires), at(i.ExpiresAt))
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
