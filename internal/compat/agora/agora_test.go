package agora_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/access"
	compatagora "usher/internal/compat/agora"
	"usher/internal/identity"
	"usher/internal/platform/agora"
)

// rights are what a token allows, in words.
type rights struct {
	Service       agora.ServiceType
	Channel, User string
	Privileges    string
}

func rightsOf(token agora.Token007) []rights {
	letters := map[uint16]string{agora.JoinChannel: "join", agora.PublishAudio: "audio", agora.PublishVideo: "video", agora.PublishData: "data"}
	var all []rights
	for _, s := range token.Services {
		var names []string
		for _, p := range s.Privileges {
			name := letters[p.ID]
			switch {
			case s.Type == agora.APaaS && p.ID == agora.APaaSUser:
				name = "user"
			case s.Type != agora.RTC && p.ID == agora.Login:
				name = "login"
			}
			names = append(names, name)
		}
		all = append(all, rights{s.Type, s.Channel, s.User, strings.Join(names, " ")})
	}
	return all
}

const everything = "join audio video data"

// wantLifetime checks a token's lifetime and that of every privilege. A second
// can have gone by between the decision and the token.
func wantLifetime(t *testing.T, token agora.Token007, want uint32) {
	t.Helper()
	if token.Lifetime != want && token.Lifetime != want-1 {
		t.Errorf("the token lives for %d s, want %d", token.Lifetime, want)
	}
	for _, s := range token.Services {
		for _, p := range s.Privileges {
			if p.Expires != token.Lifetime {
				t.Errorf("a privilege of %s lives for %d s, the token for %d", s.Type, p.Expires, token.Lifetime)
			}
		}
	}
}

func TestTokensOfTheRoutes(t *testing.T) {
	rtc := func(channel, user, privileges string) rights { return rights{agora.RTC, channel, user, privileges} }
	login := func(s agora.ServiceType, user string) rights { return rights{s, "", user, "login"} }
	for _, test := range []struct {
		target, body string
		member       string
		want         rights
		lifetime     uint32
	}{
		// The seed's examples, as printed.
		{"GET /rtc/test/publisher/uid/1", "", "rtcToken", rtc("test", "1", everything), 3600},
		{"GET /rtc/test/publisher/uid/1?expiry=1000", "", "rtcToken", rtc("test", "1", everything), 1000},
		{"GET /rtc/test/subscriber/userAccount/ekaansh", "", "rtcToken", rtc("test", "ekaansh", "join"), 3600},
		{"GET /rtm/1", "", "rtmToken", login(agora.RTM, "1"), 3600},
		// The others of the finished project.
		{"GET /rtc/test/audience/uid/4294967295/", "", "rtcToken", rtc("test", "4294967295", "join"), 3600},
		{"GET /rtc/a%20b!%7B%7D/publisher/userAccount/x%20y", "", "rtcToken", rtc("a b!{}", "x y", everything), 3600},
		{"GET /rtc/test/publisher/uid/1?expiry=", "", "rtcToken", rtc("test", "1", everything), 3600},
		{"GET /rtc/test/publisher/uid/1?expiry=86400", "", "rtcToken", rtc("test", "1", everything), 86400},
		{"GET /rtm/ekaansh?expiry=60", "", "rtmToken", login(agora.RTM, "ekaansh"), 60},
		{"GET /rte/test/audience/uid/7?expiry=60", "", "rtcToken", rtc("test", "7", "join"), 60},
		{"GET /rte/test/audience/uid/7?expiry=60", "", "rtmToken", login(agora.RTM, "7"), 60},
		// The Go service's.
		{"GET /rtm/ekaansh/", "", "rtmToken", login(agora.RTM, "ekaansh"), 3600},
		{"GET /rte/test/publisher/uid/7/bob/", "", "rtcToken", rtc("test", "7", everything), 3600},
		{"GET /rte/test/publisher/uid/7/bob", "", "rtmToken", login(agora.RTM, "bob"), 3600},
		{"GET /chat/account/bob/", "", "chatToken", login(agora.Chat, "bob"), 3600},
		{"POST /getToken", `{"tokenType":"rtc","channel":"test","role":"publisher","uid":"1","expire":60}`, "token", rtc("test", "1", everything), 60},
		{"POST /getToken/", `{"tokenType":"rtc","channel":"test","uid":"ann"}`, "token", rtc("test", "ann", "join"), 3600},
		{"POST /token/getNew", `{"tokenType":"rtc","channel":"test","role":"subscriber","uid":"1","expire":0}`, "token", rtc("test", "1", "join"), 3600},
		{"POST /getToken", `{"tokenType":"rtm","uid":"1","channel":"*"}`, "token", login(agora.RTM, "1"), 3600},
		{"POST /getToken", `{"tokenType":"chat","uid":"ann"}`, "token", login(agora.Chat, "ann"), 3600},
		// The first version of the tutorial's, and Agora's DemoServer.
		{"GET /access_token?channelName=test&uid=1&role=publisher&expireTime=60", "", "token", rtc("test", "1", everything), 60},
		{"GET /access_token/?channelName=test&uid=1&role=subscriber&expireTime=", "", "token", rtc("test", "1", "join"), 3600},
		{"GET /access_token?channelName=test&uid=1", "", "token", rtc("test", "1", "join"), 3600},
		{"GET /rtcToken?channelName=test&uid=1", "", "key", rtc("test", "1", everything), 3600},
		{"GET /rtmToken?account=ann", "", "key", login(agora.RTM, "ann"), 3600},
	} {
		t.Run(test.target, func(t *testing.T) {
			s := newServer(t)
			token := s.token007(t, s.call(t, test.target, test.body), test.member)
			if diff := cmp.Diff([]rights{test.want}, rightsOf(token)); diff != "" {
				t.Errorf("the token (-want +got):\n%s", diff)
			}
			wantLifetime(t, token, test.lifetime)
		})
	}
}

