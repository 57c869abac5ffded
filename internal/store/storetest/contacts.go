package storetest

import (
	"errors"
	"fmt"
	"time"

	"usher"
	"usher/internal/store"
)

// contact stores an entry of the owner for the user.
func (s *suite) contact(owner, user usher.User) usher.Contact {
	s.Helper()
	c := usher.Contact{App: owner.App, Owner: owner.Key, User: user.Key, AddedAt: start}
	got, err := s.db.Contacts().Add(s.ctx, c, 0)
	s.must(err)
	s.wantEqual("Add", got, c)
	return c
}

func (s *suite) wantListings(what string, owner usher.User, want ...store.Listing) {
	s.Helper()
	got, err := s.db.Contacts().List(s.ctx, owner.App, owner.Key)
	s.must(err)
	s.wantEqual(what, got, want)
}

var contactTests = []test{
	{"every field of a contact is kept", func(s *suite) {
		ann, bob := s.user("ann"), s.user("bob")
		c := usher.Contact{App: ann.App, Owner: ann.Key, User: bob.Key, AddedAt: start.Add(9)}
		got, err := s.db.Contacts().Add(s.ctx, c, 1)
		s.must(err)
		c.AddedAt = start
		s.wantFull(c)
		s.wantEqual("Add", got, c)
		got, err = s.db.Contacts().Get(s.ctx, c.App, c.Owner, c.User)
		s.must(err)
		s.wantEqual("Get", got, c)
	}},
	{"an entry that is there stays as it is", func(s *suite) {
		ann, bob := s.user("ann"), s.user("bob")
		first := s.contact(ann, bob)
		again := first
		again.AddedAt = start.Add(time.Hour)
		got, err := s.db.Contacts().Add(s.ctx, again, 1) // there, though there may be no more
		s.wantErr("Add", err, store.ErrExists)
		s.wantEqual("Add", got, first)
		s.wantListings("List", ann, store.Listing{Contact: first, User: bob})
	}},
	{"only users have contacts, and are some", func(s *suite) {
		ann, far := s.user("ann"), s.user("far", func(u *usher.User) { u.App = "other" })
		ghost := usher.User{App: ann.App, Key: "user:https://id.example#ghost"}
		for name, c := range map[string]usher.Contact{
			"nobody's":       {App: ann.App, Owner: ghost.Key, User: ann.Key},
			"for nobody":     {App: ann.App, Owner: ann.Key, User: ghost.Key},
			"of another app": {App: ann.App, Owner: ann.Key, User: far.Key},
			"in another app": {App: far.App, Owner: ann.Key, User: far.Key},
		} {
			_, err := s.db.Contacts().Add(s.ctx, c, 0)
			s.wantErr(name, err, store.ErrNotFound)
		}
		s.wantListings("List", ann)
	}},
	{"an owner has no more than is said, each for itself", func(s *suite) {
		ann, bob, carl, dora := s.user("ann"), s.user("bob"), s.user("carl"), s.user("dora")
		s.contact(ann, bob)
		s.contact(ann, carl)
		add := func(owner, user usher.User, most int) error {
			_, err := s.db.Contacts().Add(s.ctx, usher.Contact{App: owner.App, Owner: owner.Key, User: user.Key}, most)
			return err
		}
		s.wantErr("a third of two", add(ann, dora, 2), store.ErrFull)
		s.must(add(bob, dora, 1))
		s.must(s.db.Contacts().Remove(s.ctx, ann.App, ann.Key, bob.Key))
		s.must(add(ann, dora, 2))
		s.must(add(ann, bob, 0))
	}},
	{"contacts are listed by folded address and key, as the users are now", func(s *suite) {
		ann := s.user("ann")
		named := func(sub, email string) usher.User {
			return s.user(sub, func(u *usher.User) { u.Email = email })
		}
		users := []usher.User{
			named("none-1", ""), named("none-2", ""), named("x", "a@example.org"), named("w", "B@example.org"), named("v", "c@example.org"),
			named("a", "same@example.org"), named("b", "Same@example.org"),
		}
		want := make([]store.Listing, len(users))
		for _, i := range []int{4, 1, 6, 0, 3, 5, 2} {
			want[i] = store.Listing{Contact: s.contact(ann, users[i]), User: users[i]}
		}
		s.wantListings("List", ann, want...)

		moved, err := s.db.Users().Update(s.ctx, ann.App, users[0].Key, func(u usher.User) (usher.User, error) {
			u.Email = "zz@example.org"
			return u, nil
		})
		s.must(err)
		want[0].User = moved
		s.wantListings("List after a new address", ann, append(want[1:], want[0])...)
	}},
	{"who lists each other is mutual, on both sides and in one app", func(s *suite) {
		ann, bob, carl := s.user("ann"), s.user("bob"), s.user("carl")
		ab, ac := s.contact(ann, bob), s.contact(ann, carl)
		s.wantListings("one way", ann, store.Listing{Contact: ab, User: bob}, store.Listing{Contact: ac, User: carl})
		elsewhere := func(u *usher.User) { u.App = "other" }
		s.contact(s.user("carl", elsewhere), s.user("ann", elsewhere))
		ba := s.contact(bob, ann)
		s.wantListings("both ways", ann, store.Listing{Contact: ab, User: bob, Mutual: true}, store.Listing{Contact: ac, User: carl})
		s.wantListings("from the other side", bob, store.Listing{Contact: ba, User: ann, Mutual: true})
		s.must(s.db.Contacts().Remove(s.ctx, ann.App, ann.Key, bob.Key))
		s.wantListings("no more", bob, store.Listing{Contact: ba, User: ann})
	}},
	{"what is removed is gone, on one side", func(s *suite) {
		ann, bob := s.user("ann"), s.user("bob")
		s.contact(ann, bob)
		back := s.contact(bob, ann)
		s.must(s.db.Contacts().Remove(s.ctx, ann.App, ann.Key, bob.Key))
		_, err := s.db.Contacts().Get(s.ctx, ann.App, ann.Key, bob.Key)
		s.wantErr("Get", err, store.ErrNotFound)
		s.wantErr("Remove again", s.db.Contacts().Remove(s.ctx, ann.App, ann.Key, bob.Key), store.ErrNotFound)
		s.wantErr("Remove in another app", s.db.Contacts().Remove(s.ctx, "other", bob.Key, ann.Key), store.ErrNotFound)
		s.wantListings("the other side", bob, store.Listing{Contact: back, User: ann})
	}},
}

