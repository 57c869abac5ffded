package keys

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"usher"
)

// Why [Manager.Verify] refuses a token.
var (
	// ErrForeign: it is no token of ours, or one of a key that is no longer
	// published. Somebody else's verifier may know it.
	ErrForeign = errors.New("not a token of ours")
	// ErrType: it names one of our keys, but is of another type than asked for.
	ErrType = errors.New("a token of another type")
	// ErrSignature: it names one of our keys, which did not sign it.
	ErrSignature = errors.New("the token's signature is wrong")
)

// The protected header of our tokens, in the one spelling that we write and
// accept. What isn't this text, with the kid and the typ filled in, is not a
// token of ours, so that no alg, crit, jwk, jku or x5c is ever looked at.
const (
	headStart  = `{"alg":"` + algorithm + `","kid":"`
	headMiddle = `","typ":"`
	headEnd    = `"}`

	kidSize = 26
	maxType = 64
	maxHead = len(headStart) + kidSize + len(headMiddle) + maxType + len(headEnd)
)

// maxToken bounds the length of a token in bytes, far above what fits in an
// HTTP header.
const maxToken = 64 << 10

// rememberTokens is how many tokens' signatures are remembered, 200 bytes each.
const rememberTokens = 4096

// signatureSize is the length of an encoded signature: 64 bytes.
const signatureSize = 86

// encoding refuses a last character with unused bits set: two spellings of one
// token would pass for two tokens.
var encoding = base64.RawURLEncoding.Strict()

// Sign signs the claims, encoded as JSON, with the current key and returns a
// compact JWS with the key's id and the given typ (RFC 8725, section 3.11, has
// a token say what it is for: "at+jwt"). The claims' expiry is the caller's; it
// must not be later than Config.Retain from now.
func (m *Manager) Sign(claims any, typ string) (string, error) {
	if !validType(typ) {
		return "", fmt.Errorf("keys: sign token: %q is not a token type", typ)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("keys: sign token: %w", err)
	}
	key := m.ring.Load().current
	head := make([]byte, 0, maxHead)
	head = append(head, headStart...)
	head = append(head, key.record.ID...)
	head = append(head, headMiddle...)
	head = append(head, typ...)
	head = append(head, headEnd...)

	size := encoding.EncodedLen(len(head)) + encoding.EncodedLen(len(payload)) + signatureSize + 2
	if size > maxToken {
		return "", fmt.Errorf("keys: sign token: it would be %d bytes long; at most %d are allowed", size, maxToken)
	}
	token := make([]byte, 0, size)
	token = encoding.AppendEncode(token, head)
	token = append(token, '.')
	token = encoding.AppendEncode(token, payload)
	signature := ed25519.Sign(key.private, token)
	token = append(token, '.')
	token = encoding.AppendEncode(token, signature)
	return string(token), nil
}

// Verify checks that one of our published keys signed the token with that typ,
// and returns its claims and the key's id. Issuer, audience and times in the
// claims are the caller's to check. The error is one of ErrForeign, ErrType
// and ErrSignature.
//
// A key that this node doesn't know is looked for in the store, once; then
// there is a pause, so that invented ids can't make us read without end.
func (m *Manager) Verify(token, typ string) (payload []byte, kid string, err error) {
	if len(token) > maxToken {
		return nil, "", ErrForeign
	}
	end := strings.LastIndexByte(token, '.')
	if end < 0 {
		return nil, "", ErrForeign
	}
	signed, signature := token[:end], token[end+1:]
	head, body, ok := strings.Cut(signed, ".")
	if !ok || strings.IndexByte(body, '.') >= 0 {
		return nil, "", ErrForeign
	}
	id, headType, ok := parseHead(head)
	if !ok {
		return nil, "", ErrForeign
	}
	key := m.find(id)
	if key == nil {
		return nil, "", ErrForeign
	}
	if headType != typ {
		return nil, "", ErrType
	}
	if !m.signedBy(key, token, signed, signature) {
		return nil, "", ErrSignature
	}
	payload = make([]byte, encoding.DecodedLen(len(body)))
	if !decode(payload, body) {
		return nil, "", ErrForeign
	}
	return payload, string(key.record.ID), nil
}

// signedBy reports whether a key signed a token, or is remembered to have. All
// else about a token is looked at each time.
func (m *Manager) signedBy(key *signingKey, token, signed, signature string) bool {
	digest := usher.Secret(token).Digest()
	if by, ok := m.genuine.Get(digest); ok && by.Equal(key.public) {
		return true
	}
	var sig [ed25519.SignatureSize]byte
	if !decode(sig[:], signature) || !ed25519.Verify(key.public, []byte(signed), sig[:]) {
		return false
	}
	m.genuine.Put(digest, key.public)
	return true
}

// parseHead takes the kid and the typ out of an encoded header, if it is
// spelled as Sign spells it.
func parseHead(s string) (id usher.ID, typ string, ok bool) {
	var buf [maxHead]byte
	n := encoding.DecodedLen(len(s))
	if n > len(buf) || !decode(buf[:n], s) {
		return "", "", false
	}
	head := string(buf[:n])
	head, ok = strings.CutPrefix(head, headStart)
	if !ok || len(head) < kidSize {
		return "", "", false
	}
	id, err := usher.ParseID(head[:kidSize])
	if err != nil {
		return "", "", false
	}
	if typ, ok = strings.CutPrefix(head[kidSize:], headMiddle); !ok {
		return "", "", false
	}
	if typ, ok = strings.CutSuffix(typ, headEnd); !ok {
		return "", "", false
	}
	return id, typ, validType(typ)
}

// decode fills dst with what s encodes, if s is the one encoding of that many
// bytes. The package base64 skips line breaks; the length gives them away.
func decode(dst []byte, s string) bool {
	if len(s) != encoding.EncodedLen(len(dst)) {
		return false
	}
	n, err := encoding.Decode(dst, []byte(s))
	return err == nil && n == len(dst)
}

// validType reports whether typ is a media subtype (RFC 6838, section 4.2),
// which needs no escaping in JSON.
func validType(typ string) bool {
	if typ == "" || len(typ) > maxType {
		return false
	}
	for _, c := range []byte(typ) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$&-^_.+", c) >= 0:
		default:
			return false
		}
	}
	return true
}
