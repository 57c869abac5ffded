package janus_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/internal/platform"
	"usher/internal/platform/janus"
)

const rs512 = `{"alg":"RS512","typ":"JWT"}`

// verdict is one row of what the real plugin (7cd5c04) made of a token, for a
// join of the room "55" as recorded, and what we say about the token.
type verdict struct {
	header  string
	claims  string // as at reads them
	change  func(token string) string
	foreign bool
	want    string
	// problem begins one of the problems that we find; without it there are none.
	problem string
}

// at replaces {now+300} by that time, in seconds.
func at(text string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "{now")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		offset, after, _ := strings.Cut(rest, "}")
		var n int64
		if offset != "" {
			fmt.Sscanf(offset, "%d", &n)
		}
		fmt.Fprintf(&b, "%d", now.Unix()+n)
		text = after
	}
}

const seedClaims = `"aud":"webrtc_auth","exp":{now+300},"iat":{now},"iss":"","jti":"6cf2b9a2-6a5f-4b6e-8f6d-3c3a3f0a9a51","nbf":{now-1},"sub":"1","typ":"access","user_id":1`

// verdicts is the whole matrix, with the plugin's own words.
var verdicts = map[string]verdict{
	"the seed's shape":             {claims: seedClaims + `,"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: accepted},
	"exp absent":                   {claims: `"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: invalidToken, problem: "It does not say when it expires"},
	"exp with a fraction":          {claims: `"exp":{now+300}.5,"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: invalidToken, problem: "Its time of expiry is not in whole seconds"},
	"exp as text":                  {claims: `"exp":"{now+300}","join_hub":true,"kick_users":false,"room_ids":["55"]`, want: invalidToken, problem: "Its exp is not a number"},
	"exp negative":                 {claims: `"exp":-1,"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: invalidToken, problem: "Its time of expiry is not in whole seconds"},
	"exp now":                      {claims: `"exp":{now},"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: accepted},
	"exp a second ago":             {claims: `"exp":{now-1},"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: invalidToken, problem: "It expired 1s ago, so little that a clock may be wrong"},
	"exp half a minute ago":        {claims: `"exp":{now-30},"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: invalidToken, problem: "It expired 30s ago."},
	"exp in milliseconds":          {claims: `"exp":{now}000,"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: accepted, problem: "It expires in more than a hundred years, as if milliseconds"},
	"nbf in an hour":               {claims: `"exp":{now+300},"nbf":{now+3600},"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: accepted, problem: "It is meant for later (nbf)"},
	"iat in an hour":               {claims: `"exp":{now+7200},"iat":{now+3600},"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: accepted, problem: "It was issued 1h0m0s from now"},
	"another aud":                  {claims: `"aud":"other","exp":{now+300},"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: accepted},
	"a list of aud":                {claims: `"aud":["webrtc_auth"],"exp":{now+300},"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: accepted},
	"neither iss nor sub nor aud":  {claims: `"exp":{now+300},"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: accepted},
	"room_ids absent":              {claims: `"exp":{now+300},"join_hub":true,"kick_users":false`, want: accepted, problem: "It names no rooms (room_ids), which the plugin takes for every room"},
	"room_ids null":                {claims: `"exp":{now+300},"join_hub":true,"kick_users":false,"room_ids":null`, want: accepted, problem: "It names no rooms (room_ids), which the plugin takes for every room"},
	"room_ids empty":               {claims: `"exp":{now+300},"join_hub":true,"kick_users":false,"room_ids":[]`, want: noPermission, problem: "Its list of rooms (room_ids) is empty"},
	"another room":                 {claims: `"exp":{now+300},"join_hub":true,"kick_users":false,"room_ids":["5"]`, want: noPermission},
	"room_ids of numbers":          {claims: `"exp":{now+300},"join_hub":true,"kick_users":false,"room_ids":[55]`, want: invalidToken, problem: "Its room_ids is not a list of texts"},
	"room_ids a text":              {claims: `"exp":{now+300},"join_hub":true,"kick_users":false,"room_ids":"55"`, want: invalidToken, problem: "Its room_ids is not a list of texts"},
	"join_hub absent":              {claims: `"exp":{now+300},"kick_users":false,"room_ids":["55"]`, want: noPermission, problem: "It does not let its bearer join"},
	"join_hub false":               {claims: `"exp":{now+300},"join_hub":false,"kick_users":false,"room_ids":["55"]`, want: noPermission, problem: "It does not let its bearer join"},
	"join_hub null":                {claims: `"exp":{now+300},"join_hub":null,"kick_users":false,"room_ids":["55"]`, want: invalidToken, problem: "Its join_hub is neither true nor false"},
	"join_hub a text":              {claims: `"exp":{now+300},"join_hub":"true","kick_users":false,"room_ids":["55"]`, want: invalidToken, problem: "Its join_hub is neither true nor false"},
	"kick_users null":              {claims: `"exp":{now+300},"join_hub":true,"kick_users":null,"room_ids":["55"]`, want: invalidToken, problem: "Its kick_users is neither true nor false"},
	"kick_users a text":            {claims: `"exp":{now+300},"join_hub":true,"kick_users":"yes","room_ids":["55"]`, want: invalidToken, problem: "Its kick_users is neither true nor false"},
	"kick_users true":              {claims: `"exp":{now+300},"join_hub":true,"kick_users":true,"room_ids":["55"]`, want: accepted, problem: "Its bearer may put out anybody in any room"},
	"join_hub twice":               {claims: `"exp":{now+300},"join_hub":true,"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: invalidToken, problem: `It says "join_hub" twice`},
	"RS256":                        {header: `{"alg":"RS256","typ":"JWT"}`, want: invalidToken, problem: `It is signed with "RS256"`},
	"PS512":                        {header: `{"alg":"PS512","typ":"JWT"}`, want: invalidToken, problem: `It is signed with "PS512"`},
	"HS512 with the public key":    {header: `{"alg":"HS512","typ":"JWT"}`, want: invalidToken, problem: `It is signed with "HS512"`},
	"none":                         {header: `{"alg":"none","typ":"JWT"}`, want: invalidToken, problem: `It is signed with "none"`},
	"alg in small letters":         {header: `{"alg":"rs512","typ":"JWT"}`, want: invalidToken, problem: `It is signed with "rs512"`},
	"a padded signature":           {change: func(s string) string { return s + "==" }, want: accepted, problem: "Its signature is padded"},
	"a line break at the end":      {change: func(s string) string { return s + "\n" }, want: invalidToken, problem: "It has white space around it"},
	"Bearer in front":              {change: func(s string) string { return "Bearer " + s }, want: invalidToken, problem: `It has "Bearer " in front`},
	"a changed payload":            {change: tamper, want: invalidToken, problem: "The signature is not by our key"},
	"another key":                  {foreign: true, want: invalidToken, problem: "The signature is not by our key"},
	"crit in the header":           {header: `{"alg":"RS512","crit":["b64"]}`, want: accepted},
	"no typ in the header":         {header: `{"alg":"RS512"}`, want: accepted},
	"other claims":                 {claims: seedClaims + `,"x":{"y":[1]},"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: accepted},
	"spaces in the payload":        {claims: ` "exp" : {now+300} , "join_hub" : true , "kick_users" : false , "room_ids" : [ "55" ] `, want: accepted},
	"good for a year":              {claims: `"exp":{now+31536000},"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: accepted, problem: "It is good for another 8760h0m0s"},
	"expired before it was issued": {claims: `"exp":{now-40},"iat":{now-30},"join_hub":true,"kick_users":false,"room_ids":["55"]`, want: invalidToken, problem: "It expires before it was issued"},
}

const plainClaims = `"exp":{now+300},"join_hub":true,"kick_users":false,"room_ids":["55"]`

func tamper(token string) string {
	parts := strings.Split(token, ".")
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	changed := strings.Replace(string(payload), `"55"`, `"55","1"`, 1)
	return parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(changed)) + "." + parts[2]
}

func (v verdict) token() string {
	if v.header == "" {
		v.header = rs512
	}
	if v.claims == "" {
		v.claims = plainClaims
	}
	key := newKey()
	if v.foreign {
		key = otherKey()
	}
	token := craft(key, v.header, "{"+at(v.claims)+"}")
	if v.change != nil {
		token = v.change(token)
	}
	return token
}

// TestVerdicts holds the checker against what the real plugin was recorded to
// do, and what we say about a token against both: nothing that the plugin
// refuses is in order for us.
func TestVerdicts(t *testing.T) {
	der, err := janus.ExportDER(newKey())
	if err != nil {
		t.Fatal(err)
	}
	sfu := plugin{authKey: der}
	p := newPlatform(t, config())
	for name, v := range verdicts {
		t.Run(name, func(t *testing.T) {
			token := v.token()
			if got := sfu.join(&token, "55", now); got != v.want {
				t.Errorf("the plugin says %q, want %q", got, v.want)
			}
			in, ok := p.Inspect(usher.Secret(token), now)
			if !ok {
				t.Fatal("it was not recognised")
			}
			checkProblems(t, in.Problems, v.problem)
			if v.want == invalidToken && v.problem == "" {
				t.Error("the plugin refuses it, and we say nothing")
			}
		})
	}
	if got := sfu.join(nil, "55", now); got != anonymousJoin {
		t.Errorf("no token: the plugin says %q", got)
	}
	two := "e30.e30"
	if got := sfu.join(&two, "55", now); got != invalidToken {
		t.Errorf("a token of two parts: the plugin says %q", got)
	}
}

func checkProblems(t *testing.T, problems []string, want string) {
	t.Helper()
	if want == "" {
		if len(problems) > 0 {
			t.Errorf("got the problems %q, want none", problems)
		}
		return
	}
	for _, problem := range problems {
		if strings.HasPrefix(problem, want) {
			return
		}
	}
	t.Errorf("got the problems %q, want %q among them", problems, want)
}

// TestForms tries each form of the key in the place of auth_key: with all but
// one, the plugin refuses a good token.
func TestForms(t *testing.T) {
	p := newPlatform(t, config())
	token := issue(t, p, request("")).Token.Reveal()
	for name, file := range keyFiles(t, newKey()) {
		want := invalidToken
		if name == "PKCS #1 public DER" {
			want = accepted
		}
		if got := (plugin{authKey: file}).join(&token, "my-room", now); got != want {
			t.Errorf("%s: the plugin says %q, want %q", name, got, want)
		}
		der, err := janus.ConvertDER(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := (plugin{authKey: der}).join(&token, "my-room", now); got != accepted {
			t.Errorf("%s, converted: the plugin says %q", name, got)
		}
	}
}

// TestClocks has the plugin's clock fast and slow: it forgives nothing.
func TestClocks(t *testing.T) {
	der, err := janus.ExportDER(&newKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	token := issue(t, newPlatform(t, config()), request("")).Token.Reveal()
	for ahead, want := range map[time.Duration]string{
		-time.Hour: accepted, 0: accepted, 5 * time.Minute: accepted, 5*time.Minute + time.Second: invalidToken,
	} {
		if got := (plugin{der, ahead}).join(&token, "my-room", now); got != want {
			t.Errorf("ahead by %v: the plugin says %q, want %q", ahead, got, want)
		}
	}
}

func TestInspectTellsWhatIsInAToken(t *testing.T) {
	p := newPlatform(t, config())
	tests := map[string]struct{ subject, room, form string }{
		"sfu":       {"alice", "my-room", "janus permission token (RS512)"},
		"core":      {"", "", "janus signed token (core)"},
		"videoroom": {"", "my-room", "janus signed token (room)"},
	}
	for format, want := range tests {
		req := request(format)
		req.Grant.Permissions = usher.BuiltinRoles()[usher.Speaker]
		in, ok := p.Inspect(issue(t, p, req).Token, now)
		if !ok || in.Platform != "janus" || in.Format != want.form || in.Verified != platform.Good || in.Subject != want.subject || in.Room != want.room {
			t.Errorf("%s: got %+v", format, in)
		}
		if !in.ExpiresAt.Equal(now.Add(5*time.Minute)) || len(in.Problems) > 0 {
			t.Errorf("%s: expires at %v, with the problems %q", format, in.ExpiresAt, in.Problems)
		}
	}
}

func TestInspectSignedTokens(t *testing.T) {
	signed := func(data, over string) string { return data + ":" + macOf(tokenAuthSecret, over) }
	good := at("{now+300},janus,janus.plugin.videoroom")
	room := at("{now+300},janus.plugin.videoroom,room=")
	tests := map[string]struct {
		token    string
		verified platform.Verified
		problem  string
	}{
		"in order":                {signed(good, good), platform.Good, ""},
		"by another secret":       {good + ":" + macOf("another secret", good), platform.Bad, "The signature is not by our tokenAuthSecret"},
		"only the time signed":    {signed(good, at("{now+300}")), platform.Bad, "Only the time is signed"},
		"without padding":         {strings.TrimRight(signed(good, good), "="), platform.Bad, "What follows the colon is not standard base64"},
		"two colons":              {signed(good, good) + ":", platform.Bad, "It has more than one colon"},
		"expired":                 {signed(at("{now-60},janus,x"), at("{now-60},janus,x")), platform.Good, "It expired 1m0s ago."},
		"in milliseconds":         {signed(at("{now}000,janus,x"), at("{now}000,janus,x")), platform.Good, "It expires in more than a hundred years"},
		"no time":                 {signed("soon,janus,x", "soon,janus,x"), platform.Good, "Its time of expiry is not in whole seconds"},
		"no plugin":               {signed(at("{now+300},janus"), at("{now+300},janus")), platform.Good, "It names no plugin"},
		"no room":                 {signed(at("{now+300},janus.plugin.videoroom"), at("{now+300},janus.plugin.videoroom")), platform.Good, "It names no room"},
		"a room with a comma":     {signed(room+"a,b", room+"a,b"), platform.Good, `It allows "b", which no room asks for`},
		"a room that is too long": {signed(room+strings.Repeat("a", 95), room+strings.Repeat("a", 95)), platform.Good, "It names a room with 95 bytes"},
		"white space around it":   {" " + signed(good, good), platform.Good, "It has white space"},
	}
	p := newPlatform(t, config())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			in, ok := p.Inspect(usher.Secret(test.token), now)
			if !ok || in.Verified != test.verified {
				t.Errorf("got %+v, %v, want it %s", in, ok, test.verified)
			}
			checkProblems(t, in.Problems, test.problem)
		})
	}
}

func TestInspectWithoutKeys(t *testing.T) {
	full, c := newPlatform(t, config()), config()
	c.Signer = nil
	noKey := newPlatform(t, c)
	c = config()
	c.TokenAuthSecret = ""
	noSecret := newPlatform(t, c)
	for format, without := range map[string]*janus.Platform{"sfu": noKey, "core": noSecret, "videoroom": noSecret} {
		for _, p := range []*janus.Platform{without, janus.Reader()} {
			if in, ok := p.Inspect(issue(t, full, request(format)).Token, now); !ok || in.Verified != platform.Unknown {
				t.Errorf("%s: got %+v, %v, want it of unknown origin", format, in, ok)
			}
		}
		if _, err := janus.Reader().Issue(t.Context(), request(format)); err == nil {
			t.Errorf("%s: a reader issues", format)
		}
	}
}

func TestInspectLeavesOtherTokensAlone(t *testing.T) {
	p := newPlatform(t, config())
	for name, token := range map[string]string{
		"nothing":                "",
		"another JWT":            craft(newKey(), rs512, `{"iss":"x","sub":"y","video":{"room":"z"}}`),
		"an Agora token":         "007eJxTYBBbsMMnKq7p9Hf/HcIX5kce9b518kCiQgSr5Zrp4X1Tu6UUGCzSUkySDZJTjIwSjYxSUo1NTZJNDVJTjS0tU03MjQxM",
		"a secret":               "E9QH2qDf3TgtyPXX0bZuT5cM7RnZq7nC4y0b0o8q1gI",
		"a TURN user":            "1795176300:alice",
		"a payload that is none": "e30.bm9uZQ.e30",
		"too long":               craft(newKey(), rs512, `{"join_hub":true,"x":"`+strings.Repeat("a", 17<<10)+`"}`),
	} {
		if in, ok := p.Inspect(usher.Secret(token), now); ok {
			t.Errorf("%s: taken for %+v", name, in)
		}
	}
}
