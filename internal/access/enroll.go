package access

import (
	"context"
	"encoding/hex"
	"errors"

	"usher"
	"usher/internal/platform"
	"usher/internal/store"
)

// A platform that enrolls has a room of its own for one of ours, which is opened
// when the first needs it, and a participant of its own for each person. Both
// names are remembered by marks for as long as somebody can be there.

// enroll has somebody enrolled, and written down as who has to go when the grant
// ends. Asked again it is the same participant, unless that has left.
func (a *Access) enroll(ctx context.Context, p platform.Enroller, id usher.Identity, r usher.Room, spec CredentialSpec, d decision) (Issued, error) {
	if spec.Format != "" {
		return Issued{}, errOneFormat(spec.Platform)
	}
	seat, err := a.seat(ctx, id, r, spec, d)
	if err != nil {
		return Issued{}, err
	}
	issued, err := a.enrollFor(ctx, p, id, r, spec, seat.participant, d)
	if err != nil {
		return Issued{}, a.notLetIn(ctx, r, seat, d, err)
	}
	return issued, nil
}

// enrollFor has who has a seat enrolled.
func (a *Access) enrollFor(ctx context.Context, p platform.Enroller, id usher.Identity, r usher.Room, spec CredentialSpec, seat usher.ID, d decision) (Issued, error) {
	var who remembered
	if distinct(id, spec.Subject) {
		who = a.remembered("enrolled", r.App, string(r.ID), spec.Platform, id.Key(), spec.Subject)
	}
	earlier, err := who.value(ctx)
	if err != nil {
		return Issued{}, err
	}
	enrolled, err := a.enrollIn(ctx, p, r, earlier, spec.Platform, platform.Request{Grant: grantOf(id, r, d), Now: a.now()})
	if err != nil {
		return Issued{}, err
	}
	issued := a.issued(enrolled.Credential, spec.Platform, d, a.now())
	spec.Subject = enrolled.Subject
	if err := a.letIn(ctx, id, r, spec, seat, issued); err != nil {
		return Issued{}, err
	}
	first, err := who.set(ctx, earlier, enrolled.Subject)
	if err != nil || first == enrolled.Subject {
		return issued, err
	}
	// Somebody asked for the same at the same time, and was faster: this one goes.
	if err := a.leaveNow(ctx, id, r, spec); err != nil {
		return Issued{}, err
	}
	return Issued{}, usher.Errorf(usher.Conflict, "credential_busy", "The same was asked for at the same time; ask again.")
}

// enrollIn enrolls in the room that the platform has for ours. One that is over
// is replaced by a new one.
func (a *Access) enrollIn(ctx context.Context, p platform.Enroller, r usher.Room, earlier, name string, req platform.Request) (platform.Enrolled, error) {
	over := ""
	for {
		there, err := a.roomThere(ctx, p, r, name, over)
		if err != nil {
			return platform.Enrolled{}, err
		}
		enrolled, err := p.Enroll(ctx, there, earlier, req)
		if err == nil {
			return enrolled, nil
		}
		if kind := usher.AsError(err).Kind; over != "" || kind != usher.NotFound && kind != usher.Gone {
			return platform.Enrolled{}, wrapf("enroll", err)
		}
		over = there
	}
}

// roomThere returns what a platform calls the room that it has for ours, which
// must not be the one that is over. Of those who need it here at once one opens it.
func (a *Access) roomThere(ctx context.Context, p platform.Enroller, r usher.Room, name, over string) (string, error) {
	here := a.remembered("meeting", r.App, string(r.ID), name)
	select {
	case here.turn <- struct{}{}:
		defer func() { <-here.turn }()
	case <-ctx.Done():
		return "", wrapf("open a room", ctx.Err())
	}
	there, err := here.value(ctx)
	switch {
	case err != nil:
		return "", err
	case there != "" && there != over:
		return here.set(ctx, there, there) // for longer
	}
	opened, err := p.Open(ctx)
	if err != nil {
		return "", wrapf("open a room", err)
	}
	return here.set(ctx, there, opened.Room)
}

// leaveNow has a platform put somebody out who was just enrolled in vain.
func (a *Access) leaveNow(ctx context.Context, id usher.Identity, r usher.Room, spec CredentialSpec) error {
	key := usher.StayKey{App: r.App, Room: r.ID, Platform: spec.Platform, Identity: id.Key(), Subject: spec.Subject}
	_, err := a.config.Store.Stays().Change(ctx, key, func(s usher.Stay) (usher.Stay, error) {
		s.Over, s.Due = a.now(), a.now()
		s.Reason = "Another credential was given out for the same person at the same time."
		return s, nil
	})
	if err != nil {
		return wrapf("end a stay", err)
	}
	signal(a.abroad.reach[spec.Platform].wake)
	return nil
}

// remembered is a name elsewhere that is kept in a mark for as long as anything
// that is given out now can last, and a while longer. The zero remembered
// remembers nothing.
type remembered struct {
	access *Access
	name   string
	// turn is for one at a time who is about to change the name.
	turn chan struct{}
}

func (a *Access) remembered(label string, parts ...string) remembered {
	name := a.config.Derive(label, parts...)
	return remembered{a, label + ":" + hex.EncodeToString(name[:]), a.turns[int(name[0])%len(a.turns)]}
}

// value returns what is remembered, or "".
func (m remembered) value(ctx context.Context) (string, error) {
	if m.access == nil {
		return "", nil
	}
	// No mark of ours is empty: this replaces none, and tells which there is.
	there, err := m.access.config.Store.Once().Replace(ctx, m.access.now(), nil, store.Mark{Name: m.name})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", nil
	case err != nil && !errors.Is(err, store.ErrExists):
		return "", wrapf("remember", err)
	}
	return string(there.Value), nil
}

// set remembers a value in the place of the earlier one, and returns the one
// that is remembered: another, if somebody was faster.
func (m remembered) set(ctx context.Context, earlier, value string) (string, error) {
	if m.access == nil {
		return value, nil
	}
	once, now := m.access.config.Store.Once(), m.access.now()
	mark := store.Mark{Name: m.name, Value: []byte(value), Expires: now.Add(m.access.config.Policy.MaxLifetime + remember)}
	there, err := once.Replace(ctx, now, []byte(earlier), mark)
	if errors.Is(err, store.ErrNotFound) {
		there, err = once.Put(ctx, now, mark)
	}
	if err != nil && !errors.Is(err, store.ErrExists) {
		return "", wrapf("remember", err)
	}
	return string(there.Value), nil
}
