package room_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"usher"
	"usher/internal/room"
	"usher/internal/store"
)

// The rules of these tests.
const (
	grace    = 45 * time.Second
	lease    = 30 * time.Second
	unjoined = 24 * time.Hour
	keepFor  = 48 * time.Hour
)

var begin = time.Date(2026, time.November, 20, 8, 30, 0, 0, time.UTC)

// house is a service on a memory with a clock of its own.
type house struct {
	*room.Service
	ctx   context.Context
	db    *memory
	ids   *usher.IDSource
	now   time.Time
	mu    sync.Mutex
	ended []usher.ID // what the sweeper told of
	left  []usher.ID
}

// fataler is a test, or a property of rapid.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func newHouse(t fataler) *house {
	t.Helper()
	h := &house{ctx: context.Background(), db: newMemory(), now: begin}
	ids, err := usher.NewIDSource(func() time.Time { return h.now }, rand.Reader)
	if err != nil {
		t.Fatalf("%v", err)
	}
	h.ids = ids
	h.start()
	return h
}

// start begins a new process on the same store.
func (h *house) start() {
	h.Service = room.New(room.Config{Grace: grace, Lease: lease, Unjoined: unjoined, KeepFor: keepFor}, room.Deps{
		Store: h.db, IDs: h.ids, Random: rand.Reader, Now: func() time.Time { return h.now },
		Logger: slog.New(slog.DiscardHandler), Node: h.ids.New(),
		Changed: func(e store.Entry) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.left = append(h.left, e.Participant.ID)
		},
		Ended: func(r usher.Room) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.ended = append(h.ended, r.ID)
		},
	})
}

func (h *house) pass(d time.Duration) { h.now = h.now.Add(d) }

// guest is what a participant's client knows.
type guest struct {
	key        usher.ParticipantKey
	secret     usher.Secret
	token      usher.Secret
	attachment usher.ID
}

func (h *house) open(t fataler, spec room.Spec) usher.Room {
	t.Helper()
	r, err := h.Create(h.ctx, usher.DefaultApp, "client:a", spec)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	return r
}

func (h *house) invite(t fataler, r usher.Room) *guest {
	t.Helper()
	p, err := h.Add(h.ctx, r.Key(), room.Place{Role: usher.Speaker})
	if err != nil {
		t.Fatalf("Add: %v", err)
	}
	return &guest{key: p.Participant.Key(), secret: p.Secret}
}

func (h *house) claim(g *guest) error {
	c, err := h.Claim(h.ctx, g.key, g.secret)
	if err == nil {
		g.token = c.Token
	}
	return err
}

func (h *house) attach(g *guest) error {
	id := h.ids.New()
	_, err := h.Attach(h.ctx, g.key, g.token, id)
	if err == nil {
		g.attachment = id
	}
	return err
}

// code is the code of an error of the domain, or "" for none.
func code(t fataler, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*usher.Error](err)
	if !ok {
		t.Fatalf("got %v, which is no error of the domain", err)
	}
	return e.Code
}

