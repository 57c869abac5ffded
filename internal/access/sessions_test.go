package access_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/room"
)

// ask is the session that somebody asks for in rooms.
func ask(user string, permissions usher.Permissions, rooms ...string) access.SessionSpec {
	spec := access.SessionSpec{User: user, Lifetime: time.Hour}
	for _, ref := range rooms {
		spec.Rooms = append(spec.Rooms, access.SessionRoom{Ref: ref, Permissions: permissions})
	}
	return spec
}

func TestASessionIsADecisionForEachOfItsRooms(t *testing.T) {
	t.Parallel()
	a := newAccess(t, openStore(t), &bus.Local{})
	s, err := a.OpenSession(t.Context(), shop, ask("ann", writes, "one", "two"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.Token.Reveal(), "tok_") || s.User != "ann" || s.Who.Key() != "user:client:shop#ann" || len(s.Passes) != 2 {
		t.Errorf("got the session %+v", s.Session)
	}
	if left := s.ExpiresIn; left <= 59*time.Minute || left > time.Hour {
		t.Errorf("it expires in %v, want an hour", left)
	}
	for i, p := range s.Passes {
		if s.Rooms[i].Owner != shop.Key() || s.Rooms[i].ID != p.Room {
			t.Errorf("the room %q is %s's", s.Rooms[i].Name, s.Rooms[i].Owner)
		}
		e, err := a.Decision(t.Context(), operator, p.Grant)
		if err != nil || e.Room != p.Room || e.Who != s.Who.Key() || e.Actor != shop.Key() || !e.Decision.Allowed {
			t.Errorf("the decision is recorded as %+v, error %v", e, err)
		}
		if !slices.Equal(p.May(), writes) {
			t.Errorf("it may %v, want %v", p.May(), writes)
		}
	}
	again, err := a.OpenSession(t.Context(), shop, ask("bob", reads, "one"))
	if err != nil || again.Rooms[0].ID != s.Rooms[0].ID || !slices.Equal(again.Passes[0].May(), reads) {
		t.Errorf("a second session has %+v, error %v", again.Session, err)
	}
}

func TestWhoGetsNoSession(t *testing.T) {
	t.Parallel()
	a := newAccess(t, openStore(t), &bus.Local{})
	if _, err := a.OpenSession(t.Context(), shop, ask("ann", writes, "shops")); err != nil {
		t.Fatal(err)
	}
	banned := usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: shop.Key(), Subject: "eve"}
	if _, err := a.Ban(t.Context(), operator, "shops", access.BanSpec{Identity: banned.Key()}); err != nil {
		t.Fatal(err)
	}
	user := usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "https://id.example", Subject: "ann"}
	many := make([]string, 21)
	for name, tt := range map[string]struct {
		who  usher.Identity
		spec access.SessionSpec
		want string
	}{
		"a back end that names nobody":        {shop, ask("", writes, "shops"), "user_invalid"},
		"a user that can't be printed":        {shop, ask("a\x00b", writes, "shops"), "user_invalid"},
		"no rooms":                            {shop, ask("ann", writes), "rooms_invalid"},
		"too many rooms":                      {shop, ask("ann", writes, many...), "rooms_invalid"},
		"a room that can't be":                {shop, ask("ann", writes, "..", "shops"), "room_name_invalid"},
		"another back end, in a room of ours": {stranger, ask("ann", writes, "shops"), "not_member"},
		"a banned user":                       {shop, ask("eve", writes, "shops"), "banned"},
		"a user who is no member":             {user, ask("", writes, "shops"), "not_member"},
		"a user, in a room that there is not": {user, ask("", writes, "new"), "room_not_found"},
		"a user for another":                  {user, ask("bob", writes, "shops"), "for_others"},
		"nobody":                              {usher.Identity{App: usher.DefaultApp}, ask("", writes, "shops"), "credentials_required"},
	} {
		_, err := a.OpenSession(t.Context(), tt.who, tt.spec)
		if err == nil {
			t.Errorf("%s: got a session, want %s", name, tt.want)
			continue
		}
		if got := usher.AsError(err).Code; got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}

func TestNobodyGetsASessionInTheNameOfAnother(t *testing.T) {
	t.Parallel()
	a := newAccess(t, openStore(t), &bus.Local{}, func(c *access.Config) { c.Rooms.Implicit = true })
	one := usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "https://one.example", Subject: "ann"}
	other := one
	other.Issuer = "https://other.example"
	for range 2 {
		if _, err := a.OpenSession(t.Context(), one, ask("", writes, "hall")); err != nil {
			t.Fatal(err)
		}
	}
	_, err := a.OpenSession(t.Context(), other, ask("", writes, "hall"))
	wantCode(t, "another user of that name", err, "subject_taken")
	_, err = a.OpenSession(t.Context(), shop, ask("ann", writes, "hall"))
	wantCode(t, "a back end's user of that name", err, "subject_taken")
}

