package policy_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"usher"
	"usher/internal/policy"
)

var (
	now     = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ids     = usher.SystemIDs()
	aClient = usher.Identity{App: "default", Kind: usher.ClientIdentity, Subject: string(ids.New())}
	ann     = usher.Identity{App: "default", Kind: usher.UserIdentity, Issuer: "https://idp.example", Subject: "ann"}
	bob     = usher.Identity{App: "default", Kind: usher.UserIdentity, Issuer: "https://idp.example", Subject: "bob", Groups: []string{"staff"}}
	local   = usher.Identity{App: "default", Kind: usher.LocalIdentity, Subject: "operator", Operator: true}
	public  = usher.Identity{App: "default", Kind: usher.PublicIdentity, Subject: "anyone", Role: usher.Viewer}
)

func operator(id usher.Identity) usher.Identity { id.Operator = true; return id }

func guestOf(room usher.Room, role usher.Role) usher.Identity {
	return usher.Identity{App: "default", Kind: usher.GuestIdentity, Subject: string(ids.New()), Room: room.ID, Role: role, Expires: now.Add(time.Hour)}
}

func actor(id usher.Identity, by usher.Identity) usher.Identity { id.Actor = by.Key(); return id }

func member(id usher.Identity, role usher.Role) []usher.Member {
	return []usher.Member{{App: "default", Identity: id.Key(), Role: role}}
}

func TestThePublicEntersOpenRoomsAndDoesNothingElse(t *testing.T) {
	actions := []policy.Action{
		policy.CreateRoom, policy.ListRooms, policy.ReadRoom, policy.ChangeRoom, policy.EndRoom, policy.ManageRoom, policy.EnterRoom,
		policy.AddParticipant, policy.ReadParticipant, policy.RemoveParticipant, policy.Operate, policy.ReadRecord, policy.Inspect, policy.UseRelay, policy.Reach,
	}
	for _, usual := range []usher.Admission{usher.AdmitOpen, usher.AdmitMembers, usher.AdmitInvite} {
		config := policy.DefaultConfig()
		config.Admission = usual
		p := policy.New(config)
		for _, admission := range []usher.Admission{"", usher.AdmitOpen, usher.AdmitMembers, usher.AdmitInvite} {
			for _, owner := range []string{"", public.Key(), aClient.Key()} {
				for _, action := range actions {
					for _, members := range [][]usher.Member{nil, member(public, usher.Host)} {
						room := usher.Room{App: "default", ID: ids.New(), Owner: owner, Admission: admission}
						req := policy.Request{Identity: public, Action: action, Room: &room, Members: members, Role: usher.Host}
						v := p.Decide(req, now)
						open := admission == usher.AdmitOpen || admission == "" && usual == usher.AdmitOpen
						if want := open && action == policy.EnterRoom; v.Allowed != want || want && v.Role != usher.Viewer {
							t.Errorf("%s in a room of %q with admission %q, usually %q, members %v: allowed %v as %q", action, owner, admission, usual, members, v.Allowed, v.Role)
						}
					}
				}
			}
		}
	}
}

