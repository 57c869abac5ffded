package agora_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/platform"
	"usher/internal/platform/agora"
	"usher/internal/platform/platformtest"
)

func TestNothingIsIssuedBeyondItsGrant(t *testing.T) {
	for version, formats := range map[string][]string{
		"007": {"", "007", "rtc", "rtm", "rtm2", "chat", "007/rtc", "007/rtm", "007/rtc+rtm", "007/rtm2", "007/chat", "007/rtc+rtm2+chat",
			"education", "007/apaas", "apaas-user", "streaming", "fcdn", "fpa", "convoai", "007/stt", "rtc+rtm+convoai", "rtc+rtm+stt", "rtc+streaming+fcdn+fpa+education"},
		"006": {"", "rtm", "006", "006/rtc", "006/rtm"},
	} {
		t.Run(version, func(t *testing.T) {
			c := config()
			c.TokenVersion = version
			p, err := agora.New(c)
			if err != nil {
				t.Fatal(err)
			}
			asked := &asked{Platform: p}
			platformtest.Run(t, platformtest.Harness{
				Platform: asked,
				Ordinary: ordinary(),
				Formats:  formats,
				Decode: func(c usher.Credential) (platformtest.Allowed, error) {
					if strings.HasPrefix(c.Token.Reveal(), "006") {
						return decode006(c.Token, asked.name)
					}
					return decode007(t, c.Token)
				},
				Unbound:  []string{"rtm", "chat", "006/rtm", "007/rtm", "007/chat", "apaas-user", "fpa", "convoai", "007/stt"},
				Nameless: []string{"fpa", "convoai", "007/stt"},
				Rooms:    []string{"", "*", " "},
				Subjects: []string{"", "0", "00", "-1", "1e3", "0x1", "4294967296", "4294967297", " ", "*"},
				Secrets:  []usher.Secret{certificate, classroomPrimary, classroomSecondary},
			})
		})
	}
}

func TestTheFormatChoosesVersionAndServices(t *testing.T) {
	for format, want := range map[string][]agora.ServiceType{
		"":                  {agora.RTC},
		"007":               {agora.RTC},
		"rtc":               {agora.RTC},
		"007/rtc":           {agora.RTC},
		"rtm":               {agora.RTM},
		"007/rtm":           {agora.RTM},
		"007/rtm+rtc":       {agora.RTC, agora.RTM},
		"rtc+rtm":           {agora.RTC, agora.RTM},
		"007/rtm2":          {agora.RTM2},
		"007/chat":          {agora.Chat},
		"007/rtc+chat+rtm2": {agora.RTC, agora.Chat, agora.RTM2},
		"education":         {agora.RTM, agora.Chat, agora.APaaS},
		"apaas":             {agora.APaaS},
		"007/apaas-user":    {agora.APaaS},
		"fcdn+streaming":    {agora.Streaming, agora.FCDN},
		"fpa":               {agora.FPA},
		"rtc+rtm+convoai":   {agora.RTC, agora.RTM, agora.ConvoAI},
		"rtc+rtm+stt":       {agora.RTC, agora.RTM, agora.STT},
	} {
		var got []agora.ServiceType
		for _, s := range parse007(t, issue(t, newPlatform(t), format)).Services {
			got = append(got, s.Type)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("format %q (-want +got):\n%s", format, diff)
		}
	}
	for _, format := range []string{"006", "006/rtc", "006/rtm"} {
		parse006(t, issue(t, newPlatform(t), format))
	}
	c := config()
	c.TokenVersion = "006"
	old, err := agora.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"", "rtc", "rtm"} {
		parse006(t, issue(t, old, format))
	}
	parse007(t, issue(t, old, "007"))
	for _, format := range []string{"008", "/", "/rtc", "007/", "007/RTC", "007/rtc+", "007/rtc+rtc", "007/rtc/rtm", "006/rtc+rtm", "006/rtm2", "006/chat", "007+rtc", " 007",
		"education chat", "education+chat", "rtm+education", "apaas+apaas-user", "006/education", "006/fpa", "apaas-app", "chat-app"} {
		req := ordinary()
		req.Format = format
		_, err := newPlatform(t).Issue(t.Context(), req)
		if e, ok := errors.AsType[*usher.Error](err); !ok || e.Code != "format_unknown" {
			t.Errorf("format %q: error %v", format, err)
		}
	}
}