func TestTokensOf006WhereOldSDKsNeedThem(t *testing.T) {
	s := newServer(t, version("006"))
	for target, test := range map[string]struct{ member, channel, user string }{
		"GET /rtc/test/publisher/uid/1":                {"rtcToken", "test", "1"},
		"GET /rtc/test/subscriber/userAccount/ekaansh": {"rtcToken", "test", "ekaansh"},
		"GET /rtm/1":                     {"rtmToken", "1", ""},
		"GET /rte/test/audience/uid/2":   {"rtmToken", "2", ""},
		"GET /rte/test/audience/uid/2/3": {"rtcToken", "test", "2"},
	} {
		r := s.call(t, target, "")
		token := r.text(t, test.member)
		if !strings.HasPrefix(token, "006"+appID+"IA") {
			t.Errorf("%s: got %d %s, want a token like the one that the tutorial shows", target, r.status, r.body)
			continue
		}
		signed, err := agora.Parse006(usher.Secret(token))
		if err != nil || !signed.Verify(test.channel, test.user, certificate) {
			t.Errorf("%s: the token is not for %s, %s: %v", target, test.channel, test.user, err)
		}
		end := time.Unix(int64(signed.Expires), 0)
		if left := time.Until(end); left > time.Hour || left < time.Hour-time.Minute {
			t.Errorf("%s: the token ends in %v", target, left)
		}
		for _, p := range signed.Privileges {
			if p.Expires != signed.Expires {
				t.Errorf("%s: a privilege ends at %d, the token at %d", target, p.Expires, signed.Expires)
			}
		}
	}
}

