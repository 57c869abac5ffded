package api

import (
	"net/http"
	"net/url"
	"time"

	"usher"
	"usher/client"
	"usher/internal/access"
	"usher/internal/httpd"
)

func (a *API) createRoom(w http.ResponseWriter, r *http.Request) error {
	var req client.CreateRoomRequest
	if err := httpd.ReadJSON(r, &req, true); err != nil {
		return err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	made, err := a.Access.CreateRoom(r.Context(), httpd.Identity(r.Context()), access.RoomSpec{
		Name: req.Name, Admission: req.Admission, Seats: req.Seats, OpensAt: req.OpensAt.Time, ClosesAt: req.ClosesAt.Time,
	}, key)
	if err != nil {
		return err
	}
	w.Header().Set("Location", base+"/rooms/"+string(made.ID))
	return answerRoom(w, http.StatusCreated, made)
}

func (a *API) listRooms(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "status", "search", "limit", "cursor")
	if err != nil {
		return err
	}
	filter, err := roomFilter(values)
	if err != nil {
		return err
	}
	p, err := page(values)
	if err != nil {
		return err
	}
	rooms, next, err := a.Access.Rooms(r.Context(), httpd.Identity(r.Context()), filter, p)
	if err != nil {
		return err
	}
	answer := client.RoomPage{Rooms: make([]client.Room, len(rooms)), NextCursor: string(next)}
	for i, room := range rooms {
		answer.Rooms[i] = wireRoom(room)
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

func roomFilter(values url.Values) (access.RoomFilter, error) {
	search, problems := searchText(values)
	f := access.RoomFilter{Status: usher.RoomStatus(values.Get("status")), Search: search}
	switch f.Status {
	case usher.RoomReady, usher.RoomRunning, usher.RoomEnded:
	default:
		if values.Has("status") {
			problems = append(problems, usher.FieldProblem{Field: "status", Message: "must be ready, running or ended"})
		}
	}
	return f, queryError(problems)
}

func (a *API) getRoom(w http.ResponseWriter, r *http.Request) error {
	room, err := a.Access.Room(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"))
	if err != nil {
		return err
	}
	return answerRoom(w, http.StatusOK, room)
}

func (a *API) changeRoom(w http.ResponseWriter, r *http.Request) error {
	version, err := ifMatch(r)
	if err != nil {
		return err
	}
	var req client.ChangeRoomRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	room, err := a.Access.ChangeRoom(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"), access.RoomChange{
		Admission: req.Admission, Seats: req.Seats,
		OpensAt: changedTime(req.OpensAt), ClosesAt: changedTime(req.ClosesAt), Version: version,
	})
	if err != nil {
		return err
	}
	return answerRoom(w, http.StatusOK, room)
}

// changedTime returns the new time, zero to take it away, or nil to leave it.
func changedTime(c client.TimeChange) *time.Time {
	if !c.Set {
		return nil
	}
	return &c.Time.Time
}

func (a *API) endRoom(w http.ResponseWriter, r *http.Request) error {
	var req client.EndRequest
	if err := httpd.ReadJSON(r, &req, true); err != nil {
		return err
	}
	room, err := a.Access.EndRoom(r.Context(), httpd.Identity(r.Context()), r.PathValue("room"), req.Reason)
	if err != nil {
		return err
	}
	return answerRoom(w, http.StatusOK, room)
}

func answerRoom(w http.ResponseWriter, status int, r usher.Room) error {
	w.Header().Set("ETag", etag(r.Version))
	return httpd.JSON(w, status, wireRoom(r))
}

func wireRoom(r usher.Room) client.Room {
	return client.Room{
		ID: r.ID, Name: r.Name, Kind: r.Kind, Status: r.Status, Owner: r.Owner,
		Admission: r.Admission, Seats: r.Seats, Taken: r.Taken, OpensAt: stamp(r.OpensAt), ClosesAt: stamp(r.ClosesAt),
		CreatedAt: stamp(r.CreatedAt()), UpdatedAt: stamp(r.UpdatedAt),
		EndedAt: stamp(r.EndedAt), EndReason: r.EndReason, Version: r.Version,
	}
}
