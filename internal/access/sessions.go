package access

import (
	"context"
	"errors"
	"slices"
	"time"

	"usher"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store"
)

// SessionSpec is a session that is asked for.
type SessionSpec struct {
	// User is the name by which a back end knows the user that the session is
	// for. Users and guests get sessions for themselves, and leave it empty.
	User string
	// Rooms are what it shall open, at least one and at most [MaxSessionRooms].
	Rooms []SessionRoom
	// Lifetime is how long it shall be good, from now and from each renewal.
	Lifetime time.Duration
}

// SessionRoom is a room that a session shall open.
type SessionRoom struct {
	// Ref is the room's id or name. A back end makes the room by naming it;
	// others do where the configuration allows that.
	Ref string
	// Permissions are all that is asked for there.
	Permissions usher.Permissions
}

// OpenedSession is a session with its token, which only its maker ever sees.
type OpenedSession struct {
	usher.Session
	Token usher.Secret
	// Rooms are those of the passes, in their order.
	Rooms []usher.Room
	// ExpiresIn is relative, so that a client's wrong clock does no harm.
	ExpiresIn time.Duration
}

// Sessions are made and judged under these names and limits.
const (
	// SessionPlatform is the name under which credentials of this kind are
	// counted, and subjects bound.
	SessionPlatform = "roomservice"
	sessionPrefix   = "tok_"
	// MaxSessionRooms is the most rooms that a session can be for.
	MaxSessionRooms = 20
	maxUser         = 256
)

// What callers are told of sessions.
var (
	errNoSession      = usher.Errorf(usher.Unauthenticated, "session_invalid", "The token is not one of this server, or its session is long over; sign in again.")
	errSessionExpired = usher.Errorf(usher.Unauthenticated, "session_expired", "The session has expired; sign in again.")
	errSessionRevoked = usher.Errorf(usher.Unauthenticated, "session_revoked", "The session was taken away; sign in again, or ask whoever runs the app.")
	errNotInSession   = usher.Errorf(usher.Forbidden, "session_elsewhere", "The token is not for this room.")
	errUserInvalid    = usher.Errorf(usher.Invalid, "user_invalid", "The user must have a name of 1 to %d bytes that can be printed.", maxUser)
)

// OpenSession makes a session. It is one decision for each room, and nothing is
// made unless all of them are grants.
func (a *Access) OpenSession(ctx context.Context, id usher.Identity, spec SessionSpec) (OpenedSession, error) {
	if len(spec.Rooms) == 0 || len(spec.Rooms) > MaxSessionRooms {
		return OpenedSession{}, usher.Errorf(usher.Invalid, "rooms_invalid", "A session is for at least one room, and for at most %d.", MaxSessionRooms)
	}
	who, user, err := a.sessionUser(id, spec.User)
	if err != nil {
		return OpenedSession{}, err
	}
	token, err := usher.NewSecret(a.config.Random)
	if err != nil {
		return OpenedSession{}, wrapf("open session", err)
	}
	token = sessionPrefix + token
	// The session is older than all that its decisions are made from.
	s := usher.Session{Token: token.Digest(), ID: a.config.IDs.New(), App: id.App, Who: who, User: user, Version: 1}
	s.Who.Operator = false // it enters a room as anybody
	opened := OpenedSession{Token: token}
	for _, asked := range spec.Rooms {
		r, err := a.sessionRoom(ctx, id, asked.Ref)
		if err != nil {
			return OpenedSession{}, err
		}
		d, err := a.admitTo(ctx, s, r, asked.Permissions, spec.Lifetime)
		if err != nil {
			return OpenedSession{}, err
		}
		s.Passes = append(s.Passes, usher.Pass{Room: r.ID, Grant: d.id, Permissions: d.Permissions})
		if s.Expires.IsZero() || d.Expires.Before(s.Expires) {
			s.Expires = d.Expires
		}
		opened.Rooms = append(opened.Rooms, r)
	}
	s.UpdatedAt = a.now()
	if err := a.config.Store.Sessions().Create(ctx, s); err != nil {
		return OpenedSession{}, wrapf("open session", err)
	}
	a.metrics.minted(SessionPlatform)
	opened.Session, opened.ExpiresIn = s, s.Expires.Sub(s.UpdatedAt)
	return opened, nil
}

// sessionUser returns whom a session is for, and what the others call it. A back
// end answers for its own users: nobody but itself can name them.
func (a *Access) sessionUser(id usher.Identity, user string) (usher.Identity, string, error) {
	switch id.Kind {
	case usher.ClientIdentity:
		if user == "" || usher.ValidateName(user, maxUser) != nil {
			return usher.Identity{}, "", errUserInvalid
		}
		return ownUser(id, user), user, nil
	case usher.PublicIdentity:
		// They are all one identity, and need names of their own.
		return id, "anyone-" + string(a.config.IDs.New()), nil
	default:
		if user != "" && user != id.Subject {
			return usher.Identity{}, "", usher.Errorf(usher.Forbidden, "for_others", "You can get a session for yourself only.")
		}
		if usher.ValidateName(id.Subject, maxUser) != nil {
			return usher.Identity{}, "", errUserInvalid
		}
		return id, id.Subject, nil
	}
}

