package identity

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"

	"usher"
)

// The bounds of what a claim may say.
const (
	maxSubject = 255 // bytes; OpenID Connect Core, section 2
	maxName    = 100 // characters
)

// claimSet are the claims of a token, or the members of an app's answer, whose
// names are up to the configuration.
type claimSet map[string]json.RawMessage

// decodeClaimSet reads a JSON object, with [decodeClaims]'s rules for names.
func decodeClaimSet(data []byte) (claimSet, error) {
	var c claimSet
	if !utf8.Valid(data) || json.Unmarshal(data, &c) != nil {
		return nil, errors.New("this is not a JSON object") // the cause may quote it
	}
	return c, nil
}

// find returns a claim by its name or, where there is none of that name, by its
// path: Auth0 has dots in names, Keycloak claims within claims.
func (c claimSet) find(name string) json.RawMessage {
	if raw, ok := c[name]; ok {
		return raw
	}
	for i, r := range name {
		if r != '.' {
			continue
		}
		var within claimSet
		if raw, ok := c[name[:i]]; ok && json.Unmarshal(raw, &within) == nil {
			return within.find(name[i+1:])
		}
	}
	return nil
}

func (c claimSet) has(name string) bool {
	raw := c.find(name)
	return raw != nil && string(raw) != "null"
}

// text returns a claim that is a string, and "" for any other.
func (c claimSet) text(name string) string {
	var s string
	if raw := c.find(name); raw == nil || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// truth reports whether a claim is true, or "true" as some issuers have it.
func (c claimSet) truth(name string) bool {
	raw := string(c.find(name))
	return raw == "true" || raw == `"true"`
}

// set makes a claim.
func (c claimSet) set(name string, value any) {
	if raw, err := json.Marshal(value); err == nil {
		c[name] = raw
	}
}

// texts returns a claim that is a list of strings or one string.
func (c claimSet) texts(name string) []string {
	var list audience
	if raw := c.find(name); raw == nil || json.Unmarshal(raw, &list) != nil {
		return nil
	}
	return list
}

// time returns a claim that is a date, and the zero time if there is none.
func (c claimSet) time(name string) (time.Time, error) {
	if !c.has(name) {
		return time.Time{}, nil
	}
	var d numericDate
	if err := json.Unmarshal(c.find(name), &d); err != nil {
		return time.Time{}, fmt.Errorf("%s is not a date", name)
	}
	return d.Time, nil
}

// profile is what the claims say of a user.
type profile struct {
	subject string
	name    string
	email   string // if it is verified, or trusted
	groups  []string
}

// profile reads what we want to know. A subject that is unfit is an error; of
// the rest, what is unfit is left out.
func (c claimSet) profile(names ClaimNames, trustEmail bool) (profile, error) {
	p := profile{subject: c.text(names.Subject)}
	if raw := string(c.find(names.Subject)); p.subject == "" {
		if n, err := strconv.ParseInt(raw, 10, 64); err == nil { // many a database numbers its users
			p.subject = strconv.FormatInt(n, 10)
		}
	}
	if p.subject == "" || len(p.subject) > maxSubject || strings.IndexFunc(p.subject, notPrintable) >= 0 {
		return profile{}, fmt.Errorf("%s is missing, too long or has characters that can't be printed", names.Subject)
	}
	if email := c.text(names.Email); usher.ValidEmail(email) && (trustEmail || c.truth(names.EmailVerified)) {
		p.email = email
	}
	from := []string{"name", "preferred_username", "cognito:username", "username", "nickname"}
	if names.Name != "" {
		from = []string{names.Name}
	}
	for _, name := range from {
		if p.name = cleanName(c.text(name)); p.name != "" {
			break
		}
	}
	for _, group := range c.texts(names.Groups) {
		if group != "" && len(group) <= maxSubject && strings.IndexFunc(group, notPrintable) < 0 {
			p.groups = append(p.groups, group)
		}
	}
	return p, nil
}

// cleanName leaves out what can't be seen, such as marks that turn the
// direction of text, and cuts off what is too long.
func cleanName(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == maxName {
			break
		}
		if !notPrintable(r) && r != utf8.RuneError {
			b.WriteRune(r)
			n++
		}
	}
	return strings.TrimSpace(b.String())
}

func notPrintable(r rune) bool { return !unicode.IsPrint(r) }
