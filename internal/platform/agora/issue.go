package agora

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"usher"
	"usher/internal/platform"
)

// maxLifetime is after what time Agora ends every token, whatever is in it.
const maxLifetime = 24 * time.Hour

// rights is the one table of what each permission is in a channel. Agora can't
// tell what a video shows, so that publish_screen is part of publish_video, and
// who may join may subscribe. It has no moderator.
var rights = [...]struct {
	permission usher.Permission
	privilege  uint16
}{
	{usher.Join, JoinChannel},
	{usher.PublishAudio, PublishAudio},
	{usher.PublishVideo, PublishVideo},
	{usher.PublishData, PublishData},
}

// form is a format that was asked for.
type form struct {
	version  string
	services []service
}

// parseForm reads a version, services joined by "+", or both with "/" between:
// "007", "rtm", "006/rtm", "007/rtc+rtm". What is left out is the configured
// version, and RTC.
func (p *Platform) parseForm(s string) (form, error) {
	version, services, both := strings.Cut(s, "/")
	switch {
	case s == "":
		version, services = p.version, string(rtc)
	case !both && (version == version006 || version == version007):
		services = string(rtc)
	case !both:
		version, services = p.version, s
	}
	f := form{version: version}
	var types []ServiceType
	for name := range strings.SplitSeq(services, "+") {
		parts, known := composed[name]
		if !known {
			parts = []service{service(name)}
		}
		for _, s := range parts {
			o, known := offers[s]
			if !known || name == string(classChat) || slices.Contains(types, o.kind) {
				return form{}, errFormat
			}
			f.services, types = append(f.services, s), append(types, o.kind)
		}
	}
	switch {
	case version != version006 && version != version007:
		return form{}, errFormat
	case version == version006 && (len(f.services) > 1 || f.services[0] != rtc && f.services[0] != rtm):
		return form{}, usher.Errorf(usher.Invalid, "format_unknown", "Agora's 006 tokens are for rtc or for rtm; ask for 007.")
	}
	return f, nil
}

var errFormat = usher.Errorf(usher.Invalid, "format_unknown",
	"Agora's formats are 007 and 006, followed by / and rtc, rtm, rtm2, chat, education, apaas, apaas-user, streaming, fcdn, fpa, convoai or stt, several of them joined by +.")

// Issue makes a token.
func (p *Platform) Issue(_ context.Context, req platform.Request) (usher.Credential, error) {
	c, err := p.issue(req)
	if err != nil {
		return usher.Credential{}, fmt.Errorf("agora: issue a token: %w", err)
	}
	return c, nil
}

// Names implements [platform.Namer]: a login, unlike a channel's token, is good
// in the whole project. Chat takes upper and lower case for the same.
func (p *Platform) Names(format, subject string) []string {
	f, err := p.parseForm(format)
	if err != nil {
		return nil // nothing is issued in it
	}
	var names []string
	for _, s := range f.services {
		if offers[s].everywhere {
			names = append(names, strings.ToLower(s.user(subject)))
		}
	}
	return names
}

func (p *Platform) issue(req platform.Request) (usher.Credential, error) {
	f, err := p.parseForm(req.Format)
	if err != nil {
		return usher.Credential{}, err
	}
	for _, s := range f.services {
		if err := s.check(req); err != nil {
			return usher.Credential{}, err
		}
	}
	issued, expires, err := lifetime(req)
	if err != nil {
		return usher.Credential{}, err
	}
	salt, err := newSalt(p.random)
	if err != nil {
		return usher.Credential{}, err
	}
	var token usher.Secret
	if f.version == version006 {
		t := token006(f.services[0], req, expires)
		t.AppID, t.Salt = p.appID, salt
		token, err = Build006(t, p.primary)
	} else {
		t := Token007{AppID: p.appID, IssuedAt: issued, Lifetime: expires - issued, Salt: salt}
		for _, s := range f.services {
			t.Services = append(t.Services, s.of007(req, t.Lifetime))
		}
		token, err = Build007(t, p.primary)
	}
	if err != nil {
		return usher.Credential{}, err
	}
	return usher.Credential{Platform: p.name, Token: token, ExpiresAt: time.Unix(int64(expires), 0).UTC()}, nil
}

// lifetime returns when the token begins and ends, in Unix seconds. It ends
// with the grant, rounded down, or when Agora ends it.
func lifetime(req platform.Request) (issued, expires uint32, err error) {
	from, to := req.Now.Unix(), req.Grant.Expires.Unix()
	switch {
	case to <= from:
		return 0, 0, usher.Errorf(usher.Forbidden, "grant_expired", "What you were granted is over, or ends within this second.")
	case req.Now.Before(req.Grant.NotBefore):
		return 0, 0, usher.Errorf(usher.Forbidden, "grant_not_begun", "What you were granted has not begun, and Agora's tokens are good at once.")
	}
	to = min(to, from+int64(maxLifetime/time.Second))
	if from < 0 || to > math.MaxUint32 {
		return 0, 0, usher.Errorf(usher.Invalid, "expiry_inexpressible", "Agora's tokens can't tell times before 1970 or after 2106.")
	}
	return uint32(from), uint32(to), nil
}

// token006 returns a token of a service, which must be RTC or RTM.
func token006(s service, req platform.Request, expires uint32) Token006 {
	if s == rtm {
		return Token006{Channel: req.Subject, Expires: expires, Privileges: []Privilege{{LoginRTM, expires}}}
	}
	return Token006{
		Channel: req.Grant.Room, User: req.Subject, Expires: expires,
		Privileges: channelPrivileges(req.Grant.Permissions, expires),
	}
}

func channelPrivileges(may usher.Permissions, expires uint32) []Privilege {
	privileges := make([]Privilege, 0, len(rights))
	for _, r := range rights {
		if may.Has(r.permission) {
			privileges = append(privileges, Privilege{r.privilege, expires})
		}
	}
	return privileges
}

// newSalt returns a number from 1 to 99,999,999, as Agora's libraries do.
func newSalt(random io.Reader) (uint32, error) {
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return 0, fmt.Errorf("salt: %w", err)
	}
	return uint32(binary.LittleEndian.Uint64(b[:])%99_999_999) + 1, nil
}
