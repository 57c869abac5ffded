package api

import (
	"net/http"

	"usher"
	"usher/client"
	"usher/internal/httpd"
)

func (a *API) listEjections(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	stays, err := a.Access.Ejections(r.Context(), httpd.Identity(r.Context()))
	if err != nil {
		return err
	}
	answer := client.EjectionList{Ejections: make([]client.Ejection, len(stays))}
	for i, s := range stays {
		answer.Ejections[i] = client.Ejection{
			Platform: s.Platform, Room: s.Room, Identity: s.Identity, Subject: s.Subject, Participant: s.Participant,
			Since: stamp(s.Over), Reason: s.Reason, ExpiresAt: stamp(s.Expires),
			NextAt: stamp(s.Due), Attempts: s.Attempts, Failure: s.Failure, EjectedAt: stamp(s.Done),
		}
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

func (a *API) occupancy(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	all, err := a.Access.Occupancy(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"))
	if err != nil {
		return err
	}
	answer := client.OccupancyList{Platforms: make([]client.Occupancy, len(all))}
	for i, o := range all {
		answer.Platforms[i] = client.Occupancy{Platform: o.Platform, Participants: &o.Count}
		if o.Err != nil {
			answer.Platforms[i] = client.Occupancy{Platform: o.Platform, Problem: usher.AsError(o.Err).Message}
		}
	}
	return httpd.JSON(w, http.StatusOK, answer)
}
