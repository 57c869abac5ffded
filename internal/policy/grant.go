package policy

import (
	"time"

	"usher"
)

// grant fills in what is granted: never more than the standing's role, the
// room's window and the ceiling allow. What was asked for beyond that is cut
// off or refused, as configured.
func (p *Policy) grant(d *usher.Decision, req Request, s standing, now time.Time) *usher.Error {
	if err := p.grantRole(d, req, s); err != nil {
		return err
	}
	if req.Action == EnterMeeting {
		return nil // a place in a VPaaS meeting lasts as long as the meeting
	}
	return p.grantTime(d, req, now)
}

func (p *Policy) grantRole(d *usher.Decision, req Request, s standing) *usher.Error {
	d.Role = s.usual
	if req.Role != "" {
		asked, known := p.roles[req.Role]
		switch {
		case !known:
			return usher.Errorf(usher.Invalid, "role_unknown", "There is no role of that name.")
		case asked.Within(p.roles[s.most]):
			d.Role = req.Role
		case p.config.Excess == Refuse:
			return usher.Errorf(usher.Forbidden, "role_exceeds", "The role that was asked for may do more than you are allowed to in this room; %s is the most.", s.most)
		default:
			d.Role = s.most
			d.Clamped = append(d.Clamped, "role")
		}
	}
	d.Permissions = p.roles[d.Role].And(p.roles[s.most])
	if len(req.Permissions) > 0 {
		switch {
		case req.Permissions.Within(d.Permissions):
		case p.config.Excess == Refuse:
			return usher.Errorf(usher.Forbidden, "permissions_exceed", "The role %s does not have all the permissions that were asked for.", d.Role)
		default:
			d.Clamped = append(d.Clamped, "permissions")
		}
		d.Permissions = d.Permissions.And(req.Permissions)
	}
	if !d.Permissions.Has(usher.Join) {
		return usher.Errorf(usher.Forbidden, "role_cannot_join", "The role %s is not allowed to join.", d.Role)
	}
	return nil
}

func (p *Policy) grantTime(d *usher.Decision, req Request, now time.Time) *usher.Error {
	if req.Lifetime < 0 {
		return usher.Errorf(usher.Invalid, "lifetime_invalid", "The time that was asked for is not positive.")
	}
	d.NotBefore = now
	if req.Room != nil && req.Room.OpensAt.After(now) {
		d.NotBefore = req.Room.OpensAt
	}
	asked := req.Lifetime
	if asked == 0 {
		asked = p.config.Lifetime
		if req.Identity.Kind == usher.ClientIdentity {
			asked = p.config.MaxLifetime // a back end knows its users; it can ask for less
		}
	}
	d.Expires = d.NotBefore.Add(min(asked, p.config.MaxLifetime))
	cut := asked > p.config.MaxLifetime
	if req.Room != nil && !req.Room.ClosesAt.IsZero() && d.Expires.After(req.Room.ClosesAt) {
		d.Expires, cut = req.Room.ClosesAt, true
	}
	if req.Identity.Kind == usher.GuestIdentity && !req.Identity.Expires.IsZero() && d.Expires.After(req.Identity.Expires) {
		d.Expires, cut = req.Identity.Expires, true
	}
	switch {
	case !d.Expires.After(d.NotBefore):
		return usher.Errorf(usher.Forbidden, "window_closed", "The time in which the room can be entered is over.")
	case !cut || req.Lifetime == 0:
		return nil
	case p.config.Excess == Refuse:
		return usher.Errorf(usher.Forbidden, "lifetime_exceeds", "The time that was asked for is longer than is allowed.")
	default:
		d.Clamped = append(d.Clamped, "lifetime")
		return nil
	}
}
