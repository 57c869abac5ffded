package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"usher"
	"usher/internal/store"
)

type sessions struct{ db *DB }

var _ store.Sessions = sessions{}

// sessionBody is what of a session no query asks for.
type sessionBody struct {
	Who    usher.Identity `json:"who"`
	Passes []usher.Pass   `json:"passes"`
}

// bodyField scans and stores the body of a session.
type bodyField struct{ s *usher.Session }

// Scan implements [database/sql.Scanner].
func (f bodyField) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("the body of a session is stored as %T", v)
	}
	var body sessionBody
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		return fmt.Errorf("the body of a session: %w", err)
	}
	f.s.Who, f.s.Passes = body.Who, body.Passes
	return nil
}

func bodyOf(s *usher.Session) string {
	body, err := json.Marshal(sessionBody{s.Who, s.Passes})
	if err != nil {
		panic(err) // strings and times
	}
	return string(body)
}

var sessionMapping = mapping[usher.Session]{
	table: "sessions",
	columns: []string{
		"token", "id", "made", "app", "identity", "user_name", "body", "expires_at", "updated_at", "version",
	},
	keys: 1,
	fields: func(s *usher.Session) []any {
		return []any{
			(*digest)(&s.Token), (*string)(&s.ID), discard{}, &s.App, discard{}, &s.User, bodyField{s},
			stampField{&s.Expires}, stampField{&s.UpdatedAt}, &s.Version,
		}
	},
	values: func(s *usher.Session) []any {
		return []any{
			digest(s.Token), string(s.ID), made(s.ID), s.App, s.Who.Key(), s.User, bodyOf(s),
			s.Expires.UnixMicro(), stamp(s.UpdatedAt), s.Version,
		}
	},
	version: func(s *usher.Session) *int64 { return &s.Version },
}

var (
	selectSession    = sessionMapping.query("WHERE token = $1")
	selectSessionsOf = sessionMapping.query("WHERE app = $1 AND identity = $2 AND (made, id) > ($3, $4) ORDER BY made, id LIMIT $5")
)

const sweepSessions = "DELETE FROM sessions WHERE token IN (SELECT token FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)"

func cutSession(s *usher.Session) {
	cut(&s.Expires, &s.UpdatedAt, &s.Who.IssuedAt, &s.Who.Expires)
}

func (s sessions) Create(ctx context.Context, made usher.Session) error {
	cutSession(&made)
	return s.db.writer.do(ctx, func(t *tx) error { return sessionMapping.insert(t, &made) })
}

func (s sessions) Get(ctx context.Context, token usher.Digest) (usher.Session, error) {
	return one(ctx, s.db.reader, sessionMapping.fields, selectSession, digest(token)) // NULL equals nothing
}

func (s sessions) Of(ctx context.Context, app, identity string, after usher.ID, n int) ([]usher.Session, error) {
	return all(ctx, s.db.reader, sessionMapping.fields, selectSessionsOf, app, identity, made(after), string(after), limit(n))
}

func (s sessions) Update(ctx context.Context, token usher.Digest, change func(usher.Session) (usher.Session, error)) (usher.Session, error) {
	return write(ctx, s.db.writer, func(t *tx) (usher.Session, error) {
		old, err := one(context.Background(), t, sessionMapping.fields, selectSession, digest(token))
		if err != nil {
			return usher.Session{}, err
		}
		next, err := change(old)
		switch {
		case errors.Is(err, store.ErrUnchanged):
			return old, nil
		case err != nil:
			return usher.Session{}, err
		}
		cutSession(&next)
		if err := sessionMapping.update(t, &old, &next); err != nil {
			return usher.Session{}, err
		}
		return next, nil
	})
}

func (s sessions) Sweep(ctx context.Context, now time.Time, n int) (int, error) {
	return write(ctx, s.db.writer, func(t *tx) (int, error) {
		return t.affect(sweepSessions, now.UnixMicro(), limit(n))
	})
}