// ownUser is a user that a back end alone knows.
func ownUser(client usher.Identity, user string) usher.Identity {
	return usher.Identity{
		App: client.App, Kind: usher.UserIdentity, Issuer: client.Key(), Subject: user,
		Actor: client.Key(), IssuedAt: client.IssuedAt, Proof: client.Proof + " for its user",
	}
}

// sessionRoom finds a room, or makes it. One that a back end names belongs to
// it, as if it had made it by itself, which it may.
func (a *Access) sessionRoom(ctx context.Context, id usher.Identity, ref string) (usher.Room, error) {
	if id.Kind != usher.ClientIdentity {
		return a.roomToEnter(ctx, id, ref, true)
	}
	r, err := a.rooms.Find(ctx, id.App, ref)
	if !errors.Is(err, room.ErrNotFound) {
		return r, err
	}
	if err := a.may(ctx, id, policy.CreateRoom, nil); err != nil {
		return usher.Room{}, err
	}
	r, err = a.rooms.Create(ctx, id.App, id.Key(), room.Spec{Name: ref})
	if usher.AsError(err).Code == "room_exists" {
		return a.rooms.Find(ctx, id.App, ref) // another call was faster
	}
	return r, err
}

// admitTo decides whether whom a session is for may enter a room, and sees to
// all that an entry needs: the name, the seat.
func (a *Access) admitTo(ctx context.Context, s usher.Session, r usher.Room, permissions usher.Permissions, lifetime time.Duration) (decision, error) {
	d, err := a.decide(ctx, s.Who, ask{action: policy.EnterRoom, room: &r, permissions: permissions, lifetime: lifetime})
	switch {
	case err != nil:
		return decision{}, err
	case r.Status == usher.RoomEnded:
		return decision{}, room.ErrEnded
	}
	if now := a.now(); d.NotBefore.After(now) {
		err := usher.Errorf(usher.Unavailable, "room_not_open", "The room is not open yet.")
		err.RetryAfter = d.NotBefore.Sub(now)
		return decision{}, err
	}
	spec := CredentialSpec{Platform: SessionPlatform, Subject: s.User}
	if err := a.bindSubject(ctx, s.Who, r, nil, spec, d.Expires); err != nil {
		return decision{}, err
	}
	if _, err := a.seat(ctx, s.Who, r, spec, d); err != nil {
		return decision{}, err
	}
	return d, nil
}

// Session returns the session of a token that is good now.
func (a *Access) Session(ctx context.Context, token usher.Secret) (usher.Session, error) {
	s, err := a.config.Store.Sessions().Get(ctx, token.Digest())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return usher.Session{}, errNoSession
	case err != nil:
		return usher.Session{}, wrapf("session", err)
	case s.Expired(a.now()):
		return usher.Session{}, errSessionExpired
	}
	if _, void := a.taken.fromSession(s, a.now()); void {
		return usher.Session{}, errSessionRevoked
	}
	return s, nil
}

// SessionPass returns the session of a token, and its pass for a room. It is
// what every use of the token begins with.
func (a *Access) SessionPass(ctx context.Context, token usher.Secret, ref usher.ID) (usher.Session, usher.Pass, error) {
	s, err := a.Session(ctx, token)
	if err != nil {
		return usher.Session{}, usher.Pass{}, err
	}
	pass, ok := s.Pass(ref)
	if !ok {
		return usher.Session{}, usher.Pass{}, errNotInSession
	}
	if _, void := a.taken.fromPass(s, pass, a.now()); void {
		return usher.Session{}, usher.Pass{}, errSessionRevoked
	}
	r, err := a.rooms.Get(ctx, usher.RoomKey{App: s.App, ID: pass.Room})
	if err == nil && r.Status == usher.RoomEnded {
		err = room.ErrEnded
	}
	return s, pass, err
}

