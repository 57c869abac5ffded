package storetest

import (
	"strings"
	"time"

	"usher"
	"usher/internal/store"
)

// attachment stores one of user:i#ann; edit may change it before.
func (s *suite) attachment(connection string, edit ...func(*usher.Attachment)) usher.Attachment {
	s.Helper()
	a := usher.Attachment{
		AttachmentKey: usher.AttachmentKey{App: usher.DefaultApp, User: "user:i#ann", Connection: connection}, ID: s.id(),
		Who:    usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "i", Subject: "ann"},
		SeenAt: start, Due: start.Add(time.Minute), UpdatedAt: start, Version: 1,
	}
	for _, f := range edit {
		f(&a)
	}
	s.must(s.db.Attachments().Create(s.ctx, a))
	return a
}

func (s *suite) wantAttachments(what string, want ...usher.Attachment) {
	s.Helper()
	got, err := s.db.Attachments().Of(s.ctx, usher.DefaultApp, "user:i#ann")
	s.must(err)
	s.wantEqual(what, got, want)
}

func (s *suite) wantAttachmentsDue(what string, now time.Time, limit int, want ...usher.Attachment) {
	s.Helper()
	got, err := s.db.Attachments().Due(s.ctx, now, limit)
	s.must(err)
	var keys []usher.AttachmentKey
	for _, a := range want {
		keys = append(keys, a.AttachmentKey)
	}
	s.wantEqual(what, got, keys)
}

