package httpd

import (
	"context"
	"net"

	"usher"
)

type (
	visitorKey struct{}
	originKey  struct{}
)

// visitor is who called a route. It is filled in before the handler is asked,
// and does not change from then on.
type visitor struct{ id usher.Identity }

// Identity returns who called the route. It is nobody on routes for anyone.
func Identity(ctx context.Context) usher.Identity {
	if c, ok := ctx.Value(visitorKey{}).(*visitor); ok {
		return c.id
	}
	return usher.Identity{}
}

// Origin is the listener that a request came in by.
type Origin struct {
	// Base is what we call ourselves there, without a final slash:
	// https://localhost:3000. It never comes from the Host header.
	Base string
	// Local says that it is the control socket.
	Local bool
}

// From returns the origin of the request that ctx belongs to.
func From(ctx context.Context) Origin {
	o, _ := ctx.Value(originKey{}).(Origin)
	return o
}

// WithOrigin returns a context that carries the origin: the ConnContext of a
// listener's [http.Server], or of a call that never leaves the process.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// ConnContext stamps every connection of a listener with its origin.
func ConnContext(o Origin) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, _ net.Conn) context.Context { return WithOrigin(ctx, o) }
}
