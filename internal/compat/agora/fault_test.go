package agora_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/internal/identity"
	"usher/internal/platform/agora"
	"usher/internal/policy"
)

// wantRefused checks that a request is refused with JSON and without a token.
func (s *server) wantRefused(t *testing.T, target, body string, status int, code string) {
	t.Helper()
	r := s.call(t, target, body)
	if r.status != status || r.text(t, "code") != code || r.text(t, "error") == "" || r.text(t, "message") == "" {
		t.Errorf("%s %s: got %d %s, want %d and the code %s", target, body, r.status, r.body, status, code)
	}
	if got := r.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("%s: got the media type %q", target, got)
	}
	if strings.Contains(r.body, "007e") || strings.Contains(r.body, "goroutine") {
		t.Errorf("%s: the refusal has a token or a stack: %s", target, r.body)
	}
}

// The first names are of protocols/agora.md, 3.1: faults of the tutorial's server.

func TestFault1SubscriberIsRefused(t *testing.T) {
	s := newServer(t)
	for _, role := range []string{"subscriber", "audience"} {
		token := s.token007(t, s.call(t, "GET /rtc/test/"+role+"/userAccount/ekaansh", ""), "rtcToken")
		if got := rightsOf(token)[0].Privileges; got != "join" {
			t.Errorf("%s may %s, want only to join", role, got)
		}
	}
	for _, role := range []string{"Publisher", "host", "1", "2", "admin", "publisher%20", "%20"} {
		s.wantRefused(t, "GET /rtc/test/"+role+"/uid/1", "", 400, "role_incorrect")
	}
}

func TestFault2AnExpiryThatIsNoNumberMakesAnEndlessToken(t *testing.T) {
	s := newServer(t)
	for _, query := range []string{
		"expiry=abc", "expiry=1e3", "expiry=-1", "expiry=10&expiry=20", "expiry=10&expiry=10", "expiry=&expiry=", "expiry=0", "expiry=00",
		"expiry=1.5", "expiry=%2B1", "expiry=+1", "expiry=1+", "expiry=0x10", "expiry=1_000", "expiry=NaN", "expiry=Infinity", "expiry=null",
		"expiry=10s", "expiry=%D9%A1", "expiry=1%00",
	} {
		for _, path := range []string{"/rtc/test/publisher/uid/1", "/rtm/1/", "/rte/test/audience/uid/1", "/chat/account/ann"} {
			s.wantRefused(t, "GET "+path+"?"+query, "", 400, "expiry_invalid")
		}
	}
	s.wantRefused(t, "GET /rtm/1?expiry=%zz", "", 400, "query_invalid")
	s.wantRefused(t, "GET /rtm/1?expiry=1;expiry=2", "", 400, "query_invalid")
}

func TestFault3AnExpiryThatIsTooLargeIsAnErrorOfTheServer(t *testing.T) {
	s := newServer(t)
	for _, expiry := range []string{"86401", "99999999999", "-99999999999", "4294967295", "18446744073709551616", strings.Repeat("9", 400)} {
		s.wantRefused(t, "GET /rtc/test/publisher/uid/1?expiry="+expiry, "", 400, "expiry_invalid")
	}
}

func TestFault4AUIDNeedNotBeANumber(t *testing.T) {
	s := newServer(t)
	for _, uid := range []string{
		"0", "00", "01", "-1", "%2B1", "1.0", "1e3", "4294967296", "4294967297", "18446744073709551617", "notanumber", "%20", "1%20", "%201",
		"0x1", "1_0", "%D9%A1", "*", "NaN", "1%00",
	} {
		s.wantRefused(t, "GET /rtc/test/publisher/uid/"+uid, "", 400, "uid_invalid")
		s.wantRefused(t, "GET /rte/test/publisher/uid/"+uid+"/", "", 400, "uid_invalid")
	}
	for _, account := range []string{"0", "007", "1e3", "4294967296", "-1", "%20", "*", "a%2Fb", "%00", "%C3%A4", strings.Repeat("a", 256)} {
		s.wantRefused(t, "GET /rtc/test/publisher/userAccount/"+account, "", 400, "subject_invalid")
	}
	s.wantRefused(t, "GET /rtc/test/publisher/Uid/1", "", 400, "token_type_invalid")
}

