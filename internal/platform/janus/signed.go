package janus

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"strconv"
	"strings"

	"usher"
)

// The realms of signed tokens, and the package of the plugin.
const (
	coreRealm = "janus"
	videoRoom = "janus.plugin.videoroom"
)

// hmacSigner makes Janus's signed tokens: "data:mac", where data is the second
// of expiry, a realm and what is allowed in it with commas between, and mac the
// HMAC-SHA1 of it all in base64. Janus has no other hash.
type hmacSigner struct{ secret usher.Secret }

// core makes a token for Janus itself. Without the plugin in it, its bearer
// could open a session and nothing in it.
func (s hmacSigner) core(expires int64) usher.Secret { return s.sign(expires, coreRealm, videoRoom) }

// room makes a token for one room of VideoRoom.
func (s hmacSigner) room(expires int64, room string) usher.Secret {
	return s.sign(expires, videoRoom, "room="+room)
}

func (s hmacSigner) sign(expires int64, realm, allowed string) usher.Secret {
	data := strings.Join([]string{strconv.FormatInt(expires, 10), realm, allowed}, ",")
	return usher.Secret(data + ":" + base64.StdEncoding.EncodeToString(s.mac(data)))
}

func (s hmacSigner) mac(data string) []byte {
	h := hmac.New(sha1.New, []byte(s.secret))
	h.Write([]byte(data))
	return h.Sum(nil)
}

// verify reports whether mac is that of data, by a secret that we hold.
func (s hmacSigner) verify(data string, mac []byte) bool {
	return s.secret != "" && hmac.Equal(s.mac(data), mac)
}
