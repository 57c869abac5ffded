package api

import (
	"net/http"

	"usher"
	"usher/client"
	"usher/internal/httpd"
)

func (a *API) putMember(w http.ResponseWriter, r *http.Request) error {
	var req client.PutMemberRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	m, err := a.Access.PutMember(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"),
		usher.Member{Identity: req.Identity, Role: req.Role, Name: req.Name})
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, wireMember(m))
}

// listMembers goes on after a member's key, since members have no other id.
func (a *API) listMembers(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor")
	if err != nil {
		return err
	}
	limit, problems := pageLimit(values)
	after := values.Get("cursor")
	if values.Has("cursor") && after == "" {
		problems = append(problems, badCursor)
	}
	if err := queryError(problems); err != nil {
		return err
	}
	members, more, err := a.Access.Members(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"), after, limit)
	if err != nil {
		return err
	}
	answer := client.MemberPage{Members: make([]client.Member, len(members))}
	for i, m := range members {
		answer.Members[i] = wireMember(m)
		if more {
			answer.NextCursor = m.Identity
		}
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

func (a *API) deleteMember(w http.ResponseWriter, r *http.Request) error {
	if err := httpd.ReadJSON(r, &struct{}{}, true); err != nil {
		return err
	}
	err := a.Access.DeleteMember(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"), r.PathValue("member"))
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func wireMember(m usher.Member) client.Member {
	return client.Member{
		Identity: m.Identity, Room: m.Room, Role: m.Role, Name: m.Name, AddedBy: m.AddedBy, UpdatedAt: stamp(m.UpdatedAt),
	}
}
