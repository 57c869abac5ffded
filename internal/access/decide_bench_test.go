package access_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"

	"usher"
	"usher/internal/access"
	"usher/internal/bus"
	"usher/internal/identity"
	"usher/internal/policy"
	"usher/internal/room"
	"usher/internal/store/cached"
	"usher/internal/store/sqlstore"
)

// benchWorld is a server without HTTP: who calls is found out, decided and
// recorded as for a request.
type benchWorld struct {
	access *access.Access
	// chain verifies each token anew; remembering knows those that it has seen.
	chain, remembering identity.Authenticator
	key, token         usher.Secret // of a back end, and of a user
	own, other         string       // a room of each
}

func newBenchWorld(b *testing.B) *benchWorld {
	b.Helper()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	file, err := sqlstore.Open(b.Context(), sqlstore.Config{Path: filepath.Join(b.TempDir(), "usher.db"), Synchronous: sqlstore.Full})
	must(err)
	db := cached.New(file, time.Now)
	w := &benchWorld{access: access.New(access.Config{
		Store: db, Bus: &bus.Local{}, Rooms: room.DefaultConfig(), Policy: policy.DefaultConfig(), Record: access.DefaultRecordConfig(),
		Logger: slog.New(slog.DiscardHandler), IDs: usher.SystemIDs(), Now: time.Now, Metrics: prometheus.NewRegistry(),
	})}
	must(w.access.Start(b.Context()))
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.access.Run(ctx) })

	issuer, token := benchIssuer(b)
	apiKeys := &identity.APIKeys{Clients: db.Clients(), Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
	chain := func(remember int) identity.Authenticator {
		issuers, err := identity.NewIssuers(identity.IssuersConfig{Issuers: []identity.IssuerConfig{issuer}, Remember: remember})
		must(err)
		b.Cleanup(issuers.Close)
		return w.access.Authenticator(identity.Chain{apiKeys, issuers})
	}
	w.chain, w.remembering, w.token = chain(-1), chain(0), token
	b.Cleanup(func() {
		stop()
		running.Wait()
		_ = w.access.Close(context.Background())
		must(db.Close())
	})

	added, err := w.access.AddClient(b.Context(), operator, access.ClientSpec{Name: "bench", APIKey: true}, "")
	must(err)
	w.key = added.Key
	w.own, w.other = w.roomOf(b, w.token), w.roomOf(b, w.key)
	return w
}

// roomOf makes a room for whoever presents the proof.
func (w *benchWorld) roomOf(b *testing.B, proof usher.Secret) string {
	b.Helper()
	id, err := w.remembering.Authenticate(b.Context(), identity.Proof{Bearer: proof})
	if err != nil {
		b.Fatal(err)
	}
	r, err := w.access.CreateRoom(b.Context(), id, access.RoomSpec{}, "")
	if err != nil {
		b.Fatal(err)
	}
	return string(r.ID)
}

// benchIssuer is an issuer that publishes its key, and a token of a user of it.
func benchIssuer(b *testing.B) (identity.IssuerConfig, usher.Secret) {
	b.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	key := jose.JSONWebKey{Key: private, KeyID: "k", Algorithm: "ES256", Use: "sig"}
	published, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(published) // it fails only if the caller is gone
	}))
	b.Cleanup(server.Close)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		b.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{
		"iss": server.URL, "aud": "usher", "sub": "ann", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	if err != nil {
		b.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		b.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		b.Fatal(err)
	}
	return identity.IssuerConfig{Issuer: server.URL, JWKS: server.URL, Audiences: []string{"usher"}}, usher.Secret(token)
}

// BenchmarkAuthenticateAndDecide is what every request costs before anything is
// done: the caller is found out, with the issuer's keys cached, the policy
// decides, and the decision is recorded. To read a room includes finding it, in
// memory most of the time.
func BenchmarkAuthenticateAndDecide(b *testing.B) {
	w := newBenchWorld(b)
	read := func(ctx context.Context, id usher.Identity, ref string) error {
		_, err := w.access.Room(ctx, id, ref)
		return err
	}
	enter := func(ctx context.Context, id usher.Identity, ref string) error {
		_, err := w.access.AddParticipant(ctx, id, ref, access.Place{}, "")
		return err
	}
	for _, bench := range []struct {
		name  string
		chain identity.Authenticator
		proof usher.Secret
		do    func(context.Context, usher.Identity, string) error
		room  string
		code  string
	}{
		{"a back end by its key reads its room", w.chain, w.key, read, w.other, ""},
		{"a user by a token seen before reads its room", w.remembering, w.token, read, w.own, ""},
		{"a user by a new token reads its room", w.chain, w.token, read, w.own, ""},
		{"a user by a token seen before is refused a room", w.remembering, w.token, enter, w.other, "not_member"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				id, err := bench.chain.Authenticate(b.Context(), identity.Proof{Bearer: bench.proof})
				if err != nil {
					b.Fatal(err)
				}
				err = bench.do(b.Context(), id, bench.room)
				if bench.code == "" && err != nil || bench.code != "" && usher.AsError(err).Code != bench.code {
					b.Fatal(err)
				}
			}
		})
	}
}