func TestFault5TheCertificateIsPrinted(t *testing.T) {
	s := newServer(t)
	s.token007(t, s.call(t, "GET /rtm/1", ""), "rtmToken") // which looks for the token
	s.call(t, "GET /rtm/0", "")
	if log := s.log.String(); log == "" || strings.Contains(log, certificate) || strings.Contains(log, appID) {
		t.Errorf("the log is empty, or has the project in it: %s", log)
	}
}

func TestFault6AnybodyGetsAnyToken(t *testing.T) {
	nobody := func(set *settings) { set.who, set.closed = identity.Chain{}, true }
	s := newServer(t, nobody)
	for _, target := range []string{"GET /rtc/test/publisher/uid/1", "GET /rtm/1", "GET /rte/test/publisher/uid/1/", "GET /chat/app/", "POST /getToken", "POST /token/getNew",
		"GET /access_token?channelName=test&uid=1", "GET /rtcToken?channelName=test&uid=1", "GET /rtmToken?account=1"} {
		s.wantRefused(t, target, `{"tokenType":"rtc"}`, 401, "credentials_required")
		if got := s.call(t, target, "").header.Get("WWW-Authenticate"); got != "Bearer" {
			t.Errorf("%s: got the challenge %q", target, got)
		}
	}
	if r := s.call(t, "POST /token/generate", "{}"); r.status != 401 || !strings.HasPrefix(r.body, `{"code":-2,`) {
		t.Errorf("POST /token/generate: got %d %s, want 401", r.status, r.body)
	}
	// A back end needs the scope.
	s = newServer(t, as(usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: "c", Scopes: usher.Scopes{usher.MeetingRead}}))
	s.wantRefused(t, "GET /rtm/1", "", 403, "scope_missing")
	// Where excess is refused, so is a lifetime beyond the ceiling.
	s = newServer(t, as(user("ann")), func(set *settings) {
		set.access.Policy.Excess, set.access.Policy.MaxLifetime = policy.Refuse, set.access.Policy.Lifetime
	})
	s.wantRefused(t, "GET /rtc/test/publisher/uid/1?expiry=86400", "", 403, "lifetime_exceeds")
}

func TestFault6AnyPageReadsWhatAnOpenServerAnswers(t *testing.T) {
	s := newServer(t)
	for _, target := range []string{"GET /rtc/test/publisher/uid/1", "GET /rtm/0", "OPTIONS /getToken"} {
		if got := s.call(t, target, "", "Origin", "https://evil.example").header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s: a page of another machine may read the answer: %q", target, got)
		}
	}
}

func TestFault7TokensHaveOneSaltForAll(t *testing.T) {
	s := newServer(t)
	salts := make(map[uint32]bool)
	for range 8 {
		salts[s.token007(t, s.call(t, "GET /rtm/1", ""), "rtmToken").Salt] = true
	}
	if len(salts) < 7 {
		t.Errorf("got %d salts in 8 tokens", len(salts))
	}
}

func TestFault7ATokenForOneChannelIsGoodForAnother(t *testing.T) {
	s := newServer(t)
	signed, err := agora.Parse007(usher.Secret(s.call(t, "GET /rtc/room/publisher/uid/12", "").text(t, "rtcToken")))
	if err != nil || !signed.Verify(certificate) {
		t.Fatalf("the token is not good: %v", err)
	}
	// In 006 these two are signed alike, and differ in what is not signed.
	other := signed.Token007
	other.Services = []agora.Service{signed.Services[0]}
	other.Services[0].Channel, other.Services[0].User = "room1", "2"
	moved, err := agora.Build007(other, certificate)
	if err != nil {
		t.Fatal(err)
	}
	again, err := agora.Parse007(moved)
	if err != nil || again.Signature == signed.Signature {
		t.Errorf("the two have one signature: %v", err)
	}
}

func TestFault8TheExpiryIsNeverRead(t *testing.T) {
	s := newServer(t)
	for target, member := range map[string]string{
		"GET /rtc/test/publisher/uid/1?expiry=61": "rtcToken", "GET /rtm/1?expiry=61": "rtmToken", "GET /chat/account/ann?expiry=61": "chatToken",
		"GET /rtcToken?channelName=test&uid=1&expireTime=61": "key", "GET /rtmToken?account=1&expireTime=61": "key",
	} {
		wantLifetime(t, s.token007(t, s.call(t, target, ""), member), 61)
	}
}

func TestFault8AHeaderIsMisspelt(t *testing.T) {
	s := newServer(t, func(set *settings) { set.closed = true })
	if got := s.call(t, "GET /rtm/1", "", "Origin", "https://app.example").header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("pages may not read the answer: %q", got)
	}
}

