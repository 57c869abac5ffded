package cached

import (
	"context"
	"slices"

	"usher"
	"usher/internal/store"
)

// clients keeps registered back ends by their ids.
type clients struct {
	store.Clients
	kept *table[usher.ID, usher.Client]
}

var _ store.Clients = (*clients)(nil)

// Get implements [store.Clients].
func (s *clients) Get(ctx context.Context, id usher.ID) (usher.Client, error) {
	c, err := s.kept.through(ctx, id, func() (usher.Client, error) { return s.Clients.Get(ctx, id) })
	c.Scopes = slices.Clone(c.Scopes) // the caller's own
	return c, err
}

// Create implements [store.Clients].
func (s *clients) Create(ctx context.Context, c usher.Client) error {
	defer s.kept.writing(c.ID)()
	return s.Clients.Create(ctx, c)
}

// Update implements [store.Clients].
func (s *clients) Update(ctx context.Context, id usher.ID, change func(usher.Client) (usher.Client, error)) (usher.Client, error) {
	defer s.kept.writing(id)()
	return s.Clients.Update(ctx, id, change)
}
