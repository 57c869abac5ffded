package janus_test

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// plugin decides as janus-plugin-sfu (7cd5c04, jsonwebtoken 7.2.0) was observed
// to. It shares no code with what it checks.
type plugin struct {
	// authKey is the content of the file that auth_key names; nil without one.
	authKey []byte
	// ahead is by how much its clock is fast.
	ahead time.Duration
}

// The plugin's words.
const (
	anonymousJoin  = "Rejecting anonymous join!"
	invalidToken   = "Rejecting join with invalid token!"
	noPermission   = "Rejecting join without permission!"
	accepted       = ""
	acceptedByNone = "no auth_key"
)

// perms are the claims that the plugin reads.
type perms struct {
	join, kick bool
	rooms      *[]string // nil is every room
	expires    int64
}

// join returns why a join is refused.
func (p plugin) join(token *string, room string, now time.Time) string {
	if p.authKey == nil {
		return acceptedByNone
	}
	if token == nil {
		return anonymousJoin
	}
	claims, err := p.validate(*token, now)
	switch {
	case err != nil:
		return invalidToken
	case !claims.join || claims.rooms != nil && !slices.Contains(*claims.rooms, room):
		return noPermission
	}
	return accepted
}

// kick reports whether a kick is done; the room does not matter.
func (p plugin) kick(token string, now time.Time) bool {
	claims, err := p.validate(token, now)
	return p.authKey != nil && err == nil && claims.kick
}

func (p plugin) validate(token string, now time.Time) (perms, error) {
	key, err := x509.ParsePKCS1PublicKey(p.authKey)
	if err != nil || key.N.BitLen() < 2041 || key.N.BitLen() > 8192 {
		return perms{}, errors.New("InvalidKey")
	}
	last := strings.LastIndexByte(token, '.')
	parts := strings.Split(token[:max(last, 0)], ".")
	if last < 0 || len(parts) != 2 {
		return perms{}, errors.New("InvalidToken")
	}
	var header struct {
		Alg string `json:"alg"`
	}
	if head, err := base64.RawURLEncoding.DecodeString(parts[0]); err != nil || json.Unmarshal(head, &header) != nil || header.Alg != "RS512" {
		return perms{}, errors.New("InvalidAlgorithm")
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(token[last+1:], "="))
	if err != nil || strings.ContainsAny(token, "\r\n ") {
		return perms{}, errors.New("Base64 error")
	}
	digest := sha512.Sum512([]byte(token[:last]))
	if rsa.VerifyPKCS1v15(key, crypto.SHA512, digest[:], signature) != nil {
		return perms{}, errors.New("InvalidSignature")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return perms{}, errors.New("Base64 error")
	}
	claims, err := readPerms(payload)
	if err == nil && claims.expires < now.Add(p.ahead).Unix() {
		err = errors.New("ExpiredSignature")
	}
	return claims, err
}

func readPerms(payload []byte) (claims perms, err error) {
	seen := map[string]json.RawMessage{}
	d := json.NewDecoder(bytes.NewReader(payload))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return perms{}, errors.New("JSON error: no object")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return perms{}, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return perms{}, err
		}
		if _, twice := seen[name.(string)]; twice && slices.Contains([]string{"join_hub", "kick_users", "room_ids"}, name.(string)) {
			return perms{}, errors.New("JSON error: duplicate field")
		}
		seen[name.(string)] = value
	}
	for name, to := range map[string]*bool{"join_hub": &claims.join, "kick_users": &claims.kick} {
		switch value, said := seen[name]; {
		case said && string(value) == "true":
			*to = true
		case said && string(value) != "false":
			return perms{}, errors.New("JSON error: invalid type, expected a boolean")
		}
	}
	if value, said := seen["room_ids"]; said && string(value) != "null" {
		var rooms []*string
		if json.Unmarshal(value, &rooms) != nil || slices.Contains(rooms, nil) {
			return perms{}, errors.New("JSON error: invalid type, expected texts")
		}
		claims.rooms = &[]string{}
		for _, room := range rooms {
			*claims.rooms = append(*claims.rooms, *room)
		}
	}
	expires, err := strconv.ParseUint(string(seen["exp"]), 10, 63)
	claims.expires = int64(expires)
	return claims, err
}

// craft signs a token of any shape: what nobody should make.
func craft(key *rsa.PrivateKey, header, payload string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	var h struct{ Alg string }
	_ = json.Unmarshal([]byte(header), &h)
	var signature []byte
	var err error
	switch h.Alg {
	case "RS256":
		digest := sha256.Sum256([]byte(signed))
		signature, err = rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	case "PS512":
		digest := sha512.Sum512([]byte(signed))
		signature, err = rsa.SignPSS(random, key, crypto.SHA512, digest[:], nil)
	case "HS512":
		mac := hmac.New(sha512.New, x509.MarshalPKCS1PublicKey(&key.PublicKey))
		mac.Write([]byte(signed))
		signature = mac.Sum(nil)
	case "none":
	default:
		digest := sha512.Sum512([]byte(signed))
		signature, err = rsa.SignPKCS1v15(nil, key, crypto.SHA512, digest[:])
	}
	if err != nil {
		panic(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// core decides as Janus's own auth.c does: whether a signed token is good for a
// realm and something in it.
func core(secret, token, realm, wanted string, now time.Time) bool {
	data, mac, ok := strings.Cut(token, ":")
	fields := strings.Split(data, ",")
	if !ok || strings.Contains(mac, ":") || len(fields) < 2 || fields[1] != realm {
		return false
	}
	expires, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil || now.Unix() > expires {
		return false
	}
	if mac != macOf(secret, data) {
		return false
	}
	return slices.Contains(fields[2:], wanted[:min(len(wanted), 99)])
}

func macOf(secret, data string) string {
	h := hmac.New(sha1.New, []byte(secret))
	h.Write([]byte(data))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
