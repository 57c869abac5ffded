package vpaas

import (
	"net/http"
	"strings"

	"usher"
	"usher/internal/httpd"
)

// joinDetails is where a participant connects, and with what.
type joinDetails struct {
	Location string `json:"location"`
	// Token opens connections for as long as the participant is joined: the SDK
	// sends the same one when it reconnects.
	Token string `json:"token"`
}

// join claims a participant's place. It is open to anyone: the secret in the
// body is the proof.
func (s *Service) join(w http.ResponseWriter, r *http.Request) error {
	meeting, err := meetingID(r)
	if err != nil {
		return errJoinNoMeeting
	}
	var body struct {
		ParticipantID     string       `json:"participant_id"`
		ParticipantSecret usher.Secret `json:"participant_secret"`
	}
	if err := httpd.ReadJSON(r, &body, false); err != nil {
		return err
	}
	if body.ParticipantID == "" || body.ParticipantSecret == "" {
		return missing(body.ParticipantID == "", body.ParticipantSecret == "")
	}
	participant, err := usher.ParseID(body.ParticipantID)
	if err != nil {
		return errJoinNoClaim
	}
	claimed, err := s.Access.Claim(r.Context(), participantKey(meeting, participant), body.ParticipantSecret)
	if err != nil {
		return joinError(err)
	}
	httpd.NoStore(w.Header())
	return httpd.JSON(w, http.StatusOK, joinDetails{
		Location: socketURL(httpd.From(r.Context()).Base, meeting), Token: claimed.Token.Reveal(),
	})
}

func missing(id, secret bool) error {
	err := usher.Errorf(usher.Invalid, "field_missing", "A join needs participant_id and participant_secret.")
	if id {
		err.Fields = append(err.Fields, usher.FieldProblem{Field: "participant_id", Message: "is missing"})
	}
	if secret {
		err.Fields = append(err.Fields, usher.FieldProblem{Field: "participant_secret", Message: "is missing"})
	}
	return err
}

// participantKey is where a participant of a meeting is kept.
func participantKey(meeting, participant usher.ID) usher.ParticipantKey {
	return usher.ParticipantKey{App: usher.DefaultApp, Room: meeting, ID: participant}
}

// socketURL turns http://host into ws://host/…, and https into wss.
func socketURL(base string, meeting usher.ID) string {
	return "ws" + strings.TrimPrefix(base, "http") + "/v1/meetings/" + string(meeting) + "/socket"
}
