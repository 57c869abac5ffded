// Package storetest proves that a back end keeps the contract of package
// store. A back end passes when [Run], also through [Again], and
// [RunConcurrency] do.
package storetest

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"usher"
	"usher/internal/store"
)

// start is when every suite begins: a time with microseconds.
var start = time.Date(2026, time.November, 20, 8, 30, 0, 123456000, time.UTC)

// errRefused is what the suite's change functions fail with.
var errRefused = errors.New("refused by the change function")

// test is one sentence of the contract.
type test struct {
	name string
	run  func(*suite)
}

// Run runs the suite. It asks open for a fresh, empty store for each test, and
// closes it.
func Run(t *testing.T, open func(*testing.T) store.DB) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"Rooms", roomTests},
		{"Participants", participantTests},
		{"Due", dueTests},
		{"Forget", forgetTests},
		{"Clients", clientTests},
		{"Keys", keyTests},
		{"Once", onceTests},
		{"Members", memberTests},
		{"Invites", inviteTests},
		{"Users", userTests},
		{"Contacts", contactTests},
		{"Calls", callTests},
		{"Takings", takingTests},
		{"Stays", stayTests},
		{"Record", recordTests},
		{"Sessions", sessionTests},
		{"Attachments", attachmentTests},
		{"Documents", documentTests},
		{"Closing", closeTests},
	} {
		t.Run(group.name, func(t *testing.T) { runTests(t, open, group.tests) })
	}
}

func runTests(t *testing.T, open func(*testing.T) store.DB, tests []test) {
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			tt.run(newSuite(t, open(t)))
		})
	}
}

// suite is one test with its store, its clock and its ids.
type suite struct {
	*testing.T
	db  store.DB
	ctx context.Context
	ids *usher.IDSource
	now time.Time // of the ids; each is made a second after the one before
}

func newSuite(t *testing.T, db store.DB) *suite {
	s := &suite{T: t, db: db, ctx: t.Context(), now: start}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	s.ids = s.source("storetest", func() time.Time { return s.now })
	return s
}

// source returns a source of ids; random is 8 bytes or more.
func (s *suite) source(random string, now func() time.Time) *usher.IDSource {
	s.Helper()
	ids, err := usher.NewIDSource(now, strings.NewReader(random))
	s.must(err)
	return ids
}

func (s *suite) id() usher.ID {
	s.now = s.now.Add(time.Second)
	return s.ids.New()
}

// room stores a room; edit may change it before.
func (s *suite) room(edit ...func(*usher.Room)) usher.Room {
	s.Helper()
	r := usher.Room{
		App: usher.DefaultApp, ID: s.id(), Kind: usher.Ephemeral, Status: usher.RoomReady,
		Owner: "client:a", UpdatedAt: start, Version: 1,
	}
	for _, f := range edit {
		f(&r)
	}
	s.must(s.db.Rooms().Create(s.ctx, r))
	return r
}

// participant stores a participant of a room; edit may change it before.
func (s *suite) participant(r usher.Room, edit ...func(*usher.Participant)) usher.Participant {
	s.Helper()
	p := usher.Participant{
		App: r.App, Room: r.ID, ID: s.id(), Status: usher.ParticipantReady, Role: usher.Speaker,
		Name: "Ann", UpdatedAt: start, Version: 1,
	}
	for _, f := range edit {
		f(&p)
	}
	_, err := s.db.Rooms().Enter(s.ctx, p, sameRoom)
	s.must(err)
	return p
}

func (s *suite) client(edit ...func(*usher.Client)) usher.Client {
	s.Helper()
	c := usher.Client{
		App: usher.DefaultApp, ID: s.id(), Name: "back end", PublicKey: "-----BEGIN PUBLIC KEY-----",
		Scopes: usher.AllScopes, UpdatedAt: start, Version: 1,
	}
	for _, f := range edit {
		f(&c)
	}
	s.must(s.db.Clients().Create(s.ctx, c))
	return c
}

