// Package usher holds the vocabulary of the access server for real-time
// rooms: identities, rooms, participants, permissions, ids, secrets and errors.
//
// Every other package speaks in these types. The package imports nothing but
// the standard library and does no I/O, so that a store, a platform and a wire
// dialect can all depend on it without depending on each other.
package usher

// DefaultApp is the one app that exists until apps can be created. An app is
// the first part of every key in the store.
const DefaultApp = "default"
