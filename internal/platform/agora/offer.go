package agora

import (
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strings"

	"usher"
	"usher/internal/platform"
)

// service is what can be asked for in a token.
type service string

const (
	rtc       service = "rtc"
	rtm       service = "rtm"
	rtm2      service = "rtm2"
	chat      service = "chat"
	streaming service = "streaming"
	fcdn      service = "fcdn"
	fpa       service = "fpa"
	apaas     service = "apaas"
	apaasUser service = "apaas-user"
	convoAI   service = "convoai"
	stt       service = "stt"
	// classChat is the login to Chat of a user of a classroom, under the name
	// that the classroom gives it. It is a part of education, and no format.
	classChat service = "education chat"
)

// composed are the services that Agora's libraries make in one go.
var composed = map[string][]service{"education": {rtm, classChat, apaas}}

// offer is what a service is in a token, and to whom it is given.
type offer struct {
	kind ServiceType
	// needs is what a grant must have: all that the service allows at least,
	// since nothing in it can say otherwise.
	needs usher.Permissions
	// channel and user say whether the service names the room and the subject,
	// and everywhere that the subject is known by its name in the whole project.
	channel, user, everywhere bool
}

// The sets that services need.
var (
	listens  = usher.Permissions{usher.Join, usher.Subscribe}
	writes   = usher.Permissions{usher.Join, usher.Subscribe, usher.PublishData}
	performs = usher.Permissions{usher.Join, usher.Subscribe, usher.PublishAudio, usher.PublishVideo}
	speaks   = usher.BuiltinRoles()[usher.Speaker]
)

// offers is the one table of services. Who logs in to messaging may send
// everywhere in the project, but RTM2 names what may be read and written. Who
// has a token for ConvoAI or STT can start agents, at the project's cost.
var offers = map[service]offer{
	rtc:       {RTC, listens, true, true, false},
	rtm:       {RTM, writes, false, true, true},
	rtm2:      {RTM2, listens, true, true, true},
	chat:      {Chat, writes, false, true, true},
	classChat: {Chat, writes, false, true, true},
	streaming: {Streaming, performs, true, true, false},
	fcdn:      {FCDN, listens, true, true, false},
	fpa:       {FPA, listens, false, false, false},
	apaas:     {APaaS, speaks, true, true, false},
	apaasUser: {APaaS, speaks, false, true, true},
	convoAI:   {ConvoAI, usher.AllPermissions, false, false, false},
	stt:       {STT, usher.AllPermissions, false, false, false},
}

// check refuses what a service can't express.
func (s service) check(req platform.Request) error {
	may, o := req.Grant.Permissions, offers[s]
	switch {
	case !o.needs.Within(may):
		return usher.Errorf(usher.Forbidden, "permissions_inexpressible",
			"Agora's %s tokens allow at least %s, which is more than you may do.", s, strings.Join(strings.Fields(o.needs.String()), ", "))
	case s == rtc && may.Has(usher.PublishScreen) && !may.Has(usher.PublishVideo):
		return usher.Errorf(usher.Forbidden, "permissions_inexpressible",
			"Agora can't tell a screen from a camera: publish_screen needs publish_video.")
	}
	if o.user {
		longest := maxAccount
		if o.everywhere {
			longest = maxUserID
		}
		if err := checkUser(req.Subject, longest); err != nil {
			return err
		}
	}
	if o.channel {
		return checkChannel(req.Grant.Room)
	}
	return nil
}

// user returns the name by which a service knows a subject. A classroom looks
// for its users in Chat by a digest, which keeps no secret.
func (s service) user(subject string) string {
	if s != classChat {
		return subject
	}
	sum := md5.Sum([]byte(subject))
	return hex.EncodeToString(sum[:])
}

// The roles in a classroom.
const (
	teacher int16 = 1
	student int16 = 2
)

// of007 returns the service for a 007 token.
func (s service) of007(req platform.Request, lifetime uint32) Service {
	o, may := offers[s], req.Grant.Permissions
	made := Service{Type: o.kind, Privileges: s.privileges(may, lifetime)}
	if o.channel && s != rtm2 {
		made.Channel = req.Grant.Room
	}
	if o.user {
		made.User = s.user(req.Subject)
	}
	switch s {
	case apaas:
		made.Role = student
		if may.Has(usher.Moderate) {
			made.Role = teacher
		}
	case apaasUser:
		made.Role = NoRole
	case rtm2:
		made.Resources = []Resource{{messageChannels, read, []string{req.Grant.Room}}}
		if may.Has(usher.PublishData) {
			made.Resources = append(made.Resources, Resource{messageChannels, write, []string{req.Grant.Room}})
		}
	}
	return made
}

// privileges returns those that a service has in a token.
func (s service) privileges(may usher.Permissions, expires uint32) []Privilege {
	var ids []uint16
	switch s {
	case rtc:
		return channelPrivileges(may, expires)
	case rtm, rtm2, fpa:
		ids = []uint16{Login}
	case chat, classChat:
		ids = []uint16{ChatUser}
	case streaming:
		ids = []uint16{PublishMix, PublishRaw}
	case fcdn:
		ids = []uint16{Play}
		if performs.Within(may) {
			ids = slices.Insert(ids, 0, Publish)
		}
	case apaas:
		ids = []uint16{APaaSRoomUser}
	case apaasUser:
		ids = []uint16{APaaSUser}
	}
	privileges := make([]Privilege, len(ids))
	for i, id := range ids {
		privileges[i] = Privilege{id, expires}
	}
	return privileges
}
