package livekit_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/platform"
)

func TestTokensOfTheServerSDKAreRead(t *testing.T) {
	p, v := newPlatform(t), readVectors(t)
	for name, want := range map[string]platform.Inspection{
		"a speaker": {Subject: "alice", ExpiresAt: now.Add(time.Hour)},
		"a viewer":  {Subject: "bob", ExpiresAt: now.Add(10 * time.Minute)},
		"a token of a careless server": {Subject: "eve", ExpiresAt: now.Add(6 * time.Hour), Problems: []string{
			"It gives roomCreate on the whole server; no participant should hold such a token.",
			"It does not say canPublish, which LiveKit takes for allowed.",
			"It does not say canSubscribe, which LiveKit takes for allowed.",
			"It does not say canPublishData, which LiveKit takes for allowed.",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := p.Inspect(v.token(t, name).Token, now)
			if !ok {
				t.Fatal("not recognised")
			}
			want.Platform, want.Format, want.Verified, want.Room, want.IssuedAt = "livekit", "livekit access token", platform.Good, "standup", now
			want.Claims = got.Claims
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("inspection (-want +got):\n%s", diff)
			}
			if got.Claims["iss"] != apiKey || got.Claims["video"] == nil {
				t.Errorf("claims %v", got.Claims)
			}
		})
	}
}

func TestWhatWeIssueHasNoProblems(t *testing.T) {
	p := newPlatform(t)
	c, err := p.Issue(t.Context(), request(usher.AllPermissions))
	if err != nil {
		t.Fatal(err)
	}
	got, ok := p.Inspect(c.Token, now)
	if !ok || got.Verified != platform.Good || len(got.Problems) > 0 {
		t.Errorf("got %t, %s with %q", ok, got.Verified, got.Problems)
	}
}

func TestWhatIsWrongIsSaidInWords(t *testing.T) {
	const (
		video  = `"video":{"roomJoin":true,"room":"standup","canPublish":true,"canSubscribe":true,"canPublishData":true}`
		claims = `{"iss":"APIusher","sub":"alice","nbf":1795176000,"exp":1795179600,` + video + `}`
	)
	for name, test := range map[string]struct {
		token    usher.Secret
		at       time.Duration
		verified platform.Verified
		first    string
	}{
		"another secret":       {sign(t, "HS256", claims, strings.Repeat("x", 32)), 0, platform.Bad, "The signature is not by the secret"},
		"another algorithm":    {sign(t, "HS512", claims, apiSecret+apiSecret), 0, platform.Bad, `It is signed with "HS512"`},
		"no signature":         {sign(t, `{"alg":"none"}`, claims, ""), 0, platform.Bad, `It is signed with "none"`},
		"another key":          {sign(t, "HS256", strings.Replace(claims, "APIusher", "APIother", 1), apiSecret), 0, platform.Unknown, `It is by the API key "APIother"`},
		"no key":               {sign(t, "HS256", strings.Replace(claims, "iss", "is", 1), apiSecret), 0, platform.Unknown, "It names no API key"},
		"expired":              {sign(t, "HS256", claims, apiSecret), 2 * time.Hour, platform.Good, "It expired 1h0m0s ago."},
		"expired just now":     {sign(t, "HS256", claims, apiSecret), time.Hour + 30*time.Second, platform.Good, "It expired 30s ago; LiveKit still accepts it"},
		"of a fast clock":      {sign(t, "HS256", claims, apiSecret), -5 * time.Minute, platform.Good, "It is not valid for another 5m0s"},
		"endless":              {sign(t, "HS256", strings.Replace(claims, `"exp":1795179600,`, "", 1), apiSecret), 0, platform.Good, "It has no time at which it expires"},
		"a time that is text":  {sign(t, "HS256", strings.Replace(claims, `1795179600`, `"1795179600"`, 1), apiSecret), 0, platform.Good, "It has no time at which it expires"},
		"a time beyond years":  {sign(t, "HS256", strings.Replace(claims, `1795179600`, `1e300`, 1), apiSecret), 0, platform.Good, "It has no time at which it expires"},
		"no room":              {sign(t, "HS256", strings.Replace(claims, `"room":"standup",`, "", 1), apiSecret), 0, platform.Good, "It names no room"},
		"no joining":           {sign(t, "HS256", strings.Replace(claims, `"roomJoin":true`, `"roomJoin":false`, 1), apiSecret), 0, platform.Good, "It does not let its bearer join"},
		"no participant":       {sign(t, "HS256", strings.Replace(claims, `"sub":"alice",`, "", 1), apiSecret), 0, platform.Good, "It names no participant"},
		"no video grant":       {sign(t, "HS256", strings.Replace(claims, video, `"sip":{}`, 1), apiSecret), 0, platform.Good, "It has no video grant"},
		"server rights":        {sign(t, "HS256", strings.Replace(claims, `"roomJoin"`, `"roomList":true,"roomJoin"`, 1), apiSecret), 0, platform.Good, "It gives roomList on the whole server"},
		"silent on publishing": {sign(t, "HS256", strings.Replace(claims, `"canPublish":true,`, "", 1), apiSecret), 0, platform.Good, "It does not say canPublish,"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := newPlatform(t).Inspect(test.token, now.Add(test.at))
			if !ok {
				t.Fatal("not recognised")
			}
			if got.Verified != test.verified {
				t.Errorf("the signature is %s, want %s", got.Verified, test.verified)
			}
			if len(got.Problems) == 0 || !strings.HasPrefix(got.Problems[0], test.first) {
				t.Errorf("got the problems %q, want %q first", got.Problems, test.first)
			}
		})
	}
}

func TestOtherTextIsNotRecognised(t *testing.T) {
	for name, token := range map[string]usher.Secret{
		"nothing":            "",
		"dots":               "..",
		"text":               "an Agora token",
		"a JWT of another":   sign(t, "HS256", `{"iss":"somebody","room_ids":["a"]}`, apiSecret),
		"claims that are []": sign(t, "HS256", `[]`, apiSecret),
		"null":               sign(t, "HS256", `null`, apiSecret),
		"too long a token":   sign(t, "HS256", fmt.Sprintf(`{"iss":"APIusher","video":{"room":%q}}`, strings.Repeat("r", 20000)), apiSecret),
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := newPlatform(t).Inspect(token, now); ok {
				t.Errorf("recognised as %+v", got)
			}
		})
	}
}

func FuzzInspect(f *testing.F) {
	for _, v := range readVectors(f).Tokens {
		f.Add(v.Token)
	}
	f.Add(sign(f, `{"alg":"none"}`, `{"iss":"APIusher","exp":-1,"video":{"room":1}}`, "").Reveal())
	p := newPlatform(f)
	f.Fuzz(func(t *testing.T, token string) {
		got, ok := p.Inspect(usher.Secret(token), now)
		if !ok {
			return
		}
		out, err := json.Marshal(got)
		if err != nil {
			t.Fatalf("the inspection can't be told: %v", err)
		}
		if strings.Contains(string(out), apiSecret) && !strings.Contains(token, apiSecret) {
			t.Fatal("the inspection shows the secret")
		}
		if got.Verified == platform.Good {
			if _, err := payload(usher.Credential{Token: usher.Secret(token)}); err != nil {
				t.Fatalf("said to be good, but: %v", err)
			}
		}
	})
}
