package storetest

import (
	"time"

	"usher"
	"usher/internal/store"
)

var clientTests = []test{
	{"every field of a client is kept", func(s *suite) {
		full := s.client(func(c *usher.Client) {
			c.Scopes = usher.Scopes{usher.MeetingRead, "other:scope"}
			c.APIKey, c.Expires, c.LastUsed = usher.Secret("key").Digest(), start.Add(time.Hour), start
			c.NotBefore, c.RevokedAt, c.Version = start.Add(time.Second), start.Add(time.Minute), 9
		})
		s.wantFull(full)
		bare := s.client(func(c *usher.Client) { c.Name, c.Scopes, c.PublicKey = "bare", nil, "" })
		for _, c := range []usher.Client{full, bare} {
			got, err := s.db.Clients().Get(s.ctx, c.ID)
			s.must(err)
			s.wantEqual("Get", got, c)
		}
	}},
	{"a client that is not there is not found", func(s *suite) {
		_, err := s.db.Clients().Get(s.ctx, s.id())
		s.wantErr("Get", err, store.ErrNotFound)
		_, err = s.db.Clients().Update(s.ctx, s.id(), func(c usher.Client) (usher.Client, error) { return c, nil })
		s.wantErr("Update", err, store.ErrNotFound)
	}},
	{"an id and a name are taken once in an app, until the client is revoked", func(s *suite) {
		c := s.client()
		again := c
		again.Name = "other"
		s.wantErr("Create with the id", s.db.Clients().Create(s.ctx, again), store.ErrExists)
		again.ID, again.Name = s.id(), c.Name
		s.wantErr("Create with the name", s.db.Clients().Create(s.ctx, again), store.ErrExists)
		s.client(func(c *usher.Client) { c.App = "other" })

		_, err := s.db.Clients().Update(s.ctx, c.ID, func(c usher.Client) (usher.Client, error) {
			c.RevokedAt = start
			return c, nil
		})
		s.must(err)
		s.must(s.db.Clients().Create(s.ctx, again))
		_, err = s.db.Clients().Update(s.ctx, c.ID, func(c usher.Client) (usher.Client, error) {
			c.RevokedAt = time.Time{}
			return c, nil
		})
		s.wantErr("Update to a name that is taken", err, store.ErrExists)
	}},
	{"clients are listed in the order of making", func(s *suite) {
		ids := []usher.ID{s.id(), s.id(), s.id()}
		var want [3]usher.Client
		for _, i := range []int{1, 2, 0} {
			want[i] = s.client(func(c *usher.Client) { c.ID, c.Name = ids[i], string(ids[i]) })
		}
		got, err := s.db.Clients().List(s.ctx)
		s.must(err)
		s.wantEqual("List", got, want[:])
	}},
	{"an update writes what the function returns, or nothing", func(s *suite) {
		c := s.client()
		update := func(err error) (usher.Client, error) {
			return s.db.Clients().Update(s.ctx, c.ID, func(c usher.Client) (usher.Client, error) {
				c.PublicKey, c.NotBefore, c.LastUsed, c.Scopes = "new", start.Add(9*time.Nanosecond), start.Add(9*time.Nanosecond), usher.Scopes{usher.MeetingRead}
				return c, err
			})
		}
		want := c
		want.PublicKey, want.NotBefore, want.LastUsed, want.Scopes, want.Version = "new", start, start, usher.Scopes{usher.MeetingRead}, 2
		wantUpdates(s, c, want, update, func() (usher.Client, error) { return s.db.Clients().Get(s.ctx, c.ID) })
	}},
}
