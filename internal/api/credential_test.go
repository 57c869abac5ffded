package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/client"
	"usher/internal/platform"
	"usher/internal/platform/agora"
	"usher/internal/platform/livekit"
	"usher/internal/platform/turnrest"
	"usher/internal/platform/vpaas"
)

const (
	agoraID          = "970ca35de60c44645bbae8a215061b33"
	agoraCertificate = "5cfd2fd1755d40ecb72977518be15d3b"
)

// broken is a platform that is out of order.
type broken struct{}

func (broken) Issue(context.Context, platform.Request) (usher.Credential, error) {
	return usher.Credential{}, usher.Errorf(usher.Upstream, "platform_failed", "The platform's answer is of no use.")
}

// withPlatforms gives a server platforms.
func withPlatforms(t *testing.T) func(*settings) {
	t.Helper()
	relay := must(turnrest.New(turnrest.Config{URLs: []string{"stun:turn.example.com", "turn:turn.example.com"}, Secret: usher.Secret(strings.Repeat("s", 32)), TTL: time.Hour}))(t)
	project := must(agora.New(agora.Config{AppID: agoraID, AppCertificate: agoraCertificate}))(t)
	return func(set *settings) {
		set.access.Platforms = map[string]platform.Platform{agora.Name: project, turnrest.Name: relay, "broken": broken{}, vpaas.Name: vpaas.Own{
			Address: func(context.Context) string { return "https://usher.example" },
		}}
		set.access.Readers = []platform.Inspector{livekit.Reader()}
	}
}

func TestACredentialAndWhatItIs(t *testing.T) {
	s := newServer(t, withPlatforms(t))
	s.room(owner, client.CreateRoomRequest{Name: "lobby", Admission: usher.AdmitOpen})
	for _, format := range []string{"", "006"} {
		c := must(s.as(ann).Issue(t.Context(), "lobby", client.CredentialRequest{Platform: "agora", Format: format, Subject: "7", Role: usher.Host, TTL: 600}))(t)
		if c.Platform != "agora" || c.Room != "lobby" || c.Role != usher.Speaker || !slices.Contains(c.Clamped, "role") || c.Grant == "" {
			t.Errorf("format %q: got %+v", format, c)
		}
		if c.ExpiresIn < 590 || c.ExpiresIn > 600 || c.RefreshIn < 1 || c.ExpiresIn-c.RefreshIn < 2*60 {
			t.Errorf("format %q: expires in %d, to be refreshed in %d", format, c.ExpiresIn, c.RefreshIn)
		}
		found := must(s.as(ann).Inspect(t.Context(), client.InspectRequest{Token: c.Token, Room: "lobby", Subject: "7"}))(t)
		if found.Verified != "good" || found.Room != "lobby" || found.Subject != "7" || !found.ExpiresAt.Equal(c.ExpiresAt.Time) {
			t.Errorf("format %q: inspected as %+v", format, found)
		}
		if log := s.log.String(); strings.Contains(log, c.Token.Reveal()) {
			t.Error("the log has the token in it")
		}
	}
	c := must(s.as(ann).Issue(t.Context(), "lobby", client.CredentialRequest{Platform: "turn", Permissions: usher.Permissions{usher.Join}}))(t)
	if diff := cmp.Diff(usher.Permissions{usher.Join}, c.Permissions); diff != "" || !strings.Contains(string(c.Body), c.Token.Reveal()) {
		t.Errorf("a TURN credential: %s, permissions:\n%s", c.Body, diff)
	}
}

