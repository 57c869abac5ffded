package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// The bounds of a key set. The upper one of an RSA key keeps a verification cheap.
const (
	maxRemoteKeys = 100
	minRSABits    = 2048
	maxRSABits    = 8192
)

// remoteSet is a key set as it was fetched. It does not change.
type remoteSet struct {
	keys map[string][]remoteKey // by kid
	// fetched is when the issuer was asked, and fresh how long its answer is good
	// without asking again.
	fetched time.Time
	fresh   time.Duration
}

// remoteKey is one key for signatures.
type remoteKey struct {
	key crypto.PublicKey
	// alg is the one algorithm that the issuer uses the key with, if it says so.
	alg string
}

// find returns the key of that id for that algorithm. A nil set has none.
func (s *remoteSet) find(kid, alg string) (crypto.PublicKey, error) {
	if s == nil || len(s.keys[kid]) == 0 {
		return nil, ErrUnknownKey
	}
	for _, k := range s.keys[kid] {
		if k.alg != "" && k.alg != alg {
			continue
		}
		if fits(k.key, alg) {
			return k.key, nil
		}
	}
	return nil, ErrKeyAlgorithm
}

// fits reports whether the algorithm works with such a key. No algorithm is
// both for a signature and for a shared secret, so that no public key is ever
// taken for one.
func fits(key crypto.PublicKey, alg string) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		switch jose.SignatureAlgorithm(alg) {
		case jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512:
			return true
		}
	case *ecdsa.PublicKey:
		switch jose.SignatureAlgorithm(alg) {
		case jose.ES256:
			return key.Curve == elliptic.P256()
		case jose.ES384:
			return key.Curve == elliptic.P384()
		case jose.ES512:
			return key.Curve == elliptic.P521()
		}
	case ed25519.PublicKey:
		return jose.SignatureAlgorithm(alg) == jose.EdDSA
	}
	return false
}

// parseRemoteSet reads a JSON Web Key Set (RFC 7517, section 5). Keys that we
// can't use are left out, as the RFC has it; a set without any is an error,
// since an issuer that signs has at least one.
func parseRemoteSet(data []byte) (map[string][]remoteKey, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, errors.New("the key set is not valid JSON")
	}
	if len(raw.Keys) > maxRemoteKeys {
		return nil, fmt.Errorf("the key set has %d keys; at most %d are read", len(raw.Keys), maxRemoteKeys)
	}
	keys := make(map[string][]remoteKey)
	for _, data := range raw.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(data) != nil || k.KeyID == "" || k.Use != "" && k.Use != "sig" || !strong(k.Key) {
			continue
		}
		keys[k.KeyID] = append(keys[k.KeyID], remoteKey{k.Key, k.Algorithm})
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no key that can be used: want RSA of at least 2048 bits, EC or Ed25519, with a kid")
	}
	return keys, nil
}

// strong reports whether a key is a public one of a kind and size that we
// verify with.
func strong(key any) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return minRSABits <= bits && bits <= maxRSABits && key.E >= 3 && key.E%2 == 1
	case *ecdsa.PublicKey:
		return key.Curve == elliptic.P256() || key.Curve == elliptic.P384() || key.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return len(key) == ed25519.PublicKeySize
	default:
		return false
	}
}
