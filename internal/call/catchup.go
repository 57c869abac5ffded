package call

import (
	"context"
	"errors"
	"slices"

	"usher"
	"usher/internal/store"
)

// News is a call as it is now, and what one of the two has not been told of it.
type News struct {
	Call    usher.Call
	Notices []Notice
}

// CatchUp returns what has become of the calls of a person, who knows of those
// that are given as they were then: for who may have missed what other processes
// told. What was sent along the way is lost. It changes nothing.
func (s *Service) CatchUp(ctx context.Context, app, user string, known []usher.Call) ([]News, error) {
	current, err := s.Store.Active(ctx, app, user)
	if err != nil {
		return nil, wrap("catch up", err)
	}
	for _, before := range known {
		if slices.ContainsFunc(current, func(c usher.Call) bool { return c.Key() == before.Key() }) {
			continue
		}
		c, err := s.Store.Find(ctx, store.CallQuery{App: app, ID: before.ID, User: user, Peer: before.Peer(user)})
		if errors.Is(err, store.ErrNotFound) { // it ended long ago
			c, err = before, nil
			c.Status, c.Reason = usher.CallEnded, usher.UnknownError
		}
		if err != nil {
			return nil, wrap("catch up", err)
		}
		current = append(current, c)
	}
	var news []News
	for _, c := range current {
		var before usher.Call
		if i := slices.IndexFunc(known, func(k usher.Call) bool { return k.Key() == c.Key() }); i >= 0 {
			before = known[i]
		}
		if before.Version != c.Version || before.Status != c.Status {
			news = append(news, News{c, untold(before, c, user)})
		}
	}
	return news, nil
}

// untold is what a person has to be told of a call that is known as it was
// before, or, if that is zero, not at all.
func untold(before, c usher.Call, user string) []Notice {
	caller, callee := c.Caller.User, c.Callee.User
	fresh := before.Status == ""
	var all []Notice
	switch {
	case before.Status == c.Status, before.Answered() && c.Answered():
	case !c.Live() && !fresh:
		by := Device{User: c.EndedBy}
		if by.User == caller {
			by.ID = c.Caller.Device
		}
		if !c.AcceptedAt.IsZero() {
			before.Status = usher.CallAccepted
		}
		all = endNotices(before, c, end{reason: c.Reason, by: by})
	case c.Answered() && !fresh:
		all = takeNotices(c, "")
	case c.Ringing() && fresh:
		all = []Notice{inviteNotice(c)}
	case c.Ringing() && !c.Request:
		all = []Notice{{Action: Ringing, To: caller, Device: c.Caller.Device, From: callee}}
	}
	return slices.DeleteFunc(all, func(n Notice) bool { return n.To != user })
}
