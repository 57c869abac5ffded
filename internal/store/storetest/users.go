package storetest

import (
	"fmt"
	"time"

	"usher"
	"usher/internal/store"
)

// user stores a user of that sub; edit may change it before.
func (s *suite) user(sub string, edit ...func(*usher.User)) usher.User {
	s.Helper()
	u := usher.User{
		App: usher.DefaultApp, Key: "user:https://id.example#" + sub, Email: sub + "@example.org", Name: sub,
		ProvenAt: start, CreatedAt: start, UpdatedAt: start, Version: 1,
	}
	for _, f := range edit {
		f(&u)
	}
	s.must(s.db.Users().Create(s.ctx, u))
	return u
}

func (s *suite) wantUser(want usher.User) {
	s.Helper()
	got, err := s.db.Users().Get(s.ctx, want.App, want.Key)
	s.must(err)
	s.wantEqual("Get", got, want)
}

func (s *suite) wantByEmail(what, email, key string) {
	s.Helper()
	got, err := s.db.Users().ByEmail(s.ctx, usher.DefaultApp, email)
	if key == "" {
		s.wantErr(what, err, store.ErrNotFound)
		return
	}
	s.must(err)
	s.wantEqual(what, got.Key, key)
}

var userTests = []test{
	{"every field of a user is kept", func(s *suite) {
		full := s.user("Zoë", func(u *usher.User) {
			u.Email, u.ProvenAt, u.UpdatedAt, u.Version = "Zoë@Example.ORG", start.Add(time.Second), start.Add(time.Minute), 7
		})
		s.wantFull(full)
		s.wantUser(full)
		s.wantUser(s.user("bare", func(u *usher.User) {
			*u = usher.User{App: u.App, Key: u.Key}
		}))
	}},
	{"a key is taken once in an app", func(s *suite) {
		ann := s.user("ann")
		again := ann
		again.Email = "other@example.org"
		s.wantErr("Create", s.db.Users().Create(s.ctx, again), store.ErrExists)
		s.wantUser(ann)
		s.wantUser(s.user("ann", func(u *usher.User) { u.App = "other" }))
	}},
	{"a user that is not there is not found", func(s *suite) {
		ann := s.user("ann")
		_, err := s.db.Users().Get(s.ctx, "other", ann.Key)
		s.wantErr("Get in another app", err, store.ErrNotFound)
		_, err = s.db.Users().Update(s.ctx, ann.App, ann.Key+"x", func(u usher.User) (usher.User, error) { return u, nil })
		s.wantErr("Update", err, store.ErrNotFound)
		_, err = s.db.Users().Delete(s.ctx, "other", ann.Key)
		s.wantErr("Delete in another app", err, store.ErrNotFound)
		s.wantUser(ann)
	}},
	{"an address finds its user in whatever case it is written", func(s *suite) {
		zoe := s.user("zoe", func(u *usher.User) { u.Email = "Zoë@Example.org" })
		s.user("nobody", func(u *usher.User) { u.Email = "" })
		s.user("elsewhere", func(u *usher.User) { u.App, u.Email = "other", "far@example.org" })
		s.wantByEmail("as it is", "Zoë@Example.org", zoe.Key)
		s.wantByEmail("in small letters", "zoë@example.org", zoe.Key)
		s.wantByEmail("in capitals", "ZOË@EXAMPLE.ORG", zoe.Key)
		s.wantByEmail("a part of it", "zoë@example", "")
		s.wantByEmail("with a wildcard", "z%@example.org", "")
		s.wantByEmail("no address", "", "")
		s.wantByEmail("of another app", "far@example.org", "")
	}},
	{"of several users of an address it is whose token said so last", func(s *suite) {
		const shared = "shared@example.org"
		at := func(d time.Duration) func(*usher.User) {
			return func(u *usher.User) { u.Email, u.ProvenAt = shared, start.Add(d) }
		}
		unknown := s.user("never", func(u *usher.User) { u.Email, u.ProvenAt = shared, time.Time{} })
		s.wantByEmail("one of unknown time", shared, unknown.Key)
		early := s.user("x-early", at(0))
		s.wantByEmail("the later", shared, early.Key)
		late := s.user("a-late", at(time.Second))
		s.wantByEmail("the latest", shared, late.Key)
		same := s.user("b-late", at(time.Second))
		s.wantByEmail("of the same time the last key", shared, same.Key)
		for _, u := range []usher.User{same, late} {
			_, err := s.db.Users().Update(s.ctx, u.App, u.Key, func(u usher.User) (usher.User, error) {
				u.Email = ""
				return u, nil
			})
			s.must(err)
		}
		s.wantByEmail("when the others have it no more", shared, early.Key)
	}},
	{"users are listed page by page, by the bytes of their keys", func(s *suite) {
		subs := []string{"B", "a", "a1", "b", "ä"}
		want := make([]usher.User, len(subs))
		for _, i := range []int{3, 0, 4, 2, 1} {
			want[i] = s.user(subs[i])
		}
		s.user("a2", func(u *usher.User) { u.App = "other" })
		for after, page := range map[string][]usher.User{
			"": want[:2], want[1].Key: want[2:4], want[1].Key + "0": want[2:4], want[4].Key: nil,
		} {
			got, err := s.db.Users().List(s.ctx, usher.DefaultApp, after, 2)
			s.must(err)
			s.wantEqual(fmt.Sprintf("after %q", after), got, page)
		}
		got, err := s.db.Users().List(s.ctx, usher.DefaultApp, "", 0)
		s.must(err)
		s.wantEqual("all", got, want)
	}},
	{"an update writes what the function returns, or nothing", func(s *suite) {
		ann := s.user("ann")
		update := func(err error) (usher.User, error) {
			return s.db.Users().Update(s.ctx, ann.App, ann.Key, func(u usher.User) (usher.User, error) {
				u.Email, u.Name, u.ProvenAt, u.UpdatedAt = "New@example.org", "Ann", start.Add(time.Second+9), start.Add(time.Minute+9)
				return u, err
			})
		}
		if _, err := update(errRefused); err != errRefused {
			s.Errorf("Update: got error %v, want %v itself", err, errRefused)
		}
		got, err := update(store.ErrUnchanged)
		s.must(err)
		s.wantEqual("Update with ErrUnchanged", got, ann)
		s.wantUser(ann)

		want := ann
		want.Email, want.Name, want.ProvenAt, want.UpdatedAt, want.Version = "New@example.org", "Ann", start.Add(time.Second), start.Add(time.Minute), 2
		for _, what := range []string{"Update", "Update to what it is"} {
			got, err = update(nil)
			s.must(err)
			s.wantEqual(what, got, want)
		}
		s.wantUser(want)
		s.wantByEmail("the new address", "new@example.org", ann.Key)
		s.wantByEmail("the old address", ann.Email, "")
		_, err = s.db.Users().Update(s.ctx, ann.App, ann.Key, func(u usher.User) (usher.User, error) {
			u.Key += "x"
			return u, nil
		})
		if err == nil {
			s.Error("Update changed the key")
		}
	}},
	{"with a user go all entries of and for the user, and no others", func(s *suite) {
		ann, bob, carl := s.user("ann"), s.user("bob"), s.user("carl")
		mine, other, theirs := s.contact(bob, ann), s.contact(ann, carl), s.contact(carl, bob)
		gone, err := s.db.Users().Delete(s.ctx, bob.App, bob.Key)
		s.must(err)
		s.wantEqual("what went", gone, []usher.Contact{mine, theirs})
		_, err = s.db.Users().Get(s.ctx, bob.App, bob.Key)
		s.wantErr("Get", err, store.ErrNotFound)
		s.wantByEmail("ByEmail", bob.Email, "")
		s.wantListings("ann's", ann, store.Listing{Contact: other, User: carl})
		s.wantListings("carl's", carl)
		_, err = s.db.Users().Delete(s.ctx, bob.App, bob.Key)
		s.wantErr("Delete again", err, store.ErrNotFound)

		s.must(s.db.Users().Create(s.ctx, bob))
		s.wantListings("of who came back", bob)
		_, err = s.db.Contacts().Get(s.ctx, carl.App, carl.Key, bob.Key)
		s.wantErr("the entry for who came back", err, store.ErrNotFound)
	}},
}