func TestARenewedSessionIsDecidedAnew(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := newAccess(t, openStore(t), &bus.Local{}, func(c *access.Config) { c.Now = func() time.Time { return now } })
	ann := usher.Identity{App: usher.DefaultApp, Kind: usher.UserIdentity, Issuer: "https://id.example", Subject: "ann"}
	r, err := a.CreateRoom(t.Context(), shop, access.RoomSpec{Name: "hall"}, "")
	if err != nil {
		t.Fatal(err)
	}
	member := func(role usher.Role) {
		t.Helper()
		if _, err := a.PutMember(t.Context(), shop, "hall", usher.Member{Identity: ann.Key(), Role: role}); err != nil {
			t.Fatal(err)
		}
	}
	member(usher.Speaker)
	s, err := a.OpenSession(t.Context(), ann, ask("", writes, "hall"))
	if err != nil {
		t.Fatal(err)
	}
	renew := func(what string, code string, want usher.Permissions, expires time.Time) {
		t.Helper()
		_, err := a.RenewSession(t.Context(), s.Token, time.Hour)
		if code != "" {
			wantCode(t, what, err, code)
		} else if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got, pass, err := a.SessionPass(t.Context(), s.Token, r.ID)
		if err != nil || !slices.Equal(pass.May(), want) || got.Expires.Sub(expires).Abs() > time.Second || pass.Grant != s.Passes[0].Grant {
			t.Errorf("%s: may %v until %v, want %v until %v; error %v", what, pass.May(), got.Expires, want, expires, err)
		}
	}
	renew("at once", "", writes, now.Add(time.Hour))
	now = now.Add(30 * time.Minute)
	renew("later", "", writes, now.Add(time.Hour))
	member(usher.Viewer)
	now = now.Add(10 * time.Minute)
	renew("with a lesser role", "", reads, now.Add(time.Hour))
	member(usher.Host)
	renew("with a greater one", "", reads, now.Add(time.Hour))
	if err := a.DeleteMember(t.Context(), shop, "hall", ann.Key()); err != nil {
		t.Fatal(err)
	}
	ends := now.Add(time.Hour)
	now = now.Add(30 * time.Minute)
	renew("as no member", "not_member", reads, ends)
	now = ends
	_, err = a.RenewSession(t.Context(), s.Token, time.Hour)
	wantCode(t, "when it has expired", err, "session_expired")
	_, err = a.Session(t.Context(), "tok_another")
	wantCode(t, "a token of nobody", err, "session_invalid")
}

