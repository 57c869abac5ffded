// Package e2e holds the tests that drive the built binary from outside, as its
// users do: with curl, with the npm clients of the seeds, with plain HTTP and
// WebSocket clients, and with hostile bytes. It has no code of its own.
//
// "Claim N" in a comment is the Nth of what the first issue of the server says
// must be shown.
package e2e
