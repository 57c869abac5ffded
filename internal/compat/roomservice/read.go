package roomservice

import (
	"encoding/json"
	"net/http"
	"strings"

	"usher"
	"usher/internal/collab"
)

// What is told of a path whose id is none of ours, or of a header without a
// token.
var (
	errNoDocument = usher.Errorf(usher.NotFound, "document_not_found", "There is no such document.")
	errNoRoom     = usher.Errorf(usher.NotFound, "room_not_found", "There is no such room.")
	errNoToken    = usher.Errorf(usher.Unauthenticated, "credentials_required", "Send the token that the room was entered with in the Authorization header, as 'Bearer: TOKEN'.")
)

// bearer reads the token of a request; the client writes a colon behind Bearer.
func bearer(r *http.Request) (usher.Secret, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", errNoToken
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(strings.TrimSuffix(scheme, ":"), "Bearer") || token == "" {
		return "", errNoToken
	}
	return usher.Secret(token), nil
}

// asked reads the token of a request, and what it asks for. That there is no such
// thing is told to bearers of good tokens only.
func (s *Service) asked(r *http.Request, prefix, path string, otherwise *usher.Error) (usher.Secret, usher.ID, error) {
	token, err := bearer(r)
	if err != nil {
		return "", "", err
	}
	room, ok := wireID(prefix, path)
	if !ok {
		if _, err := s.Access.Session(r.Context(), token); err != nil {
			return "", "", err
		}
		return "", "", otherwise
	}
	return token, room, nil
}

// document answers with a checkpoint of a document.
func (s *Service) document(w http.ResponseWriter, r *http.Request) error {
	token, room, err := s.asked(r, docPrefix, r.PathValue("document"), errNoDocument)
	if err != nil {
		return err
	}
	view, err := s.Hub.Document(r.Context(), token, room)
	if err != nil {
		return err
	}
	if err := s.loads.check(token, documentLoad); err != nil {
		return err
	}
	body := checkpoint(room, view)
	s.loads.done(token, documentLoad)
	return raw(w, []byte(`{"type":"result","ref":"","version":0,"body":`), body, []byte(`}`))
}

// shown is what a user shows, as a page reads it.
type shown struct {
	// ExpAt is in milliseconds, unlike that of the messages on a socket.
	ExpAt int64           `json:"expAt"`
	Value json.RawMessage `json:"value"`
}

// presence answers with what everybody in a room shows.
func (s *Service) presence(w http.ResponseWriter, r *http.Request) error {
	all, err := s.present(r)
	if err != nil {
		return err
	}
	byKey := make(map[string]map[string]shown)
	for _, p := range all {
		if byKey[p.Key] == nil {
			byKey[p.Key] = make(map[string]shown)
		}
		byKey[p.Key][p.User] = shownOf(p)
	}
	return answer(w, byKey)
}

// presenceKey answers with what everybody shows under one key, as clients before
// version 3 ask.
func (s *Service) presenceKey(w http.ResponseWriter, r *http.Request) error {
	all, err := s.present(r)
	if err != nil {
		return err
	}
	byUser := make(map[string]shown)
	for _, p := range all {
		if p.Key == r.PathValue("key") {
			byUser[p.User] = shownOf(p)
		}
	}
	return answer(w, byUser)
}

func (s *Service) present(r *http.Request) ([]collab.Presence, error) {
	token, room, err := s.asked(r, roomPrefix, r.PathValue("room"), errNoRoom)
	if err != nil {
		return nil, err
	}
	all, err := s.Hub.Present(r.Context(), token, room)
	if err != nil {
		return nil, err
	}
	if err := s.loads.check(token, presenceLoad); err != nil {
		return nil, err
	}
	s.loads.done(token, presenceLoad)
	return all, nil
}

// shownOf writes a value so that the client ends up with it. It parses text once
// more, but for what then is falsy; so text is written as the JSON of it, and
// all else as it is.
func shownOf(p collab.Presence) shown {
	value := json.RawMessage(p.Value)
	if trimmed := strings.TrimSpace(p.Value); strings.HasPrefix(trimmed, `"`) && trimmed != `""` {
		value = quote(p.Value)
	}
	return shown{ExpAt: p.Expires.UnixMilli(), Value: value}
}

// quote writes a text as JSON.
func quote(text string) json.RawMessage {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string
	}
	return quoted
}

func answer(w http.ResponseWriter, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return raw(w, body)
}

// raw answers with JSON that is ready, in pieces.
func raw(w http.ResponseWriter, pieces ...[]byte) error {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	for _, p := range pieces {
		if _, err := w.Write(p); err != nil {
			break // the caller is gone
		}
	}
	return nil
}