func TestASessionIsRenewedForTheRoomsThatItStillOpens(t *testing.T) {
	t.Parallel()
	now := time.Now()
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{}, func(c *access.Config) { c.Now = func() time.Time { return now } })
	s, err := a.OpenSession(t.Context(), shop, ask("ann", writes, "over", "taken", "open", "forgotten"))
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(10 * time.Minute) // ids have the system's time
	for _, name := range []string{"over", "forgotten"} {
		if _, err := a.EndRoom(t.Context(), shop, name, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Rooms().Forget(t.Context(), usher.RoomKey{App: usher.DefaultApp, ID: s.Rooms[3].ID}); err != nil {
		t.Fatal(err)
	}
	if err := a.RevokeSessions(t.Context(), shop, access.SessionTarget{User: "ann", Room: "taken"}, ""); err != nil {
		t.Fatal(err)
	}
	now = now.Add(30 * time.Minute)
	renewed, err := a.RenewSession(t.Context(), s.Token, time.Hour)
	if err != nil || renewed.Expires.Sub(now.Add(time.Hour)).Abs() > time.Second {
		t.Fatalf("renewed until %v, want an hour from %v; error %v", renewed.Expires, now, err)
	}
	for i, want := range []string{"room_ended", "session_revoked", "", "room_not_found"} {
		_, _, err := a.SessionPass(t.Context(), s.Token, s.Rooms[i].ID)
		if want == "" && err != nil {
			t.Errorf("the room that is open: %v", err)
		} else if want != "" {
			wantCode(t, s.Rooms[i].Name, err, want)
		}
	}
	if _, err := a.EndRoom(t.Context(), shop, "open", ""); err != nil {
		t.Fatal(err)
	}
	_, err = a.RenewSession(t.Context(), s.Token, time.Hour)
	wantCode(t, "when it opens nothing any more", err, "room_ended")
}

func TestABackEndTakesItsOwnSessionsAwayOnly(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	a := newAccess(t, db, &bus.Local{})
	other := newAccess(t, db, &bus.Local{}) // another node, that hears nothing
	ann, annElsewhere := opened(t, a, "ann", "one"), opened(t, a, "ann", "two")
	bob := opened(t, a, "bob", "one")
	good := func(a *access.Access, s access.OpenedSession) bool {
		_, _, err := a.SessionPass(t.Context(), s.Token, s.Rooms[0].ID)
		return err == nil
	}
	for name, tt := range map[string]struct {
		who    usher.Identity
		target access.SessionTarget
		reason string
		want   string
	}{
		"nothing":                     {shop, access.SessionTarget{}, "", "target_invalid"},
		"a token and a user":          {shop, access.SessionTarget{Token: ann.Token, User: "ann"}, "", "target_invalid"},
		"a token of nobody":           {shop, access.SessionTarget{Token: "tok_x"}, "", "session_not_found"},
		"a token of another back end": {stranger, access.SessionTarget{Token: ann.Token}, "", "session_not_found"},
		"a room of another back end":  {stranger, access.SessionTarget{Room: "one"}, "", "room_not_found"},
		"a room that there is not":    {shop, access.SessionTarget{User: "ann", Room: "three"}, "", "room_not_found"},
		"a long reason":               {shop, access.SessionTarget{User: "ann"}, strings.Repeat("x", 200), "reason_invalid"},
	} {
		wantCode(t, name, a.RevokeSessions(t.Context(), tt.who, tt.target, tt.reason), tt.want)
	}
	if err := a.RevokeSessions(t.Context(), stranger, access.SessionTarget{User: "ann"}, ""); err != nil {
		t.Fatal(err) // its own user of that name
	}
	if !good(a, ann) || !good(a, annElsewhere) || !good(a, bob) {
		t.Fatal("a session was taken away by nobody who may")
	}
	revoke := func(target access.SessionTarget) {
		t.Helper()
		if err := a.RevokeSessions(t.Context(), shop, target, ""); err != nil {
			t.Fatal(err)
		}
	}
	revoke(access.SessionTarget{User: "ann", Room: "one"})
	if good(a, ann) || !good(a, annElsewhere) || !good(a, bob) {
		t.Errorf("taken from a user in a room: %v %v %v", good(a, ann), good(a, annElsewhere), good(a, bob))
	}
	back := opened(t, a, "ann", "one")
	if !good(a, back) {
		t.Error("who lost a session can't be given another")
	}
	revoke(access.SessionTarget{Token: bob.Token})
	revoke(access.SessionTarget{User: "ann"})
	if good(a, bob) || good(a, annElsewhere) || good(a, back) {
		t.Error("what was taken away is still good")
	}
	if err := other.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if good(other, bob) || good(other, annElsewhere) || good(other, ann) {
		t.Error("what was taken away is still good on another node")
	}
}

func TestSessionsAreCutDownAndGivenBack(t *testing.T) {
	t.Parallel()
	a := newAccess(t, openStore(t), &bus.Local{})
	ann, reader := opened(t, a, "ann", "r"), access.OpenedSession{}
	var err error
	if reader, err = a.OpenSession(t.Context(), shop, ask("rita", reads, "r")); err != nil {
		t.Fatal(err)
	}
	restrict := func(user string, most usher.Permissions) {
		t.Helper()
		if err := a.RestrictSessions(t.Context(), shop, access.SessionTarget{User: user, Room: "r"}, most); err != nil {
			t.Fatal(err)
		}
	}
	may := func(s access.OpenedSession) usher.Permissions {
		t.Helper()
		_, p, err := a.SessionPass(t.Context(), s.Token, s.Rooms[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		return p.May()
	}
	restrict("ann", reads)
	if got := may(ann); !slices.Equal(got, reads) {
		t.Errorf("cut down it may %v", got)
	}
	if _, err := a.RenewSession(t.Context(), ann.Token, time.Hour); err != nil || !slices.Equal(may(ann), reads) {
		t.Errorf("renewed it may %v, error %v", may(ann), err)
	}
	restrict("ann", writes)
	restrict("rita", writes)
	if got := may(ann); !slices.Equal(got, writes) {
		t.Errorf("given back it may %v", got)
	}
	if got := may(reader); !slices.Equal(got, reads) {
		t.Errorf("who was granted reading may %v", got)
	}
	wantCode(t, "without a room", a.RestrictSessions(t.Context(), shop, access.SessionTarget{User: "ann"}, reads), "target_invalid")
}

func TestASessionHoldsASeatWhereSeatsAreFew(t *testing.T) {
	t.Parallel()
	a := newAccess(t, openStore(t), &bus.Local{}, func(c *access.Config) { c.Rooms = room.DefaultConfig() })
	seats := 1
	if _, err := a.CreateRoom(t.Context(), shop, access.RoomSpec{Name: "small", Seats: &seats}, ""); err != nil {
		t.Fatal(err)
	}
	s := opened(t, a, "ann", "small")
	opened(t, a, "ann", "small") // her own seat
	_, err := a.OpenSession(t.Context(), shop, ask("bob", writes, "small"))
	wantCode(t, "a second user", err, "room_full")
	if _, err := a.EndRoom(t.Context(), shop, "small", ""); err != nil {
		t.Fatal(err)
	}
	_, _, err = a.SessionPass(t.Context(), s.Token, s.Rooms[0].ID)
	wantCode(t, "in a room that has ended", err, "room_ended")
}
