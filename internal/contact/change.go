package contact

import (
	"encoding/json"
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

func subject(app, user string) string { return "contacts." + app + "." + user }

// Watch calls f with every change of an entry that is the user's or for the
// user, on whichever node it was made, until stop is called. The bus may lose
// one: whoever is told reads what is true. f must not block.
func (s *Service) Watch(app, user string, f func(Change)) (stop func()) {
	return s.Bus.Subscribe(subject(app, user), func(data []byte) {
		var c Change
		if err := json.Unmarshal(data, &c); err != nil {
			s.Logger.Error("a message on the bus could not be read", "subject", subject(app, user), "error", err)
			return
		}
		s.pairs.forget(pair{c.App, c.Owner, c.User}) // it may come from another node
		f(c)
	})
}

// changed tells of what has just been committed.
func (s *Service) changed(c Change) {
	s.pairs.forget(pair{c.App, c.Owner, c.User})
	data, err := json.Marshal(c)
	if err != nil {
		panic(err) // a struct of strings
	}
	s.Bus.Publish(subject(c.App, c.Owner), data)
	s.Bus.Publish(subject(c.App, c.User), data)
}
