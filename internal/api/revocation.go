package api

import (
	"net/http"
	"strconv"

	"usher"
	"usher/client"
	"usher/internal/access"
	"usher/internal/httpd"
)

func (a *API) revoke(w http.ResponseWriter, r *http.Request) error {
	var req client.RevokeRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	id := httpd.Identity(r.Context())
	target := usher.Target{Grant: req.Grant, Identity: req.Identity, Client: req.Client}
	if req.Room != "" {
		room, err := a.Access.Room(r.Context(), id, req.Room)
		if err != nil {
			return err
		}
		target.Room = room.ID
	}
	t, err := a.Access.Revoke(r.Context(), id, access.Revocation{
		Target: target, Before: req.Before.Time, Forever: req.Forever, Reason: req.Reason,
	})
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusCreated, wireTaking(t))
}

func (a *API) listRevocations(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor")
	if err != nil {
		return err
	}
	after, limit, err := sequencePage(values)
	if err != nil {
		return err
	}
	takings, more, err := a.Access.Revocations(r.Context(), httpd.Identity(r.Context()), after, limit)
	if err != nil {
		return err
	}
	answer := client.TakingPage{Revocations: make([]client.Taking, len(takings))}
	for i, t := range takings {
		answer.Revocations[i] = wireTaking(t)
		if more {
			answer.NextCursor = strconv.FormatInt(t.Seq, 10)
		}
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

func wireTaking(t usher.Taking) client.Taking {
	return client.Taking{
		Seq: t.Seq, ID: t.ID, Kind: t.Kind,
		Grant: t.Target.Grant, Identity: t.Target.Identity, Client: t.Target.Client, Room: t.Target.Room,
		Before: stamp(t.Before), Forever: t.Forever, Until: stamp(t.Until),
		By: t.By, Reason: t.Reason, CreatedAt: stamp(t.At()),
	}
}
