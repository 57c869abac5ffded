package vpaas

import (
	"net/http"

	"usher"
	"usher/internal/access"
	"usher/internal/httpd"
)

func (s *Service) addParticipant(w http.ResponseWriter, r *http.Request) error {
	meeting, err := meetingID(r)
	if err != nil {
		return err
	}
	if err := httpd.ReadJSON(r, &nothing{}, true); err != nil {
		return err
	}
	invited, err := s.Access.AddParticipant(r.Context(), httpd.Identity(r.Context()), string(meeting), access.Place{}, "")
	if err != nil {
		return err
	}
	return answerInvited(w, invited)
}

func (s *Service) listParticipants(w http.ResponseWriter, r *http.Request) error {
	meeting, err := meetingID(r)
	if err != nil {
		return err
	}
	after, err := cursor(r)
	if err != nil {
		return err
	}
	ps, next, err := s.Access.Participants(r.Context(), httpd.Identity(r.Context()), string(meeting), access.ParticipantFilter{}, access.Page{After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	list := page[participant]{Objects: make([]participant, len(ps)), Cursor: next}
	for i, p := range ps {
		list.Objects[i] = participantOf(p)
	}
	return httpd.JSON(w, http.StatusOK, list)
}

func (s *Service) getParticipant(w http.ResponseWriter, r *http.Request) error {
	meeting, id, err := bothIDs(r)
	if err != nil {
		return err
	}
	e, err := s.Access.Participant(r.Context(), httpd.Identity(r.Context()), string(meeting), id)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, participantOf(e.Participant))
}

func (s *Service) removeParticipant(w http.ResponseWriter, r *http.Request) error {
	meeting, id, err := bothIDs(r)
	if err != nil {
		return err
	}
	var body struct {
		Reason string `json:"reason"` // told to the participant
	}
	if err := httpd.ReadJSON(r, &body, true); err != nil {
		return err
	}
	e, err := s.Access.RemoveParticipant(r.Context(), httpd.Identity(r.Context()), string(meeting), id, body.Reason)
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusOK, participantOf(e.Participant))
}

func (s *Service) renewSecret(w http.ResponseWriter, r *http.Request) error {
	meeting, id, err := bothIDs(r)
	if err != nil {
		return err
	}
	if err := httpd.ReadJSON(r, &nothing{}, true); err != nil {
		return err
	}
	invited, err := s.Access.RenewSecret(r.Context(), httpd.Identity(r.Context()), string(meeting), id)
	if err != nil {
		return err
	}
	return answerInvited(w, invited)
}

func bothIDs(r *http.Request) (meeting, participant usher.ID, err error) {
	if meeting, err = meetingID(r); err != nil {
		return "", "", err
	}
	participant, err = participantID(r)
	return meeting, participant, err
}

// answerInvited answers with a participant and its secret.
func answerInvited(w http.ResponseWriter, invited access.Invited) error {
	answer := participantOf(invited.Participant)
	answer.Secret = invited.Secret.Reveal()
	httpd.NoStore(w.Header())
	return httpd.JSON(w, http.StatusOK, answer)
}