func TestDecide(t *testing.T) {
	room := usher.Room{App: "default", ID: ids.New(), Owner: aClient.Key(), Status: usher.RoomReady}
	other := usher.Room{App: "default", ID: ids.New(), Owner: aClient.Key(), Status: usher.RoomReady}
	open, invited := room, room
	open.Admission, invited.Admission = usher.AdmitOpen, usher.AdmitInvite

	type c struct {
		req  policy.Request
		code string // "" is a grant
		role usher.Role
	}
	for name, c := range map[string]c{
		"nobody creates nothing":                    {policy.Request{Action: policy.CreateRoom}, "credentials_required", ""},
		"a user creates a room":                     {policy.Request{Identity: ann, Action: policy.CreateRoom}, "", ""},
		"a back end creates a room":                 {policy.Request{Identity: aClient, Action: policy.CreateRoom}, "", ""},
		"a guest does not":                          {policy.Request{Identity: guestOf(room, usher.Speaker), Action: policy.CreateRoom}, "not_allowed", ""},
		"the public does not":                       {policy.Request{Identity: public, Action: policy.CreateRoom}, "not_allowed", ""},
		"a back end reaches connections":            {policy.Request{Identity: aClient, Action: policy.Reach}, "", ""},
		"a user does not":                           {policy.Request{Identity: ann, Action: policy.Reach}, "not_allowed", ""},
		"nor does a guest, of connections":          {policy.Request{Identity: guestOf(room, usher.Host), Action: policy.Reach}, "not_allowed", ""},
		"the public opens a meeting":                {policy.Request{Identity: public, Action: policy.OpenMeeting}, "", ""},
		"the public enters a meeting as viewer":     {policy.Request{Identity: public, Action: policy.EnterMeeting}, "", usher.Viewer},
		"the public enters an open room":            {policy.Request{Identity: public, Action: policy.EnterRoom, Room: &open, Role: usher.Host}, "", usher.Viewer},
		"the public enters no other":                {policy.Request{Identity: public, Action: policy.EnterRoom, Room: &room}, "room_not_found", ""},
		"the public only enters":                    {policy.Request{Identity: public, Action: policy.AddParticipant, Room: &open}, "room_not_found", ""},
		"the owner changes its room":                {policy.Request{Identity: aClient, Action: policy.ChangeRoom, Room: &room}, "", ""},
		"the owner adds participants as host":       {policy.Request{Identity: aClient, Action: policy.AddParticipant, Room: &room, Role: usher.Host}, "", usher.Host},
		"the owner adds speakers unless told":       {policy.Request{Identity: aClient, Action: policy.AddParticipant, Room: &room}, "", usher.Speaker},
		"the owner's back end acts for a subject":   {policy.Request{Identity: actor(ann, aClient), Action: policy.EnterRoom, Room: &room}, "", usher.Speaker},
		"an owner enters its own room as host":      {policy.Request{Identity: aClient, Action: policy.EnterRoom, Room: &room}, "", usher.Host},
		"a stranger reads nothing":                  {policy.Request{Identity: ann, Action: policy.ReadRoom, Room: &room}, "room_not_found", ""},
		"a stranger enters no room of members":      {policy.Request{Identity: ann, Action: policy.EnterRoom, Room: &room}, "not_member", ""},
		"nor one by invite":                         {policy.Request{Identity: ann, Action: policy.EnterRoom, Room: &invited}, "invite_required", ""},
		"but an open one":                           {policy.Request{Identity: ann, Action: policy.EnterRoom, Room: &open}, "", usher.Speaker},
		"another back end enters no open room":      {policy.Request{Identity: usher.Identity{App: "default", Kind: usher.ClientIdentity, Subject: string(ids.New())}, Action: policy.EnterRoom, Room: &open}, "room_not_found", ""},
		"a member enters with its role":             {policy.Request{Identity: ann, Action: policy.EnterRoom, Room: &room, Members: member(ann, usher.Viewer)}, "", usher.Viewer},
		"a member's wish for more is clamped":       {policy.Request{Identity: ann, Action: policy.EnterRoom, Room: &room, Members: member(ann, usher.Viewer), Role: usher.Host}, "", usher.Viewer},
		"a member does not end the room":            {policy.Request{Identity: ann, Action: policy.EndRoom, Room: &room, Members: member(ann, usher.Speaker)}, "host_only", ""},
		"a host does":                               {policy.Request{Identity: ann, Action: policy.EndRoom, Room: &room, Members: member(ann, usher.Host)}, "", ""},
		"of two memberships the stronger counts":    {policy.Request{Identity: bob, Action: policy.ManageRoom, Room: &room, Members: append(member(bob, usher.Viewer), usher.Member{Identity: "group:https://idp.example#staff", Role: usher.Host})}, "", ""},
		"the banned member is refused":              {policy.Request{Identity: ann, Action: policy.EnterRoom, Room: &room, Members: member(ann, usher.Host), Banned: true}, "banned", ""},
		"the banned owner is refused":               {policy.Request{Identity: aClient, Action: policy.AddParticipant, Room: &room, Banned: true}, "banned", ""},
		"a guest enters its room":                   {policy.Request{Identity: guestOf(room, usher.Viewer), Action: policy.EnterRoom, Room: &room}, "", usher.Viewer},
		"a guest enters no other":                   {policy.Request{Identity: guestOf(other, usher.Viewer), Action: policy.EnterRoom, Room: &room}, "room_not_found", ""},
		"a guest enters no other that is open":      {policy.Request{Identity: guestOf(other, usher.Viewer), Action: policy.EnterRoom, Room: &open}, "room_not_found", ""},
		"a guest manages nothing":                   {policy.Request{Identity: guestOf(room, usher.Host), Action: policy.ManageRoom, Room: &room}, "room_not_found", ""},
		"an operator reads everything":              {policy.Request{Identity: operator(ann), Action: policy.ReadRoom, Room: &room}, "", ""},
		"an operator ends everything":               {policy.Request{Identity: operator(ann), Action: policy.EndRoom, Room: &room}, "", ""},
		"an operator enters like anybody":           {policy.Request{Identity: operator(ann), Action: policy.EnterRoom, Room: &room}, "not_member", ""},
		"a banned operator can still lift the ban":  {policy.Request{Identity: operator(ann), Action: policy.ManageRoom, Room: &room, Banned: true}, "", ""},
		"only operators operate":                    {policy.Request{Identity: aClient, Action: policy.Operate}, "operators_only", ""},
		"only operators read the record":            {policy.Request{Identity: ann, Action: policy.ReadRecord}, "operators_only", ""},
		"whoever is on the machine does everything": {policy.Request{Identity: local, Action: policy.AddParticipant, Room: &room, Role: usher.Host}, "", usher.Host},
		"a role that there is not":                  {policy.Request{Identity: aClient, Action: policy.AddParticipant, Room: &room, Role: "king"}, "role_unknown", ""},
		"a negative time":                           {policy.Request{Identity: aClient, Action: policy.AddParticipant, Room: &room, Lifetime: -1}, "lifetime_invalid", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := policy.New(policy.DefaultConfig()).Decide(c.req, now)
			if v.Code != c.code || v.Allowed != (c.code == "") || (v.Err == nil) != v.Allowed {
				t.Errorf("decided allowed=%v code=%q, want code %q", v.Allowed, v.Code, c.code)
			}
			if v.Role != c.role && v.Allowed {
				t.Errorf("granted the role %q, want %q", v.Role, c.role)
			}
			if v.Rule == "" {
				t.Error("no rule is named")
			}
			if v.Err != nil && v.Err.Message == "" {
				t.Error("the refusal has no sentence")
			}
		})
	}
}

