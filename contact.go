package usher

import "time"

// Contact is one user's entry for another: that a lists b says nothing of
// whether b lists a.
type Contact struct {
	App string
	// Owner is the key of the user whose entry it is, and User of whom it is for.
	Owner, User string
	AddedAt     time.Time
}