// The route of the tutorial's first version, and those of Agora's DemoServer.
func TestFaultsOfTheQueryRoutes(t *testing.T) {
	s := newServer(t)
	for query, code := range map[string]string{
		"":                    "channel_required",
		"uid=1":               "channel_required",
		"channelName=test":    "uid_required", // theirs make a token for any user
		"channelName=*&uid=1": "channel_invalid", "channelName=a%2Fb&uid=1": "channel_invalid", "channelName=%20&uid=1": "channel_invalid",
		"channelName=test&uid=": "uid_required", "channelName=test&uid=0": "uid_invalid", "channelName=test&uid=4294967296": "uid_invalid",
		"channelName=test&uid=ann": "uid_invalid", "channelName=test&uid=-1": "uid_invalid", "channelName=test&uid=01": "uid_invalid",
		"channelName=test&uid=1&uid=2": "query_invalid", "channelName=test&channelName=other&uid=1": "query_invalid",
		"channelName=test&uid=1&role=publisher&role=subscriber": "query_invalid",
		"channelName=test&uid=1&expireTime=abc":                 "expiry_invalid", "channelName=test&uid=1&expireTime=0": "expiry_invalid",
		"channelName=test&uid=1&expireTime=1e3": "expiry_invalid", "channelName=test&uid=1&expireTime=-1": "expiry_invalid",
		"channelName=test&uid=1&expireTime=99999999999": "expiry_invalid", "channelName=test&uid=1&expireTime=60&expireTime=60": "expiry_invalid",
		"channelName=test;uid=1": "query_invalid",
	} {
		s.wantRefused(t, "GET /access_token?"+query, "", 400, code)
		s.wantRefused(t, "GET /rtcToken/?"+query, "", 400, code)
	}
	s.wantRefused(t, "GET /access_token?channelName=test&uid=1&role=1", "", 400, "role_incorrect")
	for query, code := range map[string]string{
		"": "uid_required", "account=": "uid_required", "account=0": "subject_invalid", "account=4294967296": "subject_invalid",
		"account=a&account=b": "query_invalid", "account=a&expireTime=abc": "expiry_invalid",
	} {
		s.wantRefused(t, "GET /rtmToken?"+query, "", 400, code)
	}
}

// From here they are of 3.2: faults of agora-token-service.

func TestFault1OfTheServiceAUIDOverflowsToTheWildcard(t *testing.T) {
	s := newServer(t)
	for _, uid := range []string{"0", "4294967296", "4294967297", "-4294967295"} {
		s.wantRefused(t, "GET /rtc/test/publisher/uid/"+uid+"/", "", 400, "uid_invalid")
		s.wantRefused(t, "POST /getToken", `{"tokenType":"rtc","channel":"test","uid":"`+uid+`"}`, 400, "subject_invalid")
		s.wantRefused(t, "POST /getToken", `{"tokenType":"rtm","uid":"`+uid+`"}`, 400, "subject_invalid")
		s.wantRefused(t, "GET /rtm/"+uid, "", 400, "subject_invalid")
		s.wantRefused(t, "GET /rte/test/publisher/uid/1/"+uid, "", 400, "subject_invalid")
	}
	for _, uid := range []string{"1", "4294967296", "null", "true", "[]"} {
		r := s.call(t, "POST /getToken", `{"tokenType":"rtc","channel":"test","uid":`+uid+`}`)
		if r.status != 400 || !strings.Contains(r.text(t, "error"), "uid") {
			t.Errorf("the uid %s, which is no text: got %d %s", uid, r.status, r.body)
		}
	}
	for _, target := range []string{"GET /rtc/test/publisher/uid//", "GET /rtm//", "GET /rtm/", "GET /rtc/test/publisher/uid/"} {
		if r := s.call(t, target, ""); r.status != http.StatusNotFound {
			t.Errorf("%s: got %d %s, want 404", target, r.status, r.body)
		}
	}
}

