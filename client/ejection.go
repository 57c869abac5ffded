package client

import (
	"context"
	"net/http"

	"usher"
)

// Ejection is somebody whom a foreign platform has to put out of a room, or a
// room that it has to close.
type Ejection struct {
	Platform string   `json:"platform"`
	Room     usher.ID `json:"room"`
	// Identity is the key of who was given the credential, and Subject whom the
	// platform knows its bearer as. Both are empty for the room itself.
	Identity    string   `json:"identity,omitempty"`
	Subject     string   `json:"subject,omitempty"`
	Participant usher.ID `json:"participant,omitempty"`
	// Since is when the reason was found, and ExpiresAt when the credential ends.
	Since     Time   `json:"since"`
	Reason    string `json:"reason"`
	ExpiresAt Time   `json:"expires_at,omitzero"`
	// NextAt is when the platform is asked again, Attempts how often it was asked
	// in vain, and Failure what came of it last.
	NextAt   Time   `json:"next_at"`
	Attempts int    `json:"attempts"`
	Failure  string `json:"failure,omitempty"`
	// EjectedAt is when the platform did it. It is asked again while the
	// credential is good, by which its bearer can come back.
	EjectedAt Time `json:"ejected_at,omitzero"`
}

// EjectionList is what foreign platforms have yet to do.
type EjectionList struct {
	Ejections []Ejection `json:"ejections"`
}

// Ejections returns what foreign platforms have yet to do, at most 500 for each
// of them, by when they are asked next. Only operators may.
func (a *API) Ejections(ctx context.Context) ([]Ejection, error) {
	var l EjectionList
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"ejections"}}, &l)
	return l.Ejections, err
}

// Occupancy is how many are in a room on a platform.
type Occupancy struct {
	Platform string `json:"platform"`
	// Participants is absent where Problem says why nobody knows.
	Participants *int   `json:"participants,omitempty"`
	Problem      string `json:"problem,omitempty"`
}

// OccupancyList is how many are in a room on each platform that it is on.
type OccupancyList struct {
	Platforms []Occupancy `json:"platforms"`
}

// Occupancy returns how many are in a room on each platform that it is on and
// that can count.
func (a *API) Occupancy(ctx context.Context, room string) ([]Occupancy, error) {
	var l OccupancyList
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"rooms", room, "occupancy"}}, &l)
	return l.Platforms, err
}
