package vpaas

import (
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/go-jose/go-jose/v4/jwt"

	"usher"
)

// assertionLifetime is how long an assertion is good for, which is once.
const assertionLifetime = 60 * time.Second

// assertor makes the assertions that prove to VPaaS which app is calling.
type assertor struct {
	clientID string
	audience string
	signer   jose.Signer
	random   io.Reader
}

// claims are an assertion's. The audience is one text and not a list, as
// VPaaS documents it.
type claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Scope    string `json:"scope"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	ID       string `json:"jti"`
}

func newAssertor(clientID string, key crypto.Signer, audience string, random io.Reader) (*assertor, error) {
	if random == nil {
		random = rand.Reader
	}
	if clientID == "" {
		return nil, errors.New("vpaas: the client id is missing; Pexip assigns it when the public key is registered")
	}
	alg, err := algorithm(key)
	if err != nil {
		return nil, fmt.Errorf("vpaas: private key: %w", err)
	}
	signing := jose.SigningKey{Algorithm: alg, Key: cryptosigner.Opaque(key)}
	signer, err := jose.NewSigner(signing, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("vpaas: private key: %w", err)
	}
	return &assertor{clientID: clientID, audience: audience, signer: signer, random: random}, nil
}

// assert makes an assertion, which asks for every scope that VPaaS has.
func (a *assertor) assert(now time.Time) (usher.Secret, error) {
	id, err := newUUID(a.random)
	if err != nil {
		return "", fmt.Errorf("make an assertion: %w", err)
	}
	text, err := jwt.Signed(a.signer).Claims(claims{
		Issuer: a.clientID, Subject: a.clientID, Audience: a.audience, Scope: usher.DefaultScopes.String(),
		IssuedAt: now.Unix(), Expires: now.Add(assertionLifetime).Unix(), ID: id,
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign an assertion: %w", err)
	}
	return usher.Secret(text), nil
}

// newUUID makes a version 4 UUID (RFC 9562, section 5.4), the form of jti in
// every published client of VPaaS.
func newUUID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