func TestACredentialThatIsAPlaceInTheRoom(t *testing.T) {
	s := newServer(t, withPlatforms(t))
	r := s.room(owner, client.CreateRoomRequest{Name: "lobby", Admission: usher.AdmitOpen})
	c := must(s.as(ann).Issue(t.Context(), "lobby", client.CredentialRequest{Platform: "vpaas", TTL: 60}))(t)
	var body struct {
		Address     string       `json:"api_address"`
		Meeting     usher.ID     `json:"meeting_id"`
		Participant usher.ID     `json:"participant_id"`
		Secret      usher.Secret `json:"participant_secret"`
	}
	if err := json.Unmarshal(c.Body, &body); err != nil {
		t.Fatal(err)
	}
	if body.Address != "https://usher.example" || body.Address != c.URL || body.Meeting != r.ID || body.Secret != c.Token || c.ExpiresIn > 60 || c.RefreshIn < 30 {
		t.Errorf("got %+v and %+v", c, body)
	}
	claimed := must(s.as(nobody).Claim(t.Context(), body.Meeting, body.Participant, body.Secret))(t)
	if claimed.Participant.Role != usher.Speaker || !claimed.Participant.ExpiresAt.Equal(c.ExpiresAt.Time) {
		t.Errorf("claimed is %+v", claimed.Participant)
	}
	if strings.Contains(s.log.String(), c.Token.Reveal()) {
		t.Error("the log has the secret in it")
	}
}

func TestATokenOfAPlatformThatIsNotConfiguredIsRecognised(t *testing.T) {
	s := newServer(t, withPlatforms(t))
	foreign := must(livekit.New(livekit.Config{URL: "wss://livekit.example.com", APIKey: "key", APISecret: usher.Secret(strings.Repeat("s", 32))}))(t)
	now := time.Now()
	c := must(foreign.Issue(t.Context(), platform.Request{
		Grant:   usher.Grant{Room: "lobby", Permissions: usher.AllPermissions, NotBefore: now, Expires: now.Add(time.Hour)},
		Subject: "ann", Now: now,
	}))(t)
	if got := must(s.as(ann).Inspect(t.Context(), client.InspectRequest{Token: c.Token}))(t); got.Platform != "livekit" || got.Verified != "unknown" || len(got.Problems) == 0 {
		t.Errorf("got %+v", got)
	}
}

func TestICEServersAreForWhoeverIsKnown(t *testing.T) {
	s := newServer(t, withPlatforms(t))
	s.room(owner, client.CreateRoomRequest{Name: "hall"})
	invite := must(s.as(owner).CreateInvite(t.Context(), "hall", client.CreateInviteRequest{}))(t)
	guest := must(s.as(nobody).Redeem(t.Context(), client.RedeemRequest{Code: invite.Code, Name: "Gast"}))(t)
	for _, caller := range []string{owner, ann, guest.Token.Reveal(), operator} {
		got := must(s.as(caller).ICEServers(t.Context()))(t)
		if len(got.Servers) != 1 || len(got.Servers[0].URLs) != 2 || got.Servers[0].Credential == "" || got.ExpiresIn < 3590 || got.ExpiresIn > 3600 {
			t.Errorf("%s: got %+v", caller, got)
		}
	}
}

