package client

import (
	"context"
	"net/http"
	"net/url"

	"usher"
)

// Event is one entry of the record: what happened, and who made it happen.
type Event struct {
	// ID is also how a caller refers to a decision that it was told of.
	ID   usher.ID        `json:"id"`
	Type usher.EventType `json:"type"`
	// At is when it happened, by the clock of the server that wrote it down.
	At Time `json:"at"`
	// Who is the key of the identity, and Name what people call it.
	Who  string `json:"who,omitempty"`
	Name string `json:"name,omitempty"`
	// Actor is the key of the client that acted for the identity.
	Actor       string   `json:"actor,omitempty"`
	Room        usher.ID `json:"room,omitempty"`
	Participant usher.ID `json:"participant,omitempty"`
	// RequestID finds the request in the server's log.
	RequestID string `json:"request_id,omitempty"`
	// Reason is for people.
	Reason   string    `json:"reason,omitempty"`
	Decision *Decision `json:"decision,omitempty"`
}

// Decision is the policy's answer to a request, with what it was made from.
type Decision struct {
	// Action is what was asked for: room.enter.
	Action  string `json:"action"`
	Allowed bool   `json:"allowed"`
	// Rule is the rule that decided.
	Rule string `json:"rule"`
	// Code is the stable code of a refusal.
	Code string `json:"code,omitempty"`
	// Role and Permissions are what was granted, from NotBefore to ExpiresAt.
	Role        usher.Role        `json:"role,omitempty"`
	Permissions usher.Permissions `json:"permissions"`
	NotBefore   Time              `json:"not_before,omitzero"`
	ExpiresAt   Time              `json:"expires_at,omitzero"`
	// Clamped names what was asked for and granted only in part.
	Clamped []string `json:"clamped"`
	// Proof is how the caller was known: the issuer and the key that verified
	// its token, never the token.
	Proof string `json:"proof,omitempty"`
}

// EventQuery selects events of the record.
type EventQuery struct {
	PageQuery
	// Type, Room, Who and Code restrict the list, if not empty.
	Type usher.EventType
	Room usher.ID
	Who  string
	Code string
	// Newest has the newest first.
	Newest bool
	// Refused restricts it to refusals, and Search to what has that text in it.
	Refused bool
	Search  string
	// Since and Until restrict it to a time; either may be zero.
	Since, Until Time
}

func (q EventQuery) values() url.Values {
	values := q.PageQuery.values()
	for name, value := range map[string]string{"type": string(q.Type), "room": string(q.Room), "who": q.Who, "code": q.Code, "search": q.Search} {
		if value != "" {
			values.Set(name, value)
		}
	}
	for name, t := range map[string]Time{"since": q.Since, "until": q.Until} {
		if !t.IsZero() {
			values.Set(name, t.UTC().Format(timeLayout))
		}
	}
	if q.Newest {
		values.Set("order", "newest")
	}
	if q.Refused {
		values.Set("refused", "true")
	}
	return values
}

// EventPage is one page of the record.
type EventPage struct {
	Events []Event `json:"events"`
	// NextCursor is where to go on. It is never empty: what happens later is
	// read from it.
	NextCursor string `json:"next_cursor"`
	// More says that there may be more already, also after a page without events.
	More bool `json:"more"`
}

// EventPage returns one page of the record, in the order in which it was
// written. Only operators may.
func (a *API) EventPage(ctx context.Context, q EventQuery) (EventPage, error) {
	var p EventPage
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"events"}, query: q.values()}, &p)
	return p, err
}

// Decision returns one entry of the record, with the rule that decided. Only
// operators may.
func (a *API) Decision(ctx context.Context, id usher.ID) (Event, error) {
	var e Event
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"decisions", string(id)}}, &e)
	return e, err
}