func TestTheSampleServersTokensHaveSeveralServices(t *testing.T) {
	for name, test := range map[string]struct {
		body     string
		want     []rights
		lifetime uint32
	}{
		"a publisher": {
			`{"channelName":"test","uid":"1","tokenExpireTs":600,"privilegeExpireTs":300,"serviceRtc":{"enable":true,"role":1}}`,
			[]rights{{agora.RTC, "test", "1", everything}}, 300,
		},
		"a subscriber, of the usual lifetime": {
			`{"channelName":"test","uid":"1","serviceRtc":{"enable":true,"role":2}}`,
			[]rights{{agora.RTC, "test", "1", "join"}}, 3600,
		},
		"privileges do not outlive their token": {
			`{"channelName":"test","uid":"1","tokenExpireTs":60,"privilegeExpireTs":300,"serviceRtc":{"enable":true,"role":2}}`,
			[]rights{{agora.RTC, "test", "1", "join"}}, 60,
		},
		"a subscriber with messaging, which is to send": {
			`{"channelName":"test","uid":"1","serviceRtc":{"enable":true,"role":2},"serviceRtm":{"enable":true}}`,
			[]rights{{agora.RTC, "test", "1", "join data"}, {agora.RTM, "", "1", "login"}}, 3600,
		},
		"all that there is": {
			`{"channelName":"test","uid":"1","serviceRtc":{"enable":true,"role":1},"serviceRtm":{"enable":true},"serviceFpa":{"enable":false},"serviceChat":{"enableUser":true,"userUuid":"1"},"serviceApaas":{}}`,
			[]rights{{agora.RTC, "test", "1", everything}, {agora.RTM, "", "1", "login"}, {agora.Chat, "", "1", "login"}}, 3600,
		},
		"a user of a classroom, and FPA": {
			`{"uid":"1","serviceFpa":{"enable":true},"serviceApaas":{"enableUser":true,"userUuid":"ann"}}`,
			[]rights{{agora.FPA, "", "", "login"}, {agora.APaaS, "", "ann", "user"}}, 3600,
		},
		"FPA alone, which knows no users": {
			`{"serviceFpa":{"enable":true}}`,
			[]rights{{agora.FPA, "", "", "login"}}, 3600,
		},
		"a publisher with a user of a classroom": {
			`{"channelName":"test","uid":"1","serviceRtc":{"enable":true,"role":1},"serviceApaas":{"enableUser":true}}`,
			[]rights{{agora.RTC, "test", "1", everything}, {agora.APaaS, "", "1", "user"}}, 3600,
		},
		"chat alone": {
			`{"uid":"1","serviceChat":{"enableUser":true,"userUuid":"ann"}}`,
			[]rights{{agora.Chat, "", "ann", "login"}}, 3600,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			r := s.call(t, "POST /token/generate", test.body)
			data, found := strings.CutPrefix(strings.TrimSpace(r.body), `{"code":0,"message":"Success","data":`)
			if !found {
				t.Fatalf("got %d %s", r.status, r.body)
			}
			r.body = strings.TrimSuffix(data, "}")
			token := s.token007(t, r, "token")
			if diff := cmp.Diff(test.want, rightsOf(token)); diff != "" {
				t.Errorf("the token (-want +got):\n%s", diff)
			}
			wantLifetime(t, token, test.lifetime)
		})
	}
}

func TestAnswersHaveTheHeadersOfTheTokenServers(t *testing.T) {
	for _, closed := range []bool{false, true} {
		s := newServer(t, func(set *settings) { set.closed = closed })
		for target, status := range map[string]int{
			"GET /rtc/test/publisher/uid/1": 200, "GET /rtc/test/publisher/uid/0": 400, "GET /ping": 200,
			"POST /getToken": 415, "OPTIONS /getToken": 204, "OPTIONS /rtc/test/publisher/uid/1/": 204,
		} {
			r := s.call(t, target, "", "Origin", "http://localhost:3000", "Access-Control-Request-Headers", "authorization,content-type")
			if r.status != status {
				t.Errorf("%s: got %d %s, want %d", target, r.status, r.body, status)
			}
			origin := "http://localhost:3000"
			if closed {
				origin = "*"
			}
			want := map[string]string{
				"Cache-Control": "private, no-cache, no-store, must-revalidate", "Expires": "-1", "Pragma": "no-cache",
				"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "", "X-Powered-By": "",
			}
			if strings.HasPrefix(target, "OPTIONS") {
				want["Access-Control-Allow-Methods"] = "GET,HEAD,PUT,PATCH,POST,DELETE"
				want["Access-Control-Allow-Headers"] = "authorization,content-type"
			} else {
				want["Content-Type"] = "application/json; charset=utf-8"
			}
			got := make(map[string]string)
			for name := range want {
				got[name] = strings.Join(r.header.Values(name), ", ")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, for known callers only: %t: headers (-want +got):\n%s", target, closed, diff)
			}
		}
	}
}

func TestPing(t *testing.T) {
	s := newServer(t, func(set *settings) { set.who, set.closed = identity.Chain{}, true })
	for _, target := range []string{"GET /ping", "GET /ping/"} {
		if r := s.call(t, target, ""); r.status != 200 || strings.TrimSpace(r.body) != `{"message":"pong"}` {
			t.Errorf("%s: got %d %s", target, r.status, r.body)
		}
	}
	if r := s.call(t, "HEAD /ping", ""); r.status != 200 {
		t.Errorf("HEAD /ping: got %d", r.status)
	}
}

