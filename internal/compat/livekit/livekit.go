// Package livekit is the endpoint that LiveKit's client SDKs fetch their tokens
// from, so that an app needs no code for that.
package livekit

import (
	"encoding/json"
	"net/http"

	"usher"
	"usher/internal/access"
	"usher/internal/httpd"
)

// platform is the name of what the tokens are for.
const platform = "livekit"

// Config is what [New] needs.
type Config struct {
	Access *access.Access
	// Open says that callers need not show credentials that a page must have been
	// given: in development, by a session, or where everybody is served. Only
	// pages of this machine may then read the answers, and those whose origins
	// are added: any other could have its visitors' browsers fetch tokens.
	Open bool
}

// Service is the endpoint.
type Service struct {
	config Config
}

// New returns the service.
func New(config Config) *Service { return &Service{config: config} }

// Dialect returns the route.
func (s *Service) Dialect() httpd.Dialect {
	return httpd.Dialect{
		Name:   "livekit",
		Routes: []httpd.Route{{Pattern: "POST /livekit/token", Caller: httpd.Known, Scope: usher.ParticipantCreate, Handle: s.token}},
		CORS:   httpd.CORS{Any: !s.config.Open, Loopback: s.config.Open},
		Header: httpd.NoStore,
	}
}

// request is what the SDKs send: every field is absent that the app did not set.
type request struct {
	Room     string `json:"room_name"`
	Identity string `json:"participant_identity"`
	// Name is the app's wish; the name in the token is that of the caller.
	Name       string                     `json:"participant_name"`
	Metadata   string                     `json:"participant_metadata"`
	Attributes map[string]string          `json:"participant_attributes"`
	RoomConfig map[string]json.RawMessage `json:"room_config"`
}

// answer is what the SDKs read.
type answer struct {
	ServerURL        string `json:"server_url"`
	ParticipantToken string `json:"participant_token"`
}

func (s *Service) token(w http.ResponseWriter, r *http.Request) error {
	var req request
	if err := httpd.ReadJSON(r, &req, true); err != nil {
		return err
	}
	if err := req.check(); err != nil {
		return err
	}
	issued, err := s.config.Access.Credential(r.Context(), httpd.Identity(r.Context()), req.Room, access.CredentialSpec{
		Platform: platform, Subject: req.Identity, Make: true,
	})
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusCreated, answer{issued.URL, issued.Token.Reveal()})
}

// check refuses what no token of ours carries: dropped in silence, an agent
// would be waited for in vain.
func (req request) check() error {
	var fields []usher.FieldProblem
	refuse := func(field, message string) {
		fields = append(fields, usher.FieldProblem{Field: field, Message: message})
	}
	if req.Room == "" || req.Room == "*" {
		refuse("room_name", "must name one room")
	}
	const unset = "can't be set by clients here"
	if req.Metadata != "" {
		refuse("participant_metadata", unset)
	}
	if len(req.Attributes) > 0 {
		refuse("participant_attributes", unset)
	}
	if len(req.RoomConfig) > 0 {
		refuse("room_config", unset)
	}
	if len(fields) == 0 {
		return nil
	}
	err := usher.Errorf(usher.Invalid, "request_invalid", "The request can't be served as it stands; see fields.")
	err.Fields = fields
	return err
}
