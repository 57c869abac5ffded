package janus

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"

	"usher"
	"usher/internal/platform"
)

// claims are those of a permission token, as the tutorial's back end writes
// them: Guardian's, in the order of their names.
//
// The plugin takes a list of rooms that is absent or null for every room there
// is. The list is of one room in its type, so that it can be neither.
type claims struct {
	Audience  string          `json:"aud,omitempty"`
	Expires   int64           `json:"exp"`
	IssuedAt  int64           `json:"iat"`
	Issuer    string          `json:"iss"`
	Join      bool            `json:"join_hub"`
	ID        string          `json:"jti"`
	Kick      bool            `json:"kick_users"`
	NotBefore int64           `json:"nbf"`
	Rooms     [1]string       `json:"room_ids"`
	Subject   string          `json:"sub"`
	Type      string          `json:"typ"`
	User      json.RawMessage `json:"user_id,omitempty"`
}

// anonymous is the subject of a token that is for nobody in particular.
const anonymous = "anon"

// permission makes a permission token.
func (p *Platform) permission(ctx context.Context, req platform.Request, expires int64) (usher.Secret, error) {
	if err := usher.ValidateName(req.Subject, maxName); err != nil {
		return "", usher.Errorf(usher.Invalid, "janus_subject_invalid", "The subject %s.", err)
	}
	c, err := p.claims(req.Grant.Room, req.Subject, req.Now.Unix(), expires)
	if err != nil {
		return "", err
	}
	c.Kick = p.config.BrowserKick && req.Grant.Permissions.Has(usher.Moderate)
	key, err := p.key(ctx)
	if err != nil {
		return "", err
	}
	return key.sign(ctx, c)
}

// claims returns those of who may be in a room and nothing else.
func (p *Platform) claims(room, subject string, now, expires int64) (claims, error) {
	id, err := newUUID(p.random)
	if err != nil {
		return claims{}, fmt.Errorf("make a token's id: %w", err)
	}
	c := claims{
		Audience: p.config.Audience, Expires: expires, IssuedAt: now, Join: true, ID: id,
		NotBefore: now - 1, Rooms: [1]string{room}, Subject: anonymous, Type: "access",
	}
	if subject != "" {
		c.Subject = subject
		if c.User, err = userID(subject); err != nil {
			return claims{}, err
		}
	}
	return c, nil
}

// maxExact is the largest integer that every reader of JSON keeps.
const maxExact = 1<<53 - 1

// userID writes a subject as apps keep their user ids: as a number if it is one.
func userID(subject string) (json.RawMessage, error) {
	if n, err := strconv.ParseInt(subject, 10, 64); err == nil && strconv.FormatInt(n, 10) == subject && -maxExact <= n && n <= maxExact {
		return json.RawMessage(subject), nil
	}
	return json.Marshal(subject)
}

// header is {"alg":"RS512","typ":"JWT"}, the only one that is ever written.
const header = "eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9"

// signer signs permission tokens. RSA is slow, so that it leaves one processor
// to everything else.
type signer struct {
	key    crypto.Signer
	public *rsa.PublicKey
	turns  chan struct{}
}

func newSigner(key crypto.Signer) (*signer, error) {
	public, err := checkPublic(key.Public())
	if err != nil {
		return nil, err
	}
	return &signer{key: key, public: public, turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))}, nil
}

// sign waits for its turn and signs.
func (s *signer) sign(ctx context.Context, c claims) (usher.Secret, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("write a token: %w", err)
	}
	coding := base64.RawURLEncoding
	token := make([]byte, 0, len(header)+2+coding.EncodedLen(len(payload))+coding.EncodedLen(s.public.Size()))
	token = append(append(token, header...), '.')
	token = coding.AppendEncode(token, payload)
	digest := sha512.Sum512(token)
	select {
	case s.turns <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { <-s.turns }()
	signature, err := s.key.Sign(rand.Reader, digest[:], crypto.SHA512)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return usher.Secret(coding.AppendEncode(append(token, '.'), signature)), nil
}

// verify reports whether a signature over the first two parts of a token is ours.
func (s *signer) verify(signed string, signature []byte) bool {
	digest := sha512.Sum512([]byte(signed))
	return rsa.VerifyPKCS1v15(s.public, crypto.SHA512, digest[:], signature) == nil
}

// maxName bounds the names of rooms and users, in bytes; the plugin has no bound.
const maxName = 256

// checkRoom refuses names of rooms that Janus can't be asked for, and those that
// other systems take for every room.
func (p *Platform) checkRoom(format, room string) error {
	if err := usher.ValidateName(room, maxName); err != nil {
		return usher.Errorf(usher.Invalid, "janus_room_invalid", "The room's name %s.", err)
	}
	switch {
	case room == "":
		return usher.Errorf(usher.Invalid, "janus_room_invalid", "The room's name is missing.")
	case room == "*":
		return usher.Errorf(usher.Invalid, "janus_room_invalid", "The room can't be *, which other systems read as every one.")
	case format != "" && format != FormatSFU:
		return p.checkVideoRoom(room)
	}
	return nil
}

// maxVideoRoom is what is left of the 99 bytes to which Janus cuts "room=" and
// the name of a room.
const maxVideoRoom = 99 - len("room=")

func (p *Platform) checkVideoRoom(room string) error {
	number, err := strconv.ParseUint(room, 10, 64)
	switch {
	case len(room) > maxVideoRoom:
		return usher.Errorf(usher.Invalid, "janus_room_invalid", "The room's name has %d bytes; a token for VideoRoom holds %d.", len(room), maxVideoRoom)
	case strings.ContainsAny(room, ",:"):
		return usher.Errorf(usher.Invalid, "janus_room_invalid", "The room's name has a comma or colon, and VideoRoom could not tell where it ends.")
	case p.config.NumericRooms && (err != nil || number == 0 || number > maxExact || strconv.FormatUint(number, 10) != room):
		return usher.Errorf(usher.Invalid, "janus_room_invalid", "This VideoRoom's rooms are whole numbers from 1 to %d.", int64(maxExact))
	}
	return nil
}

// newUUID makes a version 4 UUID (RFC 9562, section 5.4).
func newUUID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
