package identity

import (
	"context"
	"slices"

	"usher"
)

// Operators returns an authenticator that asks next, and marks as operator
// whom one of the keys names: an identity or a group that it is in, as
// [usher.Identity.Keys] spells them.
func Operators(next Authenticator, keys []string) Authenticator {
	if len(keys) == 0 {
		return next
	}
	return operators{next, keys}
}

type operators struct {
	next Authenticator
	keys []string
}

// Authenticate implements [Authenticator].
func (o operators) Authenticate(ctx context.Context, p Proof) (usher.Identity, error) {
	id, err := o.next.Authenticate(ctx, p)
	if err == nil && id.Known() && slices.ContainsFunc(id.Keys(), func(key string) bool { return slices.Contains(o.keys, key) }) {
		id.Operator = true
	}
	return id, err
}
