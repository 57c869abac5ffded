package access

import (
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/limit"
	"usher/internal/policy"
)

// limiters are the buckets of one Access.
type limiters struct {
	config            atomic.Pointer[limit.Config]
	mint, room, claim *limit.Keyed
	seek              *limit.Keyed
	warned            *limit.Keyed // limits the lines about the others
}

func newLimiters(config limit.Config, now func() time.Time) *limiters {
	l := &limiters{
		mint: limit.New(config.Mint, now), room: limit.New(config.Room, now), claim: limit.New(config.Claim, now), seek: limit.New(config.Seek, now),
		warned: limit.New(limit.Rate{Count: 1, Per: time.Minute}, now),
	}
	l.config.Store(&config)
	return l
}

// set changes the limits from now on.
func (l *limiters) set(config limit.Config) {
	l.config.Store(&config)
	l.mint.SetRate(config.Mint)
	l.room.SetRate(config.Room)
	l.claim.SetRate(config.Claim)
	l.seek.SetRate(config.Seek)
}

// exceeded is what a caller is told who met a limit. It is one line in the log
// for a burst, not one for each call.
func (a *Access) exceeded(name, key string, wait time.Duration) error {
	if _, first := a.limits.warned.Allow(name + " " + key); first {
		a.config.Logger.Warn("a limit was met: what goes beyond it is refused for a while", "limit", name, "of", key)
	}
	return limit.Exceeded(wait)
}

// makes reports whether an action makes something. Only that is limited: to
// read and to take away must always be possible.
func makes(action policy.Action) bool {
	switch action {
	case policy.EnterRoom, policy.AddParticipant, policy.EnterMeeting, policy.OpenMeeting, policy.CreateRoom, policy.UseRelay, policy.Signal, policy.PlaceCall:
		return true
	}
	return false
}

// limitMaker refuses a caller who asks for too much. Whoever is on the machine
// itself is not limited, and the public is by its addresses: as one identity,
// any of it could use up what is there for all.
func (a *Access) limitMaker(id usher.Identity, q ask) error {
	if !makes(q.action) || !id.Known() || id.Kind == usher.LocalIdentity || id.Kind == usher.PublicIdentity {
		return nil
	}
	config := a.limits.config.Load()
	who, rate := maker(id), config.Mint
	if id.Kind == usher.GuestIdentity {
		who = id.Key() // each for itself
	}
	if client, ok := clientOf(who); ok {
		if own, ok := config.Clients[client]; ok {
			rate = own
		}
	}
	if wait, ok := a.limits.mint.AllowAt(id.App+"/"+who, rate); !ok {
		return a.exceeded("mint", who, wait)
	}
	return nil
}

// limitRoom refuses what is made too often in one room. Whoever may not enter
// it anyway does not count, or strangers could close it to everyone.
func (a *Access) limitRoom(id usher.Identity, q ask) error {
	if q.room == nil || !makes(q.action) || id.Kind == usher.LocalIdentity {
		return nil
	}
	if wait, ok := a.limits.room.Allow(id.App + "/" + string(q.room.ID)); !ok {
		return a.exceeded("room", string(q.room.ID), wait)
	}
	return nil
}

// limitGuess limits guesses at one participant's secret.
func (a *Access) limitGuess(key usher.ParticipantKey) error {
	if wait, ok := a.limits.claim.Allow(key.App + "/" + string(key.Room) + "/" + string(key.ID)); !ok {
		return a.exceeded("claim", string(key.ID), wait)
	}
	return nil
}

// limitSeek limits how often one identity looks for others, since every answer
// tells whether an address is somebody's here.
func (a *Access) limitSeek(id usher.Identity) error {
	if wait, ok := a.limits.seek.Allow(id.App + "/" + maker(id)); !ok {
		return a.exceeded("seek", maker(id), wait)
	}
	return nil
}
