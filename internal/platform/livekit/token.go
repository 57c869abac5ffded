package livekit

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"hash"
	"sync"

	"usher"
)

// claims are those of a token, times in seconds since 1970.
type claims struct {
	Issuer    string `json:"iss"` // the API key
	Subject   string `json:"sub"` // the participant's identity
	Name      string `json:"name,omitempty"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	Video     video  `json:"video"`
}

// video is a video grant. What LiveKit takes for granted when it is absent is
// always written.
type video struct {
	RoomJoin          bool     `json:"roomJoin"`
	Room              string   `json:"room"`
	RoomAdmin         bool     `json:"roomAdmin,omitempty"`
	CanPublish        bool     `json:"canPublish"`
	CanPublishSources []string `json:"canPublishSources,omitempty"`
	CanPublishData    bool     `json:"canPublishData"`
	CanSubscribe      bool     `json:"canSubscribe"`
}

var encoding = base64.RawURLEncoding.Strict()

// header is {"alg":"HS256","typ":"JWT"} with the dot that follows it.
const header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."

// macSize is the length of a signature in a token.
const macSize = 43

// signer signs tokens and checks their signatures. The states of HMAC are kept,
// because the key's share in them is half of the work.
type signer struct {
	states sync.Pool
}

func newSigner(secret usher.Secret) *signer {
	key := []byte(secret.Reveal())
	return &signer{states: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

func (s *signer) sign(c claims) (usher.Secret, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	token := make([]byte, 0, len(header)+encoding.EncodedLen(len(payload))+1+macSize)
	token = append(token, header...)
	token = encoding.AppendEncode(token, payload)
	mac := s.mac(token)
	token = append(token, '.')
	return usher.Secret(encoding.AppendEncode(token, mac[:])), nil
}

// verify reports whether mac is the signature of text.
func (s *signer) verify(text, mac []byte) bool {
	want := s.mac(text)
	return subtle.ConstantTimeCompare(want[:], mac) == 1
}

func (s *signer) mac(text []byte) (sum [sha256.Size]byte) {
	h := s.states.Get().(hash.Hash)
	defer s.states.Put(h)
	h.Reset()
	h.Write(text)
	h.Sum(sum[:0])
	return sum
}