func TestLife(t *testing.T) {
	type step struct {
		name string
		do   func(*house, *guest) error
		code string
		// What is then seen of the participant and the room.
		participant usher.ParticipantStatus
		room        usher.RoomStatus
		taken       int
	}
	claim := func(h *house, g *guest) error { return h.claim(g) }
	attach := func(h *house, g *guest) error { return h.attach(g) }
	lose := func(h *house, g *guest) error { _, err := h.Lose(h.ctx, g.key, g.attachment); return err }
	leave := func(h *house, g *guest) error { _, err := h.Leave(h.ctx, g.key, g.attachment); return err }
	remove := func(h *house, g *guest) error { _, err := h.Remove(h.ctx, g.key, "Out."); return err }
	end := func(h *house, g *guest) error { _, err := h.End(h.ctx, roomOf(g.key), "Over."); return err }
	renew := func(h *house, g *guest) error {
		p, err := h.RenewSecret(h.ctx, g.key)
		if err == nil {
			g.secret = p.Secret
		}
		return err
	}
	wait := func(d time.Duration) func(*house, *guest) error {
		return func(h *house, _ *guest) error { h.pass(d); return nil }
	}
	restart := func(h *house, _ *guest) error {
		h.start()
		_, err := h.Recover(h.ctx)
		return err
	}
	const moment = time.Microsecond
	tests := []struct {
		name  string
		steps []step
	}{
		{"a stay in an ephemeral room", []step{
			{"claim", claim, "", "joined", "running", 1},
			{"attach", attach, "", "joined", "running", 1},
			{"a day", wait(24 * time.Hour), "", "joined", "running", 1},
			{"leave", leave, "", "left", "running", 0},
			{"almost the grace", wait(grace - moment), "", "left", "running", 0},
			{"the grace", wait(moment), "", "left", "ended", 0},
			{"claim", claim, "room_ended", "left", "ended", 0},
		}},
		{"a room that nobody joins", []step{
			{"almost a day", wait(unjoined - moment), "", "ready", "ready", 0},
			{"a day", wait(moment), "", "ready", "ended", 0},
			{"claim", claim, "room_ended", "ready", "ended", 0},
		}},
		{"a claim that is never used", []step{
			{"claim", claim, "", "joined", "running", 1},
			{"claim again", claim, "participant_not_found", "joined", "running", 1},
			{"almost the lease", wait(lease - moment), "", "joined", "running", 1},
			{"the lease", wait(moment), "", "ready", "ready", 0},
			{"attach", attach, "token_invalid", "ready", "ready", 0},
			{"claim", claim, "", "joined", "running", 1},
		}},
		{"a connection that breaks and comes back by its token", []step{
			{"claim", claim, "", "joined", "running", 1},
			{"attach", attach, "", "joined", "running", 1},
			{"lose", lose, "", "joined", "running", 1},
			{"almost the grace", wait(grace - moment), "", "joined", "running", 1},
			{"attach", attach, "", "joined", "running", 1},
			{"an hour", wait(time.Hour), "", "joined", "running", 1},
		}},
		{"a connection that breaks and comes back by its secret", []step{
			{"claim", claim, "", "joined", "running", 1},
			{"attach", attach, "", "joined", "running", 1},
			{"claim while connected", claim, "participant_not_found", "joined", "running", 1},
			{"lose", lose, "", "joined", "running", 1},
			{"claim", claim, "", "joined", "running", 1},
			{"claim again", claim, "participant_not_found", "joined", "running", 1},
			{"the lease", wait(lease), "", "joined", "running", 1}, // the grace was longer
			{"the grace", wait(grace - lease), "", "left", "running", 0},
			{"claim", claim, "participant_not_found", "left", "running", 0},
		}},
		{"a connection that breaks for good", []step{
			{"claim", claim, "", "joined", "running", 1},
			{"attach", attach, "", "joined", "running", 1},
			{"lose", lose, "", "joined", "running", 1},
			{"the grace", wait(grace), "", "left", "ended", 0}, // nobody has been there since it broke
			{"attach", attach, "room_ended", "left", "ended", 0},
		}},
		{"a removal", []step{
			{"claim", claim, "", "joined", "running", 1},
			{"attach", attach, "", "joined", "running", 1},
			{"remove", remove, "", "removed", "running", 0},
			{"attach", attach, "token_invalid", "removed", "running", 0},
			{"claim", claim, "participant_not_found", "removed", "running", 0},
			{"lose", lose, "", "removed", "running", 0},
			{"renew", renew, "participant_removed", "removed", "running", 0},
			{"remove", remove, "participant_removed", "removed", "running", 0},
		}},
		{"an end", []step{
			{"claim", claim, "", "joined", "running", 1},
			{"attach", attach, "", "joined", "running", 1},
			{"end", end, "", "left", "ended", 0},
			{"attach", attach, "room_ended", "left", "ended", 0},
			{"end", end, "room_ended", "left", "ended", 0},
			{"renew", renew, "room_ended", "left", "ended", 0},
		}},
		{"secrets that are renewed", []step{
			{"renew", renew, "", "ready", "ready", 0},
			{"claim", claim, "", "joined", "running", 1},
			{"renew", renew, "participant_joined", "joined", "running", 1},
			{"attach", attach, "", "joined", "running", 1},
			{"leave", leave, "", "left", "running", 0},
			{"renew", renew, "participant_left", "left", "running", 0},
		}},
		{"a restart while connected", []step{
			{"claim", claim, "", "joined", "running", 1},
			{"attach", attach, "", "joined", "running", 1},
			{"a day of standing still", wait(24 * time.Hour), "", "joined", "running", 1},
			{"restart", restart, "", "joined", "running", 1},
			{"almost the grace", wait(grace - moment), "", "joined", "running", 1},
			{"attach", attach, "", "joined", "running", 1},
			{"a day", wait(24 * time.Hour), "", "joined", "running", 1},
		}},
		{"a restart and nobody comes back", []step{
			{"claim", claim, "", "joined", "running", 1},
			{"attach", attach, "", "joined", "running", 1},
			{"restart", restart, "", "joined", "running", 1},
			{"the grace", wait(grace), "", "left", "ended", 0},
		}},
		{"a restart while away", []step{
			{"claim", claim, "", "joined", "running", 1},
			{"attach", attach, "", "joined", "running", 1},
			{"lose", lose, "", "joined", "running", 1},
			{"an hour of standing still", wait(0), "", "joined", "running", 1},
			{"restart after it", func(h *house, g *guest) error { h.pass(time.Hour); return restart(h, g) }, "", "joined", "running", 1},
			{"almost the grace", wait(grace - moment), "", "joined", "running", 1},
			{"claim", claim, "", "joined", "running", 1},
		}},
		{"a restart between claim and connection", []step{
			{"claim", claim, "", "joined", "running", 1},
			{"restart an hour later", func(h *house, g *guest) error { h.pass(time.Hour); return restart(h, g) }, "", "joined", "running", 1},
			{"attach", attach, "", "joined", "running", 1},
		}},
		{"a restart of an empty room", []step{
			{"claim", claim, "", "joined", "running", 1},
			{"attach", attach, "", "joined", "running", 1},
			{"leave", leave, "", "left", "running", 0},
			{"restart an hour later", func(h *house, g *guest) error { h.pass(time.Hour); return restart(h, g) }, "", "left", "running", 0},
			{"the grace", wait(grace), "", "left", "ended", 0},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			r := h.open(t, room.Spec{})
			g := h.invite(t, r)
			h.pass(0)
			for _, s := range tt.steps {
				if got := code(t, s.do(h, g)); got != s.code {
					t.Fatalf("%s: got code %q, want %q", s.name, got, s.code)
				}
				e, err := h.Participant(h.ctx, g.key)
				if err != nil {
					t.Fatal(err)
				}
				if e.Participant.Status != s.participant || e.Room.Status != s.room || e.Room.Taken != s.taken {
					t.Fatalf("%s: got a %s participant in a %s room with %d seats taken, want %s, %s and %d",
						s.name, e.Participant.Status, e.Room.Status, e.Room.Taken, s.participant, s.room, s.taken)
				}
			}
		})
	}
}

