package access

import (
	"context"

	"usher"
	"usher/internal/figures"
	"usher/internal/health"
	"usher/internal/policy"
)

// Operations is what operators are told of the server itself. What is nil, they
// are not told.
type Operations struct {
	Figures *figures.Series
	Health  *health.Checks
	// Settings returns the configuration that is in force.
	Settings func() []Setting
}

// Setting is one value of the configuration that is in force.
type Setting struct {
	// Key is its path, as in server.publicURL.
	Key string
	// Value is its text, or YAML where it is made of sections. Secrets in it are
	// a placeholder.
	Value string
	// Secret says that all of it is one.
	Secret bool
	// Source says where it was given; empty is nowhere: it is the default.
	Source string
	// Doc is what people read about it.
	Doc string
}

// errNotTold is for a server that was put together without what is asked for.
var errNotTold = usher.Errorf(usher.Unavailable, "operations_unavailable", "This server does not keep that.")

// Figures returns a short history of what the server's metrics say.
func (a *Access) Figures(ctx context.Context, id usher.Identity) (figures.History, error) {
	if err := a.may(ctx, id, policy.Watch, nil); err != nil {
		return figures.History{}, err
	}
	if a.config.Operations.Figures == nil {
		return figures.History{}, errNotTold
	}
	h, err := a.config.Operations.Figures.History()
	if err != nil {
		return figures.History{}, wrapf("figures", err)
	}
	return h, nil
}

// Health returns how everything is that the server depends on.
func (a *Access) Health(ctx context.Context, id usher.Identity) ([]health.Result, error) {
	if err := a.may(ctx, id, policy.Watch, nil); err != nil {
		return nil, err
	}
	if a.config.Operations.Health == nil {
		return nil, errNotTold
	}
	results, err := a.config.Operations.Health.Results(ctx)
	if err != nil {
		return nil, wrapf("health", err)
	}
	return results, nil
}

// Settings returns the configuration that is in force, without its secrets.
func (a *Access) Settings(ctx context.Context, id usher.Identity) ([]Setting, error) {
	if err := a.may(ctx, id, policy.Watch, nil); err != nil {
		return nil, err
	}
	if a.config.Operations.Settings == nil {
		return nil, errNotTold
	}
	return a.config.Operations.Settings(), nil
}