func TestFault2OfTheServiceAnExpiryOverflows(t *testing.T) {
	s := newServer(t)
	s.wantRefused(t, "GET /rtc/test/publisher/uid/1/?expiry=4294967296", "", 400, "expiry_invalid")
	for _, expire := range []string{"-1", "86401", "4294967295", "4294967296", "99999999999", "9223372036854775807", "-9223372036854775808"} {
		s.wantRefused(t, "POST /getToken", `{"tokenType":"rtm","uid":"1","expire":`+expire+`}`, 400, "expiry_invalid")
		for _, member := range []string{"tokenExpireTs", "privilegeExpireTs"} {
			s.wantNotGenerated(t, `{"channelName":"test","uid":"1","serviceRtc":{"enable":true,"role":1},"`+member+`":`+expire+`}`, 400)
		}
	}
	for _, expire := range []string{"1e3", "1.5", `"60"`, "99999999999999999999", "true"} {
		s.wantRefused(t, "POST /getToken", `{"tokenType":"rtm","uid":"1","expire":`+expire+`}`, 400, "json_invalid")
	}
	// An empty expiry is an hour, as in the tutorial's server.
	wantLifetime(t, s.token007(t, s.call(t, "GET /rtm/1/?expiry=", ""), "rtmToken"), 3600)
}

func TestFault3OfTheServiceCallsWithoutAnOriginAreRefused(t *testing.T) {
	s := newServer(t, as(user("ann")), func(set *settings) { set.closed = true })
	for _, target := range []string{"GET /ping", "GET /rtm/1/"} {
		for _, origin := range []string{"", "https://app.example"} {
			if r := s.call(t, target, "", "Origin", origin); r.status != http.StatusOK {
				t.Errorf("%s from %q: got %d %s", target, origin, r.status, r.body)
			}
		}
	}
}

func TestFault4OfTheServiceAChannelMayBeEmptyOrAnything(t *testing.T) {
	s := newServer(t)
	if r := s.call(t, "GET /rtc//publisher/uid/1/", ""); r.status != http.StatusNotFound {
		t.Errorf("no channel: got %d %s, want 404", r.status, r.body)
	}
	for _, channel := range []string{"%20", "%20%20", "*", "a*", "a%2Fb", "%C3%A4", "%22", "'", "%5C", "%00", "a%0Ab", "%FF", strings.Repeat("a", 64)} {
		s.wantRefused(t, "GET /rtc/"+channel+"/publisher/uid/1/", "", 400, "channel_invalid")
	}
	for _, body := range []string{`"channel":"*"`, `"channel":" "`, `"channel":"ä"`, `"channel":"agora/messaging"`} {
		s.wantRefused(t, "POST /getToken", `{"tokenType":"rtc","uid":"1",`+body+`}`, 400, "channel_invalid")
	}
	s.wantRefused(t, "POST /getToken", `{"tokenType":"rtc","uid":"1"}`, 400, "channel_required")
}

func TestFault7OfTheServiceATokenThatCannotBeReadEndsTheServer(t *testing.T) {
	reader := agora.Reader()
	for _, token := range []string{"", "0", "00", "007", "007e", "007eJx", "007!", "006", "006" + appID, "007eJwDAAAAAAE=", "007AAAA"} {
		found, ok := reader.Inspect(usher.Secret(token), time.Now())
		if ok && len(found.Problems) == 0 {
			t.Errorf("%q: nothing is wrong with it", token)
		}
	}
}

func TestFault8OfTheServiceUsersAreLogged(t *testing.T) {
	s := newServer(t)
	s.token007(t, s.call(t, "GET /rtc/test/publisher/userAccount/roselind", ""), "rtcToken")
	s.token007(t, s.call(t, "GET /rtmToken?account=roselind", ""), "key")
	if log := s.log.String(); log == "" || strings.Contains(log, "roselind") {
		t.Errorf("the log is empty, or names the user: %s", log)
	}
}

func TestAFaultOfTheServiceAnyoneIsAnAdministratorOfChat(t *testing.T) {
	s := newServer(t)
	s.wantRefused(t, "GET /chat/app", "", 403, "admin_token_refused")
	s.wantRefused(t, "GET /chat/app/", "", 403, "admin_token_refused")
	s.wantRefused(t, "POST /getToken", `{"tokenType":"chat"}`, 403, "admin_token_refused")
	s.wantNotGenerated(t, `{"uid":"1","serviceChat":{"enableApp":true}}`, 403)
	s.wantNotGenerated(t, `{"uid":"1","serviceApaas":{"enableApp":true}}`, 403)
}

