package roomservice

import (
	"encoding/json"
	"net/http"

	"usher"
	"usher/internal/access"
)

// authRequest is what the browser's client, or the function that an app gives
// it, posts: resources, or the name of a room. Whom it is for is not taken from
// the body.
type authRequest struct {
	Room      *string         `json:"room"`
	Resources json.RawMessage `json:"resources"`
}

// auth makes a token for whoever calls, so that no app needs to write its own
// auth webhook.
func (s *Service) auth(w http.ResponseWriter, r *http.Request) error {
	var req authRequest
	if err := readJSON(r, &req); err != nil {
		return err
	}
	resources, err := req.resources()
	if err != nil {
		return err
	}
	rooms, err := roomsOf(resources)
	if err != nil {
		return err
	}
	return s.open(w, r, access.SessionSpec{Rooms: rooms, Lifetime: s.Lifetime})
}

func (req authRequest) resources() ([]resource, error) {
	switch {
	case len(req.Resources) > 0 && string(req.Resources) != "null":
		var list resourceList
		if err := json.Unmarshal(req.Resources, &list); err != nil {
			return nil, &usher.Error{Kind: usher.Invalid, Code: "json_invalid", Message: "The resources are not a list of rooms and documents.", Err: err}
		}
		return list, nil
	case req.Room != nil:
		return []resource{{Object: roomObject, Reference: *req.Room, Permission: joinPermission}}, nil
	default:
		return nil, usher.Errorf(usher.Invalid, "room_required", "Name the room, as {\"room\": \"my-room\"}, or post what the client posts by itself.")
	}
}
