package dynamostore

import (
	"context"
	"errors"
	"strings"

	"usher"
	"usher/internal/store"
)

type stays struct{ db *DB }

var _ store.Stays = stays{}

// Stays are in the partition of their room, in the order of the rest of their
// keys. Their indexes are of all of them, and of those that are due on a platform.
const (
	stayPrefix = "stay|"
	allStays   = "stays"
	dueStays   = "due-stays-"
)

var stayKind = kind[usher.Stay]{
	key: func(db *DB, s *usher.Stay) key { return stayKey(db, s.Key()) },
	fields: func(a *archive, s *usher.Stay) {
		text(a, "app", &s.App)
		text(a, "room", &s.Room)
		text(a, "platform", &s.Platform)
		text(a, "identity", &s.Identity)
		text(a, "subject", &s.Subject)
		text(a, "maker", &s.Maker)
		a.stamp("provenAt", &s.ProvenAt)
		text(a, "grant", &s.Grant)
		text(a, "participant", &s.Participant)
		a.stamp("expires", &s.Expires)
		a.stamp("over", &s.Over)
		text(a, "reason", &s.Reason)
		a.stamp("due", &s.Due)
		number(a, "attempts", &s.Attempts)
		text(a, "failure", &s.Failure)
		a.stamp("done", &s.Done)
		number(a, "version", &s.Version)
	},
	entries: func(_ *DB, s *usher.Stay) []entry {
		room := roomPartition(s.RoomKey())
		list := []entry{{slot: "all", hash: sharded(allStays, room), order: stayOrder(s.Key())}}
		if !s.Due.IsZero() {
			list = append(list, entry{slot: "due", hash: sharded(dueStays+s.Platform, room), order: order(s.Due)})
		}
		return list
	},
	version: func(s *usher.Stay) *int64 { return &s.Version },
}

// inRoom sorts as what tells the stays of a room apart.
func inRoom(k usher.StayKey) string { return columns(k.Platform, k.Identity, k.Subject) }

func stayOrder(k usher.StayKey) string { return columns(k.App, string(k.Room)) + "\x01" + inRoom(k) }

// columns is text that sorts as its parts do, one after the other.
func columns(parts ...string) string {
	for i, p := range parts {
		parts[i] = control.Replace(p)
	}
	return strings.Join(parts, "\x01")
}

// control keeps out what stands between parts.
var control = strings.NewReplacer("%", "%25", "\x01", "%01")

func stayKey(db *DB, k usher.StayKey) key {
	return key{db.own, roomPartition(usher.RoomKey{App: k.App, ID: k.Room}), stayPrefix + inRoom(k)}
}

func (s stays) Change(ctx context.Context, k usher.StayKey, change func(usher.Stay) (usher.Stay, error)) (usher.Stay, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Stay{}, err
	}
	defer done()
	at := stayKey(s.db, k)
	leave, err := s.db.queues.enter(ctx, at)
	if err != nil {
		return usher.Stay{}, err
	}
	defer leave()
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		next, err := s.changeOnce(ctx, at, k, change)
		if !errors.Is(err, errConflict) {
			return next, err
		}
		if err := s.db.pause(ctx, wait); err != nil {
			return usher.Stay{}, err
		}
	}
}

func (s stays) changeOnce(ctx context.Context, at key, k usher.StayKey, change func(usher.Stay) (usher.Stay, error)) (usher.Stay, error) {
	old := usher.Stay{App: k.App, Room: k.Room, Platform: k.Platform, Identity: k.Identity, Subject: k.Subject}
	i, err := s.db.get(ctx, at)
	if err == nil && isThere(i) {
		old, err = unpack(i, stayKind.fields)
	}
	if err != nil {
		return usher.Stay{}, err
	}
	next, err := change(old)
	switch {
	case errors.Is(err, store.ErrUnchanged):
		return old, nil
	case errors.Is(err, store.ErrDelete) && !isThere(i):
		return old, nil
	case errors.Is(err, store.ErrDelete):
		return old, s.db.erase(ctx, at, i, stayKind.entries(s.db, &old))
	case err != nil:
		return usher.Stay{}, err
	}
	u, err := s.update(at, i, &next)
	if err == nil && u != nil {
		err = s.db.commit(ctx, u)
	}
	if err != nil {
		return usher.Stay{}, err
	}
	return next, nil
}

// update prepares what a change function made of a stay, or of none.
func (s stays) update(at key, i item, next *usher.Stay) (*update, error) {
	if isThere(i) {
		return stayKind.update(s.db, at, i, next)
	}
	if stayKey(s.db, next.Key()) != at {
		return nil, errKeyChanged
	}
	next.Version = 1
	u := &update{key: at, old: i, next: pack(at.attributes(), stayKind.fields, next)}
	return u, s.db.index(u, nil, stayKind.entries(s.db, next))
}

func (s stays) List(ctx context.Context, q store.StayQuery) ([]usher.Stay, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if q.Room != (usher.RoomKey{}) {
		low := stayPrefix
		if q.After != (usher.StayKey{}) {
			low += inRoom(q.After) + "\x00"
		}
		in := span{table: s.db.own, hash: roomPartition(q.Room), low: low, high: stayPrefix + "\U0010ffff"}
		return records(ctx, s.db, in, q.Limit, stayKind.fields)
	}
	var in span
	if q.After != (usher.StayKey{}) {
		in.low = stayOrder(q.After) + beyond
	}
	return s.found(s.db.merged(ctx, s.db.own, allStays, in, q.Limit))
}

func (s stays) found(fs []found, err error) ([]usher.Stay, error) {
	var list []usher.Stay
	for _, f := range fs {
		stay, err := unpack(f.head, stayKind.fields)
		if err != nil {
			return nil, err
		}
		list = append(list, stay)
	}
	return list, err
}

func (s stays) Due(ctx context.Context, platform string, limit int) ([]usher.Stay, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return s.found(s.db.merged(ctx, s.db.own, dueStays+platform, span{}, limit))
}
