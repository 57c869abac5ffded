package agora

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// read007 reports on a token that says everything itself.
func (i *inspector) read007(s Signed007) {
	i.Claims = map[string]any{"salt": s.Salt}
	i.signer(s.AppID, s.Verify)
	i.IssuedAt = unix(s.IssuedAt)
	ends := i.IssuedAt.Add(time.Duration(s.Lifetime) * time.Second)
	i.ExpiresAt = i.IssuedAt.Add(min(ends.Sub(i.IssuedAt), maxLifetime))
	i.times007(s, ends)

	var services []map[string]any
	for _, service := range s.Services {
		services = append(services, i.service(s, service))
	}
	i.Claims["services"] = services
	if len(s.Unread) > 0 {
		i.problem("The token has a service of a type that is not known here, number %d; it and what follows were not read.", le.Uint16(s.Unread))
	}
	if len(s.Services) == 0 && len(s.Unread) == 0 {
		i.problem("The token has no service, so that it allows nothing.")
	}
}

// times007 says what is wrong with when the token begins and ends.
func (i *inspector) times007(s Signed007, ends time.Time) {
	switch {
	case s.Lifetime == 0:
		i.problem("The token has a lifetime of 0 seconds: it was never valid.")
	case !i.now.Before(i.ExpiresAt):
		i.problem("The token expired at %s, %v ago.", at(i.ExpiresAt), i.now.Sub(i.ExpiresAt).Round(time.Second))
	}
	if ahead := i.IssuedAt.Sub(i.now); ahead > maxSkew {
		i.problem("The token was issued at %s, %v from now: the clock of who made it is wrong, or ours is.", at(i.IssuedAt), ahead.Round(time.Second))
	}
	switch {
	case s.Lifetime > 1e9:
		i.problem("The token has a lifetime of %d seconds, which looks like a point in time; 007 tokens count from when they are issued. Agora ends it after 24 hours.", s.Lifetime)
	case ends.After(i.ExpiresAt):
		i.problem("The token has a lifetime of %d seconds, but Agora ends every token after 24 hours; were it milliseconds, it would be %v.", s.Lifetime, time.Duration(s.Lifetime)*time.Millisecond)
	}
}

// service describes a service, says what is wrong with it, and takes the room
// and the subject from the first that has them.
func (i *inspector) service(s Signed007, service Service) map[string]any {
	l, _ := service.Type.layout()
	said := map[string]any{"service": service.Type.String()}
	if l.channel {
		said["channel"] = service.Channel
		i.Room = cmp.Or(i.Room, service.Channel)
	}
	if l.user {
		said["user"] = service.User
		i.Subject = cmp.Or(i.Subject, service.User)
	}
	if l.role {
		said["role"] = service.Role
	}
	if l.resources {
		said["resources"] = resourceClaims(service.Resources)
	}
	said["privileges"] = i.privileges(s, service)
	switch {
	case service.Type == RTC:
		if !slices.ContainsFunc(service.Privileges, func(p Privilege) bool { return p.ID == JoinChannel }) {
			i.problem("The token does not allow to join its channel.")
		}
		i.names(service.Channel, service.User)
	case l.user && i.user != "" && i.user != service.User:
		i.problem("The token is for the %s user %q, not %q.", service.Type, service.User, i.user)
	}
	return said
}

// privileges returns when each privilege of a service ends.
func (i *inspector) privileges(s Signed007, service Service) map[string]string {
	said := make(map[string]string)
	for _, p := range service.Privileges {
		name := service.Type.privilegeName(p.ID)
		expires := i.ExpiresAt
		if p.Expires != 0 {
			expires = unix(s.IssuedAt).Add(time.Duration(p.Expires) * time.Second)
			i.privilege(service.Type.String()+" "+name, expires)
		}
		said[name] = earlier(expires, i.ExpiresAt).Format(time.RFC3339)
		if service.Type == Chat && p.ID == ChatApp || service.Type == APaaS && p.ID == APaaSApp {
			i.problem("The token is an administrator's of %s: no client may have it.", service.Type)
		}
	}
	return said
}

// names says what is wrong with the names in an RTC service, by themselves and
// for whom the token is meant to be.
func (i *inspector) names(channel, user string) {
	switch {
	case channel == "":
		i.problem("The token names no channel.")
	case channel == "*":
		i.problem("The token is for every channel.")
	case i.channel != "" && i.channel != channel:
		i.problem("The token is for the channel %q, not %q.", channel, i.channel)
	case checkChannel(channel) != nil:
		i.problem("Agora does not allow the channel name %q.", channel)
	}
	_, isUID := parseUID(user)
	switch {
	case user == "":
		i.problem("The token was made for uid 0: whoever has it can join as any user.")
	case i.user == "0":
		i.problem("The token is for %q: who joins with uid 0 is given another uid, and refused.", user)
	case i.user != "" && i.user != user:
		i.problem("The token is for the user %q, not %q.", user, i.user)
	case !isUID && looksNumeric(user):
		i.problem("The token is for %q, which is no uid but looks like one: it works only as an account, spelled exactly so.", user)
	case checkUser(user, maxAccount) != nil:
		i.problem("Agora does not allow the account %q.", user)
	default:
		i.Claims["joinAs"] = joinAs(channel, user, isUID)
	}
}

// joinAs says what a client must join with: with anything else a sound token
// is refused.
func joinAs(channel, user string, isUID bool) string {
	if isUID {
		return fmt.Sprintf("channel %q with uid %s; with uid 0, none or another Agora says that the token is invalid", channel, user)
	}
	return fmt.Sprintf("channel %q with the account %q; with a uid or another account Agora says that the token is invalid", channel, user)
}

func resourceClaims(resources []Resource) []map[string]any {
	said := make([]map[string]any, len(resources))
	for n, r := range resources {
		said[n] = map[string]any{"type": r.Type, "permission": r.Permission, "names": r.Names}
	}
	return said
}