func TestServicesOfARoomSayTheGrant(t *testing.T) {
	speaker, viewer := usher.BuiltinRoles()[usher.Speaker], usher.BuiltinRoles()[usher.Viewer]
	for name, tc := range map[string]struct {
		format string
		may    usher.Permissions
		want   []agora.Service
	}{
		"a teacher": {"education", usher.AllPermissions, []agora.Service{
			{Type: agora.RTM, User: "ann", Privileges: []agora.Privilege{{ID: 1, Expires: 3600}}},
			// md5("ann"), as Agora's libraries have it
			{Type: agora.Chat, User: "7e0d7f8a5d96c24ffcc840f31bce72b2", Privileges: []agora.Privilege{{ID: 1, Expires: 3600}}},
			{Type: agora.APaaS, Channel: "test", User: "ann", Role: 1, Privileges: []agora.Privilege{{ID: 1, Expires: 3600}}},
		}},
		"a student": {"apaas", speaker, []agora.Service{{Type: agora.APaaS, Channel: "test", User: "ann", Role: 2, Privileges: []agora.Privilege{{ID: 1, Expires: 3600}}}}},
		"a user of classrooms": {"apaas-user", speaker, []agora.Service{
			{Type: agora.APaaS, User: "ann", Role: agora.NoRole, Privileges: []agora.Privilege{{ID: 2, Expires: 3600}}},
		}},
		"who plays a stream": {"fcdn", viewer, []agora.Service{{Type: agora.FCDN, Channel: "test", User: "ann", Privileges: []agora.Privilege{{ID: 2, Expires: 3600}}}}},
		"who publishes one": {"fcdn", speaker, []agora.Service{
			{Type: agora.FCDN, Channel: "test", User: "ann", Privileges: []agora.Privilege{{ID: 1, Expires: 3600}, {ID: 2, Expires: 3600}}},
		}},
		"a student is no agent":    {"convoai", speaker, nil},
		"a viewer is no student":   {"education", viewer, nil},
		"a viewer streams nothing": {"streaming", viewer, nil},
	} {
		t.Run(name, func(t *testing.T) {
			req := ordinary()
			req.Format, req.Subject, req.Grant.Permissions = tc.format, "ann", tc.may
			req.Grant.Room, req.Grant.Expires = "test", req.Now.Add(time.Hour)
			c, err := newPlatform(t).Issue(t.Context(), req)
			if tc.want == nil {
				if e, ok := errors.AsType[*usher.Error](err); !ok || e.Code != "permissions_inexpressible" {
					t.Errorf("got the error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, parse007(t, c.Token).Services); diff != "" {
				t.Errorf("services (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFormatSaysByWhatNamesItIsKnownEverywhere(t *testing.T) {
	for format, want := range map[string][]string{
		"": nil, "007": nil, "006": nil, "rtc": nil, "fpa": nil, "apaas": nil, "streaming": nil, "no such": nil,
		"rtm": {"ann"}, "006/rtm": {"ann"}, "rtm2": {"ann"}, "chat": {"ann"}, "rtc+rtm": {"ann"}, "rtm+chat": {"ann", "ann"}, "apaas-user": {"ann"},
		"education": {"ann", "82e335f7ac0e0e412b2ae15abe662110"}, // md5("Ann")
	} {
		if diff := cmp.Diff(want, newPlatform(t).Names(format, "Ann")); diff != "" {
			t.Errorf("format %q (-want +got):\n%s", format, diff)
		}
	}
}

func TestAToken007SaysTheGrant(t *testing.T) {
	for name, tc := range map[string]struct {
		may  usher.Permissions
		want []uint16
	}{
		"a viewer joins only":          {usher.Permissions{usher.Join, usher.Subscribe}, []uint16{1}},
		"a speaker publishes":          {usher.BuiltinRoles()[usher.Speaker], []uint16{1, 2, 3, 4}},
		"a host is a speaker":          {usher.AllPermissions, []uint16{1, 2, 3, 4}},
		"audio only":                   {usher.Permissions{usher.Join, usher.Subscribe, usher.PublishAudio}, []uint16{1, 2}},
		"video only":                   {usher.Permissions{usher.Join, usher.Subscribe, usher.PublishVideo}, []uint16{1, 3}},
		"data only, and what it lacks": {usher.Permissions{usher.Join, usher.Subscribe, usher.PublishData, usher.Moderate}, []uint16{1, 4}},
	} {
		req := ordinary()
		req.Grant.Permissions = tc.may
		c, err := newPlatform(t).Issue(t.Context(), req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var privileges []agora.Privilege
		for _, id := range tc.want {
			privileges = append(privileges, agora.Privilege{ID: id, Expires: 3600})
		}
		got := parse007(t, c.Token)
		want := agora.Token007{
			AppID: appID, IssuedAt: uint32(now.Unix()), Lifetime: 3600, Salt: got.Salt,
			Services: []agora.Service{{Type: agora.RTC, Channel: "test", User: "12345", Privileges: privileges}},
		}
		if diff := cmp.Diff(want, got.Token007); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if !got.Verify(certificate) {
			t.Errorf("%s: not verified", name)
		}
		if want := now.Truncate(time.Second).Add(time.Hour); !c.ExpiresAt.Equal(want) {
			t.Errorf("%s: expires at %v, want %v", name, c.ExpiresAt, want)
		}
	}
}

func TestRTM2MayReadAndWriteTheRoomOnly(t *testing.T) {
	for may, want := range map[usher.Permission][]agora.Resource{
		usher.PublishAudio: {{Type: 0, Permission: 0, Names: []string{"test"}}},
		usher.PublishData:  {{Type: 0, Permission: 0, Names: []string{"test"}}, {Type: 0, Permission: 1, Names: []string{"test"}}},
	} {
		req := ordinary()
		req.Format = "007/rtm2"
		req.Grant.Permissions = usher.Permissions{usher.Join, usher.Subscribe, may}
		c, err := newPlatform(t).Issue(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, parse007(t, c.Token).Services[0].Resources); diff != "" {
			t.Errorf("who may %s (-want +got):\n%s", may, diff)
		}
	}
}

func TestWhatAgoraCantExpressIsRefused(t *testing.T) {
	viewer := usher.BuiltinRoles()[usher.Viewer]
	for name, tc := range map[string]struct {
		change func(*platform.Request)
		code   string
	}{
		"to join without seeing":             {func(r *platform.Request) { r.Grant.Permissions = usher.Permissions{usher.Join, usher.PublishAudio} }, "permissions_inexpressible"},
		"a screen without a camera":          {func(r *platform.Request) { r.Grant.Permissions = append(viewer, usher.PublishScreen) }, "permissions_inexpressible"},
		"messages for who may not send":      {func(r *platform.Request) { r.Grant.Permissions, r.Format = viewer, "rtm" }, "permissions_inexpressible"},
		"a chat for who may not send":        {func(r *platform.Request) { r.Grant.Permissions, r.Format = viewer, "chat" }, "permissions_inexpressible"},
		"a grant without an end":             {func(r *platform.Request) { r.Grant.Expires = time.Time{} }, "grant_expired"},
		"a grant that ends within a second":  {func(r *platform.Request) { r.Grant.Expires = r.Now.Add(100 * time.Millisecond) }, "grant_expired"},
		"a grant that begins later":          {func(r *platform.Request) { r.Grant.NotBefore = r.Now.Add(time.Second) }, "grant_not_begun"},
		"a time beyond 32 bits":              {func(r *platform.Request) { shift(r, time.Unix(math.MaxUint32-10, 0)) }, "expiry_inexpressible"},
		"a time before 1970":                 {func(r *platform.Request) { shift(r, time.Unix(-10, 0)) }, "expiry_inexpressible"},
		"nobody":                             {func(r *platform.Request) { r.Subject = "" }, "subject_invalid"},
		"uid 0":                              {func(r *platform.Request) { r.Subject = "0" }, "subject_invalid"},
		"a uid that overflows to 0":          {func(r *platform.Request) { r.Subject = "4294967296" }, "subject_invalid"},
		"a uid with a leading zero":          {func(r *platform.Request) { r.Subject = "007" }, "subject_invalid"},
		"a uid with a sign":                  {func(r *platform.Request) { r.Subject = "+7" }, "subject_invalid"},
		"a uid with a space":                 {func(r *platform.Request) { r.Subject = "7 " }, "subject_invalid"},
		"a uid in hexadecimal":               {func(r *platform.Request) { r.Subject = "0x7" }, "subject_invalid"},
		"a number that is no uid":            {func(r *platform.Request) { r.Subject = "1e3" }, "subject_invalid"},
		"a number beyond all":                {func(r *platform.Request) { r.Subject = "1" + strings.Repeat("0", 400) }, "subject_invalid"},
		"an account outside the characters":  {func(r *platform.Request) { r.Subject = "käthe" }, "subject_invalid"},
		"an account that is too long":        {func(r *platform.Request) { r.Subject = strings.Repeat("a", 256) }, "subject_invalid"},
		"an RTM user id that is too long":    {func(r *platform.Request) { r.Subject, r.Format = strings.Repeat("a", 65), "rtc+rtm" }, "subject_invalid"},
		"no channel":                         {func(r *platform.Request) { r.Grant.Room = "" }, "room_name_invalid"},
		"every channel":                      {func(r *platform.Request) { r.Grant.Room = "*" }, "room_name_invalid"},
		"channels with a prefix":             {func(r *platform.Request) { r.Grant.Room, r.Format = "room-*", "rtm2" }, "room_name_invalid"},
		"a blank channel":                    {func(r *platform.Request) { r.Grant.Room = "  " }, "room_name_invalid"},
		"a channel outside the characters":   {func(r *platform.Request) { r.Grant.Room = "a/b" }, "room_name_invalid"},
		"a channel that is too long":         {func(r *platform.Request) { r.Grant.Room = strings.Repeat("a", 64) }, "room_name_invalid"},
		"a channel of 63 letters in 64 byte": {func(r *platform.Request) { r.Grant.Room = strings.Repeat("a", 62) + "é" }, "room_name_invalid"},
	} {
		req := ordinary()
		tc.change(&req)
		c, err := newPlatform(t).Issue(t.Context(), req)
		e, ok := errors.AsType[*usher.Error](err)
		if !ok || e.Code != tc.code || c.Token != "" {
			t.Errorf("%s: error %v, want %s", name, err, tc.code)
		} else if !strings.HasPrefix(err.Error(), "agora: ") || !strings.Contains(e.Message, "Agora") && !strings.Contains(e.Message, "granted") {
			t.Errorf("%s: error %q", name, err)
		}
	}
}

// shift moves a request to another time.
func shift(r *platform.Request, to time.Time) {
	r.Now, r.Grant.NotBefore, r.Grant.Expires = to, to, to.Add(time.Hour)
}

func TestWhatAgoraAcceptsIsIssued(t *testing.T) {
	for name, change := range map[string]func(*platform.Request){
		"the first uid":          func(r *platform.Request) { r.Subject = "1" },
		"the last uid":           func(r *platform.Request) { r.Subject = "4294967295" },
		"an account":             func(r *platform.Request) { r.Subject = "ekaansh" },
		"a mail address":         func(r *platform.Request) { r.Subject = "user@example.com" },
		"somebody called Nan":    func(r *platform.Request) { r.Subject = "Nan" },
		"a long account":         func(r *platform.Request) { r.Subject = strings.Repeat("a", 255) },
		"every character":        func(r *platform.Request) { r.Grant.Room = "!#$%&()+-:;<=.>?@[]^_{}|~," },
		"a long channel":         func(r *platform.Request) { r.Grant.Room = strings.Repeat("c", 63) },
		"a channel with a space": func(r *platform.Request) { r.Grant.Room = "my room" },
		"messages need no room":  func(r *platform.Request) { r.Grant.Room, r.Format = "", "rtm" },
	} {
		req := ordinary()
		change(&req)
		if _, err := newPlatform(t).Issue(t.Context(), req); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATokenEndsAfterADayAtTheLatest(t *testing.T) {
	req := ordinary()
	req.Grant.Expires = now.Add(1000 * time.Hour)
	for _, format := range []string{"006", "007"} {
		req.Format = format
		c, err := newPlatform(t).Issue(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := c.ExpiresAt, now.Truncate(time.Second).Add(24*time.Hour); !got.Equal(want) {
			t.Errorf("format %s: expires at %v, want %v", format, got, want)
		}
	}
}

func TestSaltsDifferAndNeedRandomness(t *testing.T) {
	p := newPlatform(t)
	salts := make(map[uint32]bool)
	for range 100 {
		salt := parse007(t, issue(t, p, "007")).Salt
		if salt < 1 || salt > 99_999_999 {
			t.Fatalf("salt %d", salt)
		}
		salts[salt] = true
	}
	if len(salts) < 95 {
		t.Errorf("%d salts in 100 tokens", len(salts))
	}
	c := config()
	c.Random = iotest.ErrReader(errors.New("no randomness"))
	p, err := agora.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := p.Issue(t.Context(), ordinary()); err == nil || c.Token != "" {
		t.Error("a token was issued without randomness")
	}
}

func issue(t testing.TB, p *agora.Platform, format string) usher.Secret {
	t.Helper()
	req := ordinary()
	req.Format = format
	c, err := p.Issue(t.Context(), req)
	if err != nil {
		t.Fatalf("format %q: %v", format, err)
	}
	return c.Token
}
