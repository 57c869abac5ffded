package client

import (
	"context"
	"net/http"

	"usher"
)

// Webhook is a target that is told of what happens, and how it stands with it.
type Webhook struct {
	Name string `json:"name"`
	// Host is where it is; the rest of its address is not told.
	Host string `json:"host"`
	// Events are the types that it is told of; none is all.
	Events []string `json:"events"`
	// Cursor is up to where the record was delivered, but for the rooms in Held,
	// of which earlier events have yet to be taken. A room without a name is what
	// belongs to none.
	Cursor string     `json:"cursor"`
	Held   []usher.ID `json:"held"`
	// FailingSince is from when on the target has taken nothing, and Failure why,
	// as far as the server that answers knows.
	FailingSince Time   `json:"failing_since,omitzero"`
	Failure      string `json:"failure,omitempty"`
	// DeliveredAt is when that server last delivered something.
	DeliveredAt Time `json:"delivered_at,omitzero"`
}

// WebhookList is all targets.
type WebhookList struct {
	Webhooks []Webhook `json:"webhooks"`
}

// ReplayRequest says from where on a target is told everything again: a cursor
// of the record, begin or end.
type ReplayRequest struct {
	From string `json:"from"`
}

// Webhooks returns all targets by name. Only operators may.
func (a *API) Webhooks(ctx context.Context) ([]Webhook, error) {
	var l WebhookList
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"webhooks"}}, &l)
	return l.Webhooks, err
}

// ReplayWebhook has a target told of everything from a place of the record on.
// Only operators may.
func (a *API) ReplayWebhook(ctx context.Context, name, from string) (Webhook, error) {
	var w Webhook
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"webhooks", name, "replay"}, body: ReplayRequest{from}}, &w)
	return w, err
}