// credentialStatuses are the statuses of the credentials of platforms.
func credentialStatuses(t *testing.T, s *server) []statusTest {
	studio := s.room(owner, client.CreateRoomRequest{Name: "studio"})
	gone := s.room(owner, client.CreateRoomRequest{Name: "gone"})
	must(s.as(owner).EndRoom(t.Context(), "gone", ""))(t)
	hall := s.room(owner, client.CreateRoomRequest{Name: "out of here", Admission: usher.AdmitOpen})
	must(s.as(ann).Issue(t.Context(), "out of here", client.CredentialRequest{Platform: "vpaas"}))(t)
	for p, err := range s.as(owner).Participants(t.Context(), "out of here", client.PageQuery{}) {
		must(p, err)(t)
		must(s.as(owner).RemoveParticipant(t.Context(), "out of here", p.ID, ""))(t)
	}
	path, inspect, ice := "/api/v1/rooms/"+string(studio.ID)+"/credentials", "/api/v1/credentials/inspect", "/api/v1/ice-servers"
	large := `{"token":"` + strings.Repeat("x", 70_000) + `"}`
	text, robotic := map[string]string{"Content-Type": "text/plain"}, map[string]string{"Usher-Act-As": "nobody"}
	return append(refusals("a credential", "POST", path, `{"platform":"agora","subject":"7"}`), []statusTest{
		{"a credential is issued", request{owner, "POST", path, `{"platform":"agora","subject":"7"}`, nil}, http.StatusCreated, ""},
		{"one of an unknown platform", request{owner, "POST", path, `{"platform":"zoom"}`, nil}, 404, "platform_not_configured"},
		{"one of an unknown format", request{owner, "POST", path, `{"platform":"agora","format":"008"}`, nil}, 400, "format_unknown"},
		{"one with an unknown permission", request{owner, "POST", path, `{"platform":"agora","permissions":["fly"]}`, nil}, 400, "permission_unknown"},
		{"one for a room that has ended", request{owner, "POST", "/api/v1/rooms/" + string(gone.ID) + "/credentials", `{"platform":"agora","subject":"7"}`, nil}, 410, "room_ended"},
		{"one for who was put out", request{ann, "POST", "/api/v1/rooms/" + string(hall.ID) + "/credentials", `{"platform":"vpaas"}`, nil}, 409, "participant_removed"},
		{"one of a platform that fails", request{owner, "POST", path, `{"platform":"broken"}`, nil}, 502, "platform_failed"},

		{"a token is looked at", request{ann, "POST", inspect, `{"token":"007eJx"}`, nil}, 200, ""},
		{"what is no token is looked at", request{ann, "POST", inspect, `{"token":"x"}`, nil}, 400, "token_unrecognised"},
		{"a token is looked at by nobody", request{nobody, "POST", inspect, "{}", nil}, 401, "credentials_required"},
		{"a token is looked at for a subject", request{unscoped, "POST", inspect, "{}", map[string]string{"Usher-Act-As": annKey}}, 403, "scope_missing"},
		{"a token is looked at at length", request{ann, "POST", inspect, large, nil}, 413, "body_too_large"},
		{"a token is looked at in text", request{ann, "POST", inspect, "x", text}, 415, "media_type_unsupported"},

		{"the ICE servers", request{ann, "GET", ice, "", nil}, 200, ""},
		{"the ICE servers for nobody", request{nobody, "GET", ice, "", nil}, 401, "credentials_required"},
		{"the ICE servers for no subject", request{robot, "GET", ice, "", robotic}, 400, "subject_invalid"},
		{"the ICE servers for a subject", request{unscoped, "GET", ice, "", map[string]string{"Usher-Act-As": annKey}}, 403, "scope_missing"},
	}...)
}

func TestThePageIsToldWhetherThereAreICEServers(t *testing.T) {
	relay := must(turnrest.New(turnrest.Config{URLs: []string{"turn:turn.example.com"}, Secret: usher.Secret(strings.Repeat("s", 32)), TTL: time.Hour}))(t)
	for name, tt := range map[string]struct {
		platforms map[string]platform.Platform
		want      bool
	}{
		"a server without any":          {nil, false},
		"a server that has some to say": {map[string]platform.Platform{turnrest.Name: relay}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, func(set *settings) { set.access.Platforms = tt.platforms })
			var got client.WebConfig
			s.send(request{caller: nobody, method: "GET", path: "/api/v1/web/config"}).decode(t, &got)
			if got.Relays != tt.want {
				t.Errorf("relays: got %t, want %t", got.Relays, tt.want)
			}
		})
	}
}

// withoutRelay records what a server answers that knows no TURN server.
func withoutRelay(t *testing.T, recorded *recorder) {
	t.Helper()
	s := newServer(t)
	s.recorder = recorded
	if got := s.send(request{caller: ann, method: "GET", path: "/api/v1/ice-servers"}); got.status != http.StatusNotFound || got.problem(t).Code != "platform_not_configured" {
		t.Errorf("got %d: %s", got.status, got.body)
	}
}
