package vpaas

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"usher"
)

// The most bytes that a secret and an access token may have: both go into
// messages and headers of ours.
const (
	maxSecret = 512
	maxToken  = 8 << 10
)

// maxLifetime bounds what VPaaS says of an access token's lifetime.
const maxLifetime = 24 * time.Hour

// object is a JSON object. Its keys are matched exactly and the last of two
// wins, as in the browsers that get the same bytes: they must not read
// anything that was not checked.
type object map[string]json.RawMessage

func parseObject(body []byte) (object, error) {
	var o object
	if !utf8.Valid(body) || json.Unmarshal(body, &o) != nil || o == nil {
		return nil, errors.New("it is no JSON object")
	}
	return o, nil
}

// text returns the member if it is a string; else "".
func (o object) text(name string) string {
	var s *string
	if json.Unmarshal(o[name], &s) != nil || s == nil {
		return ""
	}
	return *s
}

// parseMeeting checks the answer to a new meeting and returns its id.
func parseMeeting(body []byte) (usher.ID, error) {
	o, err := parseObject(body)
	if err != nil {
		return "", err
	}
	id, err := usher.ParseID(o.text("id"))
	if err != nil {
		return "", fmt.Errorf("its id: %w", err)
	}
	return id, nil
}

// participant is a participant that was just given a secret.
type participant struct {
	id     usher.ID
	secret usher.Secret
	body   []byte
}

// parseParticipant checks the answer that makes a participant of the meeting, or
// a secret for it.
func parseParticipant(body []byte, meeting usher.ID) (participant, error) {
	o, err := parseObject(body)
	if err != nil {
		return participant{}, err
	}
	id, err := usher.ParseID(o.text("id"))
	if err != nil {
		return participant{}, fmt.Errorf("its id: %w", err)
	}
	if o.text("meeting_id") != string(meeting) {
		return participant{}, errors.New("its meeting_id is another than was asked for")
	}
	secret := o.text("participant_secret")
	if !visible(secret, maxSecret) {
		return participant{}, errors.New("its participant_secret is missing or malformed")
	}
	return participant{id, usher.Secret(secret), body}, nil
}

// parseToken checks the answer to a token request and returns the token and
// for how long it says that it is good; 0 if it doesn't.
func parseToken(body []byte) (access usher.Secret, lifetime time.Duration, err error) {
	o, err := parseObject(body)
	if err != nil {
		return "", 0, err
	}
	if !strings.EqualFold(o.text("token_type"), "Bearer") {
		return "", 0, errors.New("its token_type is not Bearer")
	}
	text := o.text("access_token")
	if !visible(text, maxToken) {
		return "", 0, errors.New("its access_token is missing or malformed")
	}
	var seconds float64
	if json.Unmarshal(o["expires_in"], &seconds) != nil || seconds < 0 {
		seconds = 0
	}
	lifetime = maxLifetime
	if seconds < maxLifetime.Seconds() {
		lifetime = time.Duration(seconds * float64(time.Second))
	}
	return usher.Secret(text), lifetime, nil
}

// visible reports whether s is 1 to limit visible ASCII characters, which a
// header can carry.
func visible(s string, limit int) bool {
	return s != "" && len(s) <= limit && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
