package api

import (
	"net/http"
	"slices"
	"strconv"

	"usher"
	"usher/client"
	"usher/internal/access"
	"usher/internal/httpd"
)

func (a *API) ban(w http.ResponseWriter, r *http.Request) error {
	var req client.BanRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	spec, err := banSpec(req.Identity, req.Participant)
	if err != nil {
		return err
	}
	spec.Until, spec.Reason = req.Until.Time, req.Reason
	t, err := a.Access.Ban(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"), spec)
	if err != nil {
		return err
	}
	w.Header().Set("Location", base+"/rooms/"+string(t.Target.Room)+"/bans/"+string(t.ID))
	return httpd.JSON(w, http.StatusCreated, wireBan(t))
}

// banSpec names who is meant, in one of the two ways.
func banSpec(identity string, participant usher.ID) (access.BanSpec, error) {
	if (identity == "") == (participant == "") {
		err := usher.Errorf(usher.Invalid, "ban_invalid", "The ban can't be like this.")
		err.Fields = []usher.FieldProblem{{Field: "identity", Message: "name either an identity or a participant of the room"}}
		return access.BanSpec{}, err
	}
	return access.BanSpec{Identity: identity, Participant: participant}, nil
}

// listBans goes on after a ban's number in the sequence of all that was taken
// away, since that is their order.
func (a *API) listBans(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor")
	if err != nil {
		return err
	}
	after, limit, err := sequencePage(values)
	if err != nil {
		return err
	}
	bans, err := a.Access.Bans(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"))
	if err != nil {
		return err
	}
	bans = slices.DeleteFunc(bans, func(t usher.Taking) bool { return t.Seq <= after })
	answer := client.BanPage{Bans: make([]client.Ban, min(len(bans), limit))}
	for i := range answer.Bans {
		answer.Bans[i] = wireBan(bans[i])
	}
	if len(bans) > limit {
		answer.NextCursor = strconv.FormatInt(bans[limit-1].Seq, 10)
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

func (a *API) unban(w http.ResponseWriter, r *http.Request) error {
	id, err := usher.ParseID(r.PathValue("ban"))
	if err != nil {
		return usher.Errorf(usher.NotFound, "ban_not_found", "There is no such ban in the room, or it is over.")
	}
	if err := httpd.ReadJSON(r, &struct{}{}, true); err != nil {
		return err
	}
	if err := a.Access.Unban(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// unbanIdentity lifts a ban for callers that know who is banned rather than
// the ban's id.
func (a *API) unbanIdentity(w http.ResponseWriter, r *http.Request) error {
	var req client.UnbanRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	spec, err := banSpec(req.Identity, req.Participant)
	if err != nil {
		return err
	}
	if err := a.Access.UnbanIdentity(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"), spec); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func wireBan(t usher.Taking) client.Ban {
	return client.Ban{
		ID: t.ID, Room: t.Target.Room, Identity: t.Target.Identity, By: t.By, Reason: t.Reason,
		Until: stamp(t.Until), CreatedAt: stamp(t.At()),
	}
}
