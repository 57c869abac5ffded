package signaling

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/socket"
)

// user is a person who has a session on this node.
type user struct {
	hub *Hub
	userKey
	issuer string
	// id is what the user's own kind calls the user, those with tokens of the same
	// issuer.
	id string
	// names are for messages, once there is one.
	names atomic.Pointer[names]
	// shown is the status that others were told last.
	shown atomic.Int32

	// load is done when mutual was read for the first time.
	load sync.Once

	mu       sync.Mutex
	gone     bool // it is not in Hub.users any more
	holds    int  // sessions, and those that are about to be
	sessions []*session
	name     string
	email    string
	mutual   []string     // those who may know whether the user is there, in order; it is replaced, never changed
	calls    []usher.Call // those that have not ended
	news     uint64       // how often there was news of them
}

// hold returns the user of an identity, who stays until free is called as often.
func (h *Hub) hold(id usher.Identity) *user {
	key := userKey{id.App, id.Key()}
	for {
		h.mu.Lock()
		u := h.users[key]
		if u == nil {
			u = &user{hub: h, userKey: key, issuer: id.Issuer, id: usher.UserID(id.Issuer, key.key)}
			h.users[key] = u
		}
		h.mu.Unlock()
		u.mu.Lock()
		if !u.gone {
			u.holds++
			u.name, u.email = id.Name, id.Email
			u.mu.Unlock()
			u.load.Do(u.meet)
			return u
		}
		u.mu.Unlock()
	}
}

// free gives up what hold took.
func (u *user) free() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.holds--; u.holds > 0 {
		return
	}
	u.gone = true
	u.hub.mu.Lock()
	defer u.hub.mu.Unlock()
	delete(u.hub.users, u.userKey)
}

// idFor returns what a reader calls the user of a key.
func (u *user) idFor(key string) string { return usher.UserID(u.issuer, key) }

// names are how messages name a user, as JSON: id to the user's own kind, and key
// to everybody else.
type names struct{ id, key []byte }

func (u *user) named() *names {
	n := u.names.Load()
	if n == nil {
		n = &names{marshal(u.id), marshal(u.key)}
		u.names.Store(n)
	}
	return n
}

// from returns how the user is named to whoever has that key, as JSON.
func (u *user) from(reader string) []byte {
	if usher.UserID(u.issuer, reader) != reader {
		return u.named().id
	}
	return u.named().key
}

// isPerson reports whether the user is one whom an issuer vouches for, who alone
// has contacts and calls; the others are guests.
func (u *user) isPerson() bool { return strings.HasPrefix(u.key, string(usher.UserIdentity)+":") }

// meet reads whom the user knows.
func (u *user) meet() {
	if u.isPerson() {
		u.study()
	}
}

// contactChanged hears of every entry that was made or that is gone.
func (h *Hub) contactChanged(c access.ContactChange) {
	if owner := h.user(c.App, c.Owner); owner != nil {
		owner.send(contactsChanged, "")
		h.tend.restudy(owner)
	}
	if u := h.user(c.App, c.User); u != nil {
		h.tend.restudy(u)
	}
}

var contactsChanged = message{Action: "contacts.changed", Payload: struct{}{}}.prepare()

// send queues a message for all of the user's connections, or for the one of
// that handle, and returns how many there were.
func (u *user) send(m socket.Prepared, handle string) (sent int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range u.sessions {
		if s.link != nil && (handle == "" || s.handle == handle) && s.link.conn.SendPrepared(m) == nil {
			sent++
		}
	}
	return sent
}

// open counts the user's sessions that have a socket. The caller holds u.mu.
func (u *user) open() (n int) {
	for _, s := range u.sessions {
		if s.link != nil {
			n++
		}
	}
	return n
}

// status computes what the user is now.
func (u *user) status(now time.Time) status {
	u.mu.Lock()
	defer u.mu.Unlock()
	at, away := offline, true
	for _, s := range u.sessions {
		if s.present(now) {
			at = online
			away = away && s.away
		}
	}
	switch {
	case at == offline:
		return offline
	case u.inCall():
		return busy
	case away:
		return awayFrom
	}
	return online
}

// inCall reports whether the user is in a call. The caller holds u.mu.
func (u *user) inCall() bool {
	for _, c := range u.calls {
		if c.Answered() {
			return true
		}
	}
	return false
}