func TestExcessIsRefusedWhereConfiguredSo(t *testing.T) {
	config := policy.DefaultConfig()
	config.Excess = policy.Refuse
	room := usher.Room{App: "default", ID: ids.New(), Owner: aClient.Key(), ClosesAt: now.Add(time.Hour)}
	p := policy.New(config)
	for name, c := range map[string]struct {
		req  policy.Request
		code string
	}{
		"a role beyond the membership": {policy.Request{Identity: ann, Members: member(ann, usher.Viewer), Role: usher.Speaker}, "role_exceeds"},
		"a time beyond the ceiling":    {policy.Request{Identity: aClient, Lifetime: config.MaxLifetime + 1}, "lifetime_exceeds"},
		"a time beyond the window":     {policy.Request{Identity: aClient, Lifetime: 2 * time.Hour}, "lifetime_exceeds"},
	} {
		c.req.Action, c.req.Room = policy.AddParticipant, &room
		if len(c.req.Members) > 0 {
			c.req.Action = policy.EnterRoom
		}
		if v := p.Decide(c.req, now); v.Code != c.code {
			t.Errorf("%s: code %q, want %q", name, v.Code, c.code)
		}
	}
	if v := p.Decide(policy.Request{Identity: aClient, Action: policy.AddParticipant, Room: &room}, now); !v.Allowed || !v.Expires.Equal(room.ClosesAt) {
		t.Errorf("who asks for no time got %v until %v, want until the room closes", v.Allowed, v.Expires)
	}
}

