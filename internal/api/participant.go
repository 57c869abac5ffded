package api

import (
	"math"
	"net/http"
	"net/url"
	"time"

	"usher"
	"usher/client"
	"usher/internal/access"
	"usher/internal/httpd"
)

func (a *API) addParticipant(w http.ResponseWriter, r *http.Request) error {
	var req client.AddParticipantRequest
	if err := httpd.ReadJSON(r, &req, true); err != nil {
		return err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	place := access.Place{Role: req.Role, Lifetime: lifetime(req.TTL), Name: req.Name, For: req.For}
	invited, err := a.Access.AddParticipant(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"), place, key)
	if err != nil {
		return err
	}
	p := invited.Participant
	w.Header().Set("Location", base+"/rooms/"+string(p.Room)+"/participants/"+string(p.ID))
	return answerInvited(w, http.StatusCreated, invited)
}

// lifetime is the time in so many seconds. What is beyond any time that can be
// granted is as long as we can tell.
func lifetime(seconds int64) time.Duration {
	const most = int64(math.MaxInt64 / time.Second)
	return time.Duration(min(max(seconds, -most), most)) * time.Second
}

func (a *API) listParticipants(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor", "status", "search")
	if err != nil {
		return err
	}
	filter, err := participantFilter(values)
	if err != nil {
		return err
	}
	p, err := page(values)
	if err != nil {
		return err
	}
	participants, next, err := a.Access.Participants(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"), filter, p)
	if err != nil {
		return err
	}
	answer := client.ParticipantPage{Participants: make([]client.Participant, len(participants)), NextCursor: string(next)}
	for i, participant := range participants {
		answer.Participants[i] = wireParticipant(participant)
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

func participantFilter(values url.Values) (access.ParticipantFilter, error) {
	search, problems := searchText(values)
	f := access.ParticipantFilter{Status: usher.ParticipantStatus(values.Get("status")), Search: search}
	switch f.Status {
	case usher.ParticipantReady, usher.ParticipantJoined, usher.ParticipantLeft, usher.ParticipantRemoved:
	default:
		if values.Has("status") {
			problems = append(problems, usher.FieldProblem{Field: "status", Message: "must be ready, joined, left or removed"})
		}
	}
	return f, queryError(problems)
}

func (a *API) getParticipant(w http.ResponseWriter, r *http.Request) error {
	id, err := participantID(r)
	if err != nil {
		return err
	}
	e, err := a.Access.Participant(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"), id)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, wireParticipant(e.Participant))
}

func (a *API) removeParticipant(w http.ResponseWriter, r *http.Request) error {
	id, err := participantID(r)
	if err != nil {
		return err
	}
	var req client.EndRequest
	if err := httpd.ReadJSON(r, &req, true); err != nil {
		return err
	}
	e, err := a.Access.RemoveParticipant(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"), id, req.Reason)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, wireParticipant(e.Participant))
}

func (a *API) renewSecret(w http.ResponseWriter, r *http.Request) error {
	id, err := participantID(r)
	if err != nil {
		return err
	}
	if err := httpd.ReadJSON(r, &struct{}{}, true); err != nil {
		return err
	}
	invited, err := a.Access.RenewSecret(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"), id)
	if err != nil {
		return err
	}
	return answerInvited(w, http.StatusOK, invited)
}

// claim takes only the id of a room: by names, that callers could guess, anyone
// could find out which rooms exist.
func (a *API) claim(w http.ResponseWriter, r *http.Request) error {
	room, err := usher.ParseID(r.PathValue("room"))
	if err != nil {
		return usher.Errorf(usher.NotFound, "room_not_found", "There is no such room; a claim needs the room's id.")
	}
	id, err := participantID(r)
	if err != nil {
		return err
	}
	var req client.ClaimRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	key := usher.ParticipantKey{App: usher.DefaultApp, Room: room, ID: id}
	claimed, err := a.Access.Claim(r.Context(), key, req.Secret)
	if err != nil {
		return err
	}
	answer := struct {
		Token string `json:"token"` // in clear: this is the one place that sends it
		client.Claimed
	}{Token: claimed.Token.Reveal(), Claimed: client.Claimed{
		// Both times are the server's, so that a client's clock does not matter.
		ConnectIn:   int(claimed.Participant.HeldUntil.Sub(claimed.Participant.UpdatedAt) / time.Second),
		Room:        wireRoom(claimed.Room),
		Participant: wireParticipant(claimed.Participant),
	}}
	answer.Room.Owner = "" // no participant's business
	httpd.NoStore(w.Header())
	return httpd.JSON(w, http.StatusOK, answer)
}

func participantID(r *http.Request) (usher.ID, error) {
	id, err := usher.ParseID(r.PathValue("participant"))
	if err != nil {
		return "", usher.Errorf(usher.NotFound, "participant_not_found", "There is no such participant in the room.")
	}
	return id, nil
}

// answerInvited tells a participant's secret, to its maker only.
func answerInvited(w http.ResponseWriter, status int, invited access.Invited) error {
	httpd.NoStore(w.Header())
	return httpd.JSON(w, status, struct {
		client.Invited
		Secret string `json:"secret"` // in clear: this is the one place that sends it
	}{client.Invited{
		Participant: wireParticipant(invited.Participant),
		Permissions: list(invited.Decision.Permissions), Clamped: list(invited.Decision.Clamped),
	}, invited.Secret.Reveal()})
}

func wireParticipant(p usher.Participant) client.Participant {
	return client.Participant{
		ID: p.ID, Room: p.Room, Status: p.Status, Role: p.Role, Name: p.Name, Identity: p.Identity,
		Grant: p.Grant, ExpiresAt: stamp(p.Expires), CreatedAt: stamp(p.CreatedAt()), UpdatedAt: stamp(p.UpdatedAt),
		EndReason: p.EndReason, Version: p.Version,
	}
}