// contactConcurrency are what many callers do to contacts at the same time.
var contactConcurrency = []test{
	{"of 100 who make one user and one contact at once exactly one does", func(s *suite) {
		ann := s.user("ann")
		bob := usher.User{App: ann.App, Key: "user:https://id.example#bob", Version: 1}
		s.wantEqual("users made", s.together(100, func(int) error { return s.db.Users().Create(s.ctx, bob) }, store.ErrExists), 1)
		c := usher.Contact{App: ann.App, Owner: ann.Key, User: bob.Key}
		s.wantEqual("contacts made", s.together(100, func(int) error {
			got, err := s.db.Contacts().Add(s.ctx, c, 1)
			if (err == nil || errors.Is(err, store.ErrExists)) && got != c {
				return fmt.Errorf("got %+v", got)
			}
			return err
		}, store.ErrExists), 1)
	}},
	{"of 100 contacts at once no more are made than may be", func(s *suite) {
		ann := s.user("ann")
		others := make([]usher.User, 100)
		for i := range others {
			others[i] = s.user(fmt.Sprint("other", i))
		}
		made := s.together(len(others), func(i int) error {
			_, err := s.db.Contacts().Add(s.ctx, usher.Contact{App: ann.App, Owner: ann.Key, User: others[i].Key}, 10)
			return err
		}, store.ErrFull)
		list, err := s.db.Contacts().List(s.ctx, ann.App, ann.Key)
		s.must(err)
		s.wantEqual("made", made, 10)
		s.wantEqual("listed", len(list), 10)
	}},
	{"nothing is left of a user who goes while others list the user", func(s *suite) {
		bob := s.user("bob")
		others := make([]usher.User, 50)
		for i := range others {
			others[i] = s.user(fmt.Sprint("other", i))
		}
		s.together(len(others), func(i int) error {
			if i == len(others)/2 { // which does not list the user
				_, err := s.db.Users().Delete(s.ctx, bob.App, bob.Key)
				return err
			}
			_, err := s.db.Contacts().Add(s.ctx, usher.Contact{App: bob.App, Owner: others[i].Key, User: bob.Key}, 0)
			return err
		}, store.ErrNotFound)
		for _, u := range others {
			s.wantListings(u.Name, u)
		}
	}},
	{"of 100 who take one mark at once exactly one is given it", func(s *suite) {
		mark := store.Mark{Name: "ticket:a", Value: []byte("who"), Expires: start.Add(time.Minute)}
		_, err := s.db.Once().Put(s.ctx, start, mark)
		s.must(err)
		s.wantEqual("takers", s.together(100, func(int) error {
			_, err := s.db.Once().Take(s.ctx, start, mark.Name)
			return err
		}, store.ErrNotFound), 1)
	}},
}
