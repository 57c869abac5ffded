package contact

import (
	"encoding/json"

	"usher"
)

// Change is one entry that was made or that is gone.
type Change struct {
	App string `json:"app"`
	// Owner is the key of the user whose entry it is, and User of whom it is for.
	Owner string `json:"owner"`
	User  string `json:"user"`
	// Listed says that the owner lists the user now.
	Listed bool `json:"listed"`
}

// subject is where nodes tell each other of changes.
const subject = "contacts"

// news is a change, and the node that made it.
type news struct {
	Node usher.ID `json:"node"`
	Change
}

// Watch calls f with every change from now on, on whichever node it was made. Of
// another node's the bus may lose one: whoever is told reads what is true. f must
// not block.
func (s *Service) Watch(f func(Change)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = append(s.watchers, f)
}

// hear takes what any node tells of its changes.
func (s *Service) hear(data []byte) {
	var n news
	if err := json.Unmarshal(data, &n); err != nil {
		s.Logger.Error("a message on the bus could not be read", "subject", subject, "error", err)
		return
	}
	if n.Node != s.Node {
		s.note(n.Change)
	}
}

// changed tells of what has just been committed.
func (s *Service) changed(c Change) {
	s.note(c)
	data, err := json.Marshal(news{s.Node, c})
	if err != nil {
		panic(err) // a struct of strings
	}
	s.Bus.Publish(subject, data)
}

// note forgets what a change has made wrong, and tells who watches.
func (s *Service) note(c Change) {
	s.pairs.forget(pair{c.App, c.Owner, c.User})
	s.mu.Lock()
	watchers := s.watchers
	s.mu.Unlock()
	for _, f := range watchers {
		f(c)
	}
}
