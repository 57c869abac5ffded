package collab

import (
	"cmp"
	"slices"
	"time"

	"usher"
)

// Presence is what one user shows under one key.
type Presence struct {
	User, Key string
	Value     string // JSON text
	Expires   time.Time

	frame any
}

// Frame returns what encode made of the presence, once for all peers, as
// [Update.Frame] does.
func (p *Presence) Frame(encode func() any) any {
	if p.frame == nil {
		p.frame = encode()
	}
	return p.frame
}

// Gone is a user who has left a room.
type Gone struct {
	User string

	frame any
}

// Frame returns what encode made of the news, once for all peers, as
// [Update.Frame] does.
func (g *Gone) Frame(encode func() any) any {
	if g.frame == nil {
		g.frame = encode()
	}
	return g.frame
}

// people are the users of a room, by what they are called. It belongs to the
// room's goroutine.
type people map[string]*person

type person struct {
	peers int // how many connections the user has
	shows map[string]*Presence
	bytes int
	// until is when a user without connections is gone; zero if there are any.
	until time.Time
}

// presenceCost is what a presence weighs beside its key and value, about.
const presenceCost = 64

func (p *Presence) weight() int { return presenceCost + len(p.Key) + len(p.Value) }

var errPresenceFull = usher.Errorf(usher.TooLarge, "presence_too_large", "You show more in this room than you may; show less, or for a shorter time.")

// come counts one more connection of a user.
func (ps people) come(user string) {
	p := ps[user]
	if p == nil {
		p = &person{shows: make(map[string]*Presence)}
		ps[user] = p
	}
	p.peers++
	p.until = time.Time{}
}

// leave counts one connection less. A user without any is gone at the given time.
func (ps people) leave(user string, until time.Time) {
	p := ps[user]
	if p.peers--; p.peers == 0 {
		p.until = until
	}
}

// overdue returns the users who are gone at now and takes them out, and when the
// next one will be; zero is never.
func (ps people) overdue(now time.Time) (gone []string, next time.Time) {
	for user, p := range ps {
		switch {
		case p.until.IsZero():
		case !now.Before(p.until):
			delete(ps, user)
			gone = append(gone, user)
		case next.IsZero() || p.until.Before(next):
			next = p.until
		}
	}
	return gone, next
}

// show sets what a user who is there shows. What has expired makes room.
func (ps people) show(p *Presence, limit int, now time.Time) *usher.Error {
	user := ps[p.User]
	bytes := user.bytes + p.weight()
	if old := user.shows[p.Key]; old != nil {
		bytes -= old.weight()
	}
	if limit > 0 && bytes > limit {
		for key, old := range user.shows {
			if key != p.Key && !now.Before(old.Expires) {
				delete(user.shows, key)
				user.bytes -= old.weight()
				bytes -= old.weight()
			}
		}
	}
	if limit > 0 && bytes > limit {
		return errPresenceFull
	}
	user.shows[p.Key], user.bytes = p, bytes
	return nil
}

// list returns what is shown at now, by key and then by user.
func (ps people) list(now time.Time) []Presence {
	var list []Presence
	for _, user := range ps {
		for _, p := range user.shows {
			if now.Before(p.Expires) {
				list = append(list, Presence{User: p.User, Key: p.Key, Value: p.Value, Expires: p.Expires})
			}
		}
	}
	slices.SortFunc(list, func(a, b Presence) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.User, b.User))
	})
	return list
}
