package access

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"usher"
	"usher/internal/platform"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store"
)

// CredentialSpec is the credential that is asked for. All but Platform are
// requests: what is not allowed is cut off, or refused.
type CredentialSpec struct {
	Platform string
	// Format chooses among the platform's formats; empty is its usual one.
	Format string
	// Subject is whom the platform shall know the bearer as: an Agora uid, a
	// LiveKit identity. Empty derives it from the caller.
	Subject     string
	Role        usher.Role
	Permissions usher.Permissions
	Lifetime    time.Duration
	// Make makes the room, if there is none of that name and rooms may be made
	// by naming them.
	Make bool
}

// Issued is a credential with the decision that allowed it.
type Issued struct {
	usher.Credential
	Room     usher.Room
	Grant    usher.ID
	Decision usher.Decision
	// ExpiresIn and RefreshIn are relative, so that a client's wrong clock does
	// no harm. RefreshIn leaves room for at least two retries before the end.
	ExpiresIn, RefreshIn time.Duration
}

// refreshAfter is the part of its life after which a credential is renewed:
// two retries, each as long as the one before, fit into the rest.
const refreshAfter = 0.6

// Credential has a platform mint a credential for a room. Renewing is asking
// again: it is decided anew, and takes no second seat.
func (a *Access) Credential(ctx context.Context, id usher.Identity, ref string, spec CredentialSpec) (Issued, error) {
	p, ok := a.platforms()[spec.Platform]
	if !ok {
		return Issued{}, errNoPlatform(spec.Platform)
	}
	r, err := a.roomToEnter(ctx, id, ref, spec.Make)
	if err != nil {
		return Issued{}, err
	}
	action := policy.AddParticipant
	if id.Kind == usher.UserIdentity || id.Kind == usher.GuestIdentity || id.Kind == usher.PublicIdentity {
		action = policy.EnterRoom
	}
	d, err := a.decide(ctx, id, ask{
		action: action, room: &r, role: spec.Role, permissions: spec.Permissions, lifetime: spec.Lifetime, whom: id.For,
	})
	if err != nil {
		return Issued{}, err
	}
	if wait := d.NotBefore.Sub(a.now()); wait > 0 {
		// Few platforms can say from when a credential is good, so none is made.
		err := usher.Errorf(usher.Unavailable, "room_not_open", "The room is not open yet.")
		err.RetryAfter = wait
		return Issued{}, err
	}
	if r.Status == usher.RoomEnded {
		return Issued{}, room.ErrEnded
	}
	var issued Issued
	switch p := p.(type) {
	case platform.Host:
		issued, err = a.host(ctx, p, id, r, spec, d)
	case platform.Enroller:
		issued, err = a.enroll(ctx, p, id, r, spec, d)
	default:
		issued, err = a.mint(ctx, p, id, r, spec, d)
	}
	if err != nil {
		return Issued{}, err
	}
	issued.Room = r
	return issued, nil
}

// mint has a platform make a credential of its own. Only who gets one gets a
// name and a seat.
func (a *Access) mint(ctx context.Context, p platform.Platform, id usher.Identity, r usher.Room, spec CredentialSpec, d decision) (Issued, error) {
	issued, err := a.issue(ctx, p, spec.Platform, d, platform.Request{
		Grant: grantOf(id, r, d), Subject: spec.Subject, Format: spec.Format, Now: a.now(),
	})
	if err != nil {
		return Issued{}, err
	}
	if err := a.bindSubject(ctx, id, r, p, spec, d.Expires); err != nil {
		return Issued{}, err
	}
	seat, err := a.seat(ctx, id, r, spec, d)
	if err != nil {
		return Issued{}, err
	}
	if err := a.letIn(ctx, id, r, spec, seat.participant, issued); err != nil {
		return Issued{}, a.notLetIn(ctx, r, seat, d, err)
	}
	return issued, nil
}

// grantOf is what was decided, for a platform.
func grantOf(id usher.Identity, r usher.Room, d decision) usher.Grant {
	return usher.Grant{
		ID: d.id, Identity: id, Room: roomAbroad(r),
		Permissions: d.Permissions, NotBefore: d.NotBefore, Expires: d.Expires,
	}
}

// roomToEnter finds a room, or makes it by its name where the configuration
// and the caller both say so.
func (a *Access) roomToEnter(ctx context.Context, id usher.Identity, ref string, make bool) (usher.Room, error) {
	r, err := a.rooms.Find(ctx, id.App, ref)
	if !make || !a.config.Rooms.Implicit || !errors.Is(err, room.ErrNotFound) {
		return r, err
	}
	if err := a.may(ctx, id, policy.CreateRoom, nil); err != nil {
		return usher.Room{}, err
	}
	// It belongs to nobody: whoever happens to name a room first is no host of it.
	r, err = a.rooms.Create(ctx, id.App, "", room.Spec{Name: ref, Admission: usher.AdmitOpen})
	if usher.AsError(err).Code == "room_exists" {
		return a.rooms.Find(ctx, id.App, ref) // somebody else was faster
	}
	return r, err
}

