package client

import (
	"context"
	"iter"
	"net/http"

	"usher"
)

// AddClient registers a back end. Only operators may.
func (a *API) AddClient(ctx context.Context, req AddClientRequest, options ...Option) (KeyedClient, error) {
	var c KeyedClient
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"clients"}, body: req, options: options}, &c)
	return c, err
}

// Client returns one back end.
func (a *API) Client(ctx context.Context, id usher.ID) (Client, error) {
	var c Client
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"clients", string(id)}}, &c)
	return c, err
}

// ClientPage returns one page of the back ends, revoked ones included, by the
// time they were registered.
func (a *API) ClientPage(ctx context.Context, q PageQuery) (ClientPage, error) {
	var p ClientPage
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"clients"}, query: q.values()}, &p)
	return p, err
}

// Clients goes through all back ends from the query's page on. It ends with
// the first error.
func (a *API) Clients(ctx context.Context, q PageQuery) iter.Seq2[Client, error] {
	return walk(q.Cursor, func(cursor string) ([]Client, string, error) {
		q.Cursor = cursor
		p, err := a.ClientPage(ctx, q)
		return p.Clients, p.NextCursor, err
	})
}

// RotateClient gives a back end new keys and voids everything that it was
// issued before: its access tokens, and its API key.
func (a *API) RotateClient(ctx context.Context, id usher.ID, req RotateClientRequest) (KeyedClient, error) {
	var c KeyedClient
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"clients", string(id), "rotate"}, body: req}, &c)
	return c, err
}

// RevokeClient takes all access from a back end for good.
func (a *API) RevokeClient(ctx context.Context, id usher.ID) (Client, error) {
	var c Client
	err := a.do(ctx, call{method: http.MethodDelete, path: []string{"clients", string(id)}}, &c)
	return c, err
}
