package api

import (
	"net/http"

	"usher"
	"usher/client"
	"usher/internal/httpd"
)

func (a *API) listMissedCalls(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor")
	if err != nil {
		return err
	}
	p, err := page(values)
	if err != nil {
		return err
	}
	id := httpd.Identity(r.Context())
	calls, next, err := a.Access.MissedCalls(r.Context(), id, p.After, p.Limit)
	if err != nil {
		return err
	}
	answer := client.MissedCallPage{Calls: make([]client.MissedCall, len(calls)), NextCursor: string(next)}
	for i, c := range calls {
		answer.Calls[i] = client.MissedCall{
			ID: c.Missed, CallID: c.ID, From: usher.UserID(id.Issuer, c.From.Key), FromKey: c.From.Key, Name: c.From.Name, Email: c.From.Email,
			Request: c.Request, Reason: c.Reason, InvitedAt: stamp(c.InvitedAt),
		}
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

func (a *API) acknowledgeCalls(w http.ResponseWriter, r *http.Request) error {
	var req client.AcknowledgeCallsRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	until, err := usher.ParseID(string(req.Until))
	if err != nil {
		e := usher.Errorf(usher.Invalid, "until_invalid", "Say up to which of the missed calls they are acknowledged.")
		e.Fields = []usher.FieldProblem{{Field: "until", Message: "must be the id of a missed call"}}
		return e
	}
	if err := a.Access.AcknowledgeCalls(r.Context(), httpd.Identity(r.Context()), until); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
