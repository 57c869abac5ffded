package room_test

import (
	"cmp"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher"
	"usher/internal/room"
	"usher/internal/store"
)

// What may follow a status of a participant; what is not here is for good.
var participantEdges = map[usher.ParticipantStatus][]usher.ParticipantStatus{
	usher.ParticipantReady:  {usher.ParticipantJoined, usher.ParticipantRemoved},
	usher.ParticipantJoined: {usher.ParticipantReady, usher.ParticipantLeft, usher.ParticipantRemoved},
	usher.ParticipantLeft:   {usher.ParticipantReady, usher.ParticipantRemoved}, // ready again by an offer
}

// What may follow a status of a room.
var roomEdges = map[usher.RoomStatus][]usher.RoomStatus{
	usher.RoomReady:   {usher.RoomRunning, usher.RoomEnded},
	usher.RoomRunning: {usher.RoomReady, usher.RoomEnded}, // ready again when the only claim came to nothing
}

// history is a house with one room, in which anything may happen.
type history struct {
	*house
	t      *rapid.T
	room   usher.RoomKey
	guests []*guest

	before       store.Entry // of the guest that acts, as it is seen before
	roomStatus   usher.RoomStatus
	participants map[usher.ID]usher.ParticipantStatus
}

func (h *history) guest() *guest {
	g := rapid.SampledFrom(h.guests).Draw(h.t, "guest")
	h.before = h.see(g)
	return g
}

func (h *history) see(g *guest) store.Entry {
	e, err := h.Participant(h.ctx, g.key)
	if err != nil {
		h.t.Fatalf("Participant: %v", err)
	}
	return e
}

func (h *history) actions() map[string]func(*rapid.T) {
	actions := map[string]func(){
		"invite": h.inviteOne, "claim": h.claimOne, "guess": h.guessOne, "attach": h.attachOne,
		"lose": h.loseOne, "leave": h.leaveOne, "remove": h.removeOne, "renew": h.renewOne, "offer": h.offerOne,
		"pass": func() {
			h.pass(rapid.SampledFrom([]time.Duration{time.Microsecond, time.Second, lease, grace, time.Minute, time.Hour}).Draw(h.t, "time"))
		},
		"sweep": h.sweep, "seats": h.changeSeats, "restart": h.restart, "end": h.endSometimes,
	}
	steps := make(map[string]func(*rapid.T))
	for name, do := range actions {
		steps[name] = func(*rapid.T) { do() }
	}
	steps[""] = func(*rapid.T) { h.check() }
	return steps
}

func (h *history) inviteOne() {
	if len(h.guests) == 6 {
		return
	}
	p, err := h.Add(h.ctx, h.room, room.Place{})
	if err != nil {
		if code(h.t, err) != "room_ended" {
			h.t.Fatalf("Add: %v", err)
		}
		return
	}
	h.guests = append(h.guests, &guest{key: p.Participant.Key(), secret: p.Secret})
}

// claimOne holds a claim against the rule: a secret opens a ready place if a
// seat is free, and the kept place of a lost connection, and nothing else.
func (h *history) claimOne() {
	g := h.guest()
	r, p := h.before.Room, h.before.Participant
	want := "participant_not_found"
	switch {
	case p.Status == usher.ParticipantRemoved:
	case r.Status == usher.RoomEnded:
		want = "room_ended"
	case p.Status == usher.ParticipantReady && r.Seats > 0 && h.seated() >= r.Seats:
		want = "room_full"
	case p.Status == usher.ParticipantReady, p.Hold == usher.GraceHold:
		want = ""
	}
	err := h.claim(g)
	if got := code(h.t, err); got != want && (got != "room_full" || want != "") {
		h.t.Fatalf("claim of a %s participant held by %q in a %s room: got %q, want %q", p.Status, p.Hold, r.Status, got, want)
	}
	if after := h.see(g); err == nil && p.Status == usher.ParticipantReady && r.Seats > 0 && after.Room.Taken > r.Seats {
		h.t.Fatalf("a seat was sold of %d, of which %d are taken", r.Seats, after.Room.Taken)
	}
}

// seated counts those who hold a seat as of now.
func (h *history) seated() int {
	n := 0
	for _, g := range h.guests {
		if h.see(g).Participant.Seated() {
			n++
		}
	}
	return n
}

