package vpaas

import (
	"context"

	"usher/internal/platform"
)

var _ platform.Prober = Foreign{}

// Probe implements [platform.Prober]: the service is there, and knows
// us, if it gives us an access token.
func (f Foreign) Probe(ctx context.Context) error {
	if f.tokens == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	_, err := f.tokens.fetch(ctx)
	return err
}
