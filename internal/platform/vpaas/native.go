package vpaas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"usher"
	"usher/internal/platform"
)

// Own is the VPaaS that this server is itself: its meetings are our rooms.
type Own struct {
	*Platform
	// Address returns the API address, as whoever is answered reaches it.
	Address func(context.Context) string
}

// Foreign is a VPaaS elsewhere, Pexip's or that of another Usher.
type Foreign struct{ *Platform }

var (
	_ platform.Host     = Own{}
	_ platform.Enroller = Foreign{}
)

// details are what a browser's SDK joins a meeting with.
type details struct {
	APIAddress    string   `json:"api_address"`
	MeetingID     usher.ID `json:"meeting_id"`
	ParticipantID usher.ID `json:"participant_id"`
	// Secret is absent for who is in the meeting already.
	Secret string `json:"participant_secret,omitempty"`
}

// credential is what the native API answers with.
func (d details) credential() (usher.Credential, error) {
	body, err := json.Marshal(d)
	if err != nil {
		return usher.Credential{}, err
	}
	return usher.Credential{Platform: Name, Token: usher.Secret(d.Secret), URL: d.APIAddress, Body: body}, nil
}

// Present implements [platform.Host].
func (o Own) Present(ctx context.Context, p usher.Participant, secret usher.Secret) (usher.Credential, error) {
	c, err := details{o.Address(ctx), p.Room, p.ID, secret.Reveal()}.credential()
	c.ExpiresAt = p.Expires
	return c, err
}

// subject names a participant with its meeting, which its id alone does not find.
func subject(meeting, participant usher.ID) string {
	return string(meeting) + "/" + string(participant)
}

func parseSubject(s string) (meeting, participant usher.ID, err error) {
	m, p, _ := strings.Cut(s, "/")
	if meeting, err = usher.ParseID(m); err != nil {
		return "", "", err
	}
	participant, err = usher.ParseID(p)
	return meeting, participant, err
}

func participantPath(meeting, participant usher.ID) string {
	return "/v1/meetings/" + string(meeting) + "/participants/" + string(participant)
}

// Enroll implements [platform.Enroller]. A participant of an earlier meeting is
// not looked at.
func (f Foreign) Enroll(ctx context.Context, room, earlier string, req platform.Request) (platform.Enrolled, error) {
	e, err := f.enroll(ctx, room, earlier, req)
	if err != nil {
		return platform.Enrolled{}, fmt.Errorf("vpaas: enroll a participant: %w", err)
	}
	return e, nil
}

func (f Foreign) enroll(ctx context.Context, room, earlier string, req platform.Request) (platform.Enrolled, error) {
	meeting, err := usher.ParseID(room)
	if err != nil {
		return platform.Enrolled{}, usher.Errorf(usher.Invalid, "meeting_id_malformed", "The meeting's id is not one that VPaaS makes.")
	}
	switch {
	case !speaks(req.Grant):
		return platform.Enrolled{}, errListener
	case req.Grant.NotBefore.After(req.Now):
		return platform.Enrolled{}, usher.Errorf(usher.Forbidden, "grant_not_expressible", "A participant of a VPaaS meeting can come in at once, and the grant begins later.")
	}
	d := details{APIAddress: f.base, MeetingID: meeting}
	if was, id, err := parseSubject(earlier); err == nil && was == meeting {
		secret, here, err := f.renew(ctx, meeting, id)
		if err != nil {
			return platform.Enrolled{}, err
		}
		if here {
			d.ParticipantID, d.Secret = id, secret.Reveal()
		}
	}
	if d.ParticipantID == "" {
		made, err := f.enter(ctx, meeting)
		if err != nil {
			return platform.Enrolled{}, err
		}
		d.ParticipantID, d.Secret = made.id, made.secret.Reveal()
	}
	c, err := d.credential()
	c.ExpiresAt = req.Grant.Expires
	return platform.Enrolled{Credential: c, Subject: subject(meeting, d.ParticipantID)}, err
}

// renew makes another secret for a participant, and reports whether it can come
// into its meeting, or is there. Who is there may not need another secret, and
// VPaaS may not make one.
func (f Foreign) renew(ctx context.Context, meeting, id usher.ID) (secret usher.Secret, here bool, err error) {
	a, err := f.call(ctx, http.MethodPost, participantPath(meeting, id)+"/regenerate_secret")
	if err != nil {
		return "", false, err
	}
	switch a.status {
	case http.StatusOK:
		made, err := parseParticipant(a.body, meeting)
		if err == nil && made.id != id {
			err = errors.New("its id is another than was asked for")
		}
		if err != nil {
			return "", false, invalidAnswer(err)
		}
		return made.secret, true, nil
	case http.StatusNotFound, http.StatusGone:
		return "", false, nil
	case http.StatusBadRequest, http.StatusConflict:
		here, err := f.joined(ctx, meeting, id)
		return "", here, err
	default:
		return "", false, refused(a)
	}
}

// joined reports whether a participant is in its meeting.
func (f Foreign) joined(ctx context.Context, meeting, id usher.ID) (bool, error) {
	a, err := f.call(ctx, http.MethodGet, participantPath(meeting, id))
	if err != nil {
		return false, err
	}
	switch a.status {
	case http.StatusOK:
		o, err := parseObject(a.body)
		if err != nil {
			return false, invalidAnswer(err)
		}
		return o.text("status") == "joined", nil
	case http.StatusNotFound, http.StatusGone:
		return false, nil
	default:
		return false, refused(a)
	}
}

// Eject removes a participant from its meeting, for good. The subject names
// both, so that the room is not needed.
func (f Foreign) Eject(ctx context.Context, _, subject string) error {
	meeting, id, err := parseSubject(subject)
	if err != nil {
		return fmt.Errorf("vpaas: eject a participant: its name is malformed: %w", errors.ErrUnsupported)
	}
	a, err := f.call(ctx, http.MethodDelete, participantPath(meeting, id))
	if err != nil {
		return fmt.Errorf("vpaas: eject a participant: %w", err)
	}
	switch a.status {
	case http.StatusOK, http.StatusNoContent, http.StatusNotModified, http.StatusNotFound, http.StatusGone:
		return nil // gone, or gone already
	default:
		return fmt.Errorf("vpaas: eject a participant: %w", refused(a))
	}
}
