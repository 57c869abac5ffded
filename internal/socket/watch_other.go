//go:build !linux

package socket

// watcher is for Linux only: elsewhere each connection waits for itself.
type watcher struct{}

func (g *Group) watch(*Conn) bool { return false }

func (g *Group) unwatch(*Conn) {}