func TestSeatsOpeningAndClosing(t *testing.T) {
	h := newHouse(t)
	one := 1
	r := h.open(t, room.Spec{Name: "lobby", Seats: &one, OpensAt: begin.Add(time.Minute), ClosesAt: begin.Add(time.Hour)})
	first, second := h.invite(t, r), h.invite(t, r)
	err := h.claim(first)
	if e := usher.AsError(err); e.Code != "room_not_open" || e.RetryAfter != time.Minute {
		t.Errorf("before it opens: got %v with %s to wait, want room_not_open and a minute", err, e.RetryAfter)
	}
	h.pass(time.Minute)
	if err := h.claim(first); err != nil {
		t.Fatal(err)
	}
	if got := code(t, h.claim(second)); got != "room_full" {
		t.Errorf("a second claim of one seat: got %q, want room_full", got)
	}
	if err := h.attach(first); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Leave(h.ctx, first.key, first.attachment); err != nil {
		t.Fatal(err)
	}
	if err := h.claim(second); err != nil {
		t.Errorf("the leaver's seat: %v", err)
	}
	h.pass(time.Hour)
	if got, err := h.Find(h.ctx, usher.DefaultApp, "lobby"); code(t, err) != "room_not_found" {
		t.Errorf("after it closed: got %+v, %v, want room_not_found", got, err)
	}
	if err := h.Sweep(h.ctx); err != nil {
		t.Fatal(err)
	}
	if len(h.ended) != 1 || h.ended[0] != r.ID {
		t.Errorf("the sweeper told of the end of %v, want %v", h.ended, r.ID)
	}
	if again := h.open(t, room.Spec{Name: "lobby"}); again.ID == r.ID {
		t.Error("the name was not free again")
	}
}

func TestAnOldConnectionHasNoSay(t *testing.T) {
	h := newHouse(t)
	g := h.invite(t, h.open(t, room.Spec{}))
	if err := errors.Join(h.claim(g), h.attach(g)); err != nil {
		t.Fatal(err)
	}
	old := g.attachment
	if err := h.attach(g); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(context.Context, usher.ParticipantKey, usher.ID) (store.Entry, error){"Lose": h.Lose, "Leave": h.Leave} {
		e, err := end(h.ctx, g.key, old)
		if err != nil || e.Participant.Hold != usher.SocketHold || e.Participant.Attachment != g.attachment {
			t.Errorf("%s of the old connection: got %+v, %v", name, e.Participant, err)
		}
	}
}

