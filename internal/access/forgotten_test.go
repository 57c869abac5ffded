package access_test

import (
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/identity"
	"usher/internal/room"
)

// What led into a room that was forgotten leads nowhere, says so, and does not
// lead into another one that has its name by then.
func TestWhatLedIntoARoomThatIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openStore(t)
		var guests *identity.Guests
		a := newAccess(t, db, &bus.Local{}, withGuests(t, db), func(c *access.Config) { guests = c.Guests })
		create := func() usher.Room {
			r, err := a.CreateRoom(t.Context(), shop, access.RoomSpec{Name: "lobby"}, "")
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		r := create()
		p, err := a.AddParticipant(t.Context(), shop, string(r.ID), access.Place{Name: "Ann"}, "again")
		if err != nil {
			t.Fatal(err)
		}
		c := claimed(t, a, r, "Ben")
		s := opened(t, a, "ann", "lobby")
		i := invite(t, a, r, access.InviteSpec{})
		gus, err := redeem(t, a, i.Secret, "Gus")
		if err != nil {
			t.Fatal(err)
		}
		ban, err := a.Ban(t.Context(), shop, string(r.ID), access.BanSpec{Identity: user("Eve").Key()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.PutMember(t.Context(), shop, string(r.ID), usher.Member{Identity: user("Eve").Key(), Role: usher.Host}); err != nil {
			t.Fatal(err)
		}
		_, err = enter(t, a, user("Eve"), r)
		refused := refusal(t, err).Decision
		if _, err := a.EndRoom(t.Context(), shop, string(r.ID), "Over."); err != nil {
			t.Fatal(err)
		}
		next := create()
		time.Sleep(room.DefaultConfig().KeepFor + time.Second)
		if err := a.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}

		_, err = a.Room(t.Context(), shop, string(r.ID))
		wantCode(t, "the room", err, "room_not_found")
		_, err = a.Claim(t.Context(), p.Participant.Key(), p.Secret)
		wantCode(t, "a claim", err, "room_not_found")
		_, err = a.Attach(t.Context(), c.Participant.Key(), c.Token, newConnection())
		wantCode(t, "an attachment", err, "token_invalid")
		_, err = a.AddParticipant(t.Context(), shop, string(r.ID), access.Place{Name: "Ann"}, "again")
		wantCode(t, "a repeated create", err, "room_not_found")
		_, err = a.Visit(t.Context(), s.Token, r.ID, newConnection())
		wantCode(t, "a visit", err, "session_invalid")
		_, err = redeem(t, a, i.Secret, "Gus")
		wantCode(t, "an invite", err, "invite_not_found")
		if id, err := guests.Authenticate(t.Context(), identity.Proof{Bearer: gus.Token}); err == nil {
			t.Errorf("the guest is known as %+v", id)
		}
		_, err = enter(t, a, gus.Guest, r)
		wantCode(t, "the guest", err, "room_not_found")
		_, err = enter(t, a, gus.Guest, next)
		wantCode(t, "the guest in the next room", err, "room_not_found")
		_, err = a.Bans(t.Context(), shop, string(r.ID))
		wantCode(t, "the bans", err, "room_not_found")
		wantCode(t, "the end of a ban", a.Unban(t.Context(), shop, string(r.ID), ban.ID), "room_not_found")
		_, err = a.EndRoom(t.Context(), shop, string(r.ID), "Over again.")
		wantCode(t, "another end", err, "room_not_found")
		if e, err := a.Decision(t.Context(), operator, refused); err != nil || e.Room != r.ID || e.Decision.Code == "" {
			t.Errorf("the refusal is explained as %+v, %v", e, err)
		}
		list, _, err := a.Rooms(t.Context(), shop, access.RoomFilter{}, access.Page{After: r.ID, Limit: 10})
		if err != nil || len(list) != 1 || list[0].ID != next.ID {
			t.Errorf("the rooms after it are %+v, %v", list, err)
		}
		if got, err := a.Room(t.Context(), shop, "lobby"); err != nil || got.ID != next.ID {
			t.Errorf("the room of its name is %+v, %v", got, err)
		}
	})
}
