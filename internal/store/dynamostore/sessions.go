package dynamostore

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"usher"
	"usher/internal/store"
)

type sessions struct{ db *DB }

var _ store.Sessions = sessions{}

// expiringSessions is the index of sessions by when they expire.
const expiringSessions = "expiring-sessions"

var sessionKind = kind[usher.Session]{
	key: func(db *DB, s *usher.Session) key { return sessionKey(db, s.Token) },
	fields: func(a *archive, s *usher.Session) {
		a.digest("token", &s.Token)
		text(a, "id", &s.ID)
		text(a, "app", &s.App)
		text(a, "user", &s.User)
		a.session("body", s)
		a.stamp("expires", &s.Expires)
		a.stamp("updatedAt", &s.UpdatedAt)
		number(a, "version", &s.Version)
	},
	entries: func(_ *DB, s *usher.Session) []entry {
		return []entry{
			{slot: "id", hash: join("session-id", string(s.ID)), unique: true},
			{slot: "of", hash: sessionsOf(s.App, s.Who.Key()), order: orderOf(s.ID)},
			{slot: "expires", hash: sharded(expiringSessions, string(s.ID)), order: order(s.Expires)},
		}
	},
	version: func(s *usher.Session) *int64 { return &s.Version },
}

// sessionBody is what of a session no query asks for.
type sessionBody struct {
	Who    usher.Identity `json:"who"`
	Passes []usher.Pass   `json:"passes"`
}

// session keeps the body of a session.
func (a *archive) session(name string, s *usher.Session) {
	if !a.reading {
		cut(&s.Who.IssuedAt, &s.Who.Expires)
		body, err := json.Marshal(sessionBody{s.Who, s.Passes})
		if err != nil {
			panic(err) // strings and times
		}
		encoded := string(body)
		text(a, name, &encoded)
		return
	}
	var encoded string
	var body sessionBody
	text(a, name, &encoded)
	if err := json.Unmarshal([]byte(encoded), &body); err != nil {
		a.err = fmt.Errorf("dynamostore: the body of a session: %w", err)
		return
	}
	s.Who, s.Passes = body.Who, body.Passes
}

func sessionKey(db *DB, token usher.Digest) key {
	return key{db.own, join("session", hex.EncodeToString(token[:])), "session"}
}

func sessionsOf(app, identity string) string { return join("sessions-of", app, identity) }

func (s sessions) Create(ctx context.Context, made usher.Session) error {
	done, err := s.db.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return sessionKind.create(ctx, s.db, made)
}

func (s sessions) Get(ctx context.Context, token usher.Digest) (usher.Session, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Session{}, err
	}
	defer done()
	return sessionKind.read(ctx, s.db, sessionKey(s.db, token))
}

func (s sessions) Of(ctx context.Context, app, identity string, after usher.ID, limit int) ([]usher.Session, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	in := span{hash: sessionsOf(app, identity), low: orderOf(after) + beyond}
	return collect(ctx, s.db, sessionKind, s.db.own, in, limit, nil)
}

func (s sessions) Update(ctx context.Context, token usher.Digest, change func(usher.Session) (usher.Session, error)) (usher.Session, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return usher.Session{}, err
	}
	defer done()
	return sessionKind.change(ctx, s.db, sessionKey(s.db, token), change)
}

func (s sessions) Sweep(ctx context.Context, now time.Time, limit int) (int, error) {
	done, err := s.db.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	fs, err := s.db.overdue(ctx, s.db.own, expiringSessions, order(now), limit)
	if err != nil {
		return 0, err
	}
	return sweep(ctx, s.db, sessionKind, fs)
}