func TestThePublicGetsItsRoleInOpenRoomsAndMakesNone(t *testing.T) {
	s := newServer(t, func(set *settings) { set.who, set.public = identity.Chain{}, usher.Viewer })
	operator := usher.Identity{App: usher.DefaultApp, Kind: usher.LocalIdentity, Subject: "operator", Operator: true}
	for name, admission := range map[string]usher.Admission{"open": usher.AdmitOpen, "members": usher.AdmitMembers, compatagora.Messaging: usher.AdmitOpen} {
		if _, err := s.access.CreateRoom(t.Context(), operator, access.RoomSpec{Name: name, Admission: admission}, ""); err != nil {
			t.Fatal(err)
		}
	}
	token := s.token007(t, s.call(t, "GET /rtc/open/publisher/uid/1", ""), "rtcToken")
	if diff := cmp.Diff([]rights{{agora.RTC, "open", "1", "join"}}, rightsOf(token)); diff != "" {
		t.Errorf("the token (-want +got):\n%s", diff)
	}
	for target, status := range map[string]int{
		"GET /rtc/members/publisher/uid/1": 404, "GET /rtc/unknown/publisher/uid/1": 403,
		"GET /rtm/1": 403, // a viewer sends nothing
	} {
		if r := s.call(t, target, ""); r.status != status || strings.Contains(r.body, "007e") {
			t.Errorf("%s: got %d %s, want %d", target, r.status, r.body, status)
		}
	}
}

func TestARoomIsMadeOnlyByAChannelsNameAndWhereThatIsAllowed(t *testing.T) {
	s := newServer(t, func(set *settings) { set.access.Rooms.Implicit = false })
	operator := usher.Identity{App: usher.DefaultApp, Kind: usher.LocalIdentity, Subject: "developer", Operator: true}
	if r := s.call(t, "GET /rtc/test/publisher/uid/1", ""); r.status != http.StatusNotFound || r.text(t, "code") != "room_not_found" {
		t.Errorf("a channel that nobody made: got %d %s", r.status, r.body)
	}
	for _, name := range []string{"test", compatagora.Messaging} {
		if _, err := s.access.CreateRoom(t.Context(), operator, access.RoomSpec{Name: name}, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, target := range []string{"GET /rtc/test/publisher/uid/1", "GET /rtm/1"} {
		if r := s.call(t, target, ""); r.status != http.StatusOK {
			t.Errorf("%s: got %d %s", target, r.status, r.body)
		}
	}
}

func TestAKnownCallerIsBoundByPolicy(t *testing.T) {
	ann, ben := user("ann"), user("ben")
	who := &ann
	s := newServer(t, func(set *settings) {
		set.who, set.closed = callerOf{&who}, true
		set.access.Policy.OpenRole, set.access.Policy.MaxLifetime = usher.Viewer, 2*time.Hour
		set.access.Policy.Lifetime = time.Hour
	})
	s.token007(t, s.call(t, "GET /rtc/test/publisher/uid/1", ""), "rtcToken")
	who = &ben
	r := s.call(t, "GET /rtc/test/publisher/uid/1", "")
	if r.status != http.StatusForbidden || r.text(t, "code") != "subject_taken" {
		t.Errorf("the uid of somebody else: got %d %s", r.status, r.body)
	}
	token := s.token007(t, s.call(t, "GET /rtc/test/publisher/uid/2?expiry=86400", ""), "rtcToken")
	if diff := cmp.Diff([]rights{{agora.RTC, "test", "2", "join"}}, rightsOf(token)); diff != "" {
		t.Errorf("whom the policy lets only look (-want +got):\n%s", diff)
	}
	wantLifetime(t, token, 7200)
}

func TestAUserOfMessagingIsOneIdentityWhateverTheChannel(t *testing.T) {
	ann, ben := user("ann"), user("ben")
	who := &ann
	s := newServer(t, func(set *settings) { set.who, set.closed = callerOf{&who}, true })
	s.token007(t, s.call(t, "GET /rtm/ann", ""), "rtmToken")
	who = &ben
	for target, body := range map[string]string{
		"GET /rtm/ann": "",
		"GET /rte/bens/publisher/userAccount/ann":  "",
		"GET /rte/bens/publisher/uid/5/ann":        "",
		"GET /chat/account/ann":                    "",
		"POST /getToken":                           `{"tokenType":"rtm","channel":"bens","uid":"ann"}`,
		"POST /token/generate":                     `{"channelName":"bens","uid":"ann","serviceRtc":{"enable":true,"role":1},"serviceRtm":{"enable":true}}`,
		"POST /token/generate/":                    `{"uid":"ann","serviceRtm":{"enable":true}}`,
		"GET /rte/bens2/audience/userAccount/ann/": "",
	} {
		if r := s.call(t, target, body); r.status != http.StatusForbidden || strings.Contains(r.body, "007e") {
			t.Errorf("%s: got %d %s, want that ann is somebody else", target, r.status, r.body)
		}
	}
}