func TestAnOfferMakesAPlaceOrPrepares(t *testing.T) {
	h := newHouse(t)
	r := h.open(t, room.Spec{})
	key := usher.ParticipantKey{App: r.App, Room: r.ID, ID: h.ids.New()}
	offer := func(grant usher.ID, lasts time.Duration) room.Invited {
		t.Helper()
		p, err := h.Offer(h.ctx, key, room.Place{ID: key.ID, Role: usher.Speaker, Maker: "user:a", ProvenAt: h.now, Grant: grant, Expires: h.now.Add(lasts)}, secretOf)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := offer("g1", time.Hour)
	second := offer("g2", time.Hour)
	g := &guest{key: key, secret: first.Secret}
	if got := code(t, h.claim(g)); got != "participant_not_found" {
		t.Errorf("the secret before the last: got %q", got)
	}
	g.secret = second.Secret
	if err := errors.Join(h.claim(g), h.attach(g)); err != nil {
		t.Fatal(err)
	}
	// In the room: the same secret, for longer, and then for less.
	for _, lasts := range []time.Duration{3 * time.Hour, 2 * time.Hour} {
		p := offer("g3", lasts)
		if p.Secret != second.Secret || !p.Participant.HeldUntil.Equal(h.now.Add(lasts)) || p.Participant.Grant != "g2" {
			t.Errorf("offered to who is in the room: %+v", p.Participant)
		}
	}
	h.pass(2 * time.Hour)
	if e, err := h.Participant(h.ctx, key); err != nil || e.Participant.Status != usher.ParticipantLeft {
		t.Errorf("when it is over: %+v, %v", e.Participant, err)
	}
	again := offer("g4", time.Hour)
	if again.Secret == second.Secret || again.Participant.Status != usher.ParticipantReady {
		t.Errorf("offered to who has left: %+v", again.Participant)
	}
	if got := code(t, h.claim(g)); got != "participant_not_found" {
		t.Errorf("the secret of the stay before: got %q", got)
	}
	g.secret = again.Secret
	if err := h.claim(g); err != nil {
		t.Error(err)
	}
}

func TestARejoinVoidsTheEarlierToken(t *testing.T) {
	h := newHouse(t)
	g := h.invite(t, h.open(t, room.Spec{}))
	if err := errors.Join(h.claim(g), h.attach(g)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Lose(h.ctx, g.key, g.attachment); err != nil {
		t.Fatal(err)
	}
	old := *g
	if err := h.claim(g); err != nil {
		t.Fatal(err)
	}
	if got := code(t, h.attach(&old)); got != "token_invalid" {
		t.Errorf("the earlier token: got %q, want token_invalid", got)
	}
	if err := h.attach(g); err != nil {
		t.Errorf("the new token: %v", err)
	}
}

func TestWhatIsUnknown(t *testing.T) {
	h := newHouse(t)
	r := h.open(t, room.Spec{})
	nowhere := usher.ParticipantKey{App: usher.DefaultApp, Room: h.ids.New(), ID: h.ids.New()}
	nobody := usher.ParticipantKey{App: usher.DefaultApp, Room: r.ID, ID: h.ids.New()}
	for _, tt := range []struct {
		name string
		key  usher.ParticipantKey
		do   func(usher.ParticipantKey) error
		want string
	}{
		{"a claim in no room", nowhere, func(k usher.ParticipantKey) error { _, err := h.Claim(h.ctx, k, "x"); return err }, "room_not_found"},
		{"a claim of nobody", nobody, func(k usher.ParticipantKey) error { _, err := h.Claim(h.ctx, k, "x"); return err }, "participant_not_found"},
		{"an attachment of nobody", nobody, func(k usher.ParticipantKey) error { _, err := h.Attach(h.ctx, k, "x", "y"); return err }, "token_invalid"},
		{"a removal of nobody", nobody, func(k usher.ParticipantKey) error { _, err := h.Remove(h.ctx, k, ""); return err }, "participant_not_found"},
		{"a participant in no room", nowhere, func(k usher.ParticipantKey) error { _, err := h.Participant(h.ctx, k); return err }, "participant_not_found"},
		{"a new participant in no room", nowhere, func(k usher.ParticipantKey) error { _, err := h.Add(h.ctx, roomOf(k), room.Place{}); return err }, "room_not_found"},
		{"the end of no room", nowhere, func(k usher.ParticipantKey) error { _, err := h.End(h.ctx, roomOf(k), ""); return err }, "room_not_found"},
	} {
		if got := code(t, tt.do(tt.key)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestConfig(t *testing.T) {
	if problems := room.DefaultConfig().Validate(); len(problems) > 0 {
		t.Errorf("the defaults are refused: %v", problems)
	}
	if problems := (room.Config{Grace: 1, Lease: -1, Seats: -1, KeepFor: time.Hour}).Validate(); len(problems) != 5 {
		t.Errorf("got %v, want a problem of each field", problems)
	}
}
