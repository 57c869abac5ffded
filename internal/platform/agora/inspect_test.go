package agora_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/platform"
	"usher/internal/platform/agora"
)

func TestInspectSaysWhatIsInASoundToken(t *testing.T) {
	got, ok := newPlatform(t).Inspect(issue(t, newPlatform(t), "007/rtc+rtm2"), now)
	if !ok {
		t.Fatal("not recognised")
	}
	delete(got.Claims, "salt")
	end := "2026-03-04T06:06:07Z"
	want := platform.Inspection{
		Platform: "agora", Format: "agora 007", Verified: platform.Good, Subject: "12345", Room: "test",
		IssuedAt: now.Truncate(time.Second), ExpiresAt: now.Truncate(time.Second).Add(time.Hour),
		Claims: map[string]any{
			"appId": appID, "project": "agora", "certificate": "primary",
			"joinAs": `channel "test" with uid 12345; with uid 0, none or another Agora says that the token is invalid`,
			"services": []map[string]any{
				{
					"service": "RTC", "channel": "test", "user": "12345",
					"privileges": map[string]string{"join": end, "publish audio": end, "publish video": end, "publish data": end},
				},
				{
					"service": "RTM2", "user": "12345", "privileges": map[string]string{"login": end},
					"resources": []map[string]any{
						{"type": uint16(0), "permission": uint16(0), "names": []string{"test"}},
						{"type": uint16(0), "permission": uint16(1), "names": []string{"test"}},
					},
				},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// rtc is a token of one RTC service, changed.
func rtc(t testing.TB, change func(*agora.Token007), by usher.Secret) usher.Secret {
	t.Helper()
	token := agora.Token007{
		AppID: appID, IssuedAt: uint32(now.Unix()), Lifetime: 3600, Salt: 1,
		Services: []agora.Service{{Type: agora.RTC, Channel: "test", User: "5", Privileges: []agora.Privilege{{1, 3600}, {2, 3600}}}},
	}
	if change != nil {
		change(&token)
	}
	built, err := agora.Build007(token, by)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// old is a token of the older format, changed.
func old(t testing.TB, change func(*agora.Token006), by usher.Secret) usher.Secret {
	t.Helper()
	end := uint32(now.Unix()) + 3600
	token := agora.Token006{AppID: appID, Channel: "test", User: "5", Salt: 1, Expires: end, Privileges: []agora.Privilege{{1, end}, {2, end}}}
	if change != nil {
		change(&token)
	}
	built, err := agora.Build006(token, by)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

func TestInspectSaysWhatIsWrong(t *testing.T) {
	unread := payload(t, rtc(t, func(t *agora.Token007) { t.Services = []agora.Service{{Type: agora.STT}} }, certificate))
	unread[len(unread)-4] = 99
	const cantTell = "A 006 token does not name its channel and user; tell them to have its signature checked."
	for name, tc := range map[string]struct {
		token         usher.Secret
		channel, user string
		verified      platform.Verified
		problems      []string // how each begins, in order
	}{
		"nothing":                       {token: rtc(t, nil, certificate), verified: platform.Good},
		"nothing, with the right names": {token: rtc(t, nil, certificate), channel: "test", user: "5", verified: platform.Good},
		"another project":               {token: rtc(t, func(t *agora.Token007) { t.AppID = classroomID }, classroomPrimary), verified: platform.Good},
		"the secondary certificate":     {token: rtc(t, func(t *agora.Token007) { t.AppID = classroomID }, classroomSecondary), verified: platform.Good},
		"another certificate":           {token: rtc(t, nil, another), verified: platform.Bad, problems: []string{"The token is signed with another certificate than those of agora"}},
		"another app":                   {token: rtc(t, func(t *agora.Token007) { t.AppID = another.Reveal() }, another), verified: platform.Unknown, problems: []string{"The token is for the app id " + another.Reveal() + ", which is not one of ours"}},
		"our certificate, another app":  {token: rtc(t, func(t *agora.Token007) { t.AppID = another.Reveal() }, certificate), verified: platform.Bad, problems: []string{"The token is for the app id " + another.Reveal() + " and signed with a certificate of agora"}},
		"certificates of two projects":  {token: rtc(t, nil, classroomPrimary), verified: platform.Bad, problems: []string{"The token is for the app id " + appID + " and signed with a certificate of agora/classroom"}},
		"app id and certificate exchanged": {
			token: rtc(t, func(t *agora.Token007) { t.AppID = certificate.Reveal() }, appID), verified: platform.Bad,
			problems: []string{"The token was made with the app id and the certificate in each other's place"},
		},
		"expired":               {token: rtc(t, func(t *agora.Token007) { t.IssuedAt -= 7200 }, certificate), verified: platform.Good, problems: []string{"The token expired at 2026-03-04 04:06:07 UTC, 1h0m1s ago."}},
		"never valid":           {token: rtc(t, func(t *agora.Token007) { t.Lifetime = 0 }, certificate), verified: platform.Good, problems: []string{"The token has a lifetime of 0 seconds"}},
		"a clock that is ahead": {token: rtc(t, func(t *agora.Token007) { t.IssuedAt += 600 }, certificate), verified: platform.Good, problems: []string{"The token was issued at 2026-03-04 05:16:07 UTC, 9m59s from now: the clock"}},
		"a clock within reason": {token: rtc(t, func(t *agora.Token007) { t.IssuedAt += 30 }, certificate), verified: platform.Good},
		"a point in time for a lifetime": {token: rtc(t, func(t *agora.Token007) { t.Lifetime = uint32(now.Unix()) + 3600 }, certificate), verified: platform.Good, problems: []string{
			"The token has a lifetime of 1772604367 seconds, which looks like a point in time",
		}},
		"milliseconds for seconds": {token: rtc(t, func(t *agora.Token007) { t.Lifetime = 3600_000 }, certificate), verified: platform.Good, problems: []string{
			"The token has a lifetime of 3600000 seconds, but Agora ends every token after 24 hours; were it milliseconds, it would be 1h0m0s.",
		}},
		"a privilege that ended before": {
			token: rtc(t, func(t *agora.Token007) { t.IssuedAt -= 600; t.Services[0].Privileges[1].Expires = 300 }, certificate), verified: platform.Good,
			problems: []string{"The privilege RTC publish audio ended at 2026-03-04 05:01:07 UTC, though the token lives until 2026-03-04 05:56:07 UTC."},
		},
		"uid 0":                   {token: rtc(t, func(t *agora.Token007) { t.Services[0].User = "" }, certificate), user: "5", verified: platform.Good, problems: []string{"The token was made for uid 0: whoever has it"}},
		"another uid":             {token: rtc(t, nil, certificate), user: "6", verified: platform.Good, problems: []string{`The token is for the user "5", not "6".`}},
		"joining with uid 0":      {token: rtc(t, nil, certificate), user: "0", verified: platform.Good, problems: []string{`The token is for "5": who joins with uid 0`}},
		"a number that is no uid": {token: rtc(t, func(t *agora.Token007) { t.Services[0].User = "4294967296" }, certificate), verified: platform.Good, problems: []string{`The token is for "4294967296", which is no uid but looks like one`}},
		"another channel":         {token: rtc(t, nil, certificate), channel: "toast", verified: platform.Good, problems: []string{`The token is for the channel "test", not "toast".`}},
		"every channel":           {token: rtc(t, func(t *agora.Token007) { t.Services[0].Channel = "*" }, certificate), verified: platform.Good, problems: []string{"The token is for every channel."}},
		"no channel":              {token: rtc(t, func(t *agora.Token007) { t.Services[0].Channel = "" }, certificate), verified: platform.Good, problems: []string{"The token names no channel."}},
		"a channel that can't be": {token: rtc(t, func(t *agora.Token007) { t.Services[0].Channel = "a/b" }, certificate), verified: platform.Good, problems: []string{`Agora does not allow the channel name "a/b".`}},
		"no right to join":        {token: rtc(t, func(t *agora.Token007) { t.Services[0].Privileges = t.Services[0].Privileges[1:] }, certificate), verified: platform.Good, problems: []string{"The token does not allow to join"}},
		"an administrator": {token: rtc(t, func(t *agora.Token007) {
			t.Services = []agora.Service{{Type: agora.Chat, Privileges: []agora.Privilege{{2, 3600}}}}
		}, certificate), verified: platform.Good, problems: []string{"The token is an administrator's of Chat"}},
		"another RTM user": {token: rtc(t, func(t *agora.Token007) {
			t.Services = []agora.Service{{Type: agora.RTM, User: "alice", Privileges: []agora.Privilege{{1, 3600}}}}
		}, certificate), user: "bob", verified: platform.Good, problems: []string{`The token is for the RTM user "alice", not "bob".`}},
		"a service from the future": {token: stored(unread), verified: platform.Bad, problems: []string{"The token is signed with another certificate", "The token has a service of a type that is not known here, number 99"}},
		"white space":               {token: "\t" + rtc(t, nil, certificate) + "\n", verified: platform.Good, problems: []string{"There is white space around the token"}},
		"damage":                    {token: rtc(t, nil, certificate)[:50], verified: platform.Unknown, problems: []string{"The token is damaged: "}},
		"a zip bomb":                {token: bomb(1 << 20), verified: platform.Unknown, problems: []string{"The token is damaged: it inflates to more than a token can be."}},

		"006: without names":       {token: old(t, nil, certificate), verified: platform.Unknown, problems: []string{cantTell}},
		"006: with names":          {token: old(t, nil, certificate), channel: "test", user: "5", verified: platform.Good},
		"006: another certificate": {token: old(t, nil, another), channel: "test", user: "5", verified: platform.Bad, problems: []string{"The token is signed with another certificate"}},
		"006: another channel":     {token: old(t, nil, certificate), channel: "toast", user: "5", verified: platform.Unknown, problems: []string{`The token is for another channel than "toast".`}},
		"006: another user":        {token: old(t, nil, certificate), channel: "test", user: "6", verified: platform.Unknown, problems: []string{`The token is for another user than "6"`}},
		"006: the channel only":    {token: old(t, nil, certificate), channel: "toast", verified: platform.Unknown, problems: []string{`The token is for another channel`, cantTell}},
		"006: the account 0":       {token: old(t, func(t *agora.Token006) { t.User = "0" }, certificate), channel: "test", user: "5", verified: platform.Unknown, problems: []string{`The token is for the account "0", which is not uid 0.`}},
		"006: uid 0":               {token: old(t, func(t *agora.Token006) { t.User = "" }, certificate), channel: "test", user: "5", verified: platform.Good, problems: []string{"The token was made for uid 0"}},
		"006: another app":         {token: old(t, func(t *agora.Token006) { t.AppID = another.Reveal() }, another), verified: platform.Unknown, problems: []string{"The token is for the app id " + another.Reveal() + ", which is not one of ours", cantTell}},
		"006: exchanged":           {token: old(t, func(t *agora.Token006) { t.AppID = classroomSecondary.Reveal() }, another), channel: "test", user: "5", verified: platform.Bad, problems: []string{"The token was made with the app id and the certificate in each other's place"}},
		"006: expired":             {token: old(t, func(t *agora.Token006) { t.Expires -= 7200 }, certificate), channel: "test", user: "5", verified: platform.Good, problems: []string{"The token expired at 2026-03-04 04:06:07 UTC"}},
		"006: a clock ahead":       {token: old(t, func(t *agora.Token006) { t.Expires += 30 * 3600 }, certificate), channel: "test", user: "5", verified: platform.Good, problems: []string{"The token ends at 2026-03-05 12:06:07 UTC, more than 24 hours from now"}},
		"006: seconds for a time":  {token: old(t, func(t *agora.Token006) { t.Privileges[1].Expires = 3600 }, certificate), channel: "test", user: "5", verified: platform.Good, problems: []string{"The privilege publish audio ends at 3600, which looks like a number of seconds"}},
		"006: a privilege ended":   {token: old(t, func(t *agora.Token006) { t.Privileges[0].Expires -= 7200 }, certificate), channel: "test", user: "5", verified: platform.Good, problems: []string{"The privilege join ended at"}},
		"006: no privilege":        {token: old(t, func(t *agora.Token006) { t.Privileges = nil }, certificate), channel: "test", user: "5", verified: platform.Good, problems: []string{"The token has no privilege"}},
		"006: damage":              {token: old(t, nil, certificate)[:90], verified: platform.Unknown, problems: []string{"The token is damaged: "}},
		"006: RTM":                 {token: old(t, asRTM, certificate), user: "alice", verified: platform.Good},
		"006: another RTM user":    {token: old(t, asRTM, certificate), user: "bob", verified: platform.Unknown, problems: []string{`The token is for another RTM user than "bob".`}},
		"006: RTM without a name":  {token: old(t, asRTM, certificate), channel: "test", verified: platform.Unknown, problems: []string{cantTell}},
	} {
		got, ok := newPlatform(t).InspectFor(tc.token, tc.channel, tc.user, now)
		if !ok {
			t.Errorf("%s: not recognised", name)
			continue
		}
		same := len(got.Problems) == len(tc.problems)
		for i := 0; same && i < len(tc.problems); i++ {
			same = strings.HasPrefix(got.Problems[i], tc.problems[i])
		}
		if !same || got.Verified != tc.verified {
			t.Errorf("%s: verified %s, problems %q", name, got.Verified, got.Problems)
		}
		said, err := json.Marshal(got)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, secret := range []usher.Secret{certificate, classroomPrimary, classroomSecondary} {
			if strings.Contains(string(said), secret.Reveal()) {
				t.Errorf("%s: a certificate is shown", name)
			}
		}
	}
}

// asRTM makes a token a login to RTM.
func asRTM(t *agora.Token006) {
	t.Channel, t.User, t.Privileges = "alice", "", []agora.Privilege{{agora.LoginRTM, t.Expires}}
}

func TestInspectLeavesOthersTokensAlone(t *testing.T) {
	for _, text := range []usher.Secret{"", "006", "007", "007 is no token", "006d6b6f6c", "eyJhbGciOiJSUzUxMiJ9.e30.AAAA", "hunter2", usher.Secret(strings.Repeat("006", 30))} {
		if got, ok := newPlatform(t).Inspect(text, now); ok {
			t.Errorf("%q is taken for %+v", text.Reveal(), got)
		}
	}
}

func FuzzInspect(f *testing.F) {
	p := newPlatform(f)
	for _, format := range []string{"006", "007", "007/rtc+rtm2"} {
		f.Add(issue(f, p, format).Reveal(), "test", "12345")
	}
	f.Add(old(f, asRTM, certificate).Reveal(), "", "alice")
	f.Fuzz(func(t *testing.T, text, channel, user string) {
		got, ok := p.InspectFor(usher.Secret(text), channel, user, now)
		if !ok {
			return
		}
		if _, err := json.Marshal(got); err != nil {
			t.Errorf("%+v: %v", got, err)
		}
		if got.Verified == platform.Unknown && len(got.Problems) == 0 {
			t.Errorf("not verified, and no word why: %+v", got)
		}
	})
}
