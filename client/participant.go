package client

import (
	"context"
	"iter"
	"net/http"

	"usher"
)

// AddParticipant makes a participant of a room, and the secret that claims its
// place.
func (a *API) AddParticipant(ctx context.Context, room string, req AddParticipantRequest, options ...Option) (Invited, error) {
	var p Invited
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"rooms", room, "participants"}, body: req, options: options}, &p)
	return p, err
}

// Participant returns one participant.
func (a *API) Participant(ctx context.Context, room string, id usher.ID) (Participant, error) {
	var p Participant
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"rooms", room, "participants", string(id)}}, &p)
	return p, err
}

// ParticipantPage returns one page of a room's participants, by the time they
// were made.
func (a *API) ParticipantPage(ctx context.Context, room string, q PageQuery) (ParticipantPage, error) {
	var p ParticipantPage
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"rooms", room, "participants"}, query: q.values()}, &p)
	return p, err
}

// Participants goes through all participants of a room from the query's page
// on. It ends with the first error.
func (a *API) Participants(ctx context.Context, room string, q PageQuery) iter.Seq2[Participant, error] {
	return walk(q.Cursor, func(cursor string) ([]Participant, string, error) {
		q.Cursor = cursor
		p, err := a.ParticipantPage(ctx, room, q)
		return p.Participants, p.NextCursor, err
	})
}

// RemoveParticipant puts a participant out of a room for good. The reason,
// which may be empty, is what it is told.
func (a *API) RemoveParticipant(ctx context.Context, room string, id usher.ID, reason string) (Participant, error) {
	var p Participant
	err := a.do(ctx, call{method: http.MethodDelete, path: []string{"rooms", room, "participants", string(id)}, body: EndRequest{reason}}, &p)
	return p, err
}

// RenewSecret replaces the secret of a participant that is not in the room.
func (a *API) RenewSecret(ctx context.Context, room string, id usher.ID) (Invited, error) {
	var p Invited
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"rooms", room, "participants", string(id), "secret"}}, &p)
	return p, err
}

// Claim consumes a participant's one-time secret and takes its seat. It needs
// no token, and the id of the room rather than its name.
func (a *API) Claim(ctx context.Context, room, id usher.ID, secret usher.Secret) (Claimed, error) {
	// ClaimRequest would not write the secret: this is the one place that sends it.
	body := struct {
		Secret string `json:"secret"`
	}{secret.Reveal()}
	var c Claimed
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"rooms", string(room), "participants", string(id), "claim"}, body: body}, &c)
	return c, err
}
