package agora

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// ServiceType is one of Agora's products in a 007 token.
type ServiceType uint16

// The services.
const (
	RTC       ServiceType = 1
	RTM       ServiceType = 2
	Streaming ServiceType = 3
	FPA       ServiceType = 4
	Chat      ServiceType = 5
	FCDN      ServiceType = 6
	APaaS     ServiceType = 7 // Flexible Classroom
	RTM2      ServiceType = 8 // RTM with rights to single resources
	ConvoAI   ServiceType = 9
	STT       ServiceType = 10
)

// The privileges of services other than RTC, which has those of a 006 token.
const (
	Login         = 1 // RTM, FPA, RTM2
	PublishMix    = 1 // Streaming: to a CDN, mixed
	PublishRaw    = 2 // the same, as it is
	Publish       = 1 // FCDN
	Play          = 2
	ChatUser      = 1
	ChatApp       = 2 // an administrator of everything in Agora Chat
	APaaSRoomUser = 1
	APaaSUser     = 2
	APaaSApp      = 3
)

// NoRole is the role in an APaaS service that has none.
const NoRole int16 = -1

// Service is one service of a 007 token. Which of its fields a type has,
// [Build007] checks.
type Service struct {
	Type       ServiceType
	Privileges []Privilege
	// Channel is the channel, or the room of APaaS.
	Channel string
	// User is the uid, account or user id. In RTC, none is any user.
	User string
	// Role is the role in a room of APaaS.
	Role int16
	// Resources are what the user of RTM2 may read and write.
	Resources []Resource
}

// Resource is a right of RTM2 to the resources of one type.
type Resource struct {
	Type       uint16 // 0 message channels, 1 stream channels, 2 group channels, 3 server groups, 4 users
	Permission uint16 // 0 read, 1 write
	// Names may end in "*", for all that begin so.
	Names []string
}

// The types of resource and the permissions that we ask for.
const (
	messageChannels = 0
	read, write     = 0, 1
)

// layout says which fields a type of service has.
type layout struct{ channel, user, role, resources bool }

func (t ServiceType) layout() (l layout, known bool) {
	switch t {
	case RTC, Streaming, FCDN:
		return layout{channel: true, user: true}, true
	case RTM, Chat:
		return layout{user: true}, true
	case FPA, ConvoAI, STT:
		return layout{}, true
	case APaaS:
		return layout{channel: true, user: true, role: true}, true
	case RTM2:
		return layout{user: true, resources: true}, true
	default:
		return layout{}, false
	}
}

// String returns Agora's name of the service.
func (t ServiceType) String() string {
	names := [...]string{RTC: "RTC", RTM: "RTM", Streaming: "Streaming", FPA: "FPA", Chat: "Chat", FCDN: "FCDN",
		APaaS: "APaaS", RTM2: "RTM2", ConvoAI: "ConvoAI", STT: "STT"}
	if _, known := t.layout(); known {
		return names[t]
	}
	return "service " + strconv.Itoa(int(t))
}

// privilegeName returns what a privilege of the service allows.
func (t ServiceType) privilegeName(id uint16) string {
	names := map[ServiceType][]string{
		RTC:       {JoinChannel: "join", PublishAudio: "publish audio", PublishVideo: "publish video", PublishData: "publish data"},
		RTM:       {Login: "login"},
		Streaming: {PublishMix: "publish mixed stream", PublishRaw: "publish raw stream"},
		FPA:       {Login: "login"},
		Chat:      {ChatUser: "user", ChatApp: "app"},
		FCDN:      {Publish: "publish", Play: "play"},
		APaaS:     {APaaSRoomUser: "room user", APaaSUser: "user", APaaSApp: "app"},
		RTM2:      {Login: "login"},
	}[t]
	if int(id) < len(names) && names[id] != "" {
		return names[id]
	}
	return "privilege " + strconv.Itoa(int(id))
}

// append writes the service, or says why it has no wire form.
func (s Service) append(dst []byte) ([]byte, error) {
	l, known := s.Type.layout()
	if !known {
		return nil, fmt.Errorf("agora: unknown service type %d", s.Type)
	}
	if s.Channel != "" && !l.channel || s.User != "" && !l.user || s.Role != 0 && !l.role || s.Resources != nil && !l.resources {
		return nil, fmt.Errorf("agora: %s has a field that its type does not have", s.Type)
	}
	if max(len(s.Channel), len(s.User), len(s.Privileges)) > math.MaxUint16 {
		return nil, errTooLong
	}
	privileges, err := inOrder(s.Privileges)
	if err != nil {
		return nil, err
	}
	dst = appendPrivileges(le.AppendUint16(dst, uint16(s.Type)), privileges)
	if l.channel {
		dst = appendText(dst, s.Channel)
	}
	if l.user {
		dst = appendText(dst, s.User)
	}
	if l.role {
		dst = le.AppendUint16(dst, uint16(s.Role))
	}
	if l.resources {
		return appendResources(dst, s.Resources)
	}
	return dst, nil
}

var errTooLong = errors.New("agora: the token would be too long")

// appendResources writes types and, within each, permissions in ascending
// order; names keep theirs.
func appendResources(dst []byte, resources []Resource) ([]byte, error) {
	order := func(a, b Resource) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Permission, b.Permission))
	}
	resources = slices.SortedStableFunc(slices.Values(resources), order)
	types := chunks(resources)
	dst = le.AppendUint16(dst, uint16(len(types)))
	for _, list := range types {
		dst = le.AppendUint16(le.AppendUint16(dst, list[0].Type), uint16(len(list)))
		for i, r := range list {
			if i > 0 && list[i-1].Permission == r.Permission {
				return nil, fmt.Errorf("agora: the permission %d to resources of type %d is there twice", r.Permission, r.Type)
			}
			if len(r.Names) > math.MaxUint16 {
				return nil, errTooLong
			}
			dst = le.AppendUint16(le.AppendUint16(dst, r.Permission), uint16(len(r.Names)))
			for _, name := range r.Names {
				if len(name) > math.MaxUint16 {
					return nil, errTooLong
				}
				dst = appendText(dst, name)
			}
		}
	}
	return dst, nil
}

// chunks splits sorted resources by their type.
func chunks(resources []Resource) [][]Resource {
	var types [][]Resource
	for i := 0; i < len(resources); {
		n := i
		for n < len(resources) && resources[n].Type == resources[i].Type {
			n++
		}
		types = append(types, resources[i:n])
		i = n
	}
	return types
}

// service reads one service. It returns false for one of a type that is not
// known, behind which nothing can be read.
func (r *reader) service() (Service, bool, error) {
	s := Service{Type: ServiceType(r.uint16())}
	l, known := s.Type.layout()
	if !known {
		return s, false, nil
	}
	var err error
	if s.Privileges, err = r.privileges(); err != nil {
		return s, true, err
	}
	if l.channel {
		s.Channel = string(r.bytes())
	}
	if l.user {
		s.User = string(r.bytes())
	}
	if l.role {
		s.Role = int16(r.uint16())
	}
	if l.resources {
		s.Resources = r.resources()
	}
	return s, true, nil
}

func (r *reader) resources() []Resource {
	var resources []Resource
	for types := r.uint16(); types > 0 && !r.short; types-- {
		kind := r.uint16()
		for permissions := r.uint16(); permissions > 0 && !r.short; permissions-- {
			resource := Resource{Type: kind, Permission: r.uint16()}
			for names := r.uint16(); names > 0 && !r.short; names-- {
				resource.Names = append(resource.Names, string(r.bytes()))
			}
			resources = append(resources, resource)
		}
	}
	return resources
}
