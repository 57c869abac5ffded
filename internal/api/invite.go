package api

import (
	"net/http"

	"usher"
	"usher/client"
	"usher/internal/access"
	"usher/internal/httpd"
)

func (a *API) createInvite(w http.ResponseWriter, r *http.Request) error {
	var req client.CreateInviteRequest
	if err := httpd.ReadJSON(r, &req, true); err != nil {
		return err
	}
	made, err := a.Access.CreateInvite(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"),
		access.InviteSpec{Role: req.Role, MaxUses: req.MaxUses, Expires: req.ExpiresAt.Time})
	if err != nil {
		return err
	}
	w.Header().Set("Location", base+"/rooms/"+string(made.Room)+"/invites/"+string(made.ID))
	httpd.NoStore(w.Header())
	return httpd.JSON(w, http.StatusCreated, struct {
		client.Invite
		Code string `json:"code"` // in clear: this is the one place that sends it
	}{wireInvite(made.Invite), made.Secret.Reveal()})
}

func (a *API) listInvites(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor")
	if err != nil {
		return err
	}
	p, err := page(values)
	if err != nil {
		return err
	}
	invites, more, err := a.Access.Invites(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"), p)
	if err != nil {
		return err
	}
	answer := client.InvitePage{Invites: make([]client.Invite, len(invites))}
	for i, invite := range invites {
		answer.Invites[i] = wireInvite(invite)
		answer.NextCursor = nextCursor(more, invite.ID)
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

func (a *API) revokeInvite(w http.ResponseWriter, r *http.Request) error {
	id, err := usher.ParseID(r.PathValue("invite"))
	if err != nil {
		return usher.Errorf(usher.NotFound, "invite_not_found", "There is no such invite to the room.")
	}
	if err := httpd.ReadJSON(r, &struct{}{}, true); err != nil {
		return err
	}
	invite, err := a.Access.RevokeInvite(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"), id)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, wireInvite(invite))
}

// redeem takes the code in the body only, so that it is in no log of URLs.
func (a *API) redeem(w http.ResponseWriter, r *http.Request) error {
	var req client.RedeemRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	redeemed, err := a.Access.Redeem(r.Context(), usher.DefaultApp, req.Code, req.Name)
	if err != nil {
		return err
	}
	guest := redeemed.Guest
	httpd.NoStore(w.Header())
	return httpd.JSON(w, http.StatusOK, struct {
		Token string       `json:"token"` // in clear: this is the one place that sends it
		Guest client.Guest `json:"guest"`
	}{redeemed.Token.Reveal(), client.Guest{
		ID: guest.Subject, Name: guest.Name, Room: guest.Room, Role: guest.Role, ExpiresAt: stamp(guest.Expires),
	}})
}

func wireInvite(i usher.Invite) client.Invite {
	return client.Invite{
		ID: i.ID, Room: i.Room, Role: i.Role, Uses: i.Uses, MaxUses: i.MaxUses, ExpiresAt: stamp(i.Expires),
		By: i.By, CreatedAt: stamp(i.CreatedAt()), RevokedAt: stamp(i.RevokedAt),
	}
}