func (h *history) guessOne() {
	g := h.guest()
	if _, err := h.Claim(h.ctx, g.key, "guess"); err == nil {
		h.t.Fatalf("a wrong secret claimed a place")
	}
	if _, err := h.Attach(h.ctx, g.key, "guess", h.ids.New()); err == nil {
		h.t.Fatalf("a wrong token attached")
	}
}

func (h *history) attachOne() {
	g := h.guest()
	err := h.attach(g)
	if want := h.before.Participant.Seated() && h.before.Participant.Token.Matches(g.token); (err == nil) != want {
		h.t.Fatalf("attach of a %s participant: got %v, want success %t", h.before.Participant.Status, err, want)
	}
}

func (h *history) loseOne() {
	g := h.guest()
	if _, err := h.Lose(h.ctx, g.key, g.attachment); err != nil {
		h.t.Fatalf("Lose: %v", err)
	}
}

func (h *history) leaveOne() {
	g := h.guest()
	e, err := h.Leave(h.ctx, g.key, g.attachment)
	if err != nil {
		h.t.Fatalf("Leave: %v", err)
	}
	if p := h.before.Participant; p.Hold == usher.SocketHold && p.Attachment == g.attachment && e.Participant.Status != usher.ParticipantLeft {
		h.t.Fatalf("who left is %s", e.Participant.Status)
	}
}

func (h *history) removeOne() {
	g := h.guest()
	e, err := h.Remove(h.ctx, g.key, "Out.")
	if (err == nil) != (h.before.Participant.Status != usher.ParticipantRemoved) {
		h.t.Fatalf("Remove of a %s participant: %v", h.before.Participant.Status, err)
	}
	if err == nil && e.Participant.Status != usher.ParticipantRemoved {
		h.t.Fatalf("who was removed is %s", e.Participant.Status)
	}
}

func (h *history) renewOne() {
	g := h.guest()
	p, err := h.RenewSecret(h.ctx, g.key)
	if (err == nil) != (h.before.Participant.Status == usher.ParticipantReady && h.before.Room.Status != usher.RoomEnded) {
		h.t.Fatalf("RenewSecret of a %s participant: %v", h.before.Participant.Status, err)
	}
	if err == nil {
		g.secret = p.Secret
	}
}

// secretOf makes the secrets of offers.
func secretOf(grant usher.ID) usher.Secret { return usher.Secret("secret of " + grant) }

// offerOne holds an offer against the rule: whoever is not in the room gets a
// secret that nobody had, whoever is keeps the one that an offer gave, and
// nobody gets a seat by it.
func (h *history) offerOne() {
	g := h.guest()
	before, grant := h.before.Participant, h.ids.New()
	place := room.Place{ID: g.key.ID, Role: usher.Viewer, Grant: grant, Expires: h.now.Add(1000 * time.Hour)}
	offered, err := h.Offer(h.ctx, g.key, place, secretOf)
	want := ""
	switch {
	case h.before.Room.Status == usher.RoomEnded:
		want = "room_ended"
	case before.Status == usher.ParticipantRemoved:
		want = "participant_removed"
	}
	if err != nil || want != "" {
		if got := code(h.t, err); got != want {
			h.t.Fatalf("offer to a %s participant in a %s room: got %q, want %q", before.Status, h.before.Room.Status, got, want)
		}
		return
	}
	after := h.see(g)
	kept := before.Seated() && before.Secret == secretOf(before.Grant).Digest()
	if kept != (after.Participant.Grant == before.Grant) || offered.Secret != secretOf(after.Participant.Grant) || !after.Participant.Secret.Matches(offered.Secret) {
		h.t.Fatalf("offer to a %s participant: the secret is kept: %t", before.Status, !kept)
	}
	if after.Room.Taken != h.before.Room.Taken || after.Participant.Hold != before.Hold || after.Participant.Token != before.Token || after.Participant.Role != usher.Viewer {
		h.t.Fatalf("offer: %+v became %+v", h.before, after)
	}
	g.secret = offered.Secret
}

func (h *history) changeSeats() {
	n := rapid.IntRange(0, 3).Draw(h.t, "seats")
	if _, err := h.Update(h.ctx, h.room, room.Change{Seats: &n}); err != nil && code(h.t, err) != "room_ended" {
		h.t.Fatalf("Update: %v", err)
	}
}