func sameRoom(r usher.Room) (usher.Room, error) { return r, nil }

// must ends the test at an error that has nothing to do with what it tests.
func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) wantErr(what string, got, want error) {
	s.Helper()
	if !errors.Is(got, want) {
		s.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

func (s *suite) wantEqual(what string, got, want any) {
	s.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(sameTime)); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// wantFull fails if a field of a record has no value, so that none that is
// added to a type goes without a test.
func (s *suite) wantFull(record any) {
	s.Helper()
	v := reflect.ValueOf(record)
	for field, value := range v.Fields() {
		if value.IsZero() {
			s.Errorf("the suite's %s has no value in %s", v.Type(), field.Name)
		}
	}
}

// sameTime also holds two times to one location: a store answers in UTC.
func sameTime(a, b time.Time) bool { return a.Equal(b) && a.Location() == b.Location() }

// getRoom reads the room that r is a copy of.
func (s *suite) getRoom(r usher.Room) usher.Room {
	s.Helper()
	got, err := s.db.Rooms().Get(s.ctx, r.Key())
	s.must(err)
	return got
}

// getEntry reads the participant that p is a copy of, and its room.
func (s *suite) getEntry(p usher.Participant) store.Entry {
	s.Helper()
	got, err := s.db.Rooms().Participant(s.ctx, p.Key())
	s.must(err)
	return got
}

var closeTests = []test{
	{"an open store answers a ping, a closed one nothing", func(s *suite) {
		r := s.room()
		p := s.participant(r)
		s.must(s.db.Ping(s.ctx))
		s.must(s.db.Close())
		s.wantErr("Ping", s.db.Ping(s.ctx), store.ErrClosed)
		_, err := s.db.Rooms().Get(s.ctx, r.Key())
		s.wantErr("Get", err, store.ErrClosed)
		_, err = s.db.Rooms().List(s.ctx, store.RoomQuery{App: r.App, Limit: 1})
		s.wantErr("List", err, store.ErrClosed)
		_, err = s.db.Rooms().Change(s.ctx, p.Key(), func(e store.Entry) (store.Entry, error) { return e, nil })
		s.wantErr("Change", err, store.ErrClosed)
		s.wantErr("Create", s.db.Rooms().Create(s.ctx, usher.Room{App: r.App, ID: s.id()}), store.ErrClosed)
		s.must(s.db.Close())
	}},
	{"a context that has ended changes nothing", func(s *suite) {
		r := s.room()
		ended, cancel := context.WithCancel(s.ctx)
		cancel()
		_, err := s.db.Rooms().Update(ended, r.Key(), func(r usher.Room) (usher.Room, error) {
			r.Seats = 5
			return r, nil
		})
		s.wantErr("Update", err, context.Canceled)
		_, err = s.db.Rooms().Get(ended, r.Key())
		s.wantErr("Get", err, context.Canceled)
		s.wantEqual("room", s.getRoom(r), r)
	}},
}

// wantUpdates checks an update that gives what is wanted in place of what was
// before: it writes what its function returns, once, and nothing with an error,
// which it returns itself. Update has the function return an error, too.
func wantUpdates[T any](s *suite, before, want T, update func(error) (T, error), get func() (T, error)) {
	s.Helper()
	if _, err := update(errRefused); err != errRefused {
		s.Errorf("Update: got error %v, want %v itself", err, errRefused)
	}
	for _, step := range []struct {
		what string
		err  error
		want T
	}{
		{"Update with ErrUnchanged", store.ErrUnchanged, before},
		{"Update", nil, want},
		{"Update to what it is", nil, want},
	} {
		got, err := update(step.err)
		s.must(err)
		s.wantEqual(step.what, got, step.want)
		got, err = get()
		s.must(err)
		s.wantEqual("Get after "+step.what, got, step.want)
	}
}
