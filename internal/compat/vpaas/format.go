package vpaas

import (
	"errors"
	"net/http"
	"time"

	"usher"
	"usher/internal/httpd"
)

// meeting is a room as VPaaS writes it.
type meeting struct {
	ID        usher.ID         `json:"id"`
	Status    usher.RoomStatus `json:"status"`
	CreatedAt string           `json:"created_at"`
	UpdatedAt string           `json:"updated_at"`
}

func meetingOf(r usher.Room) meeting {
	return meeting{ID: r.ID, Status: r.Status, CreatedAt: stamp(r.CreatedAt()), UpdatedAt: stamp(r.UpdatedAt)}
}

// participant is a participant as VPaaS writes it. Only answers that make a
// secret have it.
type participant struct {
	ID        usher.ID                `json:"id"`
	MeetingID usher.ID                `json:"meeting_id"`
	Status    usher.ParticipantStatus `json:"status"`
	CreatedAt string                  `json:"created_at"`
	UpdatedAt string                  `json:"updated_at"`
	Secret    string                  `json:"participant_secret,omitempty"`
}

func participantOf(p usher.Participant) participant {
	return participant{
		ID: p.ID, MeetingID: p.Room, Status: p.Status,
		CreatedAt: stamp(p.CreatedAt()), UpdatedAt: stamp(p.UpdatedAt),
	}
}

// stamp writes a time as VPaaS does: in UTC without saying so, always with six
// decimals.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000") }

// page is a part of a list. Cursor is "" on the last.
type page[T any] struct {
	Objects []T      `json:"objects"`
	Cursor  usher.ID `json:"cursor"`
}

// pageSize is how many objects a page has at most.
const pageSize = 100

// cursor reads where a page begins.
func cursor(r *http.Request) (usher.ID, error) {
	text := r.URL.Query().Get("cursor")
	if text == "" {
		return "", nil
	}
	id, err := usher.ParseID(text)
	if err != nil {
		return "", usher.Errorf(usher.Invalid, "cursor_invalid", "Invalid cursor")
	}
	return id, nil
}

// The ids of a path, checked before anything is done with them.

func meetingID(r *http.Request) (usher.ID, error) {
	id, err := usher.ParseID(r.PathValue("meeting"))
	if err != nil {
		return "", errNoMeeting
	}
	return id, nil
}

func participantID(r *http.Request) (usher.ID, error) {
	id, err := usher.ParseID(r.PathValue("participant"))
	if err != nil {
		return "", errNoParticipant
	}
	return id, nil
}

// The failures that VPaaS has words of its own for.
var (
	errNoMeeting     = usher.Errorf(usher.NotFound, "room_not_found", "Invalid meeting ID")
	errNoParticipant = usher.Errorf(usher.NotFound, "participant_not_found", "Invalid participant ID")
	// The next two are documented as 304 with an empty body, which VPaaS's own
	// client can't read; it understands 404.
	errEnded   = usher.Errorf(usher.NotFound, "room_ended", "Meeting has already ended")
	errRemoved = usher.Errorf(usher.NotFound, "participant_removed", "Participant has already been removed")

	errJoinNoMeeting = usher.Errorf(usher.NotFound, "room_not_found", "Meeting not found")
	errJoinNoClaim   = usher.Errorf(usher.NotFound, "participant_not_found", "Invalid participant ID or secret")
	errJoinEnded     = usher.Errorf(usher.Gone, "room_ended", "Meeting is in the wrong state to be joined")
	errJoinFull      = &usher.Error{Kind: usher.Unavailable, Code: "room_full", Message: "Meeting is full", RetryAfter: 10 * time.Second}
)

// clientError puts a failure of a back end's call into VPaaS's words, and into
// the statuses that its client understands: 400, 401, 403, 404 and 500. Only
// what no such client does is answered with others: 413, 415 and 429.
func clientError(err error) error {
	e, ok := errors.AsType[*usher.Error](err)
	if !ok {
		return err
	}
	switch e.Code {
	case errNoMeeting.Code:
		return errNoMeeting
	case errNoParticipant.Code:
		return errNoParticipant
	case errEnded.Code:
		return errEnded
	case errRemoved.Code:
		return errRemoved
	}
	understood := *e
	understood.Err = e
	switch e.Kind {
	case usher.Conflict, usher.Gone:
		understood.Kind = usher.Invalid
	case usher.Unavailable:
		understood.Kind = usher.Internal
	}
	return &understood
}

// joinError does the same for a join, whose client understands 400, 404, 410,
// 500 and 503.
func joinError(err error) error {
	e, ok := errors.AsType[*usher.Error](err)
	if !ok {
		return err
	}
	switch e.Code {
	case errJoinNoMeeting.Code:
		return errJoinNoMeeting
	case errJoinNoClaim.Code:
		return errJoinNoClaim
	case errJoinEnded.Code:
		return errJoinEnded
	case errJoinFull.Code:
		return errJoinFull
	}
	return err
}

// failure is an error as VPaaS writes it. Clients look only at the reason.
type failure struct {
	Status      int                 `json:"status"`
	Reason      string              `json:"reason"`
	Description string              `json:"description,omitempty"`
	Details     map[string][]string `json:"details,omitempty"`
}

// fail answers an error.
func fail(w http.ResponseWriter, _ *http.Request, err *usher.Error) {
	f := failure{Status: httpd.Status(err.Kind), Reason: err.Message}
	switch err.Code {
	case codeInvalidClient: // all that VPaaS says of it
		f.Reason = err.Code
	case codeInvalidRequest, codeInvalidScope, codeUnsupportedGrant:
		f.Reason, f.Description = err.Code, err.Message
	}
	for _, p := range err.Fields {
		if f.Details == nil {
			f.Details = make(map[string][]string)
		}
		f.Details[p.Field] = append(f.Details[p.Field], p.Message)
	}
	h := w.Header()
	if f.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	httpd.NoStore(h)
	_ = httpd.JSON(w, f.Status, f)
}
