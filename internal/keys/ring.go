package keys

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"usher"
	"usher/internal/store"
)

// algorithm is what all our keys sign with (RFC 8037): Ed25519 signs in some
// 20 µs, its signatures are short, and signing needs no random numbers.
const algorithm = "EdDSA"

// Key is what anybody may know of one of our signing keys.
type Key struct {
	// ID is the kid. It also says when the key was made: see [Key.CreatedAt].
	ID        usher.ID
	Algorithm string
	State     store.KeyState
	// NotAfter is when a retired key is no longer published; zero before that.
	NotAfter time.Time
}

// CreatedAt is when the key was made.
func (k Key) CreatedAt() time.Time { return k.ID.Time() }

// signingKey is a stored key, ready for use. It never changes.
type signingKey struct {
	record  store.Key
	public  ed25519.PublicKey
	private ed25519.PrivateKey
}

func (k *signingKey) info() Key {
	return Key{ID: k.record.ID, Algorithm: k.record.Algorithm, State: k.record.State, NotAfter: k.record.NotAfter}
}

// ring is the set of keys as of one moment. It never changes: signers and
// verifiers use the one they got without a lock, while another takes its place.
type ring struct {
	keys          []*signingKey // in the order in which they are published
	byID          map[usher.ID]*signingKey
	current, next *signingKey
	jwks          []byte
	// overdue says that the store still has keys that are no longer published.
	overdue bool
}

// newRing decrypts the stored keys. What is the same in the ring before is
// taken from there.
func newRing(records []store.Key, before *ring, sealer *Sealer, now time.Time) (*ring, error) {
	r := &ring{byID: make(map[usher.ID]*signingKey, len(records))}
	for _, record := range records {
		if expired(record, now) {
			r.overdue = true
			continue
		}
		key := before.reuse(record)
		if key == nil {
			var err error
			if key, err = unseal(record, sealer); err != nil {
				return nil, err
			}
		}
		r.keys = append(r.keys, key)
		r.byID[record.ID] = key
		switch {
		case record.State == store.CurrentKey && r.current == nil:
			r.current = key
		case record.State == store.NextKey && r.next == nil:
			r.next = key
		case record.State != store.RetiredKey:
			return nil, fmt.Errorf("signing key %s has the state %q, which is unknown or another key's", record.ID, record.State)
		}
	}
	if r.current == nil || r.next == nil {
		return nil, errors.New("the store has signing keys, but not both a current and a next one")
	}
	slices.SortFunc(r.keys, func(a, b *signingKey) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.record.ID, b.record.ID))
	})
	var err error
	r.jwks, err = r.publish()
	return r, err
}

// expired reports whether a key's time to be published is over.
func expired(k store.Key, now time.Time) bool {
	return k.State == store.RetiredKey && !now.Before(k.NotAfter)
}

// rank orders the published keys: a verifier that tries one after the other
// then finds the likeliest first.
func rank(k *signingKey) int {
	return slices.Index([]store.KeyState{store.CurrentKey, store.NextKey, store.RetiredKey}, k.record.State)
}

// purpose ties a sealed key to its id and algorithm, so that nobody who can
// write to the store can have a key taken for another.
func purpose(id usher.ID, algorithm string) []byte {
	return []byte("usher signing key " + algorithm + " " + string(id))
}

// reuse returns the stored key with what is already decrypted of it, or nil.
func (r *ring) reuse(record store.Key) *signingKey {
	if r == nil {
		return nil
	}
	known, ok := r.byID[record.ID]
	if !ok || known.record.Algorithm != record.Algorithm || !bytes.Equal(known.record.Sealed, record.Sealed) {
		return nil
	}
	return &signingKey{record: record, public: known.public, private: known.private}
}

func unseal(record store.Key, sealer *Sealer) (*signingKey, error) {
	if record.Algorithm != algorithm {
		return nil, fmt.Errorf("signing key %s is of the unknown algorithm %q: was it made by a newer version?", record.ID, record.Algorithm)
	}
	seed, err := sealer.Open(record.Sealed, purpose(record.ID, record.Algorithm))
	if err != nil {
		return nil, fmt.Errorf("open signing key %s: %w; restore the secret file that belongs to this store", record.ID, err)
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("signing key %s is malformed", record.ID)
	}
	private := ed25519.NewKeyFromSeed(seed)
	return &signingKey{record: record, public: private.Public().(ed25519.PublicKey), private: private}, nil
}

// newKey makes a sealed key for the store.
func newKey(id usher.ID, state store.KeyState, now time.Time, random io.Reader, sealer *Sealer) (store.Key, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return store.Key{}, fmt.Errorf("make signing key: %w", err)
	}
	return store.Key{
		ID: id, Algorithm: algorithm, State: state,
		Sealed:    sealer.Seal(seed, purpose(id, algorithm)),
		UpdatedAt: now,
	}, nil
}

// jwk is a public key as RFC 8037, section 2, writes it.
type jwk struct {
	KeyType   string   `json:"kty"`
	Curve     string   `json:"crv"`
	Use       string   `json:"use"`
	Algorithm string   `json:"alg"`
	ID        usher.ID `json:"kid"`
	X         string   `json:"x"`
}

func (r *ring) publish() ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{make([]jwk, len(r.keys))}
	for i, k := range r.keys {
		set.Keys[i] = jwk{
			KeyType: "OKP", Curve: "Ed25519", Use: "sig", Algorithm: k.record.Algorithm, ID: k.record.ID,
			X: base64.RawURLEncoding.EncodeToString(k.public),
		}
	}
	return json.Marshal(set)
}
