package access

import (
	"time"

	"usher"
	"usher/internal/limit"
	"usher/internal/policy"
)

// limiters are the buckets of one Access.
type limiters struct {
	config            limit.Config
	mint, room, claim *limit.Keyed
}

func newLimiters(config limit.Config, now func() time.Time) limiters {
	return limiters{
		config: config,
		mint:   limit.New(config.Mint, now),
		room:   limit.New(config.Room, now),
		claim:  limit.New(config.Claim, now),
	}
}

// limit refuses what a caller asks for too often. Only what makes something is
// limited: to read and to take away must always be possible.
func (a *Access) limit(id usher.Identity, q ask) error {
	switch q.action {
	case policy.EnterRoom, policy.AddParticipant, policy.EnterMeeting, policy.OpenMeeting, policy.CreateRoom:
	default:
		return nil
	}
	who, rate := maker(id), a.limits.config.Mint
	if client, ok := clientOf(who); ok {
		if own, ok := a.limits.config.Clients[client]; ok {
			rate = own
		}
	}
	if wait, ok := a.limits.mint.AllowAt(id.App+"/"+who, rate); !ok {
		return limit.Exceeded(wait)
	}
	if q.room == nil {
		return nil
	}
	if wait, ok := a.limits.room.Allow(id.App + "/" + string(q.room.ID)); !ok {
		return limit.Exceeded(wait)
	}
	return nil
}

// limitClaim limits guesses at one participant's secret.
func (a *Access) limitClaim(key usher.ParticipantKey) error {
	if wait, ok := a.limits.claim.Allow(key.App + "/" + string(key.Room) + "/" + string(key.ID)); !ok {
		return limit.Exceeded(wait)
	}
	return nil
}
