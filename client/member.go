package client

import (
	"context"
	"iter"
	"net/http"

	"usher"
)

// Member is an identity, or a group, with a standing role in a room.
type Member struct {
	// Identity is the member's key: user:ISSUER#SUBJECT, group:ISSUER#NAME,
	// client:ID or guest:ID.
	Identity string     `json:"identity"`
	Room     usher.ID   `json:"room"`
	Role     usher.Role `json:"role"`
	// Name is what people call the member; no guest can take it.
	Name      string `json:"name,omitempty"`
	AddedBy   string `json:"added_by"`
	UpdatedAt Time   `json:"updated_at"`
}

// PutMemberRequest says who shall be a member of a room, and as what.
type PutMemberRequest struct {
	Identity string     `json:"identity"`
	Role     usher.Role `json:"role"`
	Name     string     `json:"name,omitempty"`
}

// MemberPage is one page of a list of members.
type MemberPage struct {
	Members []Member `json:"members"`
	// NextCursor asks for the next page; empty on the last one.
	NextCursor string `json:"next_cursor"`
}

// PutMember makes somebody a member of a room, or replaces all that was said of
// the member.
func (a *API) PutMember(ctx context.Context, room string, req PutMemberRequest) (Member, error) {
	var m Member
	err := a.do(ctx, call{method: http.MethodPut, path: []string{"rooms", room, "members"}, body: req}, &m)
	return m, err
}

// MemberPage returns one page of a room's members, by their keys.
func (a *API) MemberPage(ctx context.Context, room string, q PageQuery) (MemberPage, error) {
	var p MemberPage
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"rooms", room, "members"}, query: q.values()}, &p)
	return p, err
}

// Members goes through all members of a room from the query's page on. It ends
// with the first error.
func (a *API) Members(ctx context.Context, room string, q PageQuery) iter.Seq2[Member, error] {
	return walk(q.Cursor, func(cursor string) ([]Member, string, error) {
		q.Cursor = cursor
		p, err := a.MemberPage(ctx, room, q)
		return p.Members, p.NextCursor, err
	})
}

// DeleteMember ends a membership. It puts nobody out who is in the room.
func (a *API) DeleteMember(ctx context.Context, room, identity string) error {
	return a.do(ctx, call{method: http.MethodDelete, path: []string{"rooms", room, "members", identity}}, nil)
}
