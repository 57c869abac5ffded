package dynamostore

import (
	"context"
	"errors"
	"strings"
	"time"

	"usher"
	"usher/internal/store"
)

// The attributes by which a room and its participants change together.
//
// An update of a room's head that changes a participant has the whole item of
// that in pendingAttribute, which is the moment in which both change. The item is
// then written to its own place, and the attribute taken out. Whoever finds one
// takes it for the participant, and nobody puts another in its place before it
// is written.
const (
	pendingAttribute = "pending"
	// sinceAttribute is the revision of the room at which the participant became
	// what it is.
	sinceAttribute = "roomRev"
)

// The indexes of participants.
const (
	participantPrefix = "participant|"
	heldParticipants  = "held-participants"
	socketNodes       = "participant-sockets"
)

var participantKind = kind[usher.Participant]{
	key: func(db *DB, p *usher.Participant) key { return participantKey(db, p.Key()) },
	fields: func(a *archive, p *usher.Participant) {
		text(a, "app", &p.App)
		text(a, "room", &p.Room)
		text(a, "id", &p.ID)
		text(a, "status", &p.Status)
		text(a, "role", &p.Role)
		text(a, "name", &p.Name)
		text(a, "identity", &p.Identity)
		text(a, "maker", &p.Maker)
		a.stamp("provenAt", &p.ProvenAt)
		text(a, "grant", &p.Grant)
		a.stamp("expires", &p.Expires)
		a.digest("secret", &p.Secret)
		a.digest("token", &p.Token)
		text(a, "hold", &p.Hold)
		a.stamp("heldUntil", &p.HeldUntil)
		text(a, "attachment", &p.Attachment)
		text(a, "node", &p.Node)
		a.stamp("lostAt", &p.LostAt)
		a.stamp("updatedAt", &p.UpdatedAt)
		text(a, "endReason", &p.EndReason)
		number(a, "version", &p.Version)
	},
	entries: func(_ *DB, p *usher.Participant) []entry {
		var list []entry
		if !p.HeldUntil.IsZero() {
			list = append(list, entry{slot: "held", hash: sharded(heldParticipants, string(p.ID)), order: order(p.HeldUntil)})
		}
		if p.Hold == usher.SocketHold {
			list = append(list, entry{slot: "node", hash: sharded(socketNodes, string(p.ID)), order: string(p.Node)})
		}
		return list
	},
	version: func(p *usher.Participant) *int64 { return &p.Version },
}

func participantKey(db *DB, k usher.ParticipantKey) key {
	return key{db.own, roomPartition(roomOf(k)), participantPrefix + orderOf(k.ID)}
}

func roomOf(k usher.ParticipantKey) usher.RoomKey { return usher.RoomKey{App: k.App, ID: k.Room} }

// participant returns the item of a participant as of a room's item, nil if there
// is none. It returns errConflict if it has changed since.
func (s rooms) participant(ctx context.Context, room item, at key) (item, error) {
	if p := room.part(pendingAttribute); p != nil && at.table.keyOf(p) == at {
		return p, nil
	}
	p, err := s.db.get(ctx, at)
	if err == nil && p.number(sinceAttribute) > room.number(revAttribute) {
		err = errConflict
	}
	return p, err
}

// pending returns the item that a participant is about to have, nil if it is none.
func (s rooms) pending(ctx context.Context, at key) (item, error) {
	if at.table != s.db.own || !strings.HasPrefix(at.sort, participantPrefix) {
		return nil, nil
	}
	room, err := s.db.get(ctx, key{s.db.own, at.hash, roomSort})
	if p := room.part(pendingAttribute); p != nil && at.table.keyOf(p) == at {
		return p, err
	}
	return nil, err
}

