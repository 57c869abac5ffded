package access

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"usher"
	"usher/internal/policy"
	"usher/internal/store"
)

// ticketLifetime is how long a ticket waits to be used.
const ticketLifetime = 30 * time.Second

// Ticket is good for one connection of whoever it was made for, in place of a
// token, since it must travel in a URL.
type Ticket struct {
	Secret    usher.Secret
	ExpiresAt time.Time
	ExpiresIn time.Duration
}

// errTicket is one answer for a ticket that there never was, that was used and
// that has expired.
var errTicket = usher.Errorf(usher.Unauthenticated, "ticket_invalid", "The ticket was used, has expired or is none; get another one for each connection.")

// IssueTicket makes a ticket for a connection of the caller.
func (a *Access) IssueTicket(ctx context.Context, id usher.Identity) (Ticket, error) {
	if err := a.may(ctx, id, policy.Signal, nil); err != nil {
		return Ticket{}, err
	}
	secret, err := usher.NewSecret(a.config.Random)
	if err != nil {
		return Ticket{}, wrapf("issue ticket", err)
	}
	value, err := json.Marshal(id)
	if err != nil {
		return Ticket{}, wrapf("issue ticket", err)
	}
	now := a.now()
	t := Ticket{Secret: secret, ExpiresIn: ticketLifetime}
	if !id.Expires.IsZero() {
		t.ExpiresIn = min(t.ExpiresIn, id.Expires.Sub(now))
	}
	t.ExpiresAt = now.Add(t.ExpiresIn)
	if _, err := a.config.Store.Once().Put(ctx, now, store.Mark{Name: ticketMark(secret), Value: value, Expires: t.ExpiresAt}); err != nil {
		return Ticket{}, wrapf("issue ticket", err)
	}
	return t, nil
}

// RedeemTicket returns the identity that a ticket was made for, once. It is how
// a caller without a token authenticates, and refuses what was revoked in the
// meantime; whether the caller may signal, MaySignal decides.
func (a *Access) RedeemTicket(ctx context.Context, ticket usher.Secret) (usher.Identity, error) {
	now := a.now()
	mark, err := a.config.Store.Once().Take(ctx, now, ticketMark(ticket))
	if errors.Is(err, store.ErrNotFound) {
		return usher.Identity{}, errTicket
	}
	if err != nil {
		return usher.Identity{}, wrapf("redeem ticket", err)
	}
	var id usher.Identity
	if err := json.Unmarshal(mark.Value, &id); err != nil {
		return usher.Identity{}, wrapf("redeem ticket", err)
	}
	if err := a.refuseRevoked(ctx, id); err != nil {
		return usher.Identity{}, err
	}
	return id, nil
}

// MaySignal decides whether the caller may have a connection to signal over.
func (a *Access) MaySignal(ctx context.Context, id usher.Identity) error {
	return a.may(ctx, id, policy.Signal, nil)
}

// MayReach decides whether the caller may write to, close and look at connections
// of others by their handles.
func (a *Access) MayReach(ctx context.Context, id usher.Identity) error {
	return a.may(ctx, id, policy.Reach, nil)
}

// ticketMark is the name under which a ticket is kept: never the ticket itself.
func ticketMark(ticket usher.Secret) string {
	digest := ticket.Digest()
	return "ticket:" + hex.EncodeToString(digest[:])
}