// TestNoGrantExceedsItsBounds: no input makes a grant exceed role, room, window
// or ceiling.
func TestNoGrantExceedsItsBounds(t *testing.T) {
	requests, grants := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		config := policy.DefaultConfig()
		config.Lifetime = time.Duration(rapid.IntRange(1, 100_000).Draw(t, "usual")) * time.Second
		config.MaxLifetime = config.Lifetime + time.Duration(rapid.IntRange(0, 100_000).Draw(t, "more"))*time.Second
		config.Excess = rapid.SampledFrom([]policy.Excess{policy.Clamp, policy.Refuse}).Draw(t, "excess")
		config.Roles = map[string][]string{"listener": {"join", "subscribe"}, "mute": {"subscribe"}, "screen": {"join", "publish_screen"}}
		if problems := config.Validate(); len(problems) > 0 {
			t.Fatal(problems)
		}
		p := policy.New(config)

		moment := func(name string) time.Time {
			if rapid.Bool().Draw(t, name+" set") {
				return now.Add(time.Duration(rapid.IntRange(-200_000, 200_000).Draw(t, name)) * time.Second)
			}
			return time.Time{}
		}
		role := func(name string) usher.Role {
			return rapid.SampledFrom([]usher.Role{"", usher.Host, usher.Speaker, usher.Viewer, "listener", "mute", "screen", "unknown"}).Draw(t, name)
		}
		for range 20 { // of which a few are granted
			requests++
			room := usher.Room{
				App: "default", ID: ids.New(), OpensAt: moment("opens"), ClosesAt: moment("closes"),
				Owner:     rapid.SampledFrom([]string{ann.Key(), aClient.Key(), "user:x#y"}).Draw(t, "owner"),
				Admission: rapid.SampledFrom([]usher.Admission{"", usher.AdmitOpen, usher.AdmitMembers, usher.AdmitInvite}).Draw(t, "admission"),
			}
			guest := guestOf(room, role("guest's"))
			guest.Expires = moment("guest's end")
			stray := guest
			stray.Room = ids.New()
			id := rapid.SampledFrom([]usher.Identity{{}, ann, bob, operator(ann), aClient, actor(ann, aClient), guest, stray, public}).Draw(t, "who")
			var members []usher.Member
			for i := range rapid.IntRange(0, 2).Draw(t, "memberships") {
				members = append(members, usher.Member{Identity: id.Key(), Role: role(fmt.Sprint("member", i))})
			}
			req := policy.Request{
				Identity: id, Room: &room, Members: members, Banned: rapid.IntRange(0, 9).Draw(t, "banned") == 0, Role: role("asked"),
				Action:   rapid.SampledFrom([]policy.Action{policy.EnterRoom, policy.AddParticipant}).Draw(t, "action"),
				Lifetime: time.Duration(rapid.IntRange(-10, 500_000).Draw(t, "lifetime")) * time.Second,
			}
			v := p.Decide(req, now)
			if !v.Allowed {
				if v.Err == nil || v.Code == "" {
					t.Fatalf("a refusal without a reason: %+v", v)
				}
				continue
			}
			checkGrant(t, p, config, req, v)
			grants++
		}
	})
	t.Logf("figure: %d requests under random policies, %d of them granted", requests, grants)
}