// entry returns both items as of one moment.
func (s rooms) entry(ctx context.Context, k usher.ParticipantKey) (room, p item, err error) {
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		if room, err = s.db.get(ctx, roomKey(s.db, roomOf(k))); err != nil {
			return nil, nil, err
		}
		if isThere(room) {
			p, err = s.participant(ctx, room, participantKey(s.db, k))
		}
		if err == nil && p == nil {
			err = store.ErrNotFound
		}
		if !errors.Is(err, errConflict) {
			return room, p, err
		}
		if err := s.db.pause(ctx, wait); err != nil {
			return nil, nil, err
		}
	}
}

func (s rooms) unpack(room, p item) (e store.Entry, err error) {
	if e.Room, err = unpack(room, roomKind.fields); err != nil {
		return store.Entry{}, err
	}
	e.Participant, err = unpack(p, participantKind.fields)
	return e, err
}

// finish writes the participant that a room's item holds to its place.
func (s rooms) finish(ctx context.Context, room item) error {
	p := room.part(pendingAttribute)
	if p == nil {
		return nil
	}
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		var e expression
		condition := e.is("pk", nil) + " OR " + e.name(sinceAttribute) + " < " + e.value(p[sinceAttribute])
		_, err := s.db.put(ctx, s.db.own, p, &e, condition)
		if !errors.Is(err, errConflict) {
			return err
		}
		// It was written already. Too much hangs on that to take it for granted.
		there, err := s.db.get(ctx, s.db.own.keyOf(p))
		if err != nil || there.number(sinceAttribute) >= p.number(sinceAttribute) {
			return err
		}
		if err := s.db.pause(ctx, wait); err != nil {
			return err
		}
	}
}

// commit makes an update of a room with one of its participant, which begins
// and ends with it.
func (s rooms) commit(ctx context.Context, u, p *update) error {
	if err := s.finish(ctx, u.old); err != nil {
		return err
	}
	p.next[sinceAttribute] = numberValue(u.old.number(revAttribute) + 1)
	u.next[pendingAttribute] = partValue(p.next)
	u.puts, u.drops = append(u.puts, p.puts...), append(u.drops, p.drops...)
	if err := s.db.commit(ctx, u); err != nil {
		return err
	}
	// It has happened. What is not done now, whoever comes next does.
	ctx = context.WithoutCancel(ctx)
	err := s.finish(ctx, u.next)
	if err == nil {
		var e expression
		condition := e.name(pendingAttribute) + "." + e.name(sinceAttribute) + " = " + e.value(p.next[sinceAttribute])
		_, err = s.db.revise(ctx, u.key, item{pendingAttribute: u.next[pendingAttribute]}, nil, &e, condition)
	}
	if err != nil && !errors.Is(err, errConflict) {
		s.db.log.WarnContext(ctx, "a participant could not be written to its place; whoever changes the room next does", "error", err)
	}
	return nil
}

func (s rooms) Enter(ctx context.Context, p usher.Participant, change func(usher.Room) (usher.Room, error)) (store.Entry, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	defer done()
	var next store.Entry
	err = s.changing(ctx, p.RoomKey(), func(at key, i item) error {
		old, err := roomKind.unpack(s.db, at, i)
		if err != nil {
			return err
		}
		room, err := change(old)
		switch {
		case errors.Is(err, store.ErrUnchanged):
			next = store.Entry{Room: old}
			return nil
		case err != nil:
			return err
		}
		mine := &update{key: participantKey(s.db, p.Key())}
		switch there, err := s.participant(ctx, i, mine.key); {
		case err != nil:
			return err
		case there != nil:
			return store.ErrExists
		}
		u, err := s.update(at, i, &room)
		if err != nil {
			return err
		}
		mine.next = pack(mine.key.attributes(), participantKind.fields, &p)
		if err := s.db.index(mine, nil, participantKind.entries(s.db, &p)); err != nil {
			return err
		}
		next = store.Entry{Room: room, Participant: p}
		return s.commit(ctx, u, mine)
	})
	if err != nil {
		return store.Entry{}, err
	}
	return next, nil
}

