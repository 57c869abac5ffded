package e2e_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"usher"
	"usher/client"
)

// rotating is for how long the keys are rotated, once a second.
const rotating = time.Minute

// backEndKey is a registered back end with the private key that it signs with.
type backEndKey struct {
	s   *Server
	id  usher.ID
	key jose.JSONWebKey
}

// newBackEnd registers a back end with a key whose signatures cost little.
func (s *Server) newBackEnd() *backEndKey {
	s.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		s.t.Fatal(err)
	}
	added, err := s.operator().AddClient(s.t.Context(), client.AddClientRequest{
		Name: "test-" + rand.Text(), PublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), Scopes: usher.AllScopes,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return &backEndKey{s, added.ID, jose.JSONWebKey{Key: private, KeyID: "own", Algorithm: "EdDSA"}}
}

// token asks for an access token, as any number of goroutines may.
func (b *backEndKey) token() (usher.Secret, error) {
	assertion := signWith(b.s.t, b.key, nil, b.s.assertion(string(b.id)))
	a, err := send(b.s.Client, http.MethodPost, b.s.HTTPS+"/oauth/token", tokenRequest(assertion), asForm...)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.Body), &answer); err != nil || answer.Token == "" {
		return "", fmt.Errorf("token: status %d: %s", a.Status, a.Body)
	}
	return usher.Secret(b.s.Secret(answer.Token)), nil
}

// verifier verifies our tokens as anybody can, with the keys that we publish. It
// reads them again when it meets a key that it does not know.
type verifier struct {
	s    *Server
	keys jose.JSONWebKeySet
}

func (v *verifier) verify(token usher.Secret) error {
	signed, err := jose.ParseSignedCompact(token.Reveal(), []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return err
	}
	kid := signed.Signatures[0].Header.KeyID
	if len(v.keys.Key(kid)) == 0 {
		a, err := send(v.s.Client, http.MethodGet, v.s.HTTP+"/.well-known/jwks.json", "")
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(a.Body), &v.keys); err != nil {
			return err
		}
	}
	found := v.keys.Key(kid)
	if len(found) != 1 {
		return fmt.Errorf("the key %s is published %d times", kid, len(found))
	}
	_, err = signed.Verify(found[0])
	return err
}

// caller gets token after token, and goes on using those that it has.
type caller struct {
	issue  func(context.Context) (usher.Secret, error)
	verify *verifier
	tokens []usher.Secret
}

func (c *caller) once(ctx context.Context, s *Server) error {
	fresh, err := c.issue(ctx)
	if err != nil {
		return fmt.Errorf("issue: %w", err)
	}
	if err := c.verify.verify(fresh); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	c.tokens = append(c.tokens, fresh)
	for _, token := range []usher.Secret{fresh, c.tokens[0], c.tokens[len(c.tokens)/2]} {
		if _, err := s.as(token).Me(ctx); err != nil {
			return fmt.Errorf("use: %w", err)
		}
	}
	return nil
}

func TestRotatingKeysUnderLoadFailsNoRequest(t *testing.T) {
	t.Parallel()
	s := start(t, options{Config: unlimited})
	ctx := within(t, 3*rotating)
	backEnd := s.newBackEnd()
	own, err := backEnd.token()
	if err != nil {
		t.Fatal(err)
	}
	room, err := s.as(own).CreateRoom(ctx, client.CreateRoomRequest{})
	if err != nil {
		t.Fatal(err)
	}
	invite, err := s.as(own).CreateInvite(ctx, string(room.ID), client.CreateInviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	s.Secret(invite.Code.Reveal())
	asBackEnd := func(context.Context) (usher.Secret, error) { return backEnd.token() }
	asGuest := func(ctx context.Context) (usher.Secret, error) {
		redeemed, err := s.as("").Redeem(ctx, client.RedeemRequest{Code: invite.Code, Name: "Guest " + rand.Text()})
		return redeemed.Token, err
	}

	var wg sync.WaitGroup
	var calls atomic.Int64
	var failed []error
	over := make(chan struct{})
	callers := []*caller{{issue: asBackEnd}, {issue: asGuest}, {issue: asBackEnd}, {issue: asGuest}}
	results := make([]error, len(callers))
	for i, c := range callers {
		c.verify = &verifier{s: s}
		wg.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond) // leaves room for other tests
			defer tick.Stop()
			for {
				select {
				case <-over:
					return
				case <-tick.C:
				}
				if err := c.once(ctx, s); err != nil {
					results[i] = fmt.Errorf("after %d calls: %w", calls.Load(), err)
					return
				}
				calls.Add(1)
			}
		})
	}
	operator := s.operator()
	rotations := 0
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for range int(rotating / time.Second) {
		<-every.C
		if _, err := operator.RotateKeys(ctx); err != nil {
			failed = append(failed, fmt.Errorf("rotate: %w", err))
		}
		rotations++
	}
	close(over)
	wg.Wait()
	if err := errors.Join(append(failed, results...)...); err != nil {
		t.Error(err)
	}
	if calls.Load() < 100 {
		t.Errorf("there were only %d rounds of calls in %d rotations", calls.Load(), rotations)
	}
	t.Logf("%d rotations, %d rounds of an issue, a verification and three calls", rotations, calls.Load())
}
