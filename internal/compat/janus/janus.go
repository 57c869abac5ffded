// Package janus gives the browsers of rooms on Janus their tokens: what the
// app's own server did for naf-janus-adapter and janus-plugin-sfu.
//
// There never was one wire for it; this one is as small as the seed's example:
// a room goes in, and a token comes out with the time to ask for the next one.
package janus

import (
	"net/http"
	"time"

	"usher"
	"usher/internal/access"
	"usher/internal/httpd"
)

// platform is what the tokens are for.
const platform = "janus"

// usual is how long a token is good for: the five minutes of the seed, since
// the plugin asks for nothing but the expiry and nothing can be taken back.
const usual = 5 * time.Minute

// Config is what [New] needs.
type Config struct {
	Access *access.Access
}

// Service gives out tokens.
type Service struct {
	config Config
}

// New returns the service.
func New(config Config) *Service { return &Service{config: config} }

// Dialect returns the routes.
func (s *Service) Dialect() httpd.Dialect {
	return httpd.Dialect{
		Name:  "janus",
		Under: []string{"/janus/"},
		CORS:  httpd.CORS{Loopback: true},
		Routes: []httpd.Route{
			{Pattern: "POST /janus/token", Caller: httpd.Known, Scope: usher.ParticipantCreate, Handle: s.token},
		},
	}
}

// request asks for a token.
type request struct {
	Room string `json:"room"`
	// Role is a request: host, speaker, viewer.
	Role usher.Role `json:"role"`
}

// answer is a token, and when to ask for the next: relative, so that a wrong
// clock does no harm.
type answer struct {
	Token     string `json:"token"`
	ExpiresAt string `json:"expires_at"`
	ExpiresIn int    `json:"expires_in"`
	RefreshIn int    `json:"refresh_in"`
}

func (s *Service) token(w http.ResponseWriter, r *http.Request) error {
	var req request
	if err := httpd.ReadJSON(r, &req, false); err != nil {
		return err
	}
	if err := usher.ValidateRoomName(req.Room); err != nil {
		if _, idErr := usher.ParseID(req.Room); idErr != nil {
			return err
		}
	}
	issued, err := s.config.Access.Credential(r.Context(), httpd.Identity(r.Context()), req.Room, access.CredentialSpec{
		Platform: platform, Role: req.Role, Lifetime: usual, Make: true,
	})
	if err != nil {
		return err
	}
	httpd.NoStore(w.Header())
	return httpd.JSON(w, http.StatusOK, answer{
		Token:     issued.Token.Reveal(),
		ExpiresAt: issued.ExpiresAt.UTC().Format(time.RFC3339),
		ExpiresIn: int(issued.ExpiresIn / time.Second),
		RefreshIn: int(issued.RefreshIn / time.Second),
	})
}