var attachmentTests = []test{
	{"every field of an attachment is kept", func(s *suite) {
		full := s.attachment("d3Jf5eQxIAMCJdw=", func(a *usher.Attachment) {
			a.User, a.Endpoint, a.Made, a.Away, a.Version = "user:https://idp.example#Zoë|%", "https://abc.execute-api.us-east-1.amazonaws.com/dev", true, true, 7
			a.Who = usher.Identity{
				App: "default", Kind: usher.UserIdentity, Issuer: "https://idp.example", Subject: "Zoë", Name: "Zoë \"the\"", Email: "zoe@example.com",
				Groups: []string{"staff", "a;b"}, IssuedAt: start, Expires: start.Add(time.Hour), Proof: "issuer",
			}
			a.Held = [][]byte{[]byte(`{"action":"sdp"}`), {0xff, 0}, []byte(strings.Repeat("x", 64<<10))}
			a.SeenAt, a.Due, a.UpdatedAt = start.Add(time.Second), start.Add(time.Minute), start.Add(2*time.Second)
		})
		s.wantFull(full)
		got, err := s.db.Attachments().Get(s.ctx, full.AttachmentKey)
		s.must(err)
		s.wantEqual("Get", got, full)
		list, err := s.db.Attachments().Of(s.ctx, full.App, full.User)
		s.must(err)
		s.wantEqual("Of", list, []usher.Attachment{full})
		s.wantAttachments("those of somebody else")

		bare := s.attachment("bare", func(a *usher.Attachment) {
			*a = usher.Attachment{AttachmentKey: a.AttachmentKey, Version: 1}
		})
		s.wantAttachments("bare", bare)
	}},
	{"an attachment that is not there is not found", func(s *suite) {
		key := s.attachment("a").AttachmentKey
		for _, other := range []usher.AttachmentKey{
			{App: key.App, User: key.User, Connection: "b"}, {App: key.App, User: "user:i#bob", Connection: "a"}, {App: "other", User: key.User, Connection: "a"},
		} {
			_, err := s.db.Attachments().Get(s.ctx, other)
			s.wantErr("Get", err, store.ErrNotFound)
			for _, how := range []error{nil, store.ErrDelete} {
				_, err = s.db.Attachments().Update(s.ctx, other, func(a usher.Attachment) (usher.Attachment, error) {
					s.Errorf("the change of one that is not there was called")
					return a, how
				})
				s.wantErr("Update", err, store.ErrNotFound)
			}
		}
	}},
	{"a key is taken once, and free again after it was deleted", func(s *suite) {
		a := s.attachment("a")
		again := a
		again.ID = s.id()
		s.wantErr("Create", s.db.Attachments().Create(s.ctx, again), store.ErrExists)
		s.wantAttachments("the first", a)
		got, err := s.db.Attachments().Update(s.ctx, a.AttachmentKey, func(a usher.Attachment) (usher.Attachment, error) {
			a.Away = true
			return a, store.ErrDelete
		})
		s.must(err)
		s.wantEqual("Update", got, a)
		s.wantAttachments("without it")
		s.wantAttachmentsDue("without it", start.Add(time.Hour), 0)
		s.must(s.db.Attachments().Create(s.ctx, again))
		s.wantAttachments("the second", again)
	}},
	{"times are UTC and cut to microseconds", func(s *suite) {
		fine := start.Add(9 * time.Nanosecond).In(time.FixedZone("CET", 3600))
		a := s.attachment("a", func(a *usher.Attachment) {
			a.SeenAt, a.Due, a.UpdatedAt, a.Who.IssuedAt, a.Who.Expires = fine, fine, fine, fine, fine
		})
		a.SeenAt, a.Due, a.UpdatedAt, a.Who.IssuedAt, a.Who.Expires = start, start, start, start, start
		s.wantAttachments("cut", a)
	}},
	{"a user's attachments are in the order of their names", func(s *suite) {
		c, a, b := s.attachment("c"), s.attachment("B"), s.attachment("a=")
		s.attachment("a", func(a *usher.Attachment) { a.User = "user:i#anna" })
		s.attachment("a", func(a *usher.Attachment) { a.App = "other" })
		s.wantAttachments("all", a, b, c)
	}},
	{"an update writes what the function returns, or nothing", func(s *suite) {
		a := s.attachment("a", func(a *usher.Attachment) { a.Held = [][]byte{[]byte("1"), []byte("2")} })
		update := func(err error) (usher.Attachment, error) {
			return s.db.Attachments().Update(s.ctx, a.AttachmentKey, func(a usher.Attachment) (usher.Attachment, error) {
				a.Made, a.Due = true, start.Add(time.Hour)
				if len(a.Held) > 1 {
					a.Held[0] = []byte("x") // it may be changed in place
					a.Held = a.Held[:1]
				}
				return a, err
			})
		}
		if _, err := update(errRefused); err != errRefused {
			s.Errorf("Update: got error %v, want %v itself", err, errRefused)
		}
		got, err := update(store.ErrUnchanged)
		s.must(err)
		s.wantEqual("Update with ErrUnchanged", got, a)
		s.wantAttachments("before", a)

		want := a
		want.Made, want.Due, want.Held, want.Version = true, start.Add(time.Hour), [][]byte{[]byte("x")}, 2
		for range 2 { // the second changes nothing
			got, err = update(nil)
			s.must(err)
			s.wantEqual("Update", got, want)
		}
		s.wantAttachments("after", want)
		if _, err := s.db.Attachments().Update(s.ctx, a.AttachmentKey, func(a usher.Attachment) (usher.Attachment, error) {
			a.Connection = "b"
			return a, nil
		}); err == nil {
			s.Errorf("Update to another key: got no error")
		}
		s.wantAttachments("in the end", want)
	}},
	{"what is due comes first what is due first", func(s *suite) {
		due := func(at time.Time) func(*usher.Attachment) { return func(a *usher.Attachment) { a.Due = at } }
		third := s.attachment("a", due(start.Add(time.Minute)))
		first := s.attachment("b", due(start.Add(-time.Hour)), func(a *usher.Attachment) { a.User = "user:i#bob" })
		second := s.attachment("c", due(start))
		s.attachment("d", due(start.Add(time.Minute+time.Microsecond)))
		s.attachment("e", due(time.Time{}))
		s.wantAttachmentsDue("all", third.Due, 0, first, second, third)
		s.wantAttachmentsDue("two", third.Due, 2, first, second)
		s.wantAttachmentsDue("none", start.Add(-2*time.Hour), 0)
		_, err := s.db.Attachments().Update(s.ctx, second.AttachmentKey, func(a usher.Attachment) (usher.Attachment, error) {
			a.Due = start.Add(time.Hour)
			return a, nil
		})
		s.must(err)
		s.wantAttachmentsDue("without what was seen again", third.Due, 0, first, third)
	}},
}
