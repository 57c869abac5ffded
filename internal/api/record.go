package api

import (
	"net/http"
	"net/url"
	"slices"

	"usher"
	"usher/client"
	"usher/internal/access"
	"usher/internal/httpd"
)

func (a *API) listEvents(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor", "order", "type", "room", "who", "code", "refused", "search", "since", "until")
	if err != nil {
		return err
	}
	q, err := eventQuery(values)
	if err != nil {
		return err
	}
	events, next, more, err := a.Access.Events(r.Context(), httpd.Identity(r.Context()), q)
	if err != nil {
		return err
	}
	answer := client.EventPage{Events: make([]client.Event, len(events)), NextCursor: next, More: more}
	for i, e := range events {
		answer.Events[i] = WireEvent(e)
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

// eventQuery reads which events are asked for. A room is named by its id, since
// the record reaches further back than names do.
func eventQuery(values url.Values) (access.EventQuery, error) {
	limit, problems := pageLimit(values)
	q := access.EventQuery{
		Cursor: values.Get("cursor"), Limit: limit, Newest: values.Get("order") == newestFirst,
		Type: usher.EventType(values.Get("type")), Room: usher.ID(values.Get("room")), Who: values.Get("who"), Code: values.Get("code"),
	}
	var wrong []usher.FieldProblem
	q.Search, wrong = searchText(values)
	problems = append(problems, wrong...)
	q.Refused, wrong = truth(values, "refused")
	problems = append(problems, wrong...)
	q.Since, wrong = instant(values, "since")
	problems = append(problems, wrong...)
	q.Until, wrong = instant(values, "until")
	problems = append(problems, wrong...)
	if values.Has("order") && !q.Newest && values.Get("order") != "oldest" {
		problems = append(problems, usher.FieldProblem{Field: "order", Message: "must be oldest or newest: which comes first"})
	}
	if values.Has("type") && !slices.Contains(usher.EventTypes(), q.Type) {
		problems = append(problems, usher.FieldProblem{Field: "type", Message: "must be decided, claimed, attached, detached, ended, taken, redeemed, listed, unlisted, sought, erased, called, answered, hung_up, ejected or not_ejected"})
	}
	if _, err := usher.ParseID(values.Get("room")); values.Has("room") && err != nil {
		problems = append(problems, usher.FieldProblem{Field: "room", Message: "must be a room's id"})
	}
	return q, queryError(problems)
}

const newestFirst = "newest"

func (a *API) getDecision(w http.ResponseWriter, r *http.Request) error {
	e, err := a.decision(r)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, e)
}

func (a *API) explainDecision(w http.ResponseWriter, r *http.Request) error {
	e, err := a.decision(r)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, client.Explanation{Event: e, Sentences: e.Explain()})
}

// decision returns the entry of the record that a request names.
func (a *API) decision(r *http.Request) (client.Event, error) {
	id, err := usher.ParseID(r.PathValue("decision"))
	if err != nil {
		return client.Event{}, usher.Errorf(usher.NotFound, "decision_not_found", "There is no such decision, or it is older than the record is kept.")
	}
	e, err := a.Access.Decision(r.Context(), httpd.Identity(r.Context()), id)
	if err != nil {
		return client.Event{}, err
	}
	return WireEvent(e), nil
}

// WireEvent is an event as the API shows it.
func WireEvent(e usher.Event) client.Event {
	wire := client.Event{
		ID: e.ID, Type: e.Type, At: stamp(e.Time()), Who: e.Who, Name: e.Name, Actor: e.Actor,
		Room: e.Room, Participant: e.Participant, RequestID: e.Request, Reason: e.Reason,
	}
	if d := e.Decision; d != nil {
		wire.Decision = &client.Decision{
			Action: d.Action, Allowed: d.Allowed, Rule: d.Rule, Code: d.Code,
			Role: d.Role, Permissions: list(d.Permissions), NotBefore: stamp(d.NotBefore), ExpiresAt: stamp(d.Expires),
			Clamped: list(d.Clamped), Proof: d.Proof,
		}
	}
	return wire
}
