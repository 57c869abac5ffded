package vpaas

import (
	"net/http"

	"usher/internal/access"
	"usher/internal/httpd"
)

// nothing is the body of calls that have no parameters: {} or none at all.
type nothing struct{}

func (s *Service) createMeeting(w http.ResponseWriter, r *http.Request) error {
	if err := httpd.ReadJSON(r, &nothing{}, true); err != nil {
		return err
	}
	room, err := s.Access.CreateRoom(r.Context(), httpd.Identity(r.Context()), access.RoomSpec{}, "")
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, meetingOf(room))
}

func (s *Service) listMeetings(w http.ResponseWriter, r *http.Request) error {
	after, err := cursor(r)
	if err != nil {
		return err
	}
	rooms, next, err := s.Access.Rooms(r.Context(), httpd.Identity(r.Context()), access.RoomFilter{}, access.Page{After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	list := page[meeting]{Objects: make([]meeting, len(rooms)), Cursor: next}
	for i, room := range rooms {
		list.Objects[i] = meetingOf(room)
	}
	return httpd.JSON(w, http.StatusOK, list)
}

func (s *Service) getMeeting(w http.ResponseWriter, r *http.Request) error {
	id, err := meetingID(r)
	if err != nil {
		return err
	}
	room, err := s.Access.Room(r.Context(), httpd.Identity(r.Context()), string(id))
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, meetingOf(room))
}

// changeMeeting changes nothing, since a meeting has nothing that VPaaS lets a
// client change; but it can fail as a change would.
func (s *Service) changeMeeting(w http.ResponseWriter, r *http.Request) error {
	id, err := meetingID(r)
	if err != nil {
		return err
	}
	if err := httpd.ReadJSON(r, &nothing{}, true); err != nil {
		return err
	}
	room, err := s.Access.ChangeRoom(r.Context(), httpd.Identity(r.Context()), string(id), access.RoomChange{})
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, meetingOf(room))
}

func (s *Service) endMeeting(w http.ResponseWriter, r *http.Request) error {
	id, err := meetingID(r)
	if err != nil {
		return err
	}
	if err := httpd.ReadJSON(r, &nothing{}, true); err != nil {
		return err
	}
	room, err := s.Access.EndRoom(r.Context(), httpd.Identity(r.Context()), string(id), "The meeting was ended.")
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, meetingOf(room))
}
