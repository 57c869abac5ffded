package client

import (
	"context"
	"iter"
	"net/http"

	"usher"
)

// MissedCall is a call that the caller of the API missed.
type MissedCall struct {
	// ID names it in this list, and CallID in signaling.
	ID     usher.ID `json:"id"`
	CallID string   `json:"call_id"`
	// From is the user who called, as in [User.ID], and FromKey the user's key.
	From    string `json:"from"`
	FromKey string `json:"from_key"`
	Name    string `json:"name,omitempty"`
	Email   string `json:"email,omitempty"`
	// Request says that it was a stranger.
	Request bool `json:"request"`
	// Reason is why the call ended, such as invite_timeout.
	Reason    usher.CallReason `json:"reason"`
	InvitedAt Time             `json:"invited_at"`
}

// MissedCallPage is one page of the list of missed calls.
type MissedCallPage struct {
	Calls []MissedCall `json:"calls"`
	// NextCursor asks for the next page; empty on the last one.
	NextCursor string `json:"next_cursor"`
}

// AcknowledgeCallsRequest says which missed calls have been seen: one, and all
// that are older.
type AcknowledgeCallsRequest struct {
	Until usher.ID `json:"until"`
}

// MissedCallPage returns one page of the calls that the caller missed, the
// newest first.
func (a *API) MissedCallPage(ctx context.Context, q PageQuery, options ...Option) (MissedCallPage, error) {
	var p MissedCallPage
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"calls", "missed"}, query: q.values(), options: options}, &p)
	return p, err
}

// MissedCalls goes through all calls that the caller missed from the query's
// page on. It ends with the first error.
func (a *API) MissedCalls(ctx context.Context, q PageQuery, options ...Option) iter.Seq2[MissedCall, error] {
	return walk(q.Cursor, func(cursor string) ([]MissedCall, string, error) {
		q.Cursor = cursor
		p, err := a.MissedCallPage(ctx, q, options...)
		return p.Calls, p.NextCursor, err
	})
}

// AcknowledgeCalls takes a missed call and all that are older off the list.
func (a *API) AcknowledgeCalls(ctx context.Context, until usher.ID, options ...Option) error {
	return a.do(ctx, call{
		method: http.MethodPost, path: []string{"calls", "missed", "acknowledge"}, body: AcknowledgeCallsRequest{Until: until}, options: options,
	}, nil)
}