func TestAFaultOfTheServiceAnUnknownRoleIsASubscriber(t *testing.T) {
	s := newServer(t)
	for _, role := range []string{"1", "Publisher", "host", " "} {
		s.wantRefused(t, "POST /getToken", `{"tokenType":"rtc","channel":"test","uid":"1","role":"`+role+`"}`, 400, "role_incorrect")
	}
	s.wantRefused(t, "POST /getToken", `{"tokenType":"RTC","channel":"test","uid":"1"}`, 400, "token_type_unsupported")
	s.wantRefused(t, "POST /getToken", `{"uid":"1"}`, 400, "token_type_unsupported")
	s.wantRefused(t, "POST /getToken", `{"tokenType":"rtc","channel":"test"}`, 400, "uid_required")
}

func TestAFaultOfTheServiceBodiesAreNotLookedAt(t *testing.T) {
	s := newServer(t)
	const good = `{"tokenType":"rtm","uid":"1"}`
	for body, code := range map[string]string{
		good + good:      "json_invalid",
		good + "x":       "json_invalid",
		`[` + good + `]`: "json_invalid",
		`null`:           "json_invalid",
		`{`:              "json_invalid",
		`{"tokenType":"rtm","uid":"1","expires":60}`: "field_unknown",
	} {
		s.wantRefused(t, "POST /getToken", body, 400, code)
	}
	s.wantRefused(t, "POST /getToken", "", 415, "media_type_unsupported")
	s.wantRefused(t, "POST /getToken", `{"tokenType":"rtm","uid":"`+strings.Repeat("1", 1<<20)+`"}`, 413, "body_too_large")
}

func TestTheSampleServersRefusals(t *testing.T) {
	s := newServer(t)
	for body, status := range map[string]int{
		`{}`:          400,
		`{"uid":"1"}`: 400,
		`{"uid":1}`:   400,
		`{"channelName":"test","uid":"1","serviceRtc":{"enable":true}}`:                                                  400,
		`{"channelName":"test","uid":"1","serviceRtc":{"enable":true,"role":3}}`:                                         400,
		`{"channelName":"test","uid":"0","serviceRtc":{"enable":true,"role":1}}`:                                         400,
		`{"channelName":"test","uid":"4294967296","serviceRtc":{"enable":true,"role":1}}`:                                400,
		`{"channelName":"test","uid":"","serviceRtc":{"enable":true,"role":1}}`:                                          400,
		`{"channelName":"*","uid":"1","serviceRtc":{"enable":true,"role":1}}`:                                            400,
		`{"uid":"1","serviceRtc":{"enable":true,"role":1}}`:                                                              400,
		`{"serviceApaas":{"enableUser":true}}`:                                                                           400,
		`{"uid":"1","serviceChat":{"enableUser":true,"userUuid":"2"},"serviceApaas":{"enableUser":true,"userUuid":"3"}}`: 400,
		`{"channelName":"test","uid":"1","serviceRtc":{"enable":true,"role":2},"serviceApaas":{"enableUser":true}}`:      403,
		`{"channelName":"test","uid":"1","serviceRtm":{"enable":true},"serviceChat":{"enableUser":true,"userUuid":"2"}}`: 400,
	} {
		s.wantNotGenerated(t, body, status)
	}
}

// wantNotGenerated checks a refusal of POST /token/generate.
func (s *server) wantNotGenerated(t *testing.T, body string, status int) {
	t.Helper()
	code := `{"code":-2,"message":"`
	if status == 400 {
		code = `{"code":-1,"message":"`
	}
	r := s.call(t, "POST /token/generate", body)
	if r.status != status || !strings.HasPrefix(r.body, code) || r.text(t, "message") == "" {
		t.Errorf("%s: got %d %s, want %d and %s", body, r.status, r.body, status, code)
	}
}

func TestRefusalsHaveTheWordsOfTheTutorialsServer(t *testing.T) {
	s := newServer(t)
	for target, want := range map[string]string{
		"GET /rtc/test/x/uid/1":       "role is incorrect",
		"GET /rtc/test/publisher/x/1": "token type is invalid",
	} {
		if r := s.call(t, target, ""); r.status != 400 || r.text(t, "error") != want {
			t.Errorf("%s: got %d %s, want 400 and %q", target, r.status, r.body, want)
		}
	}
	for body, want := range map[string]string{
		`{"tokenType":"rtc","uid":"1"}`:        "channel is required",
		`{"tokenType":"rtc","channel":"test"}`: "uid is required",
	} {
		if r := s.call(t, "POST /getToken", body); r.status != 400 || r.text(t, "error") != want {
			t.Errorf("%s: got %d %s, want 400 and %q", body, r.status, r.body, want)
		}
	}
}
