package client

import (
	"context"
	"encoding/json"
	"net/http"

	"usher"
)

// CredentialRequest asks for a credential of a platform. All but Platform are
// wishes, of which what is not allowed is cut off, or refused.
type CredentialRequest struct {
	// Platform is agora, agora/NAME, janus, livekit, turn or vpaas.
	Platform string `json:"platform"`
	// Format chooses among the platform's formats; empty is its usual one.
	Format string `json:"format,omitempty"`
	// Subject is whom the platform shall know the bearer as, such as an Agora
	// uid; empty derives it from the caller.
	Subject string     `json:"subject,omitempty"`
	Role    usher.Role `json:"role,omitempty"`
	// Permissions, if any are named, are all that is asked for of the role's.
	Permissions usher.Permissions `json:"permissions,omitempty"`
	// TTL is for how many seconds it shall be good; 0 is what is usual.
	TTL int64 `json:"ttl,omitempty"`
}

// Credential lets its bearer into a room on a platform.
type Credential struct {
	Platform string `json:"platform"`
	// Room is what the room is called here.
	Room string `json:"room"`
	// Token is told once; like every [usher.Secret] it is not written back into
	// JSON. It is empty where the bearer is on the platform already and keeps what
	// it came in by.
	Token usher.Secret `json:"token"`
	// URL is where the token is good for, if the platform has such.
	URL string `json:"url,omitempty"`
	// ExpiresIn is in how many seconds it ends, and RefreshIn in how many to ask
	// for the next one, which leaves time to try again.
	ExpiresAt Time `json:"expires_at"`
	ExpiresIn int  `json:"expires_in"`
	RefreshIn int  `json:"refresh_in"`
	// Role and Permissions are what was granted, and Clamped what was asked for
	// and granted only in part.
	Role        usher.Role        `json:"role"`
	Permissions usher.Permissions `json:"permissions"`
	Clamped     []string          `json:"clamped"`
	// Grant is the id of the decision that allowed it.
	Grant usher.ID `json:"grant"`
	// Body is the platform's own answer, where it has one.
	Body json.RawMessage `json:"body,omitempty"`
}

// Issue has a credential made for a room. Renewing one is asking again.
func (a *API) Issue(ctx context.Context, room string, req CredentialRequest, options ...Option) (Credential, error) {
	var c Credential
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"rooms", room, "credentials"}, body: req, options: options}, &c)
	return c, err
}

// InspectRequest asks what a token is.
type InspectRequest struct {
	Token usher.Secret `json:"token"`
	// Room and Subject are what it is said to be for, in the platform's own
	// terms; some formats do not name them.
	Room    string `json:"room,omitempty"`
	Subject string `json:"subject,omitempty"`
}

// Inspection is what a token says, and what is wrong with it.
type Inspection struct {
	Platform string `json:"platform"`
	// Format names its form, such as "agora 007".
	Format string `json:"format"`
	// Verified is good, bad, or unknown where the server does not have the key.
	Verified  string `json:"verified"`
	Subject   string `json:"subject,omitempty"`
	Room      string `json:"room,omitempty"`
	IssuedAt  Time   `json:"issued_at,omitzero"`
	ExpiresAt Time   `json:"expires_at,omitzero"`
	// Claims is everything else that it says, in the platform's own words.
	Claims map[string]any `json:"claims,omitempty"`
	// Problems are sentences, the gravest first.
	Problems []string `json:"problems"`
}

// Inspect asks what a token of any platform says, and what is wrong with it.
func (a *API) Inspect(ctx context.Context, req InspectRequest) (Inspection, error) {
	body := struct {
		InspectRequest
		Token string `json:"token"` // in clear: this is the one place that sends it
	}{req, req.Token.Reveal()}
	var i Inspection
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"credentials", "inspect"}, body: body}, &i)
	return i, err
}

// ICEServer is an RTCIceServer of WebRTC.
type ICEServer struct {
	URLs       []string     `json:"urls"`
	Username   string       `json:"username"`
	Credential usher.Secret `json:"credential"`
}

// ICEServers are the STUN and TURN servers for a caller, with a credential.
type ICEServers struct {
	Servers   []ICEServer `json:"ice_servers"`
	ExpiresAt Time        `json:"expires_at"`
	// ExpiresIn and RefreshIn are as those of a [Credential].
	ExpiresIn int      `json:"expires_in"`
	RefreshIn int      `json:"refresh_in"`
	Grant     usher.ID `json:"grant"`
}

// ICEServers returns the STUN and TURN servers that the caller may use.
func (a *API) ICEServers(ctx context.Context, options ...Option) (ICEServers, error) {
	var s ICEServers
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"ice-servers"}, options: options}, &s)
	return s, err
}
