package janus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"usher"
)

const (
	sfuPlugin = "janus.plugin.sfu"
	// ownUser begins the name of the user as whom we look into a room; the rest
	// is random, lest it is an occupant's. Occupants get an event that it left.
	ownUser = "usher-"
	// ownLifetime is how long the tokens live that we use ourselves, which is
	// once, and with a clock that may differ.
	ownLifetime = 2 * time.Minute
)

// sfuRequest is a message to janus-plugin-sfu.
type sfuRequest struct {
	Kind  string       `json:"kind"`
	Room  string       `json:"room_id"`
	User  string       `json:"user_id"`
	Token usher.Secret `json:"-"`
}

// MarshalJSON reveals the token, which is left out if there is none.
func (r sfuRequest) MarshalJSON() ([]byte, error) {
	type plain sfuRequest
	return json.Marshal(struct {
		plain
		Token string `json:"token,omitempty"`
	}{plain(r), r.Token.Reveal()})
}

// sfuReply is what janus-plugin-sfu answers.
type sfuReply struct {
	Success bool `json:"success"`
	Error   struct {
		Message string `json:"msg"`
	} `json:"error"`
	Response struct {
		Users map[string][]string `json:"users"`
	} `json:"response"`
}

// sfuRefusal is a reply that says no, in the plugin's words.
type sfuRefusal string

func (r sfuRefusal) Error() string { return fmt.Sprintf("janus-plugin-sfu answered %.200q", string(r)) }

// The plugin's words, which are the same for a token that has expired and for
// one by another key.
const (
	saysAnonymous sfuRefusal = "Rejecting anonymous join!"
	saysInvalid   sfuRefusal = "Rejecting join with invalid token!"
)

// sfu is a connection to a Janus with the plugin.
type sfu struct {
	*conn
	platform *Platform
}

// withSFU connects to the plugin, for as long as do takes.
func (p *Platform) withSFU(ctx context.Context, do func(context.Context, sfu) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, err := p.connect(ctx, p.config.PluginURL, p.ownProof())
	if err != nil {
		return err
	}
	defer c.close(ctx)
	return do(ctx, sfu{c, p})
}

// ownProof is by what Janus itself lets us in: everything that we have, of which
// it ignores what it is not configured for.
func (p *Platform) ownProof() proof {
	by := proof{secret: p.config.APISecret}
	if p.config.TokenAuthSecret != "" {
		by.token = p.hmac.sign(p.now().Add(ownLifetime).Unix(), coreRealm, videoRoom+","+sfuPlugin)
	}
	return by
}

// ownToken makes a token that lets us look into a room, and perhaps put people
// out of it.
func (p *Platform) ownToken(ctx context.Context, room string, expires time.Time, kick bool) (usher.Secret, error) {
	c, err := p.claims(room, "usher", p.now().Unix(), expires.Unix())
	if err != nil {
		return "", err
	}
	c.Kick = kick
	key, err := p.key(ctx)
	if err != nil {
		return "", err
	}
	return key.sign(ctx, c)
}

// do sends a message on a handle of its own, since one can join only once.
func (s sfu) do(ctx context.Context, r sfuRequest) (sfuReply, error) {
	handle, err := s.attach(ctx, sfuPlugin)
	if err != nil {
		return sfuReply{}, err
	}
	text, err := s.message(ctx, handle, r)
	if err != nil {
		return sfuReply{}, err
	}
	var answer sfuReply
	if err := json.Unmarshal(text, &answer); err != nil {
		return sfuReply{}, invalidAnswer(errors.New("it is not of the form of janus-plugin-sfu's"))
	}
	if !answer.Success {
		return sfuReply{}, refused(sfuRefusal(answer.Error.Message))
	}
	return answer, nil
}

// users returns who is in a room. It joins as somebody who neither speaks nor
// listens, whom the plugin does not count.
func (s sfu) users(ctx context.Context, room string, token usher.Secret) ([]string, error) {
	name, err := s.platform.transaction()
	if err != nil {
		return nil, err
	}
	answer, err := s.do(ctx, sfuRequest{Kind: "join", Room: room, User: ownUser + name, Token: token})
	return answer.Response.Users[room], err
}

// kick puts users out of a room, and looks whether they are gone: the plugin
// answers with a success also when it has ignored what it was asked for.
func (s sfu) kick(ctx context.Context, room string, users ...string) error {
	token, err := s.platform.ownToken(ctx, room, s.platform.now().Add(ownLifetime), true)
	if err != nil {
		return err
	}
	for _, user := range users {
		if _, err := s.do(ctx, sfuRequest{Kind: "kick", Room: room, User: user, Token: token}); err != nil {
			return err
		}
	}
	left, err := s.users(ctx, room, token)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(users, func(user string) bool { return slices.Contains(left, user) }) {
		return usher.Errorf(usher.Unavailable, "janus_still_there", "The participant has not left the room on Janus yet; try again.")
	}
	return nil
}

// kick puts one user out of a room of the plugin.
func (p *Platform) kick(ctx context.Context, room, user string) error {
	if err := p.checkRoom(FormatSFU, room); err != nil {
		return err
	}
	return p.withSFU(ctx, func(ctx context.Context, s sfu) error { return s.kick(ctx, room, user) })
}

// kickAll puts everybody out of a room of the plugin.
func (p *Platform) kickAll(ctx context.Context, room string) error {
	users, err := p.occupants(ctx, room)
	if err != nil || len(users) == 0 {
		return err
	}
	return p.withSFU(ctx, func(ctx context.Context, s sfu) error { return s.kick(ctx, room, users...) })
}

// occupants returns who is in a room of the plugin.
func (p *Platform) occupants(ctx context.Context, room string) (users []string, err error) {
	if err := p.checkRoom(FormatSFU, room); err != nil {
		return nil, err
	}
	err = p.withSFU(ctx, func(ctx context.Context, s sfu) error {
		token, err := p.ownToken(ctx, room, p.now().Add(ownLifetime), false)
		if err == nil {
			users, err = s.users(ctx, room, token)
		}
		return err
	})
	return users, err
}
