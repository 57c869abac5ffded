package client

import (
	"context"
	"iter"
	"net/http"

	"usher"
)

// Invite lets guests into one room.
type Invite struct {
	ID   usher.ID   `json:"id"`
	Room usher.ID   `json:"room"`
	Role usher.Role `json:"role"`
	// Uses counts redemptions, of which there may be MaxUses; 0 is no limit.
	Uses      int  `json:"uses"`
	MaxUses   int  `json:"max_uses"`
	ExpiresAt Time `json:"expires_at"`
	// By is the key of who made the invite.
	By        string `json:"by"`
	CreatedAt Time   `json:"created_at"`
	// RevokedAt is when the invite was ended.
	RevokedAt Time `json:"revoked_at,omitzero"`
}

// CreatedInvite is an invite with its code, which is told once; like every
// [usher.Secret] it is not written back into JSON.
type CreatedInvite struct {
	Invite
	Code usher.Secret `json:"code"`
}

// CreateInviteRequest says what a new invite shall be.
type CreateInviteRequest struct {
	// Role is what guests are in the room; empty is speaker.
	Role usher.Role `json:"role,omitempty"`
	// MaxUses is how often the code can be redeemed; 0 is no limit.
	MaxUses int `json:"max_uses,omitempty"`
	// ExpiresAt is when it can't be any more; zero leaves it to the server.
	ExpiresAt Time `json:"expires_at,omitzero"`
}

// InvitePage is one page of a list of invites.
type InvitePage struct {
	Invites []Invite `json:"invites"`
	// NextCursor asks for the next page; empty on the last one.
	NextCursor string `json:"next_cursor"`
}

// RedeemRequest presents the code of an invite.
type RedeemRequest struct {
	Code usher.Secret `json:"code"`
	// Name is what the guest wants to be called.
	Name string `json:"name"`
}

// Redeemed is a guest, with the token that it calls with.
type Redeemed struct {
	Token usher.Secret `json:"token"`
	Guest Guest        `json:"guest"`
}

// Guest is who redeemed an invite.
type Guest struct {
	// ID is that of the guest's key, guest:ID.
	ID   string     `json:"id"`
	Name string     `json:"name"`
	Room usher.ID   `json:"room"`
	Role usher.Role `json:"role"`
	// ExpiresAt is when the token ends.
	ExpiresAt Time `json:"expires_at"`
}

// CreateInvite makes a code that lets guests into a room.
func (a *API) CreateInvite(ctx context.Context, room string, req CreateInviteRequest) (CreatedInvite, error) {
	var i CreatedInvite
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"rooms", room, "invites"}, body: req}, &i)
	return i, err
}

// InvitePage returns one page of a room's invites, by the time they were made.
func (a *API) InvitePage(ctx context.Context, room string, q PageQuery) (InvitePage, error) {
	var p InvitePage
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"rooms", room, "invites"}, query: q.values()}, &p)
	return p, err
}

// Invites goes through all invites of a room from the query's page on. It ends
// with the first error.
func (a *API) Invites(ctx context.Context, room string, q PageQuery) iter.Seq2[Invite, error] {
	return walk(q.Cursor, func(cursor string) ([]Invite, string, error) {
		q.Cursor = cursor
		p, err := a.InvitePage(ctx, room, q)
		return p.Invites, p.NextCursor, err
	})
}

// RevokeInvite ends an invite. Guests who have redeemed it keep their tokens.
func (a *API) RevokeInvite(ctx context.Context, room string, id usher.ID) (Invite, error) {
	var i Invite
	err := a.do(ctx, call{method: http.MethodDelete, path: []string{"rooms", room, "invites", string(id)}}, &i)
	return i, err
}

// Redeem makes a guest of whoever has the code of an invite. It needs no token.
func (a *API) Redeem(ctx context.Context, req RedeemRequest) (Redeemed, error) {
	// RedeemRequest would not write the code: this is the one place that sends it.
	body := struct {
		Code string `json:"code"`
		Name string `json:"name"`
	}{req.Code.Reveal(), req.Name}
	var r Redeemed
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"invites", "redeem"}, body: body}, &r)
	return r, err
}
