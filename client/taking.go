package client

import (
	"context"
	"iter"
	"net/http"

	"usher"
)

// Ban keeps an identity out of a room.
type Ban struct {
	ID   usher.ID `json:"id"`
	Room usher.ID `json:"room"`
	// Identity is the key of who is banned.
	Identity string `json:"identity"`
	// By is the key of who decided the ban.
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
	// Until is when the ban ends by itself; zero is never.
	Until     Time `json:"until,omitzero"`
	CreatedAt Time `json:"created_at"`
}

// BanRequest says who shall be kept out of a room: an identity, or the one that
// a participant of the room is.
type BanRequest struct {
	Identity    string   `json:"identity,omitempty"`
	Participant usher.ID `json:"participant,omitempty"`
	// Until is when the ban ends by itself; zero is never.
	Until  Time   `json:"until,omitzero"`
	Reason string `json:"reason,omitempty"`
}

// UnbanRequest says whose ban shall be lifted, as a [BanRequest] does.
type UnbanRequest struct {
	Identity    string   `json:"identity,omitempty"`
	Participant usher.ID `json:"participant,omitempty"`
}

// BanPage is one page of a list of bans.
type BanPage struct {
	Bans []Ban `json:"bans"`
	// NextCursor asks for the next page; empty on the last one.
	NextCursor string `json:"next_cursor"`
}

// Ban keeps an identity out of a room, and puts out whatever it has there. The
// ban is on disk and obeyed when Ban returns.
func (a *API) Ban(ctx context.Context, room string, req BanRequest) (Ban, error) {
	var b Ban
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"rooms", room, "bans"}, body: req}, &b)
	return b, err
}

// BanPage returns one page of the bans that are in force in a room, the oldest
// first.
func (a *API) BanPage(ctx context.Context, room string, q PageQuery) (BanPage, error) {
	var p BanPage
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"rooms", room, "bans"}, query: q.values()}, &p)
	return p, err
}

// Bans goes through all bans that are in force in a room from the query's page
// on. It ends with the first error.
func (a *API) Bans(ctx context.Context, room string, q PageQuery) iter.Seq2[Ban, error] {
	return walk(q.Cursor, func(cursor string) ([]Ban, string, error) {
		q.Cursor = cursor
		p, err := a.BanPage(ctx, room, q)
		return p.Bans, p.NextCursor, err
	})
}

// Unban lifts a ban.
func (a *API) Unban(ctx context.Context, room string, id usher.ID) error {
	return a.do(ctx, call{method: http.MethodDelete, path: []string{"rooms", room, "bans", string(id)}}, nil)
}

// UnbanIdentity lifts the ban of an identity.
func (a *API) UnbanIdentity(ctx context.Context, room string, req UnbanRequest) error {
	return a.do(ctx, call{method: http.MethodDelete, path: []string{"rooms", room, "bans"}, body: req}, nil)
}

// Taking is one entry of the sequence of everything that was taken away.
type Taking struct {
	// Seq grows from entry to entry.
	Seq  int64            `json:"seq"`
	ID   usher.ID         `json:"id"`
	Kind usher.TakingKind `json:"kind"`
	// Grant, Identity, Client and Room are what it was taken from: one of them,
	// or Room and Identity for a ban.
	Grant    usher.ID `json:"grant,omitempty"`
	Identity string   `json:"identity,omitempty"`
	Client   usher.ID `json:"client,omitempty"`
	Room     usher.ID `json:"room,omitempty"`
	// Before voids what was issued earlier. Forever voids also what would be
	// issued later.
	Before  Time `json:"before,omitzero"`
	Forever bool `json:"forever,omitempty"`
	// Until is when a ban ends by itself.
	Until Time `json:"until,omitzero"`
	// By is the key of who took it away.
	By        string `json:"by"`
	Reason    string `json:"reason,omitempty"`
	CreatedAt Time   `json:"created_at"`
}

// RevokeRequest says what shall be taken away: what was issued by one grant, to
// one identity, by one client or in one room.
type RevokeRequest struct {
	Grant    usher.ID `json:"grant,omitempty"`
	Identity string   `json:"identity,omitempty"`
	Client   usher.ID `json:"client,omitempty"`
	// Room is the room's id or name.
	Room string `json:"room,omitempty"`
	// Before voids what was issued earlier; zero is now.
	Before Time `json:"before,omitzero"`
	// Forever voids also what would be issued later.
	Forever bool   `json:"forever,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// TakingPage is one page of the sequence.
type TakingPage struct {
	Revocations []Taking `json:"revocations"`
	// NextCursor asks for the next page; empty on the last one.
	NextCursor string `json:"next_cursor"`
}

// Revoke takes away what was issued. It is on disk and obeyed when Revoke
// returns. Only operators may.
func (a *API) Revoke(ctx context.Context, req RevokeRequest) (Taking, error) {
	var t Taking
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"revocations"}, body: req}, &t)
	return t, err
}

// RevocationPage returns one page of everything that was taken away, bans
// included, in its order. The cursor is the Seq of the last entry before it.
func (a *API) RevocationPage(ctx context.Context, q PageQuery) (TakingPage, error) {
	var p TakingPage
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"revocations"}, query: q.values()}, &p)
	return p, err
}

// Revocations goes through everything that was taken away from the query's page
// on. It ends with the first error.
func (a *API) Revocations(ctx context.Context, q PageQuery) iter.Seq2[Taking, error] {
	return walk(q.Cursor, func(cursor string) ([]Taking, string, error) {
		q.Cursor = cursor
		p, err := a.RevocationPage(ctx, q)
		return p.Revocations, p.NextCursor, err
	})
}