// RenewSession makes a session that is in use last longer, by its lifetime from
// now. Everything is decided anew: whoever may no longer enter a room keeps what
// it has until that expires, and who may do less does less from now on. Rooms
// that have ended, or that were taken from the session, open to it no more and
// are not asked about.
func (a *Access) RenewSession(ctx context.Context, token usher.Secret, lifetime time.Duration) (usher.Session, error) {
	s, err := a.Session(ctx, token)
	if err != nil {
		return usher.Session{}, err
	}
	expires := time.Time{}
	granted := make(map[usher.ID]usher.Permissions)
	refused := error(errSessionRevoked)
	for _, p := range s.Passes {
		granted[p.Room] = p.Permissions
		if _, void := a.taken.fromPass(s, p, a.now()); void {
			continue
		}
		r, err := a.rooms.Get(ctx, usher.RoomKey{App: s.App, ID: p.Room})
		if errors.Is(err, room.ErrNotFound) || err == nil && r.Status == usher.RoomEnded {
			refused = room.ErrEnded // and may have been forgotten since
			continue
		}
		if err != nil {
			return s, err
		}
		d, err := a.admitTo(ctx, s, r, p.Permissions, lifetime)
		if err != nil {
			return s, err
		}
		granted[p.Room] = p.Permissions.And(d.Permissions)
		if expires.IsZero() || d.Expires.Before(expires) {
			expires = d.Expires
		}
	}
	if expires.IsZero() {
		return s, refused
	}
	return a.changeSession(ctx, s.Token, func(s usher.Session) usher.Session {
		if expires.After(s.Expires) {
			s.Expires = expires
		}
		for i, p := range s.Passes {
			s.Passes[i].Permissions = p.Permissions.And(granted[p.Room])
		}
		return s
	})
}

// changeSession changes a session, and has its connections come back where
// they may do less than before.
func (a *Access) changeSession(ctx context.Context, token usher.Digest, change func(usher.Session) usher.Session) (usher.Session, error) {
	var before usher.Session
	after, err := a.config.Store.Sessions().Update(ctx, token, func(s usher.Session) (usher.Session, error) {
		before = s
		s.Passes = slices.Clone(s.Passes)
		s = change(s)
		s.UpdatedAt = a.now()
		return s, nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return usher.Session{}, errNoSession
	}
	if err != nil {
		return usher.Session{}, wrapf("change session", err)
	}
	for i, p := range after.Passes {
		if slices.Equal(p.May(), before.Passes[i].May()) {
			continue
		}
		_, err := a.take(ctx, usher.Taking{
			App: after.App, Kind: usher.Change, Target: usher.Target{Room: p.Room, Identity: after.Who.Key()},
			Reason: "What you may do here has changed.",
		})
		if err != nil {
			return usher.Session{}, err
		}
	}
	return after, nil
}

// Sessions are swept some time after they expired, so that until then whoever
// comes with their token is told why it is refused.
const (
	sessionSweepEvery = time.Minute
	sessionSweepAfter = 24 * time.Hour
	sessionSweepBatch = 500
)

// sweepSessions forgets expired sessions until ctx ends.
func (a *Access) sweepSessions(ctx context.Context) {
	tick := time.NewTicker(sessionSweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := a.forgetSessions(ctx); err != nil && ctx.Err() == nil {
			a.config.Logger.Error("forgetting expired sessions failed; it is tried again", "error", err)
		}
	}
}

func (a *Access) forgetSessions(ctx context.Context) error {
	for {
		n, err := a.config.Store.Sessions().Sweep(ctx, a.now().Add(-sessionSweepAfter), sessionSweepBatch)
		if err != nil || n < sessionSweepBatch {
			return err
		}
	}
}

// fromSession reports whether a session is void as a whole: itself, whom it is
// for, or the back end that made it.
func (k *taken) fromSession(s usher.Session, now time.Time) (usher.Taking, bool) {
	made := s.CreatedAt()
	list := []issued{
		{target{"grant", s.App, string(s.ID)}, made},
		{target{"identity", s.App, s.Who.Key()}, provenAt(s)},
	}
	for _, key := range []string{s.Who.Key(), s.Who.Actor, s.Who.Inviter} {
		if client, ok := clientOf(key); ok {
			list = append(list, issued{target{"client", s.App, client}, earliest(made, s.Who.IssuedAt)})
		}
	}
	if s.Who.Kind == usher.GuestIdentity {
		list = append(list, issued{target{"room", s.App, string(s.Who.Room)}, provenAt(s)})
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.any(list)
}

// provenAt is when it was proven for whom a session is: a back end says so when
// it asks.
func provenAt(s usher.Session) time.Time {
	if s.Who.Actor != "" {
		return s.CreatedAt()
	}
	return earliest(s.CreatedAt(), s.Who.IssuedAt)
}

// fromPass reports whether a session, or what it has of one room, is void.
func (k *taken) fromPass(s usher.Session, p usher.Pass, now time.Time) (usher.Taking, bool) {
	if t, void := k.fromSession(s, now); void {
		return t, true
	}
	made := s.CreatedAt()
	list := []issued{
		{target{"grant", s.App, string(p.Grant)}, made},
		{target{"room", s.App, string(p.Room)}, made},
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if t, void := k.any(list); void {
		return t, true
	}
	if e := k.bans[banKey{usher.RoomKey{App: s.App, ID: p.Room}, s.Who.Key()}]; e != nil && e.voids(made, now) {
		return e.ban, true
	}
	return usher.Taking{}, false
}

// changedSince reports whether a connection that began at that time must be
// made anew, since it may not know what its session may do now.
func (k *taken) changedSince(s usher.Session, room usher.ID, began time.Time) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return began.Before(k.changes[banKey{usher.RoomKey{App: s.App, ID: room}, s.Who.Key()}])
}
