package main

import (
	"context"
	"net/http"

	"usher"
	"usher/internal/access"
	"usher/internal/identity"
)

type benchDecide struct {
	Clients []int `default:"1,16,64" help:"How many clients call at a time (default: ${default})."`
	callFlags
}

// Run measures, in the same process and in turns, calls of this server whose
// callers are authenticated, and that are decided and recorded, and calls of a
// handler of net/http that says hello.
func (c benchDecide) Run(ctx context.Context, env environment) (err error) {
	return c.compare(ctx, env, c.Clients, nil, callsToDecide)
}

// callsToDecide makes a back end with a room, and a user who is a stranger to it.
func callsToDecide(ctx context.Context, s *benchServer) ([]measuredCall, error) {
	added, err := s.access.AddClient(ctx, identity.LocalOperator(), access.ClientSpec{Name: "bench", APIKey: true}, "")
	if err != nil {
		return nil, err
	}
	backEnd := usher.Identity{App: usher.DefaultApp, Kind: usher.ClientIdentity, Subject: string(added.ID), Scopes: added.Scopes}
	room, err := s.access.CreateRoom(ctx, backEnd, access.RoomSpec{Name: "bench"}, "")
	if err != nil {
		return nil, err
	}
	user, _, err := s.callers.dev.Issue("Bench", "")
	if err != nil {
		return nil, err
	}
	url := s.base + "/api/v1/rooms/" + string(room.ID)
	return []measuredCall{
		{name: "read a room, API key", url: url, token: added.Key, status: http.StatusOK},
		{name: "read a room, user's token", url: url, token: user, status: http.StatusOK},
		{name: "enter a room, user's token, refused", url: url + "/participants", body: "{}", token: user, status: http.StatusForbidden},
	}, nil
}