// restart begins a new process after the old one has swept: what fell due within
// its last second gets another grace, since nobody could come back meanwhile.
func (h *history) restart() {
	h.sweep()
	h.start()
	if _, err := h.Recover(h.ctx); err != nil {
		h.t.Fatalf("Recover: %v", err)
	}
}

// endSometimes ends a room rarely, or every history would be short.
func (h *history) endSometimes() {
	if rapid.IntRange(0, 9).Draw(h.t, "end") == 0 {
		_, err := h.End(h.ctx, h.room, "Over.")
		if c := code(h.t, err); c != "" && c != "room_ended" {
			h.t.Fatalf("End: %v", err)
		}
	}
}

// sweep writes down what everybody sees already, and once is enough.
func (h *history) sweep() {
	seen := h.view()
	if err := h.Sweep(h.ctx); err != nil {
		h.t.Fatalf("Sweep: %v", err)
	}
	if swept := h.view(); !maps.Equal(seen, swept) {
		h.t.Fatalf("the sweeper changed what is seen from %v to %v", seen, swept)
	}
	rooms, participants := maps.Clone(h.db.rooms), maps.Clone(h.db.participants)
	if err := h.Sweep(h.ctx); err != nil {
		h.t.Fatalf("Sweep: %v", err)
	}
	if !maps.Equal(rooms, h.db.rooms) || !maps.Equal(participants, h.db.participants) {
		h.t.Fatalf("a second sweep changed something")
	}
}

// view is who is what, as of now.
func (h *history) view() map[usher.ID]usher.ParticipantStatus {
	view := make(map[usher.ID]usher.ParticipantStatus)
	for _, g := range h.guests {
		view[g.key.ID] = h.see(g).Participant.Status
	}
	return view
}

// check holds what is stored and what is seen against what is always true.
func (h *history) check() {
	stored := h.db.rooms[h.room]
	joined := 0
	for _, p := range h.db.participants {
		if p.Seated() {
			joined++
		}
		if p.Seated() == (p.Hold == usher.Unheld) || (p.Hold == usher.SocketHold) != (p.Attachment != "") || p.Seated() == p.Token.IsZero() {
			h.t.Fatalf("a %s participant is held by %q, attachment %q", p.Status, p.Hold, p.Attachment)
		}
	}
	if stored.Status == usher.RoomEnded {
		joined = 0 // those who are still to be swept hold no seat
	}
	if stored.Taken != joined {
		h.t.Fatalf("%d seats are taken by %d participants", stored.Taken, joined)
	}
	r, err := h.Get(h.ctx, h.room)
	if err != nil {
		h.t.Fatalf("Get: %v", err)
	}
	if !follows(roomEdges, h.roomStatus, r.Status) {
		h.t.Fatalf("a room that was %s is %s", h.roomStatus, r.Status)
	}
	h.roomStatus = r.Status
	for id, status := range h.view() {
		// A lease that had run out when the room ended, and was not yet swept,
		// ends with the room.
		unswept := r.Status == usher.RoomEnded && h.participants[id] == usher.ParticipantReady && status == usher.ParticipantLeft
		if was, known := h.participants[id]; known && !unswept && !follows(participantEdges, was, status) {
			h.t.Fatalf("a participant that was %s is %s", was, status)
		}
		h.participants[id] = status
		if r.Status == usher.RoomEnded && status == usher.ParticipantJoined {
			h.t.Fatalf("somebody is in a room that has ended")
		}
	}
}

func follows[S cmp.Ordered](edges map[S][]S, from, to S) bool {
	return from == to || slices.Contains(edges[from], to)
}

func TestHistories(t *testing.T) {
	histories := 0
	rapid.Check(t, func(t *rapid.T) {
		histories++
		h := &history{house: newHouse(t), t: t, roomStatus: usher.RoomReady, participants: map[usher.ID]usher.ParticipantStatus{}}
		seats := rapid.IntRange(0, 3).Draw(t, "seats")
		spec := room.Spec{Seats: &seats}
		if rapid.Bool().Draw(t, "permanent") {
			spec.Name = "lobby"
		}
		if rapid.Bool().Draw(t, "closes") {
			spec.ClosesAt = begin.Add(2 * time.Hour)
		}
		h.room = h.open(t, spec).Key()
		h.inviteOne()
		h.inviteOne()
		t.Repeat(h.actions())
	})
	t.Logf("figure: %d random histories of a room", histories)
}
