package agora

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"hash/crc32"
	"math"
	"strings"

	"usher"
)

// The privileges of a 006 token. The first four are also those of a 007
// token's RTC service.
const (
	JoinChannel  = 1
	PublishAudio = 2
	PublishVideo = 3
	PublishData  = 4
	LoginRTM     = 1000
)

// Token006 is what a token of the older format, AccessToken, is built from.
type Token006 struct {
	AppID string
	// Channel and User are not in the token, only signed: whoever verifies it
	// must be told them. A token for RTM has its user in Channel and no User. No
	// User is any user.
	Channel, User string
	Salt          uint32
	// Expires is when the whole token ends, as a Unix time.
	Expires    uint32
	Privileges []Privilege
}

// Build006 signs a token. It checks the form only: see [Platform.Issue] for
// what Agora will accept.
func Build006(t Token006, certificate usher.Secret) (usher.Secret, error) {
	if !isAppID(t.AppID) {
		return "", errAppID
	}
	if len(t.Privileges) > (math.MaxUint16-10)/6 {
		return "", errors.New("agora: too many privileges")
	}
	var err error
	if t.Privileges, err = inOrder(t.Privileges); err != nil {
		return "", err
	}
	signature := t.sign(certificate)

	var c [512]byte
	content := append(le.AppendUint16(c[:0], signatureLength), signature[:]...)
	content = le.AppendUint32(content, checksum(t.Channel))
	content = le.AppendUint32(content, checksum(t.User))
	content = le.AppendUint16(content, uint16(10+6*len(t.Privileges)))
	content = t.appendMessage(content)

	var b [1024]byte
	token := append(append(b[:0], version006...), t.AppID...)
	return usher.Secret(base64.StdEncoding.AppendEncode(token, content)), nil
}

func (t Token006) appendMessage(dst []byte) []byte {
	dst = le.AppendUint32(dst, t.Salt)
	dst = le.AppendUint32(dst, t.Expires)
	return appendPrivileges(dst, t.Privileges)
}

// sign signs the fields one after the other: nothing says where the channel
// ends and the user begins.
func (t Token006) sign(certificate usher.Secret) [signatureLength]byte {
	var b [512]byte
	signed := append(append(append(b[:0], t.AppID...), t.Channel...), t.User...)
	return mac([]byte(certificate.Reveal()), t.appendMessage(signed))
}

// Signed006 is a token that was read. Its Channel and User are empty.
type Signed006 struct {
	Token006
	// ChannelSum and UserSum are the CRC-32 of the channel and the user.
	ChannelSum, UserSum uint32
	Signature           [signatureLength]byte
}

// Parse006 reads a token and verifies nothing.
func Parse006(token usher.Secret) (Signed006, error) {
	text, ok := strings.CutPrefix(token.Reveal(), version006)
	if !ok || len(text) > maxText || len(text) < idLength || !isAppID(text[:idLength]) {
		return Signed006{}, malformed("it does not begin with 006 and an app id")
	}
	content, err := decodeBase64(text[idLength:], true)
	if err != nil {
		return Signed006{}, err
	}
	s := Signed006{Token006: Token006{AppID: text[:idLength]}}
	r := reader{rest: content}
	if signature := r.bytes(); len(signature) == signatureLength {
		s.Signature = [signatureLength]byte(signature)
	} else {
		return Signed006{}, malformed("its signature has the wrong length")
	}
	s.ChannelSum, s.UserSum = r.uint32(), r.uint32()
	message := reader{rest: r.bytes()}
	s.Salt, s.Expires = message.uint32(), message.uint32()
	if s.Privileges, err = message.privileges(); err != nil {
		return Signed006{}, err
	}
	switch {
	case r.short || message.short:
		return Signed006{}, malformed("it is cut short")
	case len(r.rest)+len(message.rest) > 0:
		return Signed006{}, malformed("something follows its end")
	}
	return s, nil
}

// Names reports whether the token can be for the channel and the user.
func (s Signed006) Names(channel, user string) bool {
	return s.ChannelSum == checksum(channel) && s.UserSum == checksum(user)
}

// Verify reports whether the token is for the channel and the user, and signed
// with the certificate. It does not look at the times.
func (s Signed006) Verify(channel, user string, certificate usher.Secret) bool {
	s.Channel, s.User = channel, user
	want := s.sign(certificate)
	return s.Names(channel, user) && hmac.Equal(s.Signature[:], want[:])
}

func checksum(s string) uint32 { return crc32.ChecksumIEEE([]byte(s)) }

var errAppID = errors.New("agora: an app id has 32 characters")

// isAppID reports whether s can be an app id in a 006 token, which takes its 32
// characters as they are.
func isAppID(s string) bool {
	return len(s) == idLength && consistsOf(s, func(c byte) bool { return ' ' < c && c <= '~' })
}