// update prepares an update of a room, also if nothing of it changes: one of its
// participants does.
func (s rooms) update(at key, i item, next *usher.Room) (*update, error) {
	u, err := roomKind.update(s.db, at, i, next)
	if err == nil && u == nil {
		u = &update{key: at, old: i, next: pack(i, roomKind.fields, next)}
	}
	return u, err
}

func (s rooms) Participant(ctx context.Context, k usher.ParticipantKey) (store.Entry, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	defer done()
	room, p, err := s.entry(ctx, k)
	if err != nil {
		return store.Entry{}, err
	}
	return s.unpack(room, p)
}

func (s rooms) Participants(ctx context.Context, q store.ParticipantQuery) ([]usher.Participant, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	room, err := s.db.get(ctx, roomKey(s.db, q.Room))
	if err != nil {
		return nil, err
	}
	if !isThere(room) {
		return nil, store.ErrNotFound
	}
	if err := s.finish(ctx, room); err != nil {
		return nil, err
	}
	var list []usher.Participant
	in := span{table: s.db.own, hash: roomPartition(q.Room), low: participantPrefix + orderOf(q.After) + beyond, high: participantPrefix + "~"}
	err = s.db.each(ctx, in, pageOf(q.Limit), func(items []item) (bool, error) {
		for _, i := range items {
			p, err := unpack(i, participantKind.fields)
			if err != nil {
				return false, err
			}
			if q.Status == "" || p.Status == q.Status {
				list = append(list, p)
			}
			if q.Limit > 0 && len(list) == q.Limit {
				return false, nil
			}
		}
		return true, nil
	})
	return list, err
}

func (s rooms) Change(ctx context.Context, k usher.ParticipantKey, change func(store.Entry) (store.Entry, error)) (store.Entry, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	defer done()
	var next store.Entry
	err = s.changing(ctx, roomOf(k), func(at key, i item) error {
		mine := participantKey(s.db, k)
		p, err := s.participant(ctx, i, mine)
		if err == nil && p == nil {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		old, err := s.unpack(i, p)
		if err != nil {
			return err
		}
		next, err = change(old)
		switch {
		case errors.Is(err, store.ErrUnchanged):
			next = old
			return nil
		case err != nil:
			return err
		}
		return s.change(ctx, at, i, mine, p, &next)
	})
	if err != nil {
		return store.Entry{}, err
	}
	return next, nil
}

// change writes what a change function made of an entry.
func (s rooms) change(ctx context.Context, room key, i item, mine key, p item, next *store.Entry) error {
	up, err := participantKind.update(s.db, mine, p, &next.Participant)
	if err != nil {
		return err
	}
	if up != nil {
		u, err := s.update(room, i, &next.Room)
		if err != nil {
			return err
		}
		return s.commit(ctx, u, up)
	}
	u, err := roomKind.update(s.db, room, i, &next.Room)
	if err != nil || u == nil {
		return err
	}
	if err := s.finish(ctx, i); err != nil {
		return err
	}
	delete(u.next, pendingAttribute)
	return s.db.commit(ctx, u)
}

func (s rooms) DueParticipants(ctx context.Context, now time.Time, limit int) ([]usher.ParticipantKey, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	fs, err := s.db.overdue(ctx, s.db.own, heldParticipants, order(now)+beyond, limit)
	return keysOf(fs, err, participantOf)
}

func (s rooms) Stranded(ctx context.Context, alive []usher.ID, limit int) ([]usher.ParticipantKey, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	fs, err := s.db.elsewhere(ctx, s.db.own, socketNodes, alive, limit)
	return keysOf(fs, err, participantOf)
}

func participantOf(f found) usher.ParticipantKey {
	return usher.ParticipantKey{App: f.head.text("app"), Room: usher.ID(f.head.text("room")), ID: usher.ID(f.head.text("id"))}
}
