package access

import (
	"context"
	"slices"

	"usher"
	"usher/internal/call"
	"usher/internal/policy"
	"usher/internal/store"
)

// PlaceCall decides whether the caller may call another user. It reports whether
// that user lists the caller: who does not is called by a stranger. That there
// is no such user is not told, as if nobody answered.
func (a *Access) PlaceCall(ctx context.Context, id usher.Identity, to string) (listed bool, err error) {
	if err := a.may(ctx, id, policy.PlaceCall, nil); err != nil {
		return false, err
	}
	return a.contacts.Lists(ctx, id.App, to, id.Key())
}

// RecordCall writes down what became of a call, in the background. It is given
// what [call.Deps] are told of each change.
func (a *Access) RecordCall(c usher.Call, notices []call.Notice) {
	e := usher.Event{App: c.App}
	switch {
	case !c.Live():
		e.Type, e.Who, e.Reason = usher.HungUp, c.EndedBy, string(c.Reason)
		if e.Who == "" {
			e.Who = c.Caller.User // of whose call it ended by itself
		}
	case slices.ContainsFunc(notices, func(n call.Notice) bool { return n.Action == call.Accept }):
		e.Type, e.Who, e.Reason = usher.Answered, c.Callee.User, c.Caller.User
	case c.Version == 1:
		e.Type, e.Who, e.Reason = usher.Called, c.Caller.User, c.Callee.User
	default:
		return
	}
	if a.config.Record.Audit != Strict {
		a.tell(context.Background(), e)
		return
	}
	a.background.Go(func() { a.tell(context.Background(), e) }) // it waits
}

// MissedCall is a call that its callee missed, and who called. Of a user who was
// erased there is the key alone.
type MissedCall struct {
	usher.Call
	From usher.User
}

// MissedCalls returns a page of the calls that the caller missed, the newest
// first, and where the next page begins, if there is one.
func (a *Access) MissedCalls(ctx context.Context, id usher.Identity, from usher.ID, limit int) ([]MissedCall, usher.ID, error) {
	if err := a.may(ctx, id, policy.ReadCalls, nil); err != nil {
		return nil, "", err
	}
	calls, err := a.missed().Missed(ctx, store.MissedQuery{App: id.App, User: id.Key(), From: from, Limit: limit + 1})
	if err != nil {
		return nil, "", err
	}
	var next usher.ID
	if len(calls) > limit {
		calls, next = calls[:limit], calls[limit].Missed
	}
	missed := make([]MissedCall, len(calls))
	callers := make(map[string]usher.User)
	for i, c := range calls {
		caller, known := callers[c.Caller.User]
		if !known {
			caller, err = a.contacts.User(ctx, id.App, c.Caller.User)
			if err != nil && usher.AsError(err).Kind != usher.NotFound {
				return nil, "", err
			}
			caller.Key = c.Caller.User
			callers[caller.Key] = caller
		}
		missed[i] = MissedCall{c, caller}
	}
	return missed, next, nil
}

// AcknowledgeCalls takes a call and all that are older off the list of those
// that the caller missed.
func (a *Access) AcknowledgeCalls(ctx context.Context, id usher.Identity, from usher.ID) error {
	if err := a.may(ctx, id, policy.ReadCalls, nil); err != nil {
		return err
	}
	return a.missed().Acknowledge(ctx, id.App, id.Key(), from)
}

func (a *Access) missed() call.History {
	return call.History{Store: a.config.Store.Calls(), Now: a.config.Now}
}
