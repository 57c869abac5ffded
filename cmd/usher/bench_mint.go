package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"usher"
	"usher/internal/access"
	"usher/internal/config"
	"usher/internal/identity"
)

type benchMint struct {
	Clients []int    `default:"1,16,128" help:"How many clients call at a time (default: ${default})."`
	Peer    []string `placeholder:"NAME=URL" help:"Another token server to measure in the same run, by a URL of it that answers a GET with a token."`
	callFlags
}

// Run measures what it takes to mint, with the caller authenticated, the policy
// asked and the decision recorded, for each platform and format.
func (c benchMint) Run(ctx context.Context, env environment) (err error) {
	folder, err := os.MkdirTemp("", "usher-bench-keys-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	keyFile := filepath.Join(folder, "janus.pem")
	if err := writeBenchKey(keyFile); err != nil {
		return fmt.Errorf("bench mint: %w", err)
	}
	edit := func(cfg *config.Config) {
		cfg.Agora.AppID, cfg.Agora.AppCertificate = benchHex(16), usher.Secret(benchHex(16))
		cfg.LiveKit.URL, cfg.LiveKit.APIKey, cfg.LiveKit.APISecret = "wss://livekit.localhost", "bench", usher.Secret(benchHex(24))
		cfg.Janus.KeyFile = keyFile
	}
	return c.compare(ctx, env, c.Clients, edit, c.calls)
}

// calls makes a back end with a room, and a user who is a member of it; every
// call mints for that room.
func (c benchMint) calls(ctx context.Context, s *benchServer) ([]measuredCall, error) {
	added, err := s.access.AddClient(ctx, identity.LocalOperator(), access.ClientSpec{Name: "bench", APIKey: true}, "")
	if err != nil {
		return nil, err
	}
	backEnd := usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: string(added.ID), Scopes: added.Scopes}
	if _, err := s.access.CreateRoom(ctx, backEnd, access.RoomSpec{Name: "bench"}, ""); err != nil {
		return nil, err
	}
	userToken, user, err := s.callers.dev.Issue("Bench", "")
	if err != nil {
		return nil, err
	}
	if _, err := s.access.PutMember(ctx, backEnd, "bench", usher.Member{Identity: user.Key(), Role: usher.Speaker}); err != nil {
		return nil, err
	}
	mint := func(name, body string) measuredCall {
		return measuredCall{name: name, url: s.base + "/api/v1/rooms/bench/credentials", body: body, token: added.Key, status: http.StatusCreated}
	}
	calls := []measuredCall{
		{name: "agora 007, the tutorial's URL", url: s.base + "/rtc/bench/publisher/uid/1", token: added.Key, status: http.StatusOK},
		mint("agora 007", `{"platform":"agora","subject":"1"}`),
		{name: "agora 007, a user's token", url: s.base + "/rtc/bench/publisher/uid/2", token: userToken, status: http.StatusOK},
		mint("agora 006", `{"platform":"agora","format":"006","subject":"1"}`),
		mint("livekit HS256", `{"platform":"livekit","subject":"1"}`),
		mint("janus RS512-2048", `{"platform":"janus"}`),
	}
	for _, peer := range c.Peer {
		name, url, found := strings.Cut(peer, "=")
		if !found {
			return nil, fmt.Errorf("the peer %q is not NAME=URL", peer)
		}
		calls = append(calls, measuredCall{name: name, url: url, status: http.StatusOK})
	}
	return calls, nil
}

// writeBenchKey makes the key that Janus's tokens are signed with.
func writeBenchKey(path string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// benchHex is so many random bytes in hexadecimal.
func benchHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it does not fail
	return hex.EncodeToString(b)
}
