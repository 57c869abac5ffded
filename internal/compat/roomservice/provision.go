package roomservice

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"usher"
	"usher/internal/access"
	"usher/internal/httpd"
)

// resource is a room or a document, as it is asked for and as it is given.
type resource struct {
	ID         string `json:"id,omitempty"`
	Object     string `json:"object"`
	Reference  string `json:"reference"`
	Permission string `json:"permission"`
	Room       string `json:"room,omitempty"`
}

// What resources there are, and what may be done with them. Reading alone is
// ours: it is asked for as read, or follows from who asks.
const (
	roomObject     = "room"
	documentObject = "document"
	// onlyDocument is the reference of the one document that a room has.
	onlyDocument = "default"

	joinPermission  = "join"
	readPermission  = "read"
	writePermission = "read_write"
)

// provisioned is the answer to who asked for a token. Clients that want none of
// what follows the token ignore it.
type provisioned struct {
	User      string     `json:"user"`
	Resources []resource `json:"resources"`
	Token     string     `json:"token"`
	// Session is what the token is called where it can't be.
	Session   usher.ID `json:"session"`
	ExpiresIn int64    `json:"expires_in"` // seconds, unless a connection renews it
}

// resourceList are the resources of a request. Old documentation forwarded the
// whole body of the client's own request as its resources.
type resourceList []resource

// UnmarshalJSON implements [json.Unmarshaler].
func (l *resourceList) UnmarshalJSON(data []byte) error {
	var whole struct {
		Resources []resource `json:"resources"`
	}
	if err := json.Unmarshal(data, &whole); err == nil && len(data) > 0 && data[0] == '{' {
		*l = whole.Resources
		return nil
	}
	return json.Unmarshal(data, (*[]resource)(l))
}

// provisionRequest is the body of POST /provision.
type provisionRequest struct {
	User      string       `json:"user"`
	Resources resourceList `json:"resources"`
}

// provision makes a token for a user of a back end.
func (s *Service) provision(w http.ResponseWriter, r *http.Request) error {
	var req provisionRequest
	if err := readJSON(r, &req); err != nil {
		return err
	}
	rooms, err := roomsOf(req.Resources)
	if err != nil {
		return err
	}
	if req.User == "" {
		return usher.Errorf(usher.Invalid, "user_required", "Say in user whom the token is for: any text by which you know that user.")
	}
	if req.User == proto {
		return errReserved
	}
	return s.open(w, r, access.SessionSpec{User: req.User, Rooms: rooms, Lifetime: s.Lifetime})
}

// open makes a session and answers with its token.
func (s *Service) open(w http.ResponseWriter, r *http.Request, spec access.SessionSpec) error {
	opened, err := s.Access.OpenSession(r.Context(), httpd.Identity(r.Context()), spec)
	if err != nil {
		return err
	}
	answer := provisioned{
		User: opened.User, Token: opened.Token.Reveal(), Session: opened.ID, ExpiresIn: int64(opened.ExpiresIn.Seconds()),
	}
	for i, pass := range opened.Passes {
		ref := opened.Rooms[i].Name
		permission := readPermission
		if pass.May().Has(usher.PublishData) {
			permission = writePermission
		}
		answer.Resources = append(answer.Resources,
			resource{ID: roomPrefix + string(pass.Room), Object: roomObject, Reference: ref, Permission: joinPermission},
			// The client can do nothing without the document, though the
			// documented request names only the room.
			resource{ID: docPrefix + string(pass.Room), Object: documentObject, Reference: onlyDocument, Permission: permission, Room: ref},
		)
	}
	return httpd.JSON(w, http.StatusOK, answer)
}

