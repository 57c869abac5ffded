package agora_test

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"testing"
	"time"

	"usher"
	"usher/internal/platform"
	"usher/internal/platform/platformtest"
)

// decode007 says what a token allows. It is written from the format's
// description, apart from the code that is tested.
func decode007(t testing.TB, token usher.Secret) (allowed platformtest.Allowed, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cut short: %v", r)
		}
	}()
	b := payload(t, token)[2+32:]
	u16 := func() (n int) { n, b = int(binary.LittleEndian.Uint16(b)), b[2:]; return n }
	u32 := func() (n int64) { n, b = int64(binary.LittleEndian.Uint32(b)), b[4:]; return n }
	text := func() (s string) { n := u16(); s, b = string(b[:n]), b[n:]; return s }
	if id := text(); id != appID {
		return allowed, fmt.Errorf("app id %s", id)
	}
	issued, lifetime := u32(), u32()
	u32() // salt
	ends := []int64{issued + lifetime}
	subjects := make(map[string]bool)
	rooms := make(map[string]bool)
	chatUser := ""
	for range u16() {
		kind := u16()
		for range u16() {
			privilege := u16()
			if expires := u32(); expires > 0 {
				ends = append(ends, issued+expires)
			}
			may, known := inServices[kind][privilege]
			if !known {
				return allowed, fmt.Errorf("privilege %d of service %d", privilege, kind)
			}
			allowed.Permissions = append(allowed.Permissions, may...)
		}
		switch kind {
		case 1, 3, 6: // RTC, Streaming, FCDN
			rooms[text()] = true
			subjects[text()] = true
		case 2: // RTM
			subjects[text()] = true
		case 4: // FPA
		case 5: // Chat
			chatUser = text()
			subjects[chatUser] = true
		case 7: // APaaS: without a room for all of its user's, who is a teacher or a student
			if room := text(); room != "" {
				rooms[room] = true
			}
			subjects[text()] = true
			allowed.Permissions = append(allowed.Permissions, map[int]usher.Permissions{
				1: usher.AllPermissions, 2: usher.BuiltinRoles()[usher.Speaker], 0xffff: usher.BuiltinRoles()[usher.Speaker],
			}[u16()]...)
		case 9, 10: // ConvoAI, STT: agents at the project's cost
			allowed.Permissions = append(allowed.Permissions, usher.AllPermissions...)
		case 8:
			subjects[text()] = true
			for range u16() {
				u16()
				for range u16() {
					allowed.Permissions = append(allowed.Permissions, [][]usher.Permission{{usher.Join, usher.Subscribe}, {usher.PublishData}}[u16()]...)
					for range u16() {
						rooms[text()] = true
					}
				}
			}
		default:
			return allowed, fmt.Errorf("service %d", kind)
		}
	}
	for user := range subjects { // Flexible Classroom has its own names in Chat
		if sum := md5.Sum([]byte(user)); len(subjects) == 2 && fmt.Sprintf("%x", sum) == chatUser {
			delete(subjects, chatUser)
		}
	}
	if len(b) > 0 || len(subjects) > 1 || len(rooms) > 1 {
		return allowed, fmt.Errorf("%d bytes left, subjects %v, rooms %v", len(b), subjects, rooms)
	}
	for allowed.Subject = range subjects {
	}
	for allowed.Room = range rooms {
	}
	allowed.Permissions = usher.AllPermissions.And(allowed.Permissions)
	allowed.Expires = time.Unix(slices.Max(ends), 0)
	return allowed, nil
}

// inChannel is what each privilege lets a user do in a channel.
var inChannel = map[int]usher.Permissions{
	1: {usher.Join, usher.Subscribe},
	2: {usher.PublishAudio},
	3: {usher.PublishVideo},
	4: {usher.PublishData},
}

// inServices is what each privilege of each service lets a user do.
var inServices = map[int]map[int]usher.Permissions{
	1: inChannel,
	2: {1: {usher.Join, usher.Subscribe, usher.PublishData}}, // everywhere
	3: {1: {usher.PublishAudio, usher.PublishVideo}, 2: {usher.PublishAudio, usher.PublishVideo}},
	4: {1: {usher.Join}},
	5: {1: {usher.Join, usher.Subscribe, usher.PublishData}}, // everywhere
	6: {1: {usher.PublishAudio, usher.PublishVideo}, 2: {usher.Join, usher.Subscribe}},
	7: {1: {usher.Join}, 2: {usher.Join}},
	8: {1: {usher.Join}},
}

// decode006 is decode007 for the older format. A token has only the checksums
// of its names, which are looked for among those that were asked for.
func decode006(token usher.Secret, names func(sum uint32) string) (platformtest.Allowed, error) {
	var allowed platformtest.Allowed
	content, err := base64.StdEncoding.DecodeString(token.Reveal()[35:])
	if err != nil {
		return allowed, err
	}
	le := binary.LittleEndian
	channel, user := names(le.Uint32(content[34:])), names(le.Uint32(content[38:]))
	message := content[44:]
	ends := []uint32{le.Uint32(message[4:])}
	allowed.Room, allowed.Subject = channel, user
	for p := range slices.Chunk(message[10:], 6) {
		ends = append(ends, le.Uint32(p[2:]))
		if privilege := le.Uint16(p); privilege == 1000 {
			allowed.Room, allowed.Subject = "", channel
			allowed.Permissions = append(allowed.Permissions, usher.Join, usher.Subscribe, usher.PublishData)
		} else {
			allowed.Permissions = append(allowed.Permissions, inChannel[int(privilege)]...)
		}
	}
	allowed.Expires = time.Unix(int64(slices.Max(ends)), 0)
	return allowed, nil
}

// asked remembers the names that a platform was asked for by their checksums.
type asked struct {
	platform.Platform
	names sync.Map
}

func (a *asked) Issue(ctx context.Context, req platform.Request) (usher.Credential, error) {
	for _, name := range []string{req.Grant.Room, req.Subject} {
		a.names.Store(crc32.ChecksumIEEE([]byte(name)), name)
	}
	return a.Platform.Issue(ctx, req)
}

func (a *asked) name(sum uint32) string {
	name, _ := a.names.Load(sum)
	s, _ := name.(string)
	return s
}