func checkGrant(t *rapid.T, p *policy.Policy, config policy.Config, req policy.Request, v policy.Verdict) {
	if !req.Identity.Known() || req.Banned {
		t.Fatalf("granted to nobody or to a banned one: %+v", v)
	}
	ceiling := v.NotBefore.Add(config.MaxLifetime)
	switch {
	case v.NotBefore.Before(now) || v.NotBefore.Before(req.Room.OpensAt):
		t.Fatalf("granted from %v, before now or before the room opens", v.NotBefore)
	case !v.Expires.After(v.NotBefore):
		t.Fatalf("granted from %v to %v", v.NotBefore, v.Expires)
	case v.Expires.After(ceiling):
		t.Fatalf("granted until %v, beyond the ceiling %v", v.Expires, ceiling)
	case !req.Room.ClosesAt.IsZero() && v.Expires.After(req.Room.ClosesAt):
		t.Fatalf("granted until %v, beyond the window's end %v", v.Expires, req.Room.ClosesAt)
	case req.Lifetime > 0 && v.Expires.Sub(v.NotBefore) > req.Lifetime:
		t.Fatalf("granted %v, more than was asked for: %v", v.Expires.Sub(v.NotBefore), req.Lifetime)
	}
	most := most(p, req)
	if !v.Permissions.Within(most) {
		t.Fatalf("granted %v, more than %v", v.Permissions, most)
	}
	if asked, known := p.Permissions(req.Role); req.Role != "" && (!known || !asked.Within(most)) && len(v.Clamped) == 0 {
		t.Fatalf("less was granted than asked for, and the answer does not say so: %+v", v)
	}
	if !v.Permissions.Has(usher.Join) {
		t.Fatalf("granted a place without the right to join: %v", v.Permissions)
	}
}

// most is, written another way than in the policy, the most that anyone may get.
func most(p *policy.Policy, req policy.Request) usher.Permissions {
	of := func(role usher.Role) usher.Permissions {
		permissions, _ := p.Permissions(role)
		return permissions
	}
	id := req.Identity
	if id.Kind == usher.PublicIdentity {
		if req.Room.Admission == usher.AdmitOpen && req.Action == policy.EnterRoom {
			return of(id.Role)
		}
		return nil
	}
	if req.Room.Owner == id.Key() || id.Actor != "" && id.Actor == req.Room.Owner {
		return usher.AllPermissions
	}
	if id.Kind == usher.GuestIdentity {
		if id.Room != req.Room.ID {
			return nil
		}
		return of(id.Role)
	}
	if len(req.Members) > 0 {
		var all usher.Permissions
		for _, m := range req.Members {
			if len(of(m.Role)) > len(all) {
				all = of(m.Role)
			}
		}
		return all
	}
	if req.Room.Admission == usher.AdmitOpen && id.Kind == usher.UserIdentity && req.Action == policy.EnterRoom {
		return of(usher.Speaker)
	}
	return nil
}

func TestConfigValidateListsEveryMistake(t *testing.T) {
	config := policy.Config{Excess: "maybe", Admission: "sometimes", OpenRole: "king", Roles: map[string][]string{"host": nil, "x": {"fly"}}}
	var fields []string
	for _, p := range config.Validate() {
		fields = append(fields, p.Field)
	}
	if got, want := fmt.Sprint(fields), "[admission excess lifetime openRole roles.host roles.x]"; got != want {
		t.Errorf("problems in %s, want %s", got, want)
	}
	if problems := policy.DefaultConfig().Validate(); len(problems) > 0 {
		t.Errorf("the default has problems: %v", problems)
	}
}

func BenchmarkDecide(b *testing.B) {
	p := policy.New(policy.DefaultConfig())
	room := usher.Room{App: "default", ID: ids.New(), Owner: aClient.Key()}
	req := policy.Request{Identity: ann, Action: policy.EnterRoom, Room: &room, Members: member(ann, usher.Viewer), Role: usher.Speaker}
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(req, now)
	}
}
