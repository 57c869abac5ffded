package usher

import "context"

type requestIDKey struct{}

// WithRequestID returns a context that carries the id of the request that it
// belongs to, by which the log and the record name it.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