// roomsOf reads the rooms that resources are of, each with all that is asked
// for in it, in the order in which they are first named.
func roomsOf(resources []resource) ([]access.SessionRoom, error) {
	var rooms []access.SessionRoom
	write := make(map[string]bool) // whether the room's document is to be written; absent if it is not named
	for _, res := range resources {
		ref, err := res.room()
		if err != nil {
			return nil, err
		}
		if !hasRoom(rooms, ref) {
			// One more than may be is refused like any number of them, which it would
			// take long to look through.
			if len(rooms) > access.MaxSessionRooms {
				break
			}
			rooms = append(rooms, access.SessionRoom{Ref: ref})
		}
		if res.Object == documentObject {
			write[ref] = write[ref] || res.Permission != readPermission
		}
	}
	if len(rooms) == 0 {
		return nil, usher.Errorf(usher.Invalid, "resources_required", "Name in resources at least one room, as {\"object\": \"room\", \"reference\": \"my-room\", \"permission\": \"join\"}.")
	}
	for i, room := range rooms {
		rooms[i].Permissions = usher.Permissions{usher.Join, usher.Subscribe}
		if may, named := write[room.Ref]; may || !named {
			rooms[i].Permissions = append(rooms[i].Permissions, usher.PublishData)
		}
	}
	return rooms, nil
}

func hasRoom(rooms []access.SessionRoom, ref string) bool {
	for _, r := range rooms {
		if r.Ref == ref {
			return true
		}
	}
	return false
}

// room returns the room that a resource is, or belongs to.
func (res resource) room() (string, error) {
	switch res.Object {
	case roomObject:
		ref := res.Reference
		if ref == "" {
			ref = res.Room // as many call it
		}
		if res.Permission != joinPermission && res.Permission != "" {
			return "", usher.Errorf(usher.Invalid, "permission_unknown", "The permission of a room is join; what may be done there is that of its document.")
		}
		return ref, checkRoom(ref)
	case documentObject:
		if res.Reference != onlyDocument && res.Reference != "" {
			return "", usher.Errorf(usher.Invalid, "document_unknown", "A room has one document, which is called default.")
		}
		switch res.Permission {
		case readPermission, writePermission, "":
		default:
			return "", usher.Errorf(usher.Invalid, "permission_unknown", "The permission of a document is read or read_write.")
		}
		return res.Room, checkRoom(res.Room)
	default:
		return "", usher.Errorf(usher.Invalid, "object_unknown", "The object of a resource is room or document.")
	}
}

func checkRoom(ref string) error {
	if _, err := usher.ParseID(ref); err == nil {
		return nil
	}
	return usher.ValidateRoomName(ref)
}

// revokeRequest is the body of POST /roomservice/revoke: a token, or a user, or
// a room, or a user and a room.
type revokeRequest struct {
	Token  string `json:"token"`
	User   string `json:"user"`
	Room   string `json:"room"`
	Reason string `json:"reason"`
}

// revoke takes tokens away.
func (s *Service) revoke(w http.ResponseWriter, r *http.Request) error {
	var req revokeRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	target := access.SessionTarget{Token: usher.Secret(req.Token), User: req.User, Room: req.Room}
	if err := s.Access.RevokeSessions(r.Context(), httpd.Identity(r.Context()), target, req.Reason); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// permitRequest is the body of POST /roomservice/permission.
type permitRequest struct {
	User       string `json:"user"`
	Room       string `json:"room"`
	Permission string `json:"permission"` // read or read_write
}

// permit changes what a user may do in a room by the tokens that it has.
func (s *Service) permit(w http.ResponseWriter, r *http.Request) error {
	var req permitRequest
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	most := usher.Permissions{usher.Join, usher.Subscribe}
	switch req.Permission {
	case readPermission:
	case writePermission:
		most = append(most, usher.PublishData)
	default:
		return usher.Errorf(usher.Invalid, "permission_unknown", "The permission must be read or read_write; revoke what is to be none.")
	}
	target := access.SessionTarget{User: req.User, Room: req.Room}
	if err := s.Access.RestrictSessions(r.Context(), httpd.Identity(r.Context()), target, most); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// readJSON reads a body in which fields that nobody knows are ignored.
func readJSON(r *http.Request, value any) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return usher.Errorf(usher.UnsupportedMedia, "media_type_unsupported", "Send the body as application/json.")
	}
	body, err := io.ReadAll(r.Body)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return err
	}
	if err != nil {
		return &usher.Error{Kind: usher.Invalid, Code: "body_unreadable", Message: "The request's body ended early.", Err: err}
	}
	if err := json.Unmarshal(body, value); err != nil {
		return &usher.Error{Kind: usher.Invalid, Code: "json_invalid", Message: "The body is not JSON of the documented form.", Err: err}
	}
	return nil
}
