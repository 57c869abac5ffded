package sqlstore

import (
	"context"
	"errors"

	"usher"
	"usher/internal/store"
)

type stays struct{ db *DB }

var _ store.Stays = stays{}

var stayMapping = mapping[usher.Stay]{
	table: "stays",
	columns: []string{
		"app", "room", "platform", "identity", "subject", "maker", "proven_at", "grant_id", "participant",
		"expires_at", "over_at", "reason", "due", "attempts", "failure", "done_at", "version",
	},
	keys: 5,
	fields: func(s *usher.Stay) []any {
		return []any{
			&s.App, (*string)(&s.Room), &s.Platform, &s.Identity, &s.Subject, &s.Maker, stampField{&s.ProvenAt}, (*string)(&s.Grant), (*string)(&s.Participant),
			stampField{&s.Expires}, stampField{&s.Over}, &s.Reason, stampField{&s.Due}, &s.Attempts, &s.Failure, stampField{&s.Done}, &s.Version,
		}
	},
	values: func(s *usher.Stay) []any {
		return []any{
			s.App, string(s.Room), s.Platform, s.Identity, s.Subject, s.Maker, stamp(s.ProvenAt), string(s.Grant), string(s.Participant),
			stamp(s.Expires), stamp(s.Over), s.Reason, stamp(s.Due), int64(s.Attempts), s.Failure, stamp(s.Done), s.Version,
		}
	},
	version: func(s *usher.Stay) *int64 { return &s.Version },
}

const stayKey = "app = $1 AND room = $2 AND platform = $3 AND identity = $4 AND subject = $5"

var (
	selectStay        = stayMapping.query("WHERE " + stayKey)
	selectStays       = stayMapping.query("WHERE (app, room, platform, identity, subject) > ($1, $2, $3, $4, $5) ORDER BY app, room, platform, identity, subject LIMIT $6")
	selectStaysOfRoom = stayMapping.query("WHERE app = $1 AND room = $2 AND (platform, identity, subject) > ($3, $4, $5) ORDER BY platform, identity, subject LIMIT $6")
	selectStaysDue    = stayMapping.query("WHERE platform = $1 AND due IS NOT NULL ORDER BY due LIMIT $2")
)

const deleteStay = "DELETE FROM stays WHERE " + stayKey

func stayArgs(key usher.StayKey) []any {
	return []any{key.App, string(key.Room), key.Platform, key.Identity, key.Subject}
}

func (s stays) Change(ctx context.Context, key usher.StayKey, change func(usher.Stay) (usher.Stay, error)) (usher.Stay, error) {
	return write(ctx, s.db.writer, func(t *tx) (usher.Stay, error) {
		old, err := one(context.Background(), t, stayMapping.fields, selectStay, stayArgs(key)...)
		missing := errors.Is(err, store.ErrNotFound)
		if missing {
			old = usher.Stay{App: key.App, Room: key.Room, Platform: key.Platform, Identity: key.Identity, Subject: key.Subject}
		} else if err != nil {
			return usher.Stay{}, err
		}
		next, err := change(old)
		switch {
		case errors.Is(err, store.ErrUnchanged):
			return old, nil
		case errors.Is(err, store.ErrDelete):
			return old, t.exec(deleteStay, stayArgs(key)...)
		case err != nil:
			return usher.Stay{}, err
		}
		cut(&next.ProvenAt, &next.Expires, &next.Over, &next.Due, &next.Done)
		if missing {
			err = insertStay(t, key, &next)
		} else {
			err = stayMapping.update(t, &old, &next)
		}
		return next, err
	})
}

// insertStay makes the stay that a change function was given by its key.
func insertStay(t *tx, key usher.StayKey, s *usher.Stay) error {
	if s.Key() != key {
		return errKeyChanged
	}
	s.Version = 1
	return stayMapping.insert(t, s)
}

func (s stays) List(ctx context.Context, q store.StayQuery) ([]usher.Stay, error) {
	text, args := selectStays, stayArgs(q.After)
	if q.Room != (usher.RoomKey{}) {
		text = selectStaysOfRoom
		args[0], args[1] = q.Room.App, string(q.Room.ID)
	}
	return all(ctx, s.db.reader, stayMapping.fields, text, append(args, limit(q.Limit))...)
}

func (s stays) Due(ctx context.Context, platform string, n int) ([]usher.Stay, error) {
	return all(ctx, s.db.reader, stayMapping.fields, selectStaysDue, platform, limit(n))
}
