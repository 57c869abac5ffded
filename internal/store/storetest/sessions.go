package storetest

import (
	"slices"
	"time"

	"usher"
	"usher/internal/store"
)

// session stores a session of user:i#ann; edit may change it before.
func (s *suite) session(edit ...func(*usher.Session)) usher.Session {
	s.Helper()
	id := s.id()
	made := usher.Session{
		Token: usher.Secret(id).Digest(), ID: id, App: usher.DefaultApp, User: "ann",
		Who:     usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "i", Subject: "ann"},
		Expires: start.Add(6 * time.Hour), UpdatedAt: start, Version: 1,
	}
	for _, f := range edit {
		f(&made)
	}
	s.must(s.db.Sessions().Create(s.ctx, made))
	return made
}

func (s *suite) wantSession(what string, want usher.Session) {
	s.Helper()
	got, err := s.db.Sessions().Get(s.ctx, want.Token)
	s.must(err)
	s.wantEqual(what, got, want)
}

var sessionTests = []test{
	{"every field of a session is kept", func(s *suite) {
		full := s.session(func(x *usher.Session) {
			x.User, x.Version = "Zoë \"the\" ann", 7
			x.Who = usher.Identity{
				App: "default", Kind: usher.UserIdentity, Issuer: "https://idp.example", Subject: "ann", Name: "Ann", Email: "ann@example.com",
				Groups: []string{"staff", "a;b"}, Scopes: usher.Scopes{usher.MeetingRead}, Actor: "client:a", For: "user:i#b", Inviter: "user:i#c",
				IssuedAt: start, Expires: start.Add(time.Hour), Proof: "issuer", Room: s.id(), Role: usher.Viewer, Operator: true,
			}
			x.Passes = []usher.Pass{
				{Room: s.id(), Grant: s.id(), Permissions: usher.Permissions{usher.Join}, Most: usher.Permissions{usher.Join, usher.Subscribe}},
				{Room: s.id(), Grant: s.id()},
			}
		})
		s.wantFull(full)
		s.wantFull(full.Who)
		s.wantFull(full.Passes[0])
		s.wantSession("full", full)
		s.wantSession("bare", s.session())
	}},
	{"a session that is not there is not found", func(s *suite) {
		s.session()
		_, err := s.db.Sessions().Get(s.ctx, usher.Secret("another").Digest())
		s.wantErr("Get", err, store.ErrNotFound)
		_, err = s.db.Sessions().Get(s.ctx, usher.Digest{})
		s.wantErr("Get of no token", err, store.ErrNotFound)
		_, err = s.db.Sessions().Update(s.ctx, usher.Secret("another").Digest(), sameSession)
		s.wantErr("Update", err, store.ErrNotFound)
	}},
	{"a token is taken once, and an id", func(s *suite) {
		x := s.session()
		again := x
		again.ID = s.id()
		s.wantErr("Create with the token", s.db.Sessions().Create(s.ctx, again), store.ErrExists)
		again = x
		again.Token = usher.Secret("another").Digest()
		s.wantErr("Create with the id", s.db.Sessions().Create(s.ctx, again), store.ErrExists)
		s.wantSession("the first", x)
	}},
	{"times are UTC and cut to microseconds", func(s *suite) {
		fine := start.Add(9 * time.Nanosecond).In(time.FixedZone("CET", 3600))
		x := s.session(func(x *usher.Session) {
			x.Expires, x.UpdatedAt, x.Who.IssuedAt, x.Who.Expires = fine, fine, fine, fine
		})
		x.Expires, x.UpdatedAt, x.Who.IssuedAt, x.Who.Expires = start, start, start, start
		s.wantSession("cut", x)
	}},
	{"an identity's sessions are listed page by page in the order of making", func(s *suite) {
		var want []usher.Session
		for range 5 {
			want = append(want, s.session())
			s.session(func(x *usher.Session) { x.Who.Subject = "bob" })
			s.session(func(x *usher.Session) { x.App = "other" })
		}
		for name, tt := range map[string]struct {
			after usher.ID
			limit int
			want  []usher.Session
		}{
			"all":            {"", 0, want},
			"the first page": {"", 2, want[:2]},
			"the next page":  {want[1].ID, 2, want[2:4]},
			"the last page":  {want[3].ID, 2, want[4:]},
			"after the last": {want[4].ID, 2, nil},
		} {
			got, err := s.db.Sessions().Of(s.ctx, usher.DefaultApp, "user:i#ann", tt.after, tt.limit)
			s.must(err)
			s.wantEqual(name, got, tt.want)
		}
	}},
	{"an update writes what the function returns, or nothing", func(s *suite) {
		x := s.session(func(x *usher.Session) { x.Passes = []usher.Pass{{Room: s.id(), Permissions: usher.AllPermissions}} })
		update := func(err error) (usher.Session, error) {
			return s.db.Sessions().Update(s.ctx, x.Token, func(x usher.Session) (usher.Session, error) {
				x.Passes = slices.Clone(x.Passes)
				x.Passes[0].Permissions = usher.Permissions{usher.Join}
				x.Expires, x.UpdatedAt = start.Add(9*time.Hour), start.Add(time.Hour)
				return x, err
			})
		}
		want := x
		want.Passes = []usher.Pass{{Room: x.Passes[0].Room, Permissions: usher.Permissions{usher.Join}}}
		want.Expires, want.UpdatedAt, want.Version = start.Add(9*time.Hour), start.Add(time.Hour), 2
		wantUpdates(s, x, want, update, func() (usher.Session, error) { return s.db.Sessions().Get(s.ctx, x.Token) })

		other := s.session()
		if _, err := s.db.Sessions().Update(s.ctx, x.Token, func(x usher.Session) (usher.Session, error) {
			x.Token = other.Token
			return x, nil
		}); err == nil {
			s.Errorf("Update to another token: got no error")
		}
		s.wantSession("in the end", want)
	}},
	{"a sweep deletes what has expired, at most as many as it may", func(s *suite) {
		for i := range 5 {
			s.session(func(x *usher.Session) { x.Expires = start.Add(time.Duration(i) * time.Minute) })
		}
		last := s.session(func(x *usher.Session) { x.Expires = start.Add(5 * time.Minute) })
		for _, want := range []int{3, 2, 0} {
			n, err := s.db.Sessions().Sweep(s.ctx, last.Expires, 3)
			s.must(err)
			s.wantEqual("swept", n, want)
		}
		s.wantSession("one that expires now", last)
	}},
}

func sameSession(x usher.Session) (usher.Session, error) { return x, nil }