// bindSubject sees to it that nobody but a back end gets a credential in the
// name of somebody else: a subject belongs to the identity that first asked for
// it, for as long as what it got is good. It does so in a room, and where the
// platform makes it known by a name everywhere, on all of the platform; what is
// no platform's, but our own, has none.
func (a *Access) bindSubject(ctx context.Context, id usher.Identity, r usher.Room, p platform.Platform, spec CredentialSpec, expires time.Time) error {
	if spec.Subject == "" || id.Kind == usher.ClientIdentity || id.Kind == usher.LocalIdentity {
		return nil
	}
	// Platforms know whoever names no subject by the key.
	if validKey(spec.Subject, identities...) && spec.Subject != id.Key() {
		return errSubjectTaken
	}
	err := a.bind(ctx, id, expires, errSubjectTaken, "subject", r.App, string(r.ID), spec.Platform, spec.Subject)
	if namer, ok := p.(platform.Namer); ok {
		for _, name := range namer.Names(spec.Format, spec.Subject) {
			if err == nil {
				err = a.bind(ctx, id, expires, errNameTaken, "name", r.App, spec.Platform, name)
			}
		}
	}
	return err
}

var (
	errSubjectTaken = usher.Errorf(usher.Forbidden, "subject_taken", "Somebody else is known by that name in this room; ask for another uid or account.")
	errNameTaken    = usher.Errorf(usher.Forbidden, "subject_taken", "Somebody else is known by that name on the platform, whatever the room; ask for another uid or account.")
)

// bind ties what is named to an identity until it expires; taken says that it
// is somebody else's.
func (a *Access) bind(ctx context.Context, id usher.Identity, expires time.Time, taken error, label string, parts ...string) error {
	// Time is cut into spans, each bound for itself, so that a binding that is
	// renewed never has a gap.
	span := a.config.Policy.MaxLifetime
	for start := a.now().Truncate(span); start.Before(expires); start = start.Add(span) {
		name := a.config.Derive(label, append(parts[:len(parts):len(parts)], start.UTC().Format(time.RFC3339))...)
		mark := store.Mark{Name: label + ":" + hex.EncodeToString(name[:]), Value: []byte(id.Key()), Expires: start.Add(2 * span)}
		earlier, err := a.config.Store.Once().Put(ctx, a.now(), mark)
		switch {
		case errors.Is(err, store.ErrExists) && string(earlier.Value) != id.Key():
			return taken
		case err != nil && !errors.Is(err, store.ErrExists):
			return wrapf("bind subject", err)
		}
	}
	return nil
}

// HasRelay says whether the platform of that name is one that Relay can ask now.
// Anybody may know: it names no server.
func (a *Access) HasRelay(name string) bool {
	_, ok := a.platforms()[name]
	return ok
}

// Relay has the platform for TURN mint a credential for the caller, which is
// about no room.
func (a *Access) Relay(ctx context.Context, id usher.Identity, name string) (Issued, error) {
	p, ok := a.platforms()[name]
	if !ok {
		return Issued{}, errNoPlatform(name)
	}
	d, err := a.decide(ctx, id, ask{action: policy.UseRelay})
	if err != nil {
		return Issued{}, err
	}
	return a.issue(ctx, p, name, d, platform.Request{
		Grant: usher.Grant{ID: d.id, Identity: id, Permissions: d.Permissions, NotBefore: d.NotBefore, Expires: d.Expires},
		Now:   a.now(),
	})
}

// issue has a platform mint what was decided.
func (a *Access) issue(ctx context.Context, p platform.Platform, name string, d decision, req platform.Request) (Issued, error) {
	c, err := p.Issue(ctx, req)
	if err != nil {
		return Issued{}, wrapf("issue", err)
	}
	return a.issued(c, name, d, req.Now), nil
}

// issued is a credential that was made, with when to renew it.
func (a *Access) issued(c usher.Credential, name string, d decision, now time.Time) Issued {
	c.Platform = name
	issued := Issued{Credential: c, Grant: d.id, Decision: d.Decision}
	if !c.ExpiresAt.IsZero() {
		issued.ExpiresIn = c.ExpiresAt.Sub(now)
		issued.RefreshIn = time.Duration(float64(issued.ExpiresIn) * refreshAfter).Truncate(time.Second)
	}
	a.metrics.minted(name)
	return issued
}
