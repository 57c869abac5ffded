package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"usher"
	"usher/client"
)

// journal is what a server has acknowledged, in the order in which it was told.
type journal struct {
	mu      sync.Mutex
	entries []journalEntry
}

// journalEntry is one round of the load: somebody new lists somebody, and
// somebody has joined a room.
type journalEntry struct {
	user, contact string // by e-mail address
	login         usher.Secret
	room, place   usher.ID
	secret        usher.Secret
	token         usher.Secret
}

// soFar returns what was acknowledged before it was called.
func (j *journal) soFar() []journalEntry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries)
}

// work makes rounds until ctx ends, which is looked at between two of them.
func (j *journal) work(ctx context.Context, s *Server, name string, acknowledged func()) error {
	api := s.API()
	before := ""
	for n := 0; ctx.Err() == nil; n++ {
		e, err := round(s, api, fmt.Sprintf("%s%d", name, n), before)
		if err != nil {
			return err
		}
		before = e.user
		j.mu.Lock()
		j.entries = append(j.entries, e)
		j.mu.Unlock()
		acknowledged()
	}
	return nil
}

func round(s *Server, api *client.API, name, before string) (e journalEntry, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e.user, e.contact = name+"@example.org", before
	a, err := send(s.Client, http.MethodPost, s.HTTP+"/dev/login", fmt.Sprintf(`{"name":%q,"email":%q}`, name, e.user), asJSON...)
	if err != nil || a.Status != http.StatusOK {
		return e, fmt.Errorf("login: status %d, %w", a.Status, err)
	}
	e.login = usher.Secret(s.Secret(a.text(s.t, "token")))
	me := s.as(e.login)
	if _, err := me.User(ctx); err != nil {
		return e, fmt.Errorf("user: %w", err)
	}
	if before != "" {
		if _, err := me.AddContact(ctx, client.AddContactRequest{Email: before}); err != nil {
			return e, fmt.Errorf("contact: %w", err)
		}
	}
	room, err := api.CreateRoom(ctx, client.CreateRoomRequest{})
	if err != nil {
		return e, fmt.Errorf("room: %w", err)
	}
	place, err := api.AddParticipant(ctx, string(room.ID), client.AddParticipantRequest{})
	if err != nil {
		return e, fmt.Errorf("participant: %w", err)
	}
	claimed, err := api.Claim(ctx, room.ID, place.ID, place.Secret)
	if err != nil {
		return e, fmt.Errorf("claim: %w", err)
	}
	s.Secret(place.Secret.Reveal())
	s.Secret(claimed.Token.Reveal())
	e.room, e.place, e.secret, e.token = room.ID, place.ID, place.Secret, claimed.Token
	return e, nil
}

// holds returns an error unless the server has all of a round.
func (e journalEntry) holds(ctx context.Context, s *Server, keys *verifier) error {
	p, err := s.API().Participant(ctx, string(e.room), e.place)
	if err != nil || p.Status != usher.ParticipantJoined {
		return fmt.Errorf("participant %s: %s, %w", e.place, p.Status, err)
	}
	if _, err := s.API().Claim(ctx, e.room, e.place, e.secret); refusedWith(err) != "participant_not_found" {
		return fmt.Errorf("the secret of %s can be used again: %w", e.place, err)
	}
	me, err := s.as(e.login).User(ctx)
	if err != nil || me.Email != e.user {
		return fmt.Errorf("user %s is %q: %w", e.user, me.Email, err)
	}
	list, err := s.as(e.login).Contacts(ctx)
	if err != nil || e.contact != "" && (len(list) != 1 || list[0].Email != e.contact) {
		return fmt.Errorf("contacts of %s are %v: %w", e.user, list, err)
	}
	return keys.verify(e.login)
}

func TestABackUpUnderLoadHasAllThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	id, key := s.apiKey(usher.AllScopes)
	var j journal
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	acknowledged, reached := countdown(30)
	ended := make([]error, 4)
	var workers sync.WaitGroup
	for i := range ended {
		workers.Go(func() { ended[i] = j.work(ctx, s, string(rune('a'+i)), acknowledged) })
	}
	select {
	case <-reached:
	case <-within(t, 5*time.Minute).Done():
		t.Errorf("there was no load: %d rounds", len(j.soFar()))
	}
	want := j.soFar()
	file := filepath.Join(t.TempDir(), "usher.tar")
	backedUp := runUsher(t, "backup", file, "--data", s.Data)
	stop()
	workers.Wait()
	if err := errors.Join(ended...); err != nil || backedUp.Status != 0 || t.Failed() {
		t.Fatalf("the load: %v; the back-up: status %d\n%s", err, backedUp.Status, backedUp.Stderr)
	}
	t.Logf("%d rounds before the back-up, %d in all\n%s", len(want), len(j.soFar()), backedUp.Stderr)
	s.Kill()

	data := filepath.Join(t.TempDir(), "elsewhere")
	if r := runUsher(t, "restore", file, "--data", data); r.Status != 0 {
		t.Fatalf("restore: status %d\n%s", r.Status, r.Stderr)
	}
	again := start(t, options{Data: data, HTTP: hostOf(t, s.HTTP), HTTPS: hostOf(t, s.HTTPS)})
	keys := &verifier{s: again}
	for _, e := range want {
		if err := e.holds(within(t, time.Minute), again, keys); err != nil {
			t.Error(err)
		}
	}
	if me, err := again.as(key).Me(within(t, time.Minute)); err != nil {
		t.Errorf("the client %s: got %+v, %v", id, me, err)
	}
	again.Stop()
	wantSound(t, again)
}
