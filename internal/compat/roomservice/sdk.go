package roomservice

import (
	"encoding/json"
	"net/http"
	"strconv"

	"usher"
	"usher/internal/access"
	"usher/internal/collab"
	"usher/internal/httpd"
)

// maxChanges is the most commands that the client of back ends sends at once.
const maxChanges = 2000

// createRoom makes a room for a back end, or finds it.
func (s *Service) createRoom(w http.ResponseWriter, r *http.Request) error {
	var req struct {
		Name string `json:"name"`
	}
	if err := readJSON(r, &req); err != nil {
		return err
	}
	if err := usher.ValidateRoomName(req.Name); err != nil {
		return err
	}
	_, err := s.Access.CreateRoom(r.Context(), httpd.Identity(r.Context()), access.RoomSpec{Name: req.Name}, "")
	if err != nil && usher.AsError(err).Code != "room_exists" {
		return err
	}
	room, view, err := s.read(r, req.Name)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, map[string]json.RawMessage{"document_raw": checkpoint(room, view)})
}

// checkpoint answers a back end with a room's document.
func (s *Service) checkpoint(w http.ResponseWriter, r *http.Request) error {
	room, view, err := s.read(r, r.PathValue("room"))
	if err != nil {
		return err
	}
	return raw(w, checkpoint(room, view))
}

func (s *Service) read(r *http.Request, ref string) (usher.ID, *collab.View, error) {
	id := httpd.Identity(r.Context())
	room, err := s.Access.Room(r.Context(), id, ref)
	if err != nil {
		return "", nil, err
	}
	view, err := s.Hub.Read(r.Context(), id, ref)
	return room.ID, view, err
}

// change has a back end's commands take place, in their order. The client that
// sends them looks at the status only, so that a command that can't take place
// is a failure, though the others did.
func (s *Service) change(w http.ResponseWriter, r *http.Request) error {
	var req struct {
		Commands [][]string `json:"cmds"`
	}
	if err := readJSON(r, &req); err != nil {
		return err
	}
	if len(req.Commands) > maxChanges {
		return usher.Errorf(usher.TooLarge, "changes_too_many", "At most %d commands are taken at a time.", maxChanges)
	}
	id, ref := httpd.Identity(r.Context()), r.PathValue("room")
	room, err := s.Access.Room(r.Context(), id, ref)
	if err != nil {
		return err
	}
	ops, err := parseChanges(room.ID, req.Commands)
	if err != nil {
		return err
	}
	view, refused, err := s.Hub.Write(r.Context(), id, ref, id.Key(), ops)
	if err != nil {
		return err
	}
	if len(refused) > 0 {
		return changeError(refused[0].Index, refused[0].Err)
	}
	return raw(w, checkpoint(room.ID, view))
}

// parseChanges reads the commands of a back end. Its client says that it makes a
// map when it means a list of that name; no such map is made.
func parseChanges(room usher.ID, commands [][]string) ([]collab.Op, error) {
	ops := make([]collab.Op, len(commands))
	lists, maps := make(map[string]bool), make(map[string]bool)
	for i, args := range commands {
		op, bad := parseCommand(room, args)
		if bad != nil {
			return nil, changeError(i, bad)
		}
		ops[i] = op
		switch op.Kind {
		case collab.PutKey, collab.DeleteKey:
			maps[op.Object] = true
		case collab.InsertItem, collab.PutItem, collab.DeleteItem:
			lists[op.Object] = true
		}
	}
	for i, op := range ops {
		if op.Kind == collab.CreateMap && lists[op.Object] && !maps[op.Object] {
			ops[i].Kind = collab.CreateList
		}
	}
	return ops, nil
}

// changeError says which of a back end's commands could not take place, and why.
func changeError(index int, err *usher.Error) error {
	failure := *err
	failure.Fields = append([]usher.FieldProblem{{Field: "cmds", Message: "the command with index " + strconv.Itoa(index) + " could not take place"}}, err.Fields...)
	return &failure
}
